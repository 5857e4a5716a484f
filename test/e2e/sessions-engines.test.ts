import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { type EngineStage, openEngineStage, type StageEngine } from './engine-stage.ts'

const engines: readonly StageEngine[] = ['sqlite', 'file', 'memory', 'signed_cookies']
const onDisk: readonly StageEngine[] = ['sqlite', 'file']

/** The line that takes the cookie away: Django's, with the flags of the line that it takes away. */
const ERASING = 'sessionid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Max-Age=0; Path=/; SameSite=Lax'

for (const engine of engines) {
  describe(`sessions on ${engine}`, () => {
    test('a cart, a login, a log-out, and the old cookie afterwards', async () => {
      await using stage = await openEngineStage(engine)
      const { browser } = stage
      await stage.say('X-Session-Set: {"cart":[1]}')
      const anonymous = await browser.cookie('sessionid')
      await stage.say('X-Session-Set: {"userInfo":{"name":"ann"}}')
      const key = await browser.cookie('sessionid')
      assert.notEqual(key, anonymous, 'a login gives a new key')
      await stage.say('X-Session-Set: {"cart":[1,2]}')
      const { auth, ses } = await stage.told()
      assert.deepEqual({ auth, ses }, { auth: true, ses: { cart: [1, 2], userInfo: { name: 'ann' } } })
      if (engine !== 'signed_cookies') assert.equal(await browser.cookie('sessionid'), key)
      if (onDisk.includes(engine)) assert.deepEqual([...stage.stored().keys()], [key])

      const last = await browser.cookie('sessionid')
      assert.deepEqual(await stage.say('X-Session-Command: flush'), [ERASING])
      assert.equal(await browser.cookie('sessionid'), undefined)
      assert.equal(stage.stored().size, 0)
      await assertReplay(stage, engine, { last, anonymous })
    })

    test('an expiry of its own, and the cookie that tells the browser', async () => {
      await using stage = await openEngineStage(engine)
      await assertLife(stage, 'X-Session-Set: {"a":1}', { ageSeconds: 1_209_600 })
      await assertLife(stage, 'X-Session-Expiry: 300', { ageSeconds: 300 })
      await assertLife(stage, 'X-Session-Set: {"a":2}', { ageSeconds: 300 })
      await assertLife(stage, 'X-Session-Expiry: 0', 'browser')
      const date = new Date(Date.now() + 7_200_000)
      await assertLife(stage, `X-Session-Expiry: ${date.toISOString()}`, { until: date })
      await assertLife(stage, 'X-Session-Expiry: default', { ageSeconds: 1_209_600 })
      assert.deepEqual((await stage.told()).ses, { a: 2 })
      const brought = await stage.browser.cookie('sessionid')
      const [line = ''] = await stage.say('X-Session-Expiry: -10')
      assert.match(line, /; Max-Age=-10; /)
      assert.equal(await stage.browser.cookie('sessionid'), undefined)
      // A signed cookie is good for the configured age after its signing, whatever stands in it, as in Django.
      const seen = await stage.toldOf(`sessionid=${brought}`)
      assert.deepEqual(seen.ses, engine === 'signed_cookies' ? { a: 2 } : {})
    })

    test('expire_at_browser_close, and an expiry that wins over it', async () => {
      await using stage = await openEngineStage(engine, 'expire_at_browser_close: true', 'cookie_age: 3600')
      await assertLife(stage, 'X-Session-Set: {"a":1}', 'browser')
      await assertLife(stage, 'X-Session-Expiry: 60', { ageSeconds: 60 })
      await assertLife(stage, 'X-Session-Expiry: default', 'browser')
    })

    test('save_every_request renews a session that is there, and makes none', async () => {
      await using stage = await openEngineStage(engine, 'save_every_request: true')
      const { gateway, browser } = stage
      assert.deepEqual((await browser.fetch('/')).setCookies, [])
      await stage.say('X-Session-Set: {"a":1.0}')
      await makeOlder(stage, engine)
      const before = stage.stored()
      await assertLife(stage, undefined, { ageSeconds: 1_209_600 })
      await assertRenewed(stage, engine, before)
      const key = await browser.cookie('sessionid')
      const failed = await fetch(gateway.url, { headers: { Cookie: `sessionid=${key}`, Status: '500' } })
      assert.deepEqual([failed.status, failed.headers.getSetCookie()], [500, []])
      const unknown = await stage.toldOf('sessionid=unknownunknownunknownunknownunkn')
      assert.deepEqual([unknown.ses, unknown.setCookies], [{}, [ERASING]])
      assert.equal(stage.stored().size, before.size)
    })
  })
}

