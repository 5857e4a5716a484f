import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { type AppHandler, startApp } from '../support/app.ts'
import { createJarBrowser, type JarBrowser } from '../support/browser-jar.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'

/** The app does what the request's own headers say: `Say: <header>: <value>` lines, and `Status: <code>`. */
const obedient: AppHandler = (request) => {
  const headers = request.values('Say').flatMap((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
  return { status: Number(request.values('Status')[0] ?? 200), headers, body: JSON.stringify(request.claims()) }
}

interface Stage extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly browser: JarBrowser
  /** Sends a request whose answer carries that header line, if any. */
  say(line?: string, status?: number): ReturnType<JarBrowser['fetch']>
  /** Every row of the store, as stored. */
  rows(): Record<string, unknown>[]
}

async function stage(writeback = '{ allow: ["*"] }', handler: AppHandler = obedient): Promise<Stage> {
  const app = await startApp(handler)
  const gateway = await startGateway({
    config: `
upstreams: { app: { servers: ["${app.origin}"], writeback: ${writeback} } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`,
  })
  const browser = createJarBrowser(gateway.url)
  return {
    gateway,
    browser,
    async say(line, status = 200) {
      const headers = new Headers({ Status: String(status), Accept: 'application/json' })
      if (line !== undefined) headers.set('Say', line)
      return await browser.fetch('/', { headers })
    },
    rows() {
      const database = new DatabaseSync(join(gateway.folder, 'var/sessiongate.sqlite3'), { readOnly: true })
      try {
        return database.prepare('SELECT * FROM django_session ORDER BY session_key').all()
      } finally {
        database.close()
      }
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await app[Symbol.asyncDispose]()
    },
  }
}

const refused: [why: string, line: string, facts: Record<string, string>][] = [
  ['not JSON', 'X-Session-Set: {"a":', { header: 'X-Session-Set', reason: 'malformed' }],
  ['not an object', 'X-Session-Set: [1]', { header: 'X-Session-Set', reason: 'malformed' }],
  ['a duplicate inside one object', 'X-Session-Set: {"a":1,"a":2}', { header: 'X-Session-Set', reason: 'malformed' }],
  ['NaN, which is no JSON', 'X-Session-Set: {"a":NaN}', { header: 'X-Session-Set', reason: 'malformed' }],
  ['33 levels deep', `X-Session-Set: {"a":${'['.repeat(33)}${']'.repeat(33)}}`, { reason: 'malformed' }],
  [
    'a prototype name',
    'X-Session-Set: {"__proto__":1}',
    { header: 'X-Session-Set', key: '__proto__', reason: 'reserved' },
  ],
  ['Django’s expiry key', 'X-Session-Set: {"_session_expiry":1}', { key: '_session_expiry', reason: 'reserved' }],
  ['the gateway’s own key', 'X-Session-Set: {"_gw":1}', { key: '_gw', reason: 'reserved' }],
  ['a key with an underscore', 'X-Session-Set: {"_auth_user_id":"1"}', { key: '_auth_user_id', reason: 'not_allowed' }],
  [
    '65 keys',
    `X-Session-Set: ${JSON.stringify(Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, 1])))}`,
    { reason: 'too_many_keys' },
  ],
  [
    'over 8 KiB of commands',
    `X-Session-Set: {"a":"${'x'.repeat(8200)}"}`,
    { header: 'X-Session-Set', reason: 'too_large' },
  ],
  [
    'a session that would not fit its assertion',
    `X-Session-Set: {"a":"${'x'.repeat(4000)}"}`,
    { key: 'a', reason: 'too_large' },
  ],
  ['a fraction of a second', 'X-Session-Expiry: 1.5', { header: 'X-Session-Expiry', reason: 'malformed' }],
  ['an unknown command', 'X-Session-Command: destroy', { header: 'X-Session-Command', reason: 'malformed' }],
  ['flush with clear', 'X-Session-Command: flush, clear', { header: 'X-Session-Command', reason: 'malformed' }],
  ['a misspelt command', 'X_Session_Set: {"a":1}', { reason: 'malformed' }],
]

describe('an answer whose commands are refused', () => {
  let on: Stage
  before(async () => {
    on = await stage()
  })
  after(async () => {
    await on[Symbol.asyncDispose]()
  })

  for (const [why, line, facts] of refused) {
    test(`${why}: 502, nothing stored, nothing of the answer goes out`, async () => {
      const alreadyLogged = on.gateway.log.length
      await on.say('X-Session-Set: {"cart":1}')
      const stored = on.rows()
      const key = await on.browser.cookie('sessionid')
      const answer = await on.say(line)
      assert.equal(answer.status, 502)
      assert.equal((JSON.parse(answer.text) as { code: string }).code, 'ERR_WRITEBACK_REFUSED')
      assert.deepEqual(answer.setCookies, [])
      assert.deepEqual(on.rows(), stored)
      assert.equal(await on.browser.cookie('sessionid'), key)
      const logged = await on.gateway.logged(
        'the refusal',
        (entry) => entry['error.type'] === 'ERR_WRITEBACK_REFUSED' && on.gateway.log.indexOf(entry) >= alreadyLogged,
      )
      const told = logged['error.facts'] as Record<string, string>
      for (const [name, value] of Object.entries(facts)) assert.equal(told[name], value)
      assert.equal(JSON.stringify(logged).includes('xxxxxxxx'), false, 'no value is logged')
    })
  }

  test('the app’s own Set-Cookie does not go out either', async () => {
    await using on = await stage('{ allow: ["*"] }', () => ({
      headers: ['Set-Cookie', 'theme=dark', 'X-Session-Set', 'nonsense'],
    }))
    const answer = await on.browser.fetch('/')
    assert.deepEqual([answer.status, answer.setCookies], [502, []])
  })

  const notAllowed = [
    'X-Session-Set: {"b":1}',
    'X-Session-Delete: b',
    'X-Session-Command: flush',
    'X-Session-Expiry: 300',
  ]
  for (const line of notAllowed) {
    test(`${line} is refused where only cart is allowed`, async () => {
      await using on = await stage('{ allow: [cart] }')
      assert.equal((await on.say('X-Session-Set: {"cart":1}')).status, 200)
      const before = on.rows()
      assert.equal((await on.say(line)).status, 502)
      assert.deepEqual(on.rows(), before)
    })
  }
})

test('all lines of one answer are one change: a refused one takes the good ones with it', async () => {
  await using on = await stage('{ allow: ["*"] }', () => ({
    headers: ['X-Session-Set', '{"a":1}', 'X-Session-Delete', '_secret'],
  }))
  assert.equal((await on.browser.fetch('/')).status, 502)
  assert.deepEqual(on.rows(), [])
})

test('answers of 500 and above change nothing, but a lone flush is obeyed', async () => {
  await using on = await stage()
  await on.say('X-Session-Set: {"a":1}')
  const before = on.rows()
  assert.equal((await on.say('X-Session-Set: {"a":2}', 500)).status, 500)
  assert.equal((await on.say('X-Session-Set: nonsense', 503)).status, 503)
  assert.deepEqual(on.rows(), before)
  assert.equal((await on.say('X-Session-Command: flush', 500)).status, 500)
  assert.deepEqual(on.rows(), [])
  assert.equal(await on.browser.cookie('sessionid'), undefined)
})

test('fifty answers for one session at once: every key survives', async () => {
  const arrived = Promise.withResolvers<void>()
  let waiting = 0
  await using on = await stage('{ allow: ["*"] }', async (request) => {
    if (request.url === '/') return obedient(request)
    waiting += 1
    if (waiting === 50) arrived.resolve()
    // All answers leave only when all requests are there: each one saw the same session.
    await arrived.promise
    return { headers: ['X-Session-Set', `{"k${request.url.slice(1)}":${request.url.slice(1)}}`] }
  })
  await on.say('X-Session-Set: {"start":true}')
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => on.browser.fetch(`/${i}`)))
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
  assert.equal(on.rows().length, 1)
  const { ses } = JSON.parse((await on.say()).text) as { ses: Record<string, number> }
  assert.equal(Object.keys(ses).length, 51)
  assert.equal(ses.k49, 49)
  assert.equal(
    on.gateway.log.some((line) => line['error.type'] !== undefined),
    false,
  )
})

