import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { AppHandler } from '../support/app.ts'
import { exchange, openRows, openStage, rowsOf, type Stage } from './stage.ts'

const config = `
session: { auth_key: userInfo, user_id: userInfo.id, store_timeout: 10s }
upstreams:
  app: { servers: ["APP"], writeback: { allow: ["*"] } }
  passing: { servers: ["APP"], session_cookie: pass, writeback: { allow: ["*"] } }
routes:
  - { id: guarded, match: { path: /guarded }, upstream: app, auth: required }
  - { id: passing, match: { path: /passing/* }, upstream: passing, auth: optional }
  - { id: app, match: { path: /* }, upstream: app, auth: optional }
`

/** An answer waits until the test lets it go: what the request's `Gate` names is held. */
const gates = new Map<string, PromiseWithResolvers<void>>()
function gate(name: string): PromiseWithResolvers<void> {
  const found = gates.get(name) ?? Promise.withResolvers<void>()
  gates.set(name, found)
  return found
}
const arrivals = new Map<string, PromiseWithResolvers<void>>()
function arrival(name: string): PromiseWithResolvers<void> {
  const found = arrivals.get(name) ?? Promise.withResolvers<void>()
  arrivals.set(name, found)
  return found
}

const handler: AppHandler = async (request) => {
  const [held] = request.values('Gate')
  if (held !== undefined) {
    arrival(held).resolve()
    await gate(held).promise
  }
  const headers = request
    .values('Say')
    .flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()])
  const cookies = request.values('Cookie')
  return {
    status: Number(request.values('Status')[0] ?? 200),
    headers,
    body: JSON.stringify({ ...request.claims(), cookies }),
  }
}

interface Answer {
  readonly status: number
  /** The session cookie of the answer: a key, `''` where it is taken away, undefined where nothing is said. */
  readonly key: string | undefined
  readonly cookies: readonly string[]
  readonly claims: { readonly auth: boolean; readonly ses: Record<string, unknown>; readonly cookies: string[] }
}

