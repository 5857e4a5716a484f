import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { sqliteDateText } from '../../src/django/dates.ts'
import { requireServer } from '../support/requirement.ts'
import { type DjangoProject, type DjangoSettings, startDjango } from './django-project.ts'
import { randomSources, SEED } from './random-sessions.ts'
import { openGatewaySide, sharedStoreYaml } from './shared-store.ts'

const django = requireServer('django')
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** Two projects with the same sessions in them, so that each side clears its own. */
interface Twins extends AsyncDisposable {
  readonly django: DjangoProject
  /** Where the gateway clears: Django's project beside it only tells what is left. */
  readonly gateway: DjangoProject
}

/** Makes the sessions in one folder, and then copies it. */
async function openTwins(settings: DjangoSettings, fill: (project: DjangoProject) => Promise<unknown>): Promise<Twins> {
  await using stack = new AsyncDisposableStack()
  const first = stack.use(await startDjango(django.path, settings))
  await first.migrate()
  await fill(first)
  const copy = await mkdtemp(join(tmpdir(), 'sessiongate-twin-'))
  stack.defer(() => rm(copy, { recursive: true, force: true }))
  await cp(first.folder, copy, { recursive: true, preserveTimestamps: true })
  const second = stack.use(await startDjango(django.path, { ...settings, folder: copy }))
  const closing = stack.move()
  return { django: first, gateway: second, [Symbol.asyncDispose]: () => closing.disposeAsync() }
}

const moments: [why: string, now: number][] = [
  ['in the middle of a second', Date.UTC(2033, 4, 18, 3, 33, 20, 123)],
  ['at its first moment, where the text has no fraction', Date.UTC(2033, 4, 18, 3, 33, 20)],
]

for (const [why, now] of moments) {
  test(`SQLite: clear-expired and clearsessions leave the same rows, ${why}`, { skip: django.skip }, async (t) => {
    await using twins = await openTwins({ engine: 'db' }, async (project) => {
      await project.write(randomSources(200, 3), now)
      addRows(project, (offsetUs) => microsecondText(now, offsetUs))
    })
    const before = await twins.django.keys()
    await twins.django.clearSessions(now)
    const { engine } = await openGatewaySide(twins.gateway, { engine: 'db' }, () => now)
    await using _closing = engine
    let cleared = 0
    for (let count = 7; count === 7; cleared += count) count = await engine.clearExpired(7)
    const left = await twins.gateway.keys()
    assert.deepEqual(left, await twins.django.keys())
    assert.equal(cleared, before.length - left.length)
    assert.ok(cleared > 20 && left.length > 150)
    t.diagnostic(`seed ${SEED}: ${before.length} rows, ${cleared} cleared by both, ${left.length} left by both`)
  })
}

/** Rows around the moment, some of them unreadable: both sides go by the date alone. */
function addRows(project: DjangoProject, dateAt: (offsetUs: number) => string): void {
  using database = new DatabaseSync(project.database)
  const insert = database.prepare('INSERT INTO django_session VALUES (?, ?, ?)')
  for (const sign of [-1, 1]) {
    for (const [i, offsetUs] of [1, 999, 1000, 500_000, 1_000_000, 60_000_000, HOUR_MS * 1000].entries()) {
      insert.run(`row${sign < 0 ? 'before' : 'after'}${i}aaaaaaaaaaaaaaaaaaaaa`, 'no session', dateAt(sign * offsetUs))
    }
  }
}

/** The date as Django's SQLite backend writes it: no fraction where there is none. */
function microsecondText(nowMs: number, offsetUs: number): string {
  const us = BigInt(nowMs) * 1000n + BigInt(offsetUs)
  const fraction = us % 1_000_000n
  const whole = sqliteDateText(Number((us - fraction) / 1000n), true)
  return fraction === 0n ? whole : `${whole}.${String(fraction).padStart(6, '0')}`
}

test('SQLite with USE_TZ off: the command line clears by local time, as Django does', {
  skip: django.skip,
}, async (t) => {
  const timeZone = 'Asia/Kolkata'
  const now = Date.now()
  await using twins = await openTwins({ engine: 'db', useTz: false, timeZone }, async (project) => {
    using database = new DatabaseSync(project.database)
    const insert = database.prepare('INSERT INTO django_session VALUES (?, ?, ?)')
    for (let hours = -12; hours <= 12; hours++) {
      // Half an hour off: no row is so near that it expires between the two.
      const local = new Date(now + (hours + 0.5) * HOUR_MS + 5.5 * HOUR_MS).toISOString()
      insert.run(`hour${String(hours + 12).padStart(28, '0')}`, 'no session', local.slice(0, 23).replace('T', ' '))
    }
  })
  await twins.django.clearSessions()
  const config = join(twins.gateway.folder, 'sessiongate.yaml')
  await writeFile(
    config,
    `version: 1
${sharedStoreYaml(twins.gateway, { engine: 'db', useTz: false })}
upstreams: { app: { servers: ["http://127.0.0.1:1"] } }
routes: [{ id: app, match: { path: /* }, upstream: app }]
`,
  )
  const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [main, 'sessions', 'clear-expired', '--config', config, '--batch', '5'],
    { env: { PATH: process.env.PATH, TZ: timeZone } },
  )
  assert.equal(stdout, '12 expired sessions cleared\n')
  assert.deepEqual(await twins.gateway.keys(), await twins.django.keys())
  t.diagnostic('25 rows an hour apart, 12 cleared by both')
})

