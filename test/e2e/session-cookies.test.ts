import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { loadConfig } from '../../src/config/loading.ts'
import { type SessionData, writeSessionData } from '../../src/django/json.ts'
import { createSessionCodec, createSignedCookieCodec } from '../../src/django/session-data.ts'
import { openSessionParts } from '../../src/session-parts.ts'
import { noChanges } from '../../src/sessions/merge.ts'
import { type EngineStage, openEngineStage, SECRET_KEY, type StageEngine } from './engine-stage.ts'

const engines: readonly StageEngine[] = ['sqlite', 'file', 'memory', 'signed_cookies']
/** Those whose sessions a test can rewrite. */
const onDisk: readonly StageEngine[] = ['sqlite', 'file']

const ERASING = 'sessionid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Max-Age=0; Path=/; SameSite=Lax'

const SEED = 20_260_417

const codec = createSessionCodec({ secretKey: SECRET_KEY })
const cookieCodec = createSignedCookieCodec({ secretKey: SECRET_KEY, maxAgeSeconds: 1_209_600 })

function secondsAgo(seconds: number): string {
  return `{"created":${Math.floor(Date.now() / 1000) - seconds}}`
}

function dataIn(stage: EngineStage, key: string): Map<string, string> {
  const decoded = codec.decode(String(stage.stored().get(key)?.data))
  assert.ok(decoded.ok)
  return new Map(decoded.data)
}

/** As if the session under the browser's cookie had begun so many seconds ago. */
async function backdate(stage: EngineStage, seconds: number): Promise<string> {
  const key = (await stage.browser.cookie('sessionid')) ?? ''
  stage.overwrite(key, codec.encode(dataIn(stage, key).set('_gw', secondsAgo(seconds)), Date.now()))
  return key
}

for (const engine of onDisk) {
  test(`${engine}: a session ends at max_age, however often it is renewed`, async () => {
    await using stage = await openEngineStage(engine, 'max_age: 1h', 'save_every_request: true')
    await stage.say('X-Session-Set: {"a":1}')
    await backdate(stage, 3500)
    assert.deepEqual((await stage.told()).ses, { a: 1 })
    for (const line of ['X-Session-Command: clear', 'X-Session-Command: cycle-key', 'X-Session-Expiry: 864000']) {
      await stage.say(line)
      const created = dataIn(stage, (await stage.browser.cookie('sessionid')) ?? '').get('_gw') ?? ''
      assert.ok(created <= secondsAgo(3490), `${line} must not start the clock again: ${created}`)
    }
    await stage.say('X-Session-Set: {"a":2}')
    const old = await backdate(stage, 3600)
    const before = stage.stored().get(old)
    const ended = await stage.toldOf(`sessionid=${old}`)
    assert.deepEqual([ended.auth, ended.ses, ended.sid, ended.setCookies], [false, {}, undefined, [ERASING]])

    // What is stored for it begins anew, under another key and with another clock.
    await stage.say('X-Session-Set: {"b":1}')
    const fresh = (await stage.browser.cookie('sessionid')) ?? ''
    assert.notEqual(fresh, old)
    assert.equal(dataIn(stage, fresh).get('b'), '1')
    assert.equal(dataIn(stage, fresh).has('a'), false)
    assert.ok((dataIn(stage, fresh).get('_gw') ?? '') >= secondsAgo(60))
    assert.deepEqual(stage.stored().get(old), before)
  })

  test(`${engine}: a login starts the clock of max_age again`, async () => {
    await using stage = await openEngineStage(engine, 'max_age: 1h')
    await stage.say('X-Session-Set: {"cart":[1]}')
    await backdate(stage, 3500)
    await stage.say('X-Session-Set: {"userInfo":{"id":1}}')
    const data = dataIn(stage, (await stage.browser.cookie('sessionid')) ?? '')
    assert.ok((data.get('_gw') ?? '') >= secondsAgo(60))
    assert.equal(data.get('cart'), '[1]')
  })
}

test('signed_cookies: a session ends at max_age', async () => {
  await using stage = await openEngineStage('signed_cookies', 'max_age: 1h')
  const cookie = (seconds: number): string =>
    `sessionid=${cookieCodec.encode(
      new Map([
        ['a', '1'],
        ['_gw', secondsAgo(seconds)],
      ]),
      Date.now(),
    )}`
  assert.deepEqual((await stage.toldOf(cookie(3500))).ses, { a: 1 })
  const ended = await stage.toldOf(cookie(3600))
  assert.deepEqual([ended.ses, ended.setCookies], [{}, [ERASING]])
})

