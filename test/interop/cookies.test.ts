import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { type AppAnswer, startApp } from '../support/app.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { requireServer } from '../support/requirement.ts'

/** One case as Django ran it: see `django_cookies.py`. */
interface DjangoCase {
  readonly settings: string
  readonly cookie: 'none' | 'valid' | 'unknown' | 'short' | 'empty' | 'expired'
  readonly action: string
  readonly status: number
  /** The Set-Cookie lines. */
  readonly lines: readonly string[]
  readonly brought: string | null
  readonly vary: string
  /** Django answered 400 instead: `SessionInterrupted`. */
  readonly interrupted: boolean
  readonly rows: { readonly new: number; readonly gone: number }
}

const settings: Readonly<Record<string, string>> = {
  default: '',
  'save every request': 'save_every_request: true',
  'browser close': 'expire_at_browser_close: true',
  attributes:
    'cookie_name: sid\n  cookie_path: /app\n  cookie_domain: example.test\n  cookie_secure: true\n  cookie_httponly: false\n  cookie_samesite: Strict\n  cookie_age: 3600',
  'no samesite': 'cookie_samesite: false',
  'samesite none': 'cookie_samesite: None\n  cookie_secure: true',
}

const commands: Readonly<Record<string, readonly string[]>> = {
  read: [],
  set: ['X-Session-Set', '{"a":2}'],
  'delete missing': ['X-Session-Delete', 'missing'],
  delete: ['X-Session-Delete', 'a'],
  clear: ['X-Session-Command', 'clear'],
  flush: ['X-Session-Command', 'flush'],
  'flush then set': ['X-Session-Command', 'flush', 'X-Session-Set', '{"b":1}'],
  cycle: ['X-Session-Command', 'cycle-key'],
  'expiry 300': ['X-Session-Expiry', '300'],
  'expiry 0': ['X-Session-Expiry', '0'],
  'expiry -10': ['X-Session-Expiry', '-10'],
  'expiry default': ['X-Session-Expiry', 'default'],
}

/**
 * Where the gateway differs on purpose. At 500 and above commands are cut unread, but for a lone flush, so a dead cookie
 * goes although Django's view had put something into a session that was never saved. And where Django answers 400
 * (`SessionInterrupted`), because it did not look before it cleared, the dead cookie is taken away; for the same reason
 * Django brings an expired session back to life, and the gateway does not.
 */
function isOurOwn({ cookie, action, status, interrupted }: DjangoCase): boolean {
  if (cookie === 'expired' && action === 'clear') return true
  return interrupted || (status >= 500 && action !== 'read' && action !== 'flush')
}

const django = requireServer('django')