/** What becomes of a session file of some age: the sources, the age, and whether it goes on either side. */
const files: [why: string, source: string, ageMs: number, goes: { django: boolean; gateway: boolean }][] = [
  ['new', '{"a":1}', 0, { django: false, gateway: false }],
  ['just within the age', '{"a":1}', 14 * DAY_MS - 60_000, { django: false, gateway: false }],
  ['over the age', '{"a":1}', 14 * DAY_MS + 60_000, { django: true, gateway: true }],
  ['empty and over the age', '{}', 15 * DAY_MS, { django: true, gateway: true }],
  ['until the browser closes, new', '{"_session_expiry":0}', DAY_MS, { django: false, gateway: false }],
  ['until the browser closes, over the age', '{"_session_expiry":0}', 15 * DAY_MS, { django: true, gateway: true }],
  ['negative seconds', '{"_session_expiry":-5}', 0, { django: true, gateway: true }],
  [
    'a date ahead, in an old file',
    '{"_session_expiry":"2090-01-01T00:00:00+00:00"}',
    90 * DAY_MS,
    { django: false, gateway: false },
  ],
  [
    'a date behind, in a new file',
    '{"_session_expiry":"2020-01-01T00:00:00+00:00"}',
    0,
    { django: true, gateway: true },
  ],
  ['seconds that are not over', '{"_session_expiry":7200}', HOUR_MS, { django: false, gateway: false }],
  // Django never ends such a session on the server side, whatever the file's age.
  ['seconds that are over', '{"_session_expiry":7200}', 3 * HOUR_MS, { django: false, gateway: true }],
]

test('files: clear-expired removes what clearsessions removes, and what Django forgets', {
  skip: django.skip,
}, async (t) => {
  const now = Date.now()
  const names: string[] = []
  await using twins = await openTwins({ engine: 'file' }, async (project) => {
    for (const [, source, ageMs] of files) {
      const [written] = await project.write([source])
      names.push(written?.key ?? '')
      const modifiedAt = (now - ageMs) / 1000
      await utimes(join(project.folder, `sessionid${written?.key}`), modifiedAt, modifiedAt)
    }
    // Over the age and not ours to read: Django removes it, the gateway leaves alone what it has no key for.
    await writeFile(join(project.folder, `sessionid${'z'.repeat(32)}`), 'no session')
    await utimes(join(project.folder, `sessionid${'z'.repeat(32)}`), 1, 1)
  })
  await twins.django.clearSessions()
  const { engine } = await openGatewaySide(twins.gateway, { engine: 'file' }, Date.now)
  await using _closing = engine
  for (let count = 2; count === 2; ) count = await engine.clearExpired(2)
  const left = await Promise.all([twins.django.listing(), twins.gateway.listing()])
  const [byDjango, byGateway] = left.map((listing) => new Set(listing.map(([name]) => name.slice('sessionid'.length))))
  for (const [i, [why, , , goes]] of files.entries()) {
    const key = names[i] ?? ''
    assert.deepEqual({ django: !byDjango?.has(key), gateway: !byGateway?.has(key) }, goes, why)
  }
  assert.deepEqual([byDjango?.has('z'.repeat(32)), byGateway?.has('z'.repeat(32))], [false, true])
  t.diagnostic(`${files.length} files, 1 of them ended by the gateway alone`)
})

test('signed cookies: both sides take a cookie for as long after its signing', { skip: django.skip }, async (t) => {
  await using project = await startDjango(django.path, { engine: 'signed_cookies', cookieAge: 3600 })
  const signedAt = Date.UTC(2033, 4, 18, 3, 33, 20, 700)
  let now = signedAt
  const settings = { engine: 'signed_cookies', more: 'cookie_age: 3600' } as const
  const { engine } = await openGatewaySide(project, settings, () => now)
  await using _closing = engine
  const [byDjango] = await project.write(['{"a":1,"_session_expiry":60}'], signedAt)
  const keys = [byDjango?.key ?? '', await engine.create(new Map([['a', '1']]))]
  const verdicts: string[] = []
  // Its own signature says whole seconds, so the age counts from the second's beginning.
  for (const ageMs of [-10 * DAY_MS, 0, 60_000, HOUR_MS - 701, HOUR_MS - 700, HOUR_MS - 699, HOUR_MS, HOUR_MS + 1000]) {
    now = signedAt + ageMs
    for (const [i, { found }] of (await project.read(keys, now)).entries()) {
      assert.equal(
        (await engine.load(keys[i] ?? '')).found,
        found,
        `${i === 0 ? 'Django’s' : 'ours'} after ${ageMs} ms`,
      )
      verdicts.push(found ? 'alive' : 'over')
    }
  }
  assert.deepEqual(verdicts.join(' '), [...Array(10).fill('alive'), ...Array(6).fill('over')].join(' '))
  t.diagnostic(`${verdicts.length} cookies of some age, 0 differences`)
})