test('memory: a session ends at max_age', async () => {
  const yaml = `version: 1
session: { engine: cache, max_age: 1h, secret_key: ${SECRET_KEY} }
caches: { default: { backend: memory } }
upstreams: { app: { servers: ["http://127.0.0.1:1"] } }
routes: [{ id: app, match: { path: /* }, upstream: app }]
`
  const { config } = await loadConfig({ path: 'sessiongate.yaml', env: {}, readFile: async () => Buffer.from(yaml) })
  let now = Date.now()
  const { engine, store } = await openSessionParts(config, { clock: () => now })
  await using _closing = engine
  const session = store.open(undefined)
  await session.apply({ ...noChanges, set: new Map([['a', '1']]) })
  await session.save()
  const { key } = session
  now += 3_599_000
  await store.touch(key ?? '')
  assert.equal((await store.find(key)).resolution, 'hit')
  now += 2000
  assert.deepEqual([(await store.find(key)).resolution, (await store.find(key)).key], ['expired', undefined])
})

for (const engine of engines) {
  test(`${engine}: of several session cookies the last counts, or none`, async () => {
    await using last = await openEngineStage(engine)
    await using refuse = await openEngineStage(engine, 'duplicate_cookies: refuse')
    for (const stage of [last, refuse]) {
      await stage.say('X-Session-Set: {"a":1}')
      const own = `sessionid=${await stage.browser.cookie('sessionid')}`
      const planted = 'sessionid=plantedplantedplantedplantedplan'
      const answers = [
        await stage.toldOf(`${planted}; ${own}`),
        await stage.toldOf(`${own}; x=1; ${planted}`),
        await stage.toldOf(`${own}; ${own}`),
        await stage.toldOf(own),
      ]
      const erased = answers.map(({ setCookies }) => setCookies.length)
      const seen = answers.map(({ ses }) => ses.a)
      if (stage === last)
        assert.deepEqual(
          [seen, erased],
          [
            [1, undefined, 1, 1],
            [0, 1, 0, 0],
          ],
        )
      // Erasing would take away one of the two, and not always the planted one.
      else
        assert.deepEqual(
          [seen, erased],
          [
            [undefined, undefined, undefined, 1],
            [0, 0, 0, 0],
          ],
        )
      const metrics = await (await fetch(`${stage.gateway.operatorUrl}/metrics`)).text()
      assert.match(metrics, /^sessiongate_session_duplicate_cookies_total 3$/m)
    }
  })

  test(`${engine}: two thousand requests with made-up cookies store nothing`, { timeout: 120_000 }, async (t) => {
    await using stage = await openEngineStage(engine)
    await stage.say('X-Session-Set: {"a":1}')
    const before = stage.stored()
    const values = fc.sample(madeUpValues, { numRuns: 2000, seed: SEED })
    const answers = new Map<string, number>()
    const lane = async (): Promise<void> => {
      for (let value = values.pop(); value !== undefined; value = values.pop()) {
        const response = await fetch(stage.gateway.url, { headers: { Cookie: `sessionid=${value}` } })
        const { ses } = (await response.json()) as { ses: object }
        const line = JSON.stringify([response.status, ses, response.headers.getSetCookie()])
        answers.set(line, (answers.get(line) ?? 0) + 1)
      }
    }
    await Promise.all(Array.from({ length: 20 }, lane))
    assert.deepEqual([...answers], [[JSON.stringify([200, {}, [ERASING]]), 2000]])
    assert.deepEqual(stage.stored(), before)
    const metrics = await (await fetch(`${stage.gateway.operatorUrl}/metrics`)).text()
    const writes = metrics.match(/^sessiongate_session_store_operations_total\{.*op="(save|cycle|delete)".*$/gm)
    assert.deepEqual(
      writes?.map((line) => line.slice(line.lastIndexOf(' ') + 1)),
      ['1'],
      'the one session that was asked for',
    )
    assert.deepEqual((await stage.told()).ses, { a: 1 })
    t.diagnostic(`seed ${SEED}: 2000 requests, ${stage.stored().size} rows as before`)
  })
}

const strangersCodec = createSignedCookieCodec({ secretKey: 'the secret key of somebody else', maxAgeSeconds: 60 })

/** From nothing to far more than any key: letters as of keys, paths, quotes, bytes, signed texts of somebody else. */
const madeUpValues = fc.oneof(
  ...[
    'abcdefghijklmnopqrstuvwxyz0123456789',
    'ABCDEFabcdef0123456789-_',
    '.:/\\%\'"*?[]{}()<>|&$#@! ',
    "' OR 1=1 --UNION",
    '\u00e4\u00f6\u00fc\u00ff\u0080',
  ].map((alphabet) =>
    fc
      .constantFrom(0, 1, 7, 8, 31, 32, 32, 32, 33, 40, 128, 129, 500)
      .chain((length) => fc.string({ unit: fc.constantFrom(...alphabet), minLength: length, maxLength: length })),
  ),
  fc.nat().map((id) => strangersCodec.encode(new Map([['userInfo', String(id)]]), Date.now())),
)

const corrupt: [why: string, content: (good: string, data: SessionData) => string | Uint8Array][] = [
  ['a changed letter', (good) => (good.startsWith('e') ? `f${good.slice(1)}` : `e${good.slice(1)}`)],
  ['a changed signature', (good) => `${good.slice(0, -2)}${good.endsWith('AA') ? 'BB' : 'AA'}`],
  ['a signature cut off', (good) => good.slice(0, good.lastIndexOf(':'))],
  ['signed with another key', (_, data) => createSessionCodec({ secretKey: 'another key' }).encode(data, Date.now())],
  [
    'signed for another class',
    (_, data) => createSessionCodec({ secretKey: SECRET_KEY, saltClass: 'X' }).encode(data, 0),
  ],
  ['plain JSON', (_, data) => writeSessionData(data)],
  ['bytes that are no text', () => Buffer.from([0x80, 0x04, 0x95, 0x00, 0xff])],
  ['more than can be a session', (good) => good + 'x'.repeat(3 * 1024 * 1024)],
  ['empty', () => ''],
]

const commands: readonly string[][] = [
  [],
  ['X-Session-Set: {"b":1}'],
  ['X-Session-Set: {"userInfo":{"id":1}}'],
  ['X-Session-Command: flush'],
  ['X-Session-Command: clear'],
  ['X-Session-Command: cycle-key'],
  ['X-Session-Delete: a'],
  ['X-Session-Expiry: 60'],
]

for (const engine of onDisk) {
  test(`${engine}: what is stored and cannot be read is nobody’s session, and stays byte for byte`, async (t) => {
    await using stage = await openEngineStage(engine, 'save_every_request: true')
    for (const [why, spoil] of corrupt) {
      stage.browser.jar.removeAllCookiesSync()
      await stage.say('X-Session-Set: {"a":1}')
      const key = (await stage.browser.cookie('sessionid')) ?? ''
      const good = String(stage.stored().get(key)?.data)
      stage.overwrite(key, spoil(good, dataIn(stage, key)))
      const before = stage.stored().get(key)
      for (const lines of commands) {
        const seen = await stage.toldOf(`sessionid=${key}`, ...lines)
        assert.deepEqual([seen.auth, seen.ses], [false, {}], `${why}, ${lines}`)
        assert.equal(seen.setCookies.length, 1, `${why}, ${lines}`)
        assert.equal(seen.setCookies[0]?.includes(key), false, `${why}, ${lines}`)
        assert.deepEqual(stage.stored().get(key), before, `${why}, ${lines}`)
      }
    }
    t.diagnostic(`${corrupt.length} kinds of damage, ${commands.length} answers each`)
  })
}

test('signed_cookies: a cookie that was changed is nobody’s session', async () => {
  await using stage = await openEngineStage('signed_cookies')
  await stage.say('X-Session-Set: {"a":1}')
  const good = (await stage.browser.cookie('sessionid')) ?? ''
  for (const [why, spoil] of corrupt) {
    const content = spoil(good, new Map([['a', '1']]))
    if (typeof content !== 'string') continue
    const { ses, setCookies } = await stage.toldOf(`sessionid=${content.slice(0, 5000)}`)
    assert.deepEqual([ses, setCookies], [{}, [ERASING]], why)
  }
})
