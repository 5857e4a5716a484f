import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { parseSessionData, strictJson, writeSessionData } from '../../src/django/json.ts'
import { type AppRequest, startApp } from '../support/app.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { requireServer } from '../support/requirement.ts'
import { type DjangoFacts, type DjangoProject, type DjangoSettings, startDjango } from './django-project.ts'
import { randomSources, SEED } from './random-sessions.ts'
import { Differences, sessionOf, sharedStoreYaml } from './shared-store.ts'

/** Random sessions each way and store. */
const COUNT = 50

/** No daylight saving there: with USE_TZ off Django's own dates are off by an hour when clocks change in between. */
const TIME_ZONE = 'Asia/Kolkata'

const django = requireServer('django')

const stores: [why: string, settings: DjangoSettings][] = [
  ['SQLite', { engine: 'db' }],
  ['SQLite with USE_TZ off', { engine: 'db', useTz: false, timeZone: TIME_ZONE }],
  ['files', { engine: 'file' }],
  ['signed cookies', { engine: 'signed_cookies' }],
]

for (const [why, settings] of stores) {
  test(`${why}: what an app writes through the gateway Django reads, and the app is told what Django wrote`, {
    skip: django.skip,
    timeout: 180_000,
  }, async (t) => {
    await using project = await startDjango(django.path, settings)
    await project.migrate()
    const told = new Map<string, string>()
    const sources = sourcesFor(settings)
    const written = asHeaders(sources)
    await using app = await startApp((request) => {
      told.set(request.url, payloadOf(request))
      const header = written[Number(request.url.slice('/write/'.length))]
      if (request.url.startsWith('/write/') && header !== undefined) return { headers: header.lines }
      return { headers: request.url === '/change' ? ['X-Session-Set', '{"changed":[1.0,9007199254740993]}'] : [] }
    })
    await using gateway = await startGateway({
      config: configOf(project, settings, app.origin),
      env: { TZ: settings.timeZone ?? 'UTC' },
    })
    await writeThrough({ project, gateway, written, t })
    await readThrough({ project, gateway, sources, told, t })
  })
}

function configOf(project: DjangoProject, settings: DjangoSettings, origin: string): string {
  return `
${sharedStoreYaml(project, settings)}
signing: { max_bytes: 64KiB }
logging: { access: false }
upstreams: { app: { servers: ["${origin}"], writeback: { allow: ["*"] } } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`
}

