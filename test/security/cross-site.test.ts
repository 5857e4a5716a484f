/** What the pages of other sites have a visitor's browser ask for: on a route with `csrf: same-site`, and at our own addresses. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { exchange, openStage, type Stage, statuses } from './stage.ts'

const own = 'http://app.test'

/** What a browser says with the form or script of a page that is not ours. */
const foreign: [why: string, ...lines: string[]][] = [
  ['another site', 'Sec-Fetch-Site: cross-site', 'Origin: https://evil.test'],
  ['another site that hides its origin', 'Sec-Fetch-Site: cross-site', 'Origin: null'],
  ['another site with our origin beside it', 'Sec-Fetch-Site: cross-site', `Origin: ${own}`],
  ['two words', 'Sec-Fetch-Site: same-origin', 'Sec-Fetch-Site: cross-site'],
  ['two words in a line', 'Sec-Fetch-Site: same-origin, cross-site'],
  ['a word that nobody knows', 'Sec-Fetch-Site: same-planet'],
  ['no word', 'Sec-Fetch-Site: '],
  ['another site, in an older browser', 'Origin: https://evil.test'],
  ['a sandbox, in an older browser', 'Origin: null'],
  ['nothing for an origin', 'Origin: '],
  ['another scheme', 'Origin: https://app.test'],
  ['another port', 'Origin: http://app.test:81'],
  ['a host below ours', 'Origin: http://x.app.test'],
  ['a host that begins like ours', 'Origin: http://app.test.evil.test'],
  ['a host that ends like ours', 'Origin: http://evilapp.test'],
  ['our host as a user', 'Origin: http://app.test@evil.test'],
  ['two origins in a line', `Origin: ${own} http://evil.test`],
  ['two origins', `Origin: ${own}`, 'Origin: http://evil.test'],
  ['our host as a proxy would tell it', 'Origin: http://evil.test', 'X-Forwarded-Host: evil.test'],
  ['our host as another proxy would', 'Origin: http://evil.test', 'Forwarded: host=evil.test'],
]

/** What it says for a page of ours, and what comes from no page. */
const fine: [why: string, ...lines: string[]][] = [
  ['a page of ours', 'Sec-Fetch-Site: same-origin', `Origin: ${own}`],
  ['a page of a sibling', 'Sec-Fetch-Site: same-site', 'Origin: http://x.app.test'],
  ['a page of ours, in an older browser', `Origin: ${own}`],
  ['our origin in capitals with its port', 'Origin: HTTP://APP.TEST:80'],
  ['who has no page', 'User-Agent: curl'],
]

const unsafe = ['POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND']

describe('across sites', () => {
  let stage: Stage
  let cookie = ''
  before(async () => {
    stage = await openStage(`
upstreams: { app: { servers: ["APP"], writeback: { allow: ["*"] } } }
routes:
  - { id: same, match: { path: /same/* }, upstream: app, auth: required, csrf: same-site }
  - { id: app, match: { path: /* }, upstream: app }
`)
    cookie = await logIn()
  })
  after(() => stage[Symbol.asyncDispose]())

  async function send(line: string, lines: readonly string[], body = ''): Promise<{ status: number; came: string }> {
    const length = line.startsWith('GET') ? [] : [`Content-Length: ${body.length}`]
    const head = [`${line} HTTP/1.1`, 'Host: app.test', ...lines, ...length, 'Connection: close', '', body]
    const came = await exchange(stage.gateway.port, head.join('\r\n'))
    return { status: statuses(came)[0] ?? 0, came }
  }

  async function logIn(): Promise<string> {
    const { came } = await send('POST /login', ['Say: X-Session-Set: {"userInfo":{"id":1}}'])
    const [, value = ''] = /^set-cookie: (sessionid=\w+)/im.exec(came) ?? []
    return `Cookie: ${value}`
  }

  for (const [why, ...lines] of foreign) {
    test(`${why}: nothing that changes something passes, and nobody is logged out`, async () => {
      const seen = stage.app.requests.length
      for (const method of unsafe) {
        const { status, came } = await send(`${method} /same/x`, [cookie, ...lines], 'a=b')
        assert.ok(status === 403 || status === 400, `${method}: ${status}`)
        assert.doesNotMatch(came, /set-cookie/i)
      }
      const out = await send('POST /.sessiongate/logout', [cookie, ...lines])
      assert.ok(out.status === 403 || out.status === 400, String(out.status))
      assert.equal(stage.app.requests.length, seen, 'nothing went up')
      assert.equal((await send('GET /same/x', [cookie])).status, 200, 'still logged in')
    })
  }

  for (const [why, ...lines] of fine) {
    test(`${why}: passes`, async () => {
      for (const method of unsafe)
        assert.equal((await send(`${method} /same/x`, [cookie, ...lines], 'a=b')).status, 200, method)
      const fresh = await logIn()
      assert.equal((await send('POST /.sessiongate/logout', [fresh, ...lines])).status, 204)
      assert.equal((await send('GET /same/x', [fresh])).status, 302)
    })
  }

  test('a GET of another site is read only: it cannot become another method on the way', async () => {
    const overrides = ['X-HTTP-Method-Override: DELETE', 'X-HTTP-Method: DELETE', 'X-Method-Override: DELETE']
    for (const line of [...overrides, 'X_HTTP_Method_Override: DELETE']) {
      const { status } = await send('GET /same/x', [cookie, 'Sec-Fetch-Site: cross-site', line])
      assert.equal(status, 200)
      const got = stage.app.requests.at(-1)
      assert.deepEqual([got?.method, got?.rawHeaders.join().includes('DELETE')], ['GET', false], line)
    }
    assert.equal((await send('GET /.sessiongate/logout', [cookie, 'Sec-Fetch-Site: cross-site'])).status, 405)
    assert.equal((await send('GET /same/x', [cookie])).status, 200)
  })

  test('neither the spelling of the path nor a body that is awaited changes that', async () => {
    const seen = stage.app.requests.length
    for (const path of ['/same/x', '/%73ame/x', '/same/../same/x', '/same//x', '/SAME/x', '/same;a/x', '/same/x/']) {
      const { status } = await send(`POST ${path}`, [cookie, 'Sec-Fetch-Site: cross-site', 'Expect: 100-continue'], 'a')
      assert.ok(status >= 400, `${path}: ${status}`)
    }
    for (const path of ['/.sessiongate/logout', '/%2Esessiongate/logout', '/.sessiongate/%6cogout'])
      assert.equal((await send(`POST ${path}`, [cookie, 'Sec-Fetch-Site: cross-site'])).status, 403, path)
    assert.equal(stage.app.requests.length, seen)
    assert.equal((await send('GET /same/x', [cookie])).status, 200)
  })
})
