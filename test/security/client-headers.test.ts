import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { AppRequest } from '../support/app.ts'
import { createJarBrowser, type JarBrowser } from '../support/browser-jar.ts'
import { exchange, openStage, type Stage, statuses } from './stage.ts'

const config = `
upstreams:
  app: { servers: ["APP"], writeback: { allow: ["*"] } }
  passing: { servers: ["APP"], session_cookie: pass }
routes:
  - { id: none, match: { path: /none/* }, upstream: app, session: none }
  - { id: public, match: { path: /public/* }, upstream: app, auth: public }
  - { id: named, match: { path: /named/* }, upstream: app, auth: optional, headers: { session: { X-User-Name: userInfo.name, User.Role: userInfo.role }, request: { X-Env: prod } } }
  - { id: ruled, match: { path: /ruled/* }, upstream: app, auth: optional, allow: 'request.client_ip == "127.0.0.1" && !("x-user-name" in request.headers)' }
  - { id: observed, match: { path: /observed/* }, upstream: app, auth: required, mode: observe }
  - { id: passing, match: { path: /passing/* }, upstream: passing, auth: optional }
  - { id: guarded, match: { path: /guarded/* }, upstream: app, auth: required }
  - { id: app, match: { path: /* }, upstream: app, auth: optional }
`

const routes = ['/none/', '/public/', '/named/', '/ruled/', '/observed/', '/passing/', '/']
const methods = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'DELETE', 'PATCH']

/** Names that must never reach an app in any spelling, with a value that would be found anywhere. */
const ours = ['X-Session-Assertion', 'X-Session-Data', 'X-Session-', 'X-User-Name', 'User.Role', 'X-Env']
const foreign = [
  ...[
    'Forwarded',
    'X-Forwarded-For',
    'X-Forwarded-Proto',
    'X-Forwarded-Host',
    'X-Forwarded-Port',
    'X-Forwarded-Prefix',
  ],
  ...[
    'X-Forwarded-User',
    'X-Real-IP',
    'X-Original-URL',
    'X-Original-Host',
    'X-Rewrite-URL',
    'X-Request-Id',
    'True-Client-IP',
  ],
  ...[
    'CF-Connecting-IP',
    'CF-Ray',
    'Proxy',
    'Proxy-Authorization',
    'X-HTTP-Method',
    'X-HTTP-Method-Override',
    'X-Method-Override',
  ],
  ...['Keep-Alive', 'TE', 'Trailer', 'Upgrade'],
]
const spellings: ((name: string) => string)[] = [
  (name) => name,
  (name) => name.toLowerCase(),
  (name) => name.toUpperCase(),
  (name) => name.replace(/[-.]/g, '_'),
  (name) => name.replace(/[-.]/g, '.'),
  (name) => name.replace(/[-.]/g, '!'),
  (name) => name.replace(/[-.]/g, '*').toLowerCase(),
  (name) => name.replace(/[-.]/, '~'),
]

