import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { connectRaw } from '../support/raw-client.ts'
import { exchange, openStage, type Stage, statuses } from './stage.ts'

const config = `
upstreams: { app: { servers: ["APP"] } }
routes:
  - { id: guarded, match: { path: /guarded }, upstream: app, auth: required }
  - { id: app, match: { path: /* }, upstream: app, auth: optional }
`
const slow = 'GET /slow HTTP/1.1\r\nHost: x\r\nWait: 300\r\n\r\n'
const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'

const upgrading =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'

/** Heads that somebody in front may have delimited or addressed in another way, with the answer that they get. */
const misreadable: [why: string, request: string, status: number][] = [
  ['two Host lines', 'GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n', 400],
  ['no Host line', 'GET / HTTP/1.1\r\n\r\n', 400],
  ['a list for a Host', 'GET / HTTP/1.1\r\nHost: x, y\r\n\r\n', 400],
  ['userinfo in Host', 'GET / HTTP/1.1\r\nHost: a@x\r\n\r\n', 400],
  ['HTTP/1.0 without Host', 'GET / HTTP/1.0\r\n\r\n', 400],
  [
    'length and chunked',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
  ],
  ['two equal lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab', 400],
  ['two different lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab', 400],
  ['a list of lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\n\r\nab', 400],
  ['a length with a leading zero', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 02\r\n\r\nab', 400],
  ['a length with a sign', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\nab', 400],
  ['a length spelt with an underscore', 'POST / HTTP/1.1\r\nHost: x\r\nContent_Length: 2\r\n\r\n', 400],
  ['a space before the colon of the length', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\nab', 400],
  ['chunked in HTTP/1.0', 'POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  [
    'two codings lines',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
  ],
  ['a coding before chunked', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 501],
  ['identity', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n', 400],
  ['xchunked', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n', 400],
  ['chunked in quotes', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "chunked"\r\n\r\n', 400],
  ['chunked with a parameter', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n', 400],
  [
    'chunked behind a vertical tab',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n',
    400,
  ],
  ['a folded coding', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n', 400],
  ['GET with a body', 'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc', 400],
  ['HEAD with a body', 'HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc', 400],
  ['a bare LF after the request line', 'GET / HTTP/1.1\nHost: x\r\n\r\n', 400],
  ['a bare LF after a header', 'GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n', 400],
  ['a bare CR in a value', 'GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n', 400],
  ['a NUL in a value', 'GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n', 400],
  ['a folded header', 'GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n', 400],
  ['a header without a colon', 'GET / HTTP/1.1\r\nHost: x\r\nXy\r\n\r\n', 400],
  ['a header without a name', 'GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n', 400],
  ['a space before the first header', 'GET / HTTP/1.1\r\n Host: x\r\n\r\n', 400],
  [
    'LF in a chunk extension',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\n4c\r\n0\r\n\r\n',
    400,
  ],
  [
    'a chunk size with a prefix',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n',
    400,
  ],
  [
    'a chunk size with a space before it',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n 2\r\nab\r\n0\r\n\r\n',
    400,
  ],
  [
    'a chunk longer than it says',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n',
    400,
  ],
  [
    'an endless chunk size',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff2\r\n',
    400,
  ],
  ['another expectation', 'GET / HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n\r\n', 417],
  ['HTTP/2.0', 'GET / HTTP/2.0\r\nHost: x\r\n\r\n', 505],
  ['HTTP/0.9', 'GET /\r\n\r\n', 505],
  ['HTTP/0.9 with lines', 'GET /\r\nHost: x\r\n\r\n', 505],
  ['HTTP/0.9 by its number', 'GET / HTTP/0.9\r\nHost: x\r\n\r\n', 505],
  ['HTTP/1.2', 'GET / HTTP/1.2\r\nHost: x\r\n\r\n', 400],
  ['a version in small letters', 'GET / http/1.1\r\nHost: x\r\n\r\n', 400],
  ['a method in small letters', 'get / HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['tabs in the first line', 'GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['a fourth word in the first line', 'GET / x HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['no target', 'GET  HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['the authority form', 'GET x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n', 400],
  ['an asterisk for GET', 'GET * HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['a fragment', 'GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['a backslash', 'GET /a\\..\\b HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['an absolute form of another scheme', 'GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['an absolute form without a host', 'GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 400],
  ['a path in Host', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
  ['a Host without its port', 'GET / HTTP/1.1\r\nHost: x:\r\n\r\n', 400],
  ['half an address in Host', 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n', 400],
  ['an address in hex in Host', 'GET / HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n', 400],
  ['an escape in Host', 'GET / HTTP/1.1\r\nHost: x%2ey\r\n\r\n', 400],
  ['a byte above ASCII in Host', 'GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n', 400],
  ['a space before the colon of Host', 'GET / HTTP/1.1\r\nHost : x\r\n\r\n', 400],
  ['a NUL before the first request', '\0GET / HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['GET in chunks', 'GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  ['CONNECT with a body', 'CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\nContent-Length: 1\r\n\r\na', 400],
  ['an empty coding', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \r\n\r\n', 400],
  ['an empty length', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n', 400],
  ['a length in hex', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n\r\nab', 400],
  ['a length beyond all numbers', `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${'9'.repeat(20)}\r\n\r\nab`, 400],
  ['two expectations', `GET / HTTP/1.1\r\nHost: x\r\n${'Expect: 100-continue\r\n'.repeat(2)}\r\n`, 400],
  ['a handshake by POST', `POST / HTTP/1.1\r\nHost: x\r\n${upgrading}\r\n`, 400],
  ['a handshake of HTTP/1.0', `GET / HTTP/1.0\r\nHost: x\r\n${upgrading}\r\n`, 400],
  [
    'a handshake with a body',
    'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc',
    400,
  ],
  ['CONNECT', 'CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n', 405],
  ['TRACE', 'TRACE / HTTP/1.1\r\nHost: x\r\n\r\n', 405],
  ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['an absolute form for another host', 'GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['an absolute form with userinfo', 'GET http://x@y/ HTTP/1.1\r\nHost: y\r\n\r\n', 400],
  ['101 header lines', `GET / HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(100)}\r\n`, 431],
  [
    '5,000 header lines, the last one a length',
    `POST / HTTP/1.1\r\nHost: x\r\n${'A:\r\n'.repeat(3000)}Content-Length: 3\r\n\r\nabc`,
    431,
  ],
  ['a head over 16 KiB', `GET / HTTP/1.1\r\nHost: x\r\nCookie: a=${'b'.repeat(16_500)}\r\n\r\n`, 431],
]

describe('where one request ends and the next begins', () => {
  let stage: Stage
  before(async () => {
    stage = await openStage(config)
  })
  after(() => stage[Symbol.asyncDispose]())
  const isServed = (url: string): boolean => stage.app.requests.some((request) => request.url === url)

  for (const [why, request, status] of misreadable) {
    test(`${why}: refused with ${status}, the connection ends, and nothing behind it is served`, async () => {
      const came = await exchange(stage.gateway.port, request + smuggled)
      assert.deepEqual(statuses(came).slice(0, 1), [status], came.slice(0, 300))
      assert.equal(statuses(came).length, 1, came)
      assert.equal(isServed('/smuggled'), false)
      if (!request.startsWith('HEAD')) assert.match(came, /"code":"ERR_|<code>ERR_/)
    })
  }

  test('nothing behind a misreadable request is served, also while an earlier answer keeps the connection open', async () => {
    const open = misreadable.filter(([, , status]) => status === 400).map(([, request]) => request)
    for (const request of open.slice(0, 8)) {
      const came = await exchange(stage.gateway.port, slow + request + smuggled.replace('/smuggled', '/smuggled-late'))
      assert.equal(statuses(came)[0], 200)
      assert.equal(isServed('/smuggled-late'), false, `served behind ${JSON.stringify(request)}`)
    }
  })

  test('what follows a body that was not read is not served', async () => {
    const body = 'GET /inner HTTP/1.1\r\nHost: x\r\n\r\n'
    const post = `POST /guarded HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n${body}`
    const came = await exchange(stage.gateway.port, post)
    assert.deepEqual(statuses(came), [401])
    assert.equal(isServed('/inner'), false)
  })

  test('chunk extensions are taken out, and so are trailers', async () => {
    const request =
      'POST /chunks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: CHUNKED\r\nTrailer: X-Session-Assertion\r\n\r\n'
    const came = await exchange(
      stage.gateway.port,
      `${request}2;a="b c";d\r\nab\r\n0;e\r\nX-Session-Assertion: forged\r\n\r\n`,
    )
    assert.deepEqual(statuses(came), [200])
    const got = stage.app.requests.findLast(({ url }) => url === '/chunks')
    assert.equal(got?.body.toString(), 'ab')
    assert.deepEqual(got?.values('Trailer'), [])
    assert.equal(got?.values('X-Session-Assertion').includes('forged'), false)
  })

  test('over 16 KiB of chunk extensions end the request', async () => {
    const chunk = `1;${'x'.repeat(17_000)}\r\na\r\n`
    const head = 'POST /extensions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
    const [status = 0] = statuses(await exchange(stage.gateway.port, `${head}${chunk}0\r\n\r\n${smuggled}`))
    assert.ok(status >= 400 && status < 500, String(status))
    assert.equal(isServed('/smuggled'), false)
  })

  test('Expect is answered by the gateway when the body is wanted, and never goes up', async () => {
    await using client = await connectRaw(stage.gateway.port)
    await client.send('POST /expect HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n')
    assert.equal((await client.response()).status, 100)
    await client.send('ab')
    assert.equal((await client.response()).status, 200)
    assert.deepEqual(stage.app.requests.findLast(({ url }) => url === '/expect')?.values('Expect'), [])
  })

  test('nobody is told to go on with a body that is not wanted', async () => {
    await using client = await connectRaw(stage.gateway.port)
    await client.send('POST /guarded HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n')
    const { status, values } = await client.response()
    assert.equal(status, 401)
    assert.deepEqual(values('Connection'), ['close'])
  })

  for (const [what, body] of [
    ['an upgrade that is not served', ''],
    ['one with a body', 'Content-Length: 3\r\n\r\nabc'],
    ['one with a body in chunks', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'],
  ] as const) {
    test(`behind ${what} nothing is served: the parser loses what stands in the same packet`, async () => {
      for (const protocol of ['h2c', 'TLS/1.0', 'h2c, x']) {
        await using client = await connectRaw(stage.gateway.port)
        const head = `POST /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocol}\r\n`
        const cut = 'POST /cut HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n'
        await client.send(`${head}${body === '' ? '\r\n' : body}${cut}`)
        await client.send(smuggled.padEnd(100))
        const came = (await client.rest()).toString('latin1')
        assert.deepEqual(statuses(came), [200], came)
        assert.match(came, /^connection: close\r$/im)
        assert.equal(isServed('/smuggled') || isServed('/cut'), false)
      }
      const [got] = stage.app.requests.slice(-1)
      assert.deepEqual([got?.url, got?.body.toString()], ['/upgrade', body === '' ? '' : 'abc'])
    })
  }

  test('nor while there is too much to do, and every request is refused', async () => {
    await using busy = await openStage(config.replace('upstreams:', 'limits: { requests: 1 }\nupstreams:'))
    await using first = await connectRaw(busy.gateway.port)
    await first.send('GET /slow HTTP/1.1\r\nHost: x\r\nWait: 2000\r\n\r\n')
    while (busy.app.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 2))
    await using client = await connectRaw(busy.gateway.port)
    const upgrade = 'GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'
    await client.send(`${upgrade}POST /cut HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n`)
    const { status, values } = await client.response()
    assert.deepEqual([status, values('Connection')], [503, ['close']])
    await client.send(smuggled.padEnd(100)).catch(() => undefined)
    assert.equal((await client.rest()).length, 0)
    assert.equal(busy.app.requests.length, 1)
  })

  test('pipelined requests are answered in their order', async () => {
    const last = 'GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
    const came = await exchange(stage.gateway.port, `${slow}GET /second HTTP/1.1\r\nHost: x\r\n\r\n${last}`)
    const order = [...came.matchAll(/"url":"(\/\w+)"/g)].map(([, url]) => url)
    assert.deepEqual(order, ['/slow', '/second', '/last'])
  })

  test('HTTP/1.0 gets no chunks', async () => {
    const came = await exchange(stage.gateway.port, 'GET /old HTTP/1.0\r\nHost: x\r\n\r\n')
    assert.doesNotMatch(came, /transfer-encoding/i)
    assert.match(came, /"url":"\/old"/)
  })

  test('bytes outside of ASCII and odd bytes in a cookie go up as they came', async () => {
    const odd = 'a=\xff\xfe; b="x"; c=%zz'
    await exchange(stage.gateway.port, `GET /odd HTTP/1.1\r\nHost: x\r\nCookie: ${odd}\r\nConnection: close\r\n\r\n`)
    assert.deepEqual(stage.app.requests.findLast(({ url }) => url === '/odd')?.values('Cookie'), [odd])
  })
})