test('a slow answer never brings a session back that was ended meanwhile', async () => {
  const slow = Promise.withResolvers<void>()
  const seen = Promise.withResolvers<void>()
  await using on = await stage('{ allow: ["*"] }', async (request) => {
    if (request.url !== '/slow') return obedient(request)
    seen.resolve()
    await slow.promise
    return { headers: ['X-Session-Set', '{"late":1}'] }
  })
  await on.say('X-Session-Set: {"userInfo":"alice"}')
  const late = on.browser.fetch('/slow')
  await seen.promise
  await on.say('X-Session-Command: flush')
  slow.resolve()
  const answer = await late
  assert.equal(answer.status, 200)
  assert.deepEqual(answer.setCookies, [])
  assert.deepEqual(on.rows(), [])
  await on.gateway.logged('a write-back that came too late', (line) => line['writeback.result'] === 'gone')
})

test('a login cycles the key, once, also if the app asks for it, and the old key is dead', async () => {
  await using on = await stage('{ allow: ["*"] }', (request) =>
    request.url === '/login'
      ? { headers: ['X-Session-Set', '{"userInfo":{"name":"bob"}}', 'X-Session-Command', 'cycle-key'] }
      : obedient(request),
  )
  await on.say('X-Session-Set: {"cart":1}')
  const planted = await on.browser.cookie('sessionid')
  const answer = await on.browser.fetch('/login')
  assert.equal(answer.setCookies.length, 1)
  assert.notEqual(await on.browser.cookie('sessionid'), planted)
  assert.equal(on.rows().length, 1)
  const replay = await fetch(`${on.gateway.url}/`, { headers: { Cookie: `sessionid=${planted}` } })
  assert.equal(((await replay.json()) as { auth: boolean }).auth, false)
  assert.deepEqual(replay.headers.getSetCookie(), [], 'a parallel answer must not wipe the new cookie')
})