describe('what a client says of itself in headers', () => {
  let stage: Stage
  let browser: JarBrowser
  before(async () => {
    stage = await openStage(config)
    browser = createJarBrowser(stage.gateway.url)
  })
  after(() => stage[Symbol.asyncDispose]())

  /** What the app got of a raw request with those lines. */
  async function up(method: string, path: string, lines: readonly string[]): Promise<AppRequest> {
    const url = `${path}${Math.random()}`
    const length = method === 'GET' || method === 'HEAD' ? [] : ['Content-Length: 0']
    const head = [`${method} ${url} HTTP/1.1`, 'Host: x', 'Connection: close', ...length, ...lines, '', '']
    const came = await exchange(stage.gateway.port, head.join('\r\n'))
    const got = stage.app.requests.find((request) => request.url === url)
    assert.ok(got, came)
    return got
  }
  const forgedIn = (request: AppRequest): string[] =>
    request.rawHeaders
      .filter((_, i) => /forged|6\.6\.6\.6/.test(request.rawHeaders[i - (i % 2) + 1] ?? ''))
      .filter((_, i) => i % 2 === 0)

  for (const path of routes) {
    test(`none of ours and none about earlier hops passes on ${path}, in any spelling and with any method`, async () => {
      for (const [number, respell] of spellings.entries()) {
        const names = [...ours, ...foreign].map(respell).filter((name) => name.toLowerCase() !== 'upgrade')
        const got = await up(
          methods[number % methods.length] ?? 'GET',
          path,
          names.map((name) => `${name}: forged, 6.6.6.6`),
        )
        assert.deepEqual(forgedIn(got), [], `spelling ${number}`)
      }
    })
  }

  test('what Connection names goes, and ours stays', async () => {
    const named = 'X-Session-Assertion, x-forwarded-for, COOKIE, X-User-Name, x_request_id, traceparent, Host, X-Secret'
    const got = await up('GET', '/named/', [
      `Connection: close, ${named}`,
      'connection: x-other',
      'X-Secret: 1',
      'X-Other: 1',
      'Cookie: a=b',
    ])
    assert.equal(got.values('X-Session-Assertion').length, 1)
    assert.deepEqual(got.values('X-Forwarded-For'), ['127.0.0.1'])
    assert.equal(got.values('Host').length, 1)
    assert.equal(got.values('traceparent').length, 1)
    assert.deepEqual([...got.values('X-Secret'), ...got.values('X-Other')], [])
  })

  test('ours come once each, and a plain header that the session has no value for does not come at all', async () => {
    const got = await up('GET', '/named/', ['X-User-Name: forged', 'x_user_name: forged'])
    for (const name of [
      'X-Session-Assertion',
      'X-Request-Id',
      'X-Forwarded-For',
      'X-Forwarded-Proto',
      'X-Forwarded-Host',
      'X-Forwarded-Port',
      'traceparent',
      'X-Env',
    ]) {
      assert.equal(got.values(name).length, 1, name)
    }
    assert.deepEqual(got.values('X-User-Name'), [])
    assert.equal(got.claims().auth, false)
  })

  test('on a route without sessions there is no assertion', async () => {
    assert.deepEqual((await up('GET', '/none/', ['X-Session-Assertion: forged'])).values('X-Session-Assertion'), [])
  })

  test('a handshake goes up without them too', async () => {
    const lines = ['Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']
    const url = '/handshake'
    const forged = [...ours, ...foreign].filter((name) => name !== 'Upgrade').map((name) => `${name}: forged`)
    await exchange(
      stage.gateway.port,
      ['GET /handshake HTTP/1.1', 'Host: x', 'Connection: Upgrade', ...lines, ...forged, '', ''].join('\r\n'),
    )
    const got = stage.app.requests.find((request) => request.url === url)
    assert.ok(got)
    assert.deepEqual(forgedIn(got), [])
  })

  test('a thousand invented addresses change no decision, no redirect and no log line', async () => {
    const lines = [
      'Forwarded: for=6.6.6.6;proto=https;host=evil.test',
      'X-Forwarded-For: 6.6.6.6',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: evil.test',
      'X-Forwarded-Prefix: /evil',
      'X-Real-IP: 6.6.6.6',
      'X-Original-URL: /guarded/x',
    ]
    const head = [
      'GET /guarded/x HTTP/1.1',
      'Host: app.test',
      'Accept: text/html',
      'Connection: close',
      ...lines,
      '',
      '',
    ].join('\r\n')
    const came = await exchange(stage.gateway.port, head)
    assert.match(came, /^HTTP\/1\.1 302 /)
    assert.match(came, /^Location: \/login\?next=%2Fguarded%2Fx\r$/m)
    assert.doesNotMatch(came, /evil|Secure/)
    assert.equal(
      (await up('GET', '/ruled/', ['X-Forwarded-For: 6.6.6.6', 'X-User-Name: x'])).values('X-Forwarded-For')[0],
      '127.0.0.1',
    )
    const line = await stage.gateway.logged('the access line', (entry) => entry['url.path'] === '/guarded/x')
    assert.equal(line['client.address'], '127.0.0.1')
    assert.equal(line['url.scheme'], 'http')
  })

  test('an answer’s session headers never come down, whatever the status, the spelling and the route', async () => {
    for (const path of ['/none/', '/public/', '/']) {
      for (const status of ['200', '404', '500']) {
        const lines = [
          'X-Session-Foo: 1',
          'x_session_bar: 2',
          'X.Session.Assertion: 3',
          'X-SESSION-: 4',
          'X-Session-Set: {"a":1}',
          'Connection: X-Hop',
          'X-Hop: 1',
          'Proxy-Authenticate: x',
          'Keep-Alive: timeout=1',
          'Upgrade: h2c',
        ]
        const head = [
          `GET ${path} HTTP/1.1`,
          'Host: x',
          'Connection: close',
          `Status: ${status}`,
          ...lines.map((line) => `Say: ${line}`),
          '',
          '',
        ].join('\r\n')
        const came = (await exchange(stage.gateway.port, head)).split('\r\n\r\n')[0] ?? ''
        assert.deepEqual(statuses(came), [Number(status)])
        assert.doesNotMatch(came, /session.(foo|bar|assertion|set)|x-session-|x-hop|proxy-auth|keep-alive|upgrade/i)
      }
    }
  })

  test('values that would break a line or a log stay one escaped value', async () => {
    const name = 'Zoë "\\ %0d%0a \u2028 \u0000\r\nX-Admin: 1 😀'
    const set = `X-Session-Set: ${JSON.stringify({ userInfo: { name, role: '\ud800' } }).replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}`
    const { status } = await browser.fetch('/login', { headers: { Say: set } })
    assert.equal(status, 200)
    await browser.fetch('/named/break')
    const got = stage.app.requests.find((request) => request.url === '/named/break')
    assert.deepEqual(got?.values('X-Admin'), [])
    assert.equal(decodeURIComponent(got?.values('X-User-Name')[0] ?? ''), name)
    assert.deepEqual(got?.values('User.Role'), ['%EF%BF%BD'])
  })
})
