import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { exchange, openStage, type Stage, statuses } from './stage.ts'

const config = `
hosts: [app.test, other.test, "*.apps.test"]
session: { auth_key: userInfo }
upstreams: { app: { servers: ["APP"], writeback: { allow: ["*"] } } }
routes:
  - { id: other, match: { host: other.test, path: /* }, upstream: app, auth: public }
  - { id: pub, match: { path: /pub/* }, upstream: app, auth: public }
  - { id: signin, match: { path: [/login, /login/] }, upstream: app, auth: public }
  - { id: files, match: { path: /files/* }, upstream: app, auth: public, ambiguous_paths: allow }
  - { id: admin, match: { path: /admin/* }, upstream: app, auth: required, require: [userInfo.is_staff] }
  - { id: read, match: { path: /api/*, method: [GET] }, upstream: app, auth: public }
  - { id: write, match: { path: /api/*, method: [POST] }, upstream: app, auth: required }
  - { id: raw, match: { path: /raw }, upstream: app, auth: public, session: none }
`

/** Targets that could reach what is guarded, or that two programs read differently, and the statuses they may get. */
const hostile = [
  ...[
    '/admin',
    '/admin/',
    '/admin/x',
    '/%61dmin',
    '/admin%2Fx',
    '/admin;x',
    '/admin;x/y',
    '/admin/;a=b',
    '/admin?x=/pub/a',
    '/%61%64%6d%69%6e/x',
  ],
  ...[
    '/ADMIN',
    '/Admin/x',
    '/aDMIN',
    '/%41DMIN',
    '/pub/../admin',
    '/pub/%2e%2e/admin',
    '/pub/..%2fadmin',
    '/pub%2f..%2fadmin',
    '/pub/%2E./admin',
    '/pub/.%2e/admin',
  ],
  ...[
    '/pub/..;/admin',
    '/pub/..;a=b/admin',
    '/pub/.;/../admin',
    '/pub/..%3b/admin',
    '/pub/%252e%252e/admin',
    '/pub/..%252fadmin',
    '/pub/..%5cadmin',
    '/pub/..\\admin',
    '/pub\\..\\admin',
  ],
  ...[
    '//admin',
    '/pub//../admin',
    '/./admin',
    '/pub/./../admin',
    '/admin%00',
    '/pub/%00/../admin',
    '/admin%23/pub',
    '/admin#/pub',
    '/admin%3f/pub',
    '/admin%20',
    '/admin%09',
    '/admin.',
  ],
  ...[
    '/pub/..%c0%afadmin',
    '/pub/%c0%ae%c0%ae/admin',
    '/pub/%e0%80%ae%e0%80%ae/admin',
    '/pub/%uff0e%uff0e/admin',
    '/pub/%zz',
    '/pub/%',
    '/pub/%2',
    '/pub/\x7f',
    '/pub/é',
    '/pub/"',
    '/pub/<x>',
    '/pub/|',
    '/pub/^',
    '/pub/`',
    '/pub/{x}',
  ],
  ...[
    '/files/../admin',
    '/files/%2e%2e/admin',
    '/files/..%2fadmin',
    '/files//..//admin',
    '/files/..;/admin',
    '/files/a/../../admin',
    '/files/%2e%2e%2f%61dmin',
    '/files/..%255cadmin',
  ],
  ...[
    '/unknown',
    '/publicity',
    '/pu',
    '',
    '*',
    'pub/a',
    'http://app.test@evil/pub/a',
    'http://evil/pub/a',
    'http://app.test:81/pub/a',
    'ftp://app.test/pub/a',
    '///pub/a',
    '/pub/a b',
  ],
]

/** What stands in the path of the app's request must have been meant for a public route by every reader. */
const isOpen = (url: string): boolean =>
  /^\/(pub|login|files|api|raw)(?=[/?;]|$)/.test(url) && !/admin/i.test(decodeURIComponent(url))