/** What a cookie is worth after the log-out: nothing where sessions are kept, and all where they are not. */
async function assertReplay(
  stage: EngineStage,
  engine: StageEngine,
  cookies: { last: string | undefined; anonymous: string | undefined },
): Promise<void> {
  const replay = await stage.toldOf(`sessionid=${cookies.last}`)
  const earlier = await stage.toldOf(`sessionid=${cookies.anonymous}`)
  if (engine === 'signed_cookies') {
    // The price of keeping nothing: whoever has the text has the session, until its age is over.
    assert.deepEqual([replay.auth, replay.setCookies], [true, []])
    assert.deepEqual([earlier.auth, earlier.ses], [false, { cart: [1] }])
    return
  }
  assert.deepEqual([replay.auth, replay.ses, replay.sid], [false, {}, undefined])
  assert.deepEqual(replay.setCookies, [ERASING])
  // Its key was cycled a moment ago: an erasing line could take the successor's cookie away.
  assert.deepEqual([earlier.ses, earlier.setCookies], [{}, []])
}

type Life = 'browser' | { readonly ageSeconds: number } | { readonly until: Date }

/** Sends the line, if any, and holds the cookie of the answer, to the letter, to the life that it must have. */
async function assertLife(stage: EngineStage, line: string | undefined, life: Life): Promise<void> {
  const startedAt = Date.now()
  const [cookie = '', ...others] = await stage.say(...(line === undefined ? [] : [line]))
  const endedAt = Date.now()
  const why = `${line}: ${cookie}`
  assert.deepEqual(others, [])
  const parts =
    /^sessionid=([\w.:-]+); (?:expires=([^;]+); )?HttpOnly; (?:Max-Age=(\d+); )?Path=\/; SameSite=Lax$/.exec(cookie)
  assert.ok(parts, why)
  const [, key, expires, maxAge] = parts
  assert.equal(key, await stage.browser.cookie('sessionid'))
  if (life === 'browser') {
    assert.deepEqual([expires, maxAge], [undefined, undefined], why)
    return
  }
  assert.match(expires ?? '', /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/, why)
  const [from, to] = boundsOf(life, startedAt, endedAt)
  assert.ok(Number(maxAge) >= from && Number(maxAge) <= to, `${why}: an age of ${from} to ${to}`)
  const ends = Date.parse(expires ?? '') - Number(maxAge) * 1000
  assert.ok(ends > startedAt - 1000 && ends <= endedAt, `${why}: expires is now and Max-Age`)
}

function boundsOf(life: Exclude<Life, 'browser'>, startedAt: number, endedAt: number): [from: number, to: number] {
  if ('ageSeconds' in life) return [life.ageSeconds, life.ageSeconds]
  const until = life.until.getTime()
  return [Math.floor((until - endedAt) / 1000), Math.floor((until - startedAt) / 1000)]
}

const DAY_MS = 86_400_000

/** As if the session had been saved ten days ago. */
async function makeOlder({ gateway, stored }: EngineStage, engine: StageEngine): Promise<void> {
  if (engine === 'sqlite') {
    using database = new DatabaseSync(join(gateway.folder, 'var/sessiongate.sqlite3'))
    database.exec("UPDATE django_session SET expire_date = datetime('now', '+4 days')")
  }
  if (engine !== 'file') return
  const modifiedAt = (Date.now() - 10 * DAY_MS) / 1000
  for (const key of stored().keys()) await utimes(join(gateway.folder, `sessionid${key}`), modifiedAt, modifiedAt)
}

async function assertRenewed(
  stage: EngineStage,
  engine: StageEngine,
  before: ReadonlyMap<string, unknown>,
): Promise<void> {
  assert.deepEqual([...stage.stored().keys()], [...before.keys()])
  const { ses } = await stage.told()
  assert.deepEqual(ses, { a: 1 })
  if (!onDisk.includes(engine)) return
  const ends = engine === 'sqlite' ? rowEnd(stage) : fileEnd(stage)
  assert.ok(Math.abs(ends - Date.now() - 14 * DAY_MS) < 60_000, `it ends ${new Date(ends).toISOString()}`)
}

function rowEnd(stage: EngineStage): number {
  const [row] = stage.stored().values()
  return Date.parse(`${String(row?.date).replace(' ', 'T')}Z`)
}

function fileEnd({ gateway, stored }: EngineStage): number {
  const [key] = stored().keys()
  return statSync(join(gateway.folder, `sessionid${key}`)).mtimeMs + 14 * DAY_MS
}