test('Set-Cookie, rows and Vary are Django’s, case by case', { skip: django.skip, timeout: 300_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-django-'))
  try {
    const script = join(import.meta.dirname, 'django_cookies.py')
    const output = execFileSync(django.path, [script, folder], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
    const { results } = JSON.parse(output) as { results: DjangoCase[] }
    await using app = await startApp(answerAsAsked)
    for (const [name, yaml] of Object.entries(settings)) {
      await using gateway = await startGateway({ config: configOf(app.origin, yaml, join(folder, 'django.sqlite3')) })
      const cases = results.filter((result) => result.settings === name)
      assert.ok(cases.length >= 72, `${cases.length} cases for ${name}`)
      for (const one of cases) await compare(gateway, one, join(folder, 'django.sqlite3'))
      t.diagnostic(`${name}: ${cases.length} cases`)
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

function answerAsAsked(request: { values(name: string): string[] }): AppAnswer {
  const action = request.values('Action')[0] ?? ''
  return { status: Number(request.values('Status')[0] ?? 200), headers: commands[action] ?? [] }
}

function configOf(origin: string, session: string, database: string): string {
  return `
session:
  secret_key: test-secret-key-0123456789
  ${session}
database: { url: "sqlite:${database}" }
upstreams: { app: { servers: ["${origin}"], writeback: { allow: ["*"] } } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`
}

async function compare(gateway: TestGateway, one: DjangoCase, file: string): Promise<void> {
  const why = `${one.settings}, ${one.cookie} cookie, ${one.action}, ${one.status}`
  const name = one.settings === 'attributes' ? 'sid' : 'sessionid'
  const brought = await cookieFor(gateway, one, { name, file })
  const before = keysIn(file)
  const answer = await ask(gateway, one, brought === undefined ? undefined : `${name}=${brought}`)
  const after = keysIn(file)
  const [expected, actual] = [
    one.lines.map((line) => normal(line, one.brought)),
    answer.lines.map((line) => normal(line, brought ?? null)),
  ]
  if (isOurOwn(one)) {
    assert.deepEqual(actual, one.cookie === 'none' || one.cookie === 'valid' ? [] : [eraseLine(actual)], why)
    assert.deepEqual(after, before, why)
    return
  }
  assert.deepEqual(actual, expected.map(withOurFlags(one.settings)), why)
  assert.equal(answer.vary, one.vary, why)
  const added = [...after].filter((key) => !before.has(key)).length
  const gone = [...before].filter((key) => !after.has(key)).length
  // Django deletes an expired row on flush; here it is left to clear-expired, since it is no session any more.
  const rows = one.cookie === 'expired' ? { ...one.rows, gone: 0 } : one.rows
  assert.deepEqual({ new: added, gone }, rows, why)
}

/** The erasing line is the one that stands there; that it is one is what is asserted. */
function eraseLine(lines: readonly string[]): string {
  assert.match(lines[0] ?? '', /^\w+=""; .*Max-Age=0/)
  return lines[0] ?? ''
}

/** Stricter than Django on purpose: the erasing line carries the flags of the line that it erases. */
function withOurFlags(name: string): (line: string) => string {
  return (line) => {
    if (!line.includes('Max-Age=0;')) return line
    const withHttpOnly = name === 'attributes' ? line : line.replace('; Max-Age=0', '; HttpOnly; Max-Age=0')
    return name === 'attributes' && !line.endsWith('Secure') ? `${withHttpOnly}; Secure` : withHttpOnly
  }
}

/** Keys and dates differ from run to run; what stays is whether the key is the old one or a new one. */
function normal(line: string, brought: string | null): string {
  return line
    .replace(/^(\w+)=([a-z0-9]{32});/, (_, name, key) => `${name}=${key === brought ? 'same' : 'new'};`)
    .replace(
      /expires=(?!Thu, 01 Jan 1970)[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT/,
      'expires=DATE',
    )
}

async function cookieFor(
  gateway: TestGateway,
  one: DjangoCase,
  store: { readonly name: string; readonly file: string },
): Promise<string | undefined> {
  if (one.cookie === 'none') return undefined
  if (one.cookie === 'unknown') return 'unknownunknownunknownunknownunkn'
  if (one.cookie === 'short') return 'short'
  if (one.cookie === 'empty') return ''
  const made = await ask(gateway, { action: 'set', status: 200 }, undefined)
  const key = /^\w+=([a-z0-9]{32});/.exec(made.lines[0] ?? '')?.[1] ?? ''
  if (one.cookie === 'expired') {
    using database = new DatabaseSync(store.file)
    database.prepare("UPDATE django_session SET expire_date = '2001-01-01 00:00:00' WHERE session_key = ?").run(key)
  }
  return key
}

async function ask(
  gateway: TestGateway,
  one: Pick<DjangoCase, 'action' | 'status'>,
  cookie: string | undefined,
): Promise<{ lines: string[]; vary: string }> {
  const headers = new Headers({ Action: one.action, Status: String(one.status) })
  if (cookie !== undefined) headers.set('Cookie', cookie)
  const response = await fetch(`${gateway.url}/`, { headers })
  await response.arrayBuffer()
  return { lines: response.headers.getSetCookie(), vary: response.headers.get('vary') ?? '' }
}

function keysIn(file: string): Set<string> {
  using database = new DatabaseSync(file, { readOnly: true })
  const rows = database.prepare('SELECT session_key FROM django_session').all()
  return new Set(rows.map((row) => String(row.session_key)))
}