describe('sessions under races and forgeries', () => {
  let stage: Stage
  before(async () => {
    stage = await openStage(config, { handler })
  })
  after(() => stage[Symbol.asyncDispose]())

  interface Asked {
    readonly key?: string | undefined
    readonly say?: string | readonly string[]
    readonly path?: string
    readonly gate?: string
    readonly status?: number
  }

  async function ask({ key, say = [], path = '/', gate: held, status }: Asked): Promise<Answer> {
    const headers = new Headers({ Accept: 'application/json' })
    if (key !== undefined) headers.set('Cookie', `sessionid=${key}`)
    if (held !== undefined) headers.set('Gate', held)
    if (status !== undefined) headers.set('Status', String(status))
    const lines = typeof say === 'string' ? [say] : say
    // fetch joins several lines by ", ", so the app is told by one header at most.
    if (lines[0] !== undefined) headers.set('Say', lines[0])
    const response = await fetch(stage.gateway.url + path, { headers, redirect: 'manual' })
    const cookies = response.headers.getSetCookie()
    const [own] = cookies.filter((line) => line.startsWith('sessionid='))
    const value = own?.slice('sessionid='.length, own.indexOf(';'))
    const text = await response.text()
    return {
      status: response.status,
      key: value === '""' ? '' : value,
      cookies,
      claims: text.startsWith('{') ? JSON.parse(text) : { auth: false, ses: {}, cookies: [] },
    }
  }
  const login = (id: number): string => `X-Session-Set: {"userInfo":{"id":${id}}}`
  const flush = 'X-Session-Command: flush'
  const keys = (): unknown[] => rowsOf(stage.gateway.folder).map((row) => row.session_key)
  async function loggedIn(id = 1): Promise<string> {
    const { key } = await ask({ say: login(id) })
    assert.ok(key)
    return key
  }

  test('a key that the client made up is never adopted, whatever its shape', async () => {
    const invented = [
      'a'.repeat(32),
      'a'.repeat(8),
      'a'.repeat(7),
      'a'.repeat(129),
      '../../etc/passwd',
      "' OR 1=1 --",
      '%00'.repeat(4),
      'zZ_.:-09',
    ]
    for (const key of invented) {
      const answer = await ask({ key, say: login(7) })
      assert.ok(answer.key !== undefined && /^[a-z0-9]{32}$/.test(answer.key), key)
      assert.notEqual(answer.key, key)
      assert.equal(keys().includes(key), false)
    }
  })

  test('a thousand random cookies write nothing', async () => {
    const count = rowsOf(stage.gateway.folder).length
    for (let i = 0; i < 40; i++) {
      await Promise.all(Array.from({ length: 25 }, (_, j) => ask({ key: `random${i}x${j}` })))
    }
    assert.equal(rowsOf(stage.gateway.folder).length, count)
  })

  test('the key that an attacker planted before the login is not the one that is logged in', async () => {
    const { key: planted } = await ask({ say: 'X-Session-Set: {"cart":1}' })
    const { key } = await ask({ key: planted, say: login(1) })
    assert.notEqual(key, planted)
    assert.equal((await ask({ key: planted })).claims.auth, false)
    assert.deepEqual((await ask({ key })).claims.ses, { cart: 1, userInfo: { id: 1 } })
  })

  test('another identity gets another key, the same one in other words does not', async () => {
    const first = await loggedIn(1)
    assert.equal((await ask({ key: first, say: 'X-Session-Set: {"userInfo":{"id":1,"name":"x"}}' })).key, first)
    const { key: second } = await ask({ key: first, say: login(2) })
    assert.notEqual(second, first)
    assert.equal((await ask({ key: first })).claims.auth, false)
  })

  test('a log-out is final against two hundred slow answers that write', async () => {
    for (let round = 0; round < 4; round++) {
      await Promise.all(
        Array.from({ length: 50 }, async (_, i) => {
          const name = `race ${round} ${i}`
          const key = await loggedIn(i)
          const kinds = [
            'X-Session-Set: {"cart":1}',
            'X-Session-Expiry: 500',
            'X-Session-Command: cycle-key',
            'X-Session-Command: clear',
            login(i),
          ]
          const slow = ask({ key, say: kinds[i % kinds.length] ?? '', gate: name })
          await arrival(name).promise
          const out = ask({ key, say: flush })
          if (i % 2 === 0) await out
          gate(name).resolve()
          const [answer] = await Promise.all([slow, out])
          // Where both ran at once the writer may have been first; then a new key may stand, and only the old one is gone.
          if (i % 2 === 0) assert.equal(answer.key, undefined, 'no cookie after the log-out')
          assert.equal(answer.status, 200)
          assert.equal((await ask({ key, path: '/guarded' })).status, 401)
        }),
      )
    }
    gates.clear()
    arrivals.clear()
  })

  test('parallel answers that set different keys all survive', async () => {
    const key = await loggedIn()
    await Promise.all(Array.from({ length: 40 }, (_, i) => ask({ key, say: `X-Session-Set: {"k${i}":${i}}` })))
    const { ses } = (await ask({ key })).claims
    assert.equal(Object.keys(ses).length, 41)
  })

  test('of parallel logins from one anonymous session each ends in a session of its own', async () => {
    const { key: start } = await ask({ say: 'X-Session-Set: {"cart":1}' })
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => ask({ key: start, say: login(i) })))
    const found = new Set(answers.map(({ key }) => key))
    assert.equal(found.size, 20)
    for (const [i, { key }] of answers.entries()) {
      assert.deepEqual((await ask({ key })).claims.ses.userInfo, { id: i })
    }
    assert.equal((await ask({ key: start })).claims.auth, false)
  })

  test('of parallel orders for a new key one wins, and nobody is logged out by the others', async () => {
    const key = await loggedIn()
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => ask({ key, say: 'X-Session-Command: cycle-key' })),
    )
    const given = answers.map((answer) => answer.key).filter((value) => value !== undefined)
    assert.equal(given.length, 1)
    assert.equal((await ask({ key: given[0] })).claims.auth, true)
    const late = await ask({ key })
    assert.equal(late.key, undefined, 'a parallel answer must not wipe the new cookie')
    assert.equal(late.claims.auth, false)
  })

  test('an answer that is late for a key just cycled creates no session that would replace its successor', async () => {
    const key = await loggedIn()
    await ask({ key, say: 'X-Session-Command: cycle-key' })
    const count = keys().length
    const late = await ask({ key, say: 'X-Session-Set: {"cart":1}' })
    assert.equal(late.key, undefined)
    assert.equal(keys().length, count)
  })

  test('a row whose signature fails is nobody’s session, and stays as it is', async () => {
    const key = await loggedIn()
    const database = openRows(stage.gateway.folder)
    const broken = 'eyJ1c2VySW5mbyI6eyJpZCI6MX19:1r31eq:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    for (const text of [broken, '', ':', '::', '.', '.AAAA:1:A', 'x'.repeat(1_000_000), '\ud83d\ude00']) {
      database.prepare('UPDATE django_session SET session_data = ? WHERE session_key = ?').run(text, key)
      assert.equal((await ask({ key, path: '/guarded' })).status, 401)
      const answer = await ask({ key, say: 'X-Session-Set: {"cart":1}' })
      assert.notEqual(answer.key, key)
      await ask({ key, say: flush })
      const row = database.prepare('SELECT session_data FROM django_session WHERE session_key = ?').get(key)
      assert.equal(row?.session_data, text)
    }
    database.close()
  })

  test('the cookie that an app on the strip side sets is cut, and counted', async () => {
    for (const line of [
      'Set-Cookie: sessionid=evil',
      'set-cookie: sessionid=evil; Path=/x; Domain=x',
      'Set-Cookie: =sessionid=evil',
      'Set-Cookie: \t sessionid =evil',
    ]) {
      assert.deepEqual((await ask({ say: line })).cookies, [], line)
    }
    assert.equal((await ask({ say: 'Set-Cookie: sessionid2=fine' })).cookies.length, 1)
  })

  describe('with an app that shares the cookie', () => {
    const path = '/passing/x'
    test('exactly one cookie goes up, and only for a session that was found', async () => {
      const key = await loggedIn()
      assert.deepEqual((await ask({ key, path })).claims.cookies, [`sessionid=${key}`])
      assert.deepEqual((await ask({ key: 'b'.repeat(32), path })).claims.cookies, [])
    })

    test('commands beside the app’s own cookie go to the session that it names', async () => {
      const [mine, other] = [await loggedIn(1), await loggedIn(2)]
      const app = await openPair(mine, [`Set-Cookie: sessionid=${other}; Path=/`, 'X-Session-Set: {"cart":5}'])
      assert.deepEqual(app.cookies, [`sessionid=${other}; Path=/`])
      assert.deepEqual((await ask({ key: other })).claims.ses.cart, 5)
      assert.equal((await ask({ key: mine })).claims.ses.cart, undefined)
    })

    test('commands beside a cookie that the app deletes are dropped', async () => {
      const mine = await loggedIn(1)
      const app = await openPair(mine, ['Set-Cookie: sessionid=""; Max-Age=0; Path=/', 'X-Session-Set: {"cart":5}'])
      assert.equal(app.key, '')
      assert.equal((await ask({ key: mine })).claims.ses.cart, undefined)
    })

    test('commands for a key that does not exist bring no session into being under it', async () => {
      const mine = await loggedIn(1)
      const count = keys().length
      const unknown = 'c'.repeat(32)
      const app = await openPair(mine, [`Set-Cookie: sessionid=${unknown}; Path=/`, 'X-Session-Set: {"cart":5}'])
      assert.deepEqual(app.cookies, [`sessionid=${unknown}; Path=/`])
      assert.equal(keys().length, count)
      assert.equal(keys().includes(unknown), false)
    })

    test('of two own cookies the last counts, as for a browser', async () => {
      const [mine, first, second] = [await loggedIn(1), await loggedIn(2), await loggedIn(3)]
      await openPair(mine, [
        `Set-Cookie: sessionid=${first}; Path=/`,
        `Set-Cookie: sessionid=${second}; Path=/`,
        'X-Session-Set: {"cart":6}',
      ])
      assert.equal((await ask({ key: second })).claims.ses.cart, 6)
      assert.equal((await ask({ key: first })).claims.ses.cart, undefined)
    })

    test('where the gateway changes the key afterwards, its own cookie stands alone', async () => {
      const [mine, other] = [await loggedIn(1), await loggedIn(2)]
      const app = await openPair(mine, [`Set-Cookie: sessionid=${other}; Path=/`, 'X-Session-Command: cycle-key'])
      assert.equal(app.cookies.length, 1)
      assert.ok(app.key !== undefined && app.key !== other && app.key !== mine)
      assert.equal((await ask({ key: other })).claims.auth, false)
    })

    /** As `ask`, with several lines for the app to say; they are told apart by a character that stands in no value. */
    async function openPair(key: string, lines: readonly string[]): Promise<Answer> {
      const head = [
        `GET ${path} HTTP/1.1`,
        'Host: x',
        'Connection: close',
        `Cookie: sessionid=${key}`,
        ...lines.map((line) => `Say: ${line}`),
        '',
        '',
      ]
      const came = await exchange(stage.gateway.port, head.join('\r\n'))
      const cookies = [...came.matchAll(/^Set-Cookie: (.*)\r$/gim)].map(([, value]) => value ?? '')
      const [own] = cookies.filter((line) => line.startsWith('sessionid='))
      const value = own?.slice('sessionid='.length, own.indexOf(';'))
      return {
        status: Number(came.slice(9, 12)),
        key: value === '""' ? '' : value,
        cookies,
        claims: { auth: false, ses: {}, cookies: [] },
      }
    }
  })
})