function sourcesFor({ engine, useTz = true }: DjangoSettings): string[] {
  const room = engine === 'signed_cookies' ? 2000 : 5000
  const fitting = randomSources(COUNT * 3, 1).filter((source) => source.length < room)
  // Without time zones Django cannot read a date with an offset.
  return useTz ? fitting : fitting.map((source) => source.replace(/("\d{4}-\d\d-\d\dT[\d:.]+)(?:Z|[+-][\d:]+)"/, '$1"'))
}

/** What one answer of the app asks for: the header lines, and the session that shall come of it, in JSON. */
interface Written {
  readonly lines: readonly string[]
  readonly json: string
}

/** The members that an app may set, as header lines: now in Python's escapes, now as raw UTF-8. */
function asHeaders(sources: readonly string[]): Written[] {
  const expiries = [undefined, '0', '86400', '2040-02-29T12:30:15Z', 'default', '-5']
  const written = sources.map((source, i): Written => {
    // A name that comes twice in one object is no command.
    const data = parseSessionData(source, { duplicateKeys: 'refuse' }) ?? new Map<string, string>()
    const members = [...data].filter(([key, text]) => isSettable(key) && strictJson(text) === text)
    const escaped = writeSessionData(new Map(members))
    const set = i % 2 === 0 ? escaped : withRawText(escaped)
    const lines = ['X-Session-Set', Buffer.from(set).toString('latin1')]
    const expiry = expiries[i % expiries.length]
    if (expiry !== undefined) lines.push('X-Session-Expiry', expiry)
    return { json: writeSessionData(sessionOf(set)), lines }
  })
  return written.filter(({ json, lines }) => json !== '{}' && lines.join('').length < 8000).slice(0, COUNT)
}

function isSettable(key: string): boolean {
  return !key.startsWith('_') && key !== 'constructor' && key !== 'prototype'
}

/** Escapes of characters that may stand in a header as they are, taken back; a lone half of a pair may not. */
function withRawText(json: string): string {
  return json.replace(/\\u(d[89ab]..)\\u(d[c-f]..)|\\u([0-9a-f]{4})|\\[^u]/gi, (written, high, low, other) => {
    if (high !== undefined) return String.fromCharCode(Number.parseInt(high, 16), Number.parseInt(low, 16))
    const code = Number.parseInt(other ?? '0', 16)
    return code < 0x80 || (code >= 0xd800 && code <= 0xdfff) ? written : String.fromCharCode(code)
  })
}

interface Direction {
  readonly project: DjangoProject
  readonly gateway: TestGateway
  readonly t: TestContext
}

async function writeThrough({ project, gateway, t, written }: Direction & { written: Written[] }): Promise<void> {
  assert.equal(written.length, COUNT)
  const differences = new Differences()
  const visits: { key: string; line: string; startedAt: number; endedAt: number }[] = []
  for (const i of written.keys()) {
    const startedAt = Date.now()
    const line = await cookieLine(gateway, `/write/${i}`)
    visits.push({ key: keyIn(line), line, startedAt, endedAt: Date.now() })
  }
  const reads = await project.read(visits.map(({ key }) => key))
  const kept: string[] = []
  for (const [i, { stored, found, json }] of reads.entries()) {
    const { line, startedAt, endedAt, key } = visits[i] ?? assert.fail()
    const { lines, json: asked } = written[i] ?? assert.fail()
    const what = `session ${i}, ${lines.slice(2).join(': ')}`
    const source = stored?.source ?? '{}'
    const [facts] = await project.facts([source], startedAt)
    assert.ok(facts)
    const expiry = sessionOf(source).get('_session_expiry')
    const withExpiry = expiry === undefined ? asked : `${asked.slice(0, -1)},"_session_expiry":${expiry}}`
    differences.compare(`${what}: the stored JSON`, source, withExpiry)
    differences.compare(`${what}: alive`, found, !(lines.includes('-5') && !key.includes(':')))
    const [normal] = await project.facts([withExpiry])
    if (found) differences.compare(`${what}: the data`, json, normal?.json)
    differences.compare(`${what}: Max-Age`, isBetween(maxAge(line), [facts, startedAt, endedAt]), true)
    differences.compare(`${what}: until the browser closes`, !line.includes('Max-Age'), facts.browserClose)
    if (typeof stored?.expireDate === 'string') {
      const lateness = Date.parse(`${stored.expireDate}Z`) - Date.parse(`${facts.expireDate}Z`)
      differences.compare(`${what}: expire_date`, lateness >= 0 && lateness <= endedAt - startedAt, true)
    }
    if (found) kept.push(key)
  }
  await changeThrough({ project, gateway, keys: kept, differences })
  differences.assertNone()
  t.diagnostic(`seed ${SEED}: ${COUNT} written over HTTP, ${differences.compared} comparisons, 0 differences`)
}

/** One more key in each, by a second answer: the text of all others stays. */
async function changeThrough(step: {
  project: DjangoProject
  gateway: TestGateway
  keys: readonly string[]
  differences: Differences
}): Promise<void> {
  const { project, gateway, keys, differences } = step
  const before = await project.read(keys)
  const after: string[] = []
  for (const key of keys) after.push(keyIn(await cookieLine(gateway, '/change', key)))
  for (const [i, { stored }] of (await project.read(after)).entries()) {
    const source = before[i]?.stored?.source ?? ''
    const data = new Map(sessionOf(source)).set('changed', '[1.0,9007199254740993]')
    differences.compare(`change ${i}: the stored JSON`, stored?.source, writeSessionData(data))
  }
}

async function readThrough(direction: Direction & { sources: string[]; told: Map<string, string> }): Promise<void> {
  const { project, gateway, sources, told, t } = direction
  const differences = new Differences()
  const alive = (await project.facts(sources)).filter(({ age }) => age > 600).slice(0, COUNT)
  assert.equal(alive.length, COUNT)
  const texts = alive.map(({ json }) => json)
  const expected = await project.fitting(texts)
  for (const [i, { key }] of (await project.write(texts)).entries()) {
    const response = await fetch(`${gateway.url}/read/${i}`, { headers: { Cookie: `sessionid=${key}` } })
    await response.arrayBuffer()
    const payload = told.get(`/read/${i}`) ?? ''
    const ses = expected[i] ?? ''
    const start = payload.indexOf('"ses":') + '"ses":'.length
    differences.compare(`session ${i}: what the app is told`, payload.slice(start, start + ses.length), ses)
    differences.compare(`session ${i}: and no more`, /^[,}]/.test(payload.slice(start + ses.length)), true)
    const { auth } = JSON.parse(payload) as { auth: boolean }
    differences.compare(`session ${i}: logged in`, auth, alive[i]?.loggedIn)
    differences.compare(`session ${i}: no cookie`, response.headers.getSetCookie().length, 0)
  }
  differences.assertNone()
  t.diagnostic(`seed ${SEED}: ${COUNT} read over HTTP, ${differences.compared} comparisons, 0 differences`)
}

async function cookieLine(gateway: TestGateway, path: string, key?: string): Promise<string> {
  const response = await fetch(
    `${gateway.url}${path}`,
    key === undefined ? {} : { headers: { Cookie: `sessionid=${key}` } },
  )
  await response.arrayBuffer()
  assert.equal(response.status, 200, path)
  const [line = '', ...others] = response.headers.getSetCookie()
  assert.deepEqual(others, [])
  return line
}

function keyIn(line: string): string {
  return /^sessionid=([^;]+);/.exec(line)?.[1] ?? assert.fail(`no session cookie: ${line}`)
}

function maxAge(line: string): number | undefined {
  const text = /; Max-Age=(-?\d+);/.exec(line)?.[1]
  return text === undefined ? undefined : Number(text)
}

/** A fixed date comes nearer while the request is under way. */
function isBetween(age: number | undefined, [facts, startedAt, endedAt]: [DjangoFacts, number, number]): boolean {
  if (age === undefined) return facts.browserClose
  return age <= facts.age && age >= facts.age - Math.ceil((endedAt - startedAt) / 1000)
}

function payloadOf(request: AppRequest): string {
  return Buffer.from(request.values('X-Session-Assertion')[0]?.split('.')[1] ?? '', 'base64url').toString()
}