test('a made-up session id is never adopted', async () => {
  const made = 'abcdefghijklmnopqrstuvwxyz012345'
  await using on = await stage()
  const answer = await fetch(`${on.gateway.url}/`, {
    headers: { Cookie: `sessionid=${made}`, Say: 'X-Session-Set: {"a":1}' },
  })
  const [line = ''] = answer.headers.getSetCookie()
  assert.match(line, /^sessionid=[a-z0-9]{32}; expires=/)
  assert.equal(line.includes(made), false)
  assert.equal(on.rows().length, 1)
})

test('numbers keep their text on the whole way', async () => {
  let assertion = ''
  await using on = await stage('{ allow: ["*"] }', (request) => {
    assertion = Buffer.from(request.values('X-Session-Assertion')[0]?.split('.')[1] ?? '', 'base64url').toString()
    return obedient(request)
  })
  await on.say('X-Session-Set: {"big":12345678901234567890,"float":1.0,"exp":1e400}')
  await on.say()
  assert.ok(assertion.includes('"ses":{"big":12345678901234567890,"float":1.0,"exp":1e400}'), assertion)
})

test('nothing that begins with X-Session- reaches the browser, commands of a route without a session are cut', async () => {
  await using app = await startApp(() => ({
    headers: ['X-Session-Set', '{"a":1}', 'X-Session-Anything', 'x', 'x_session_secret', 'y', 'X-Other', 'z'],
  }))
  await using gateway = await startGateway({
    config: `
upstreams: { app: { servers: ["${app.origin}"], writeback: { allow: ["*"] } } }
routes: [{ id: static, match: { path: /* }, upstream: app, session: none }]
`,
  })
  const answer = await fetch(`${gateway.url}/`)
  const names = [...answer.headers.keys()].filter((name) => /session/i.test(name))
  assert.deepEqual(names, [])
  assert.equal(answer.headers.get('x-other'), 'z')
  assert.equal(answer.headers.get('vary'), null)
  await gateway.logged('cut commands', (line) => line['writeback.result'] === 'cut')
})