describe('what the rules judge is what the app gets', () => {
  let stage: Stage
  before(async () => {
    stage = await openStage(config)
  })
  after(() => stage[Symbol.asyncDispose]())
  const send = (line: string, lines: readonly string[] = ['Host: app.test']): Promise<string> =>
    exchange(stage.gateway.port, [line, ...lines, 'Connection: close', 'Accept: application/json', '', ''].join('\r\n'))

  test('no spelling of a guarded path gets past its guard', async () => {
    for (const target of hostile) {
      const seen = stage.app.requests.length
      const came = await send(`GET ${Buffer.from(target).toString('latin1')} HTTP/1.1`)
      const [status = 0] = statuses(came)
      assert.ok([400, 401, 404].includes(status) || (status === 200 && isOpen(target)), `${target}: ${status}`)
      for (const { url } of stage.app.requests.slice(seen))
        assert.ok(isOpen(url) && url === target, `${target} went up as ${url}`)
    }
  })

  test('the query never counts, and goes up byte for byte', async () => {
    for (const query of ['?x=/admin', '?a[]=1&b=%2e%2e', '?next=//evil&&=&;', '?%00', '??', '?a=b?c=d']) {
      const target = `/pub/q${query}`
      assert.equal(statuses(await send(`GET ${target} HTTP/1.1`))[0], 200, query)
      assert.ok(
        stage.app.requests.some(({ url }) => url === target),
        query,
      )
    }
  })

  test('a host is matched as a whole, without case and port, and `*` is one label', async () => {
    const hosts: [string, number][] = [
      ...(['app.test', 'APP.TEST', 'app.test:8080', 'a.apps.test', 'A.Apps.Test:1'].map((host) => [host, 200]) as [
        string,
        number,
      ][]),
      ...([
        'apps.test',
        'a.b.apps.test',
        'evilapp.test',
        'app.test.evil',
        'xapps.test',
        '127.0.0.1',
        '[::1]',
        'localhost',
      ].map((host) => [host, 421]) as [string, number][]),
      ...([
        'app.test.',
        'app.test:99999',
        'app.test:',
        'app.test:8080:1',
        'app..test',
        'app.test/',
        'app.test?',
        '[::1',
        '[::1]x',
        '[fe80::1%25eth0]',
        'app%2etest',
        'a b',
        '',
        'app.test, app.test',
        '127.1',
        '0x7f.1',
      ].map((host) => [host, 400]) as [string, number][]),
    ]
    for (const [host, status] of hosts) {
      assert.deepEqual(statuses(await send('GET /pub/a HTTP/1.1', [`Host: ${host}`])), [status], host)
    }
  })

  test('the absolute form counts for its own host only, and goes up as a path', async () => {
    assert.equal(statuses(await send('GET http://APP.test/pub/abs?x HTTP/1.1'))[0], 200)
    assert.ok(stage.app.requests.some(({ url }) => url === '/pub/abs?x'))
    assert.equal(statuses(await send('GET http://other.test/admin HTTP/1.1'))[0], 400)
    assert.equal(statuses(await send('GET http://app.test/admin HTTP/1.1'))[0], 401)
  })

  test('a rule for one method does not cover another, and HEAD goes with GET', async () => {
    assert.equal(statuses(await send('GET /api/x HTTP/1.1'))[0], 200)
    assert.equal(statuses(await send('HEAD /api/x HTTP/1.1'))[0], 200)
    assert.equal(statuses(await send('POST /api/x HTTP/1.1', ['Host: app.test', 'Content-Length: 0']))[0], 401)
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      assert.equal(
        statuses(await send(`${method} /api/x HTTP/1.1`, ['Host: app.test', 'Content-Length: 0']))[0],
        404,
        method,
      )
    }
    for (const method of ['get', 'GeT', 'FOO', 'QUERY1']) {
      assert.ok([400, 405].includes(statuses(await send(`${method} /api/x HTTP/1.1`))[0] ?? 0), method)
    }
    const override = ['Host: app.test', 'X-HTTP-Method-Override: POST', 'X_HTTP_METHOD: DELETE']
    assert.equal(statuses(await send('GET /api/override HTTP/1.1', override))[0], 200)
    const got = stage.app.requests.find(({ url }) => url === '/api/override')
    assert.equal(
      got?.rawHeaders.some((name) => /method/i.test(name)),
      false,
    )
  })

  test('an unknown host is 421 and a route that is missing 404, as problem or page, each with its id', async () => {
    const problem = await send('GET /pub/a HTTP/1.1', ['Host: evil.test'])
    assert.deepEqual(statuses(problem), [421])
    assert.match(problem, /Content-Type: application\/problem\+json\r\n/)
    assert.match(
      problem,
      /"type":"urn:sessiongate:ERR_[A-Z_]+","title":"[^"]+","status":421,"code":"ERR_[A-Z_]+","instance":"urn:request:/,
    )
    assert.match(problem, /Cache-Control: no-store\r\n/)
    assert.doesNotMatch(problem, /evil/)
    const page = await exchange(
      stage.gateway.port,
      `GET /"><script>x</script> HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\nAccept: text/html\r\n\r\n`,
    )
    assert.match(page, /Content-Type: text\/html/)
    assert.match(page, /Content-Security-Policy: default-src 'none'/)
    assert.doesNotMatch(page, /<script/)
  })

  test('what is answered without a session says nothing of cookies', async () => {
    const came = await send('GET /raw HTTP/1.1', [
      'Host: app.test',
      `Cookie: sessionid=${'a'.repeat(32)}; b=1`,
      'Say: X-Session-Set: {"a":1}',
    ])
    assert.deepEqual(statuses(came), [200])
    assert.doesNotMatch(came.split('\r\n\r\n')[0] ?? '', /Vary|Set-Cookie|Cache-Control/i)
    assert.deepEqual(
      stage.app.requests
        .at(-1)
        ?.values('Cookie')
        .map((line) => line.trim()),
      ['b=1'],
    )
  })

  const caches: [why: string, said: string[], expected: RegExp][] = [
    ['public', ['Cache-Control: public, s-maxage=60, max-age=60'], /^Cache-Control: max-age=60, private\r$/m],
    ['nothing said', [], /^Cache-Control: private\r$/m],
    ['no-store', ['Cache-Control: no-store'], /^Cache-Control: no-store\r$/m],
    ['private for one field', ['Cache-Control: private="x", PUBLIC'], /^Cache-Control: private\r$/m],
    ['two lines', ['Cache-Control: public', 'cache-control: max-age=1'], /^Cache-Control: max-age=1, private\r$/m],
    [
      'a CDN of its own',
      ['CDN-Cache-Control: max-age=60', 'Surrogate-Control: max-age=60', 'X-Accel-Expires: 60'],
      /^Cache-Control: private\r$/m,
    ],
  ]
  for (const [why, said, expected] of caches) {
    test(`an answer with a session is private: ${why}`, async () => {
      const set = await send('GET /pub/set HTTP/1.1', [
        'Host: app.test',
        'Say: X-Session-Set: {"a":1}',
        ...said.map((line) => `Say: ${line}`),
        'Say: Vary: Accept-Encoding',
      ])
      const key = /sessionid=([a-z0-9]{32})/.exec(set)?.[1]
      assert.ok(key, set)
      const got = await send('GET /pub/get HTTP/1.1', [
        'Host: app.test',
        `Cookie: sessionid=${key}`,
        ...said.map((line) => `Say: ${line}`),
        'Say: vary: *',
      ])
      const gone = await send('GET /pub/x HTTP/1.1', [
        'Host: app.test',
        `Cookie: sessionid=${'z'.repeat(32)}`,
        ...said.map((line) => `Say: ${line}`),
      ])
      for (const came of [set, got, gone]) {
        const head = came.split('\r\n\r\n')[0] ?? ''
        assert.match(`${head}\r\n`, expected)
        assert.doesNotMatch(head, /public|s-maxage|CDN-|Surrogate|Accel/i)
      }
      assert.match(set, /^Vary: Accept-Encoding, Cookie\r$/m)
      assert.match(got, /^vary: \*\r$/im)
      assert.match(
        gone,
        /^Set-Cookie: sessionid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Max-Age=0; Path=\/; SameSite=Lax\r$/m,
      )
    })
  }
})
