import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openStage } from '../security/stage.ts'
import { ask } from './contract-client.ts'

const config = `
hosts: [app.example]
session: { cookie_secure: true, cookie_domain: shop.example }
upstreams: { app: { servers: ["APP"], writeback: { allow: ["*"] } } }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: api, match: { path: /api/* }, upstream: app, auth: required, on_deny: redirect }
  - { id: app, match: { path: /* }, upstream: app, auth: required }
`

test('a browser that never brings the cookie back is sent to the login three times, and then told why', async (t) => {
  await using stage = await openStage(config)
  const { port } = stage.gateway
  const own = 'http://app.example'
  const visit = (path: string, headers: Record<string, string> = {}) =>
    ask({ port, path, headers: { Host: 'app.example', Accept: 'text/html', ...headers } })

  /** What a browser does: the login page's address becomes the Referer of what its form leads to. */
  async function round(path: string, headers: Record<string, string> = {}) {
    const answers = []
    let referer: string | undefined
    for (let turn = 0; turn < 4; turn += 1) {
      const answer = await visit(path, referer === undefined ? headers : { ...headers, Referer: referer })
      answers.push(answer)
      const [location] = answer.values('Location')
      if (location === undefined) break
      assert.deepEqual(answer.values('Set-Cookie'), [])
      const login = await visit(location, { Say: 'X-Session-Set: {"userInfo":{"id":1}}' })
      assert.equal(login.values('Set-Cookie').length, 1)
      referer = own + location
    }
    return answers
  }

  await t.test('the first redirect is the usual one, and the count stands in the others', async () => {
    const answers = await round('/app?a=1')
    assert.deepEqual(
      answers.flatMap((answer) => answer.values('Location')),
      ['', '&sessiongate_attempt=2', '&sessiongate_attempt=3'].map((count) => `/login?next=%2Fapp%3Fa%3D1${count}`),
    )
    const last = answers.at(-1)
    assert.equal(last?.status, 401)
    assert.match(last?.text ?? '', /ERR_LOGIN_LOOP/)
    assert.match(last?.text ?? '', /kept on https only/)
    assert.match(last?.text ?? '', /The cookie is for shop\.example, and this page is on app\.example/)
    assert.match(last?.text ?? '', /href="\/login\?next=%2Fapp%3Fa%3D1"/)
    assert.deepEqual(last?.values('Cache-Control'), ['no-store'])
  })

  await t.test('a program gets the same as problem JSON', async () => {
    const answer = (await round('/api/x', { Accept: 'application/json' })).at(-1)
    const problem = JSON.parse(answer?.text ?? '')
    assert.equal(problem.code, 'ERR_LOGIN_LOOP')
    assert.equal(problem.login, '/login?next=%2Fapi%2Fx')
  })

  await t.test('whoever brings a cookie is sent to the login as often as it takes', async () => {
    const referer = `${own}/login?next=%2Fapp&sessiongate_attempt=3`
    assert.equal((await visit('/app', { Referer: referer })).status, 401)
    const withCookie = await visit('/app', { Referer: referer, Cookie: 'sessionid=abcdefgh12345678' })
    assert.equal(withCookie.status, 302)
  })

  await t.test('nothing is stored or remembered: who comes from elsewhere begins anew', async () => {
    assert.deepEqual((await visit('/app')).values('Location'), ['/login?next=%2Fapp'])
  })

  await t.test('the log says it', async () => {
    const line = await stage.gateway.logged('the loop', (entry) => entry['local.reason'] === 'loop_breaker')
    assert.equal(line['error.type'], 'ERR_LOGIN_LOOP')
  })
})
