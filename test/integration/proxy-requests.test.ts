import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { startEcho } from '../support/echo-upstream.ts'
import { startEvil } from '../support/evil-upstream.ts'
import { bytesOf, type OpenTo, requestTo, testEach } from '../support/proxied.ts'

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
/** As many answers as are asked for. */
const always = (answer: string) => Array.from({ length: 10_000 }, () => answer)

/** Sends one request and returns its head as the upstream's kernel got it, line by line. */
async function sendAndCatch(openTo: OpenTo, overrides: Parameters<typeof requestTo>[0]): Promise<string[]> {
  await using evil = await startEvil(always(ok))
  await using upstream = openTo(evil.origin)
  const { body } = await upstream.forward(requestTo(overrides))
  await bytesOf(body)
  return evil.received().split('\r\n')
}

testEach('the request line is what was received, byte for byte', async (openTo) => {
  const targets = [
    '/',
    '/?',
    '/a?',
    '/??',
    '/a%2Fb;c?x=%zz',
    '/%61/%41',
    '/a//b///',
    '/a/../b/./c',
    '/a\\..\\b',
    '/%2e%2E/%00',
    '/http://evil/x',
    '//evil/x',
    '/a#b',
    '/{}|^`"<>\'',
    '/a:b@c!$&()*+,;=~_-.',
    `/${'a'.repeat(8000)}`,
  ]
  for (const target of targets) {
    const [requestLine] = await sendAndCatch(openTo, { target })
    assert.equal(requestLine, `GET ${target} HTTP/1.1`)
  }
})

testEach('property: any target in origin form goes up as it is', async (openTo) => {
  await using evil = await startEvil(always(ok))
  await using upstream = openTo(evil.origin)
  let from = 0
  const character = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code))
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: character, maxLength: 60 }), async (rest) => {
      const { body } = await upstream.forward(requestTo({ target: `/${rest}` }))
      await bytesOf(body)
      const received = evil.received().slice(from)
      from += received.length
      assert.equal(received.slice(0, received.indexOf('\r\n')), `GET /${rest} HTTP/1.1`)
    }),
    { numRuns: 200 },
  )
})

testEach('Host comes first, then the lines in order and case, duplicates kept, bytes unchanged', async (openTo) => {
  const headers = [
    'X-B',
    '1',
    'x-b',
    '2',
    'HOST',
    'App.Test:8080',
    'Cookie',
    'a=1',
    'cookie',
    'b=2',
    'X-Latin',
    '\xe9\xff\x80',
  ]
  const lines = await sendAndCatch(openTo, { headers: [...headers, 'X-Empty', '', '__proto__', 'x', 'X-B', '3'] })
  assert.deepEqual(lines, [
    'GET / HTTP/1.1',
    'host: App.Test:8080',
    'connection: keep-alive',
    ...[
      'X-B: 1',
      'x-b: 2',
      'Cookie: a=1',
      'cookie: b=2',
      'X-Latin: \xe9\xff\x80',
      'X-Empty: ',
      '__proto__: x',
      'X-B: 3',
    ],
    '',
    '',
  ])
})

testEach('what belongs to the client’s connection does not go up, in whatever case it is left in', async (openTo) => {
  const owned = [
    ...['Connection', 'x-a', 'KEEP-ALIVE', 'timeout=5', 'te', 'trailers', 'Trailer', 'x', 'Upgrade', 'h2c'],
    ...['Transfer-Encoding', 'chunked', 'transfer-encoding', 'gzip', 'Content-Length', '5', 'content-length', '6'],
    ...['Expect', '100-continue', 'Proxy-Connection', 'close', 'HTTP2-Settings', 'x'],
  ]
  const lines = await sendAndCatch(openTo, { headers: [...owned, 'Host', 'a', 'X-A', 'b'] })
  assert.deepEqual(lines, ['GET / HTTP/1.1', 'host: a', 'connection: keep-alive', 'X-A: b', '', ''])
})

const framings: [why: string, method: string, body: string[] | null, length: number | undefined, wire: string[]][] = [
  ['no body', 'GET', null, undefined, ['']],
  ['no body to DELETE', 'DELETE', null, undefined, ['']],
  ['no body to POST', 'POST', null, undefined, ['content-length: 0', '']],
  ['no body to PUT', 'PUT', null, 0, ['content-length: 0', '']],
  ['no body to PATCH', 'PATCH', null, undefined, ['content-length: 0', '']],
  ['an empty body of unknown length', 'POST', [], undefined, ['content-length: 0', '']],
  ['an empty body of known length', 'POST', [], 0, ['content-length: 0', '']],
  ['a known length', 'POST', ['abc', 'de'], 5, ['content-length: 5', '', 'abcde']],
  [
    'an unknown length',
    'POST',
    ['abc', 'de'],
    undefined,
    ['transfer-encoding: chunked', '', '3', 'abc', '2', 'de', '0', ''],
  ],
  ['a body to GET', 'GET', ['abc'], 3, ['content-length: 3', '', 'abc']],
  ['a body to DELETE', 'DELETE', ['abc'], undefined, ['transfer-encoding: chunked', '', '3', 'abc', '0', '']],
]

for (const [why, method, body, contentLength, wire] of framings) {
  testEach(`a request is framed anew: ${why}`, async (openTo) => {
    await using evil = await startEvil(async (connection) => {
      await connection.head()
      const [end = ''] = wire.slice(-1)
      while (!connection.received().endsWith(body === null ? '\r\n\r\n' : end || '\r\n\r\n')) {
        await new Promise((resolve) => connection.socket.once('data', resolve))
      }
      await connection.send(ok)
    })
    await using upstream = openTo(evil.origin)
    const request = requestTo({
      method,
      body:
        body === null
          ? null
          : Readable.from(
              body.map((part) => Buffer.from(part)),
              { objectMode: false },
            ),
      ...(contentLength === undefined ? {} : { contentLength }),
    })
    await bytesOf((await upstream.forward(request)).body)
    const expected = [`${method} / HTTP/1.1`, 'host: app.test', 'connection: keep-alive', ...wire]
    assert.equal(evil.received().replace(/\r\n$/, ''), expected.join('\r\n'))
  })
}

testEach('property: a body arrives as it was, cut in whatever pieces, with either framing', async (openTo) => {
  await using echo = await startEcho()
  await using upstream = openTo(echo.origin)
  const parts = fc.array(fc.uint8Array({ maxLength: 100_000 }), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(parts, fc.boolean(), async (chunks, isSized) => {
      const whole = Buffer.concat(chunks)
      const body = Readable.from(chunks.map((chunk) => Buffer.from(chunk)))
      const request = requestTo({ method: 'POST', body, ...(isSized ? { contentLength: whole.length } : {}) })
      const answer = await upstream.forward(request)
      const { bodyLength, bodySha256 } = JSON.parse(String(await bytesOf(answer.body)))
      assert.equal(bodyLength, whole.length)
      assert.equal(bodySha256, createHash('sha256').update(whole).digest('hex'))
    }),
    { numRuns: 60 },
  )
  assert.equal(echo.connections(), 1, 'each exchange was clean')
})

const misuses: [why: string, overrides: Parameters<typeof requestTo>[0]][] = [
  ['CONNECT', { method: 'CONNECT' }],
  ['a method that is no token', { method: 'GET /x HTTP/1.1\r\nX:' }],
  ['an empty method', { method: '' }],
  ['an absolute target', { target: 'http://evil/' }],
  ['an empty target', { target: '' }],
  ['the asterisk', { target: '*' }],
  ['a space in the target', { target: '/a b' }],
  ['a line break in the target', { target: '/a\r\nX: y' }],
  ['a byte beyond ASCII in the target', { target: '/\xe9' }],
  ['no Host', { headers: ['X', 'y'] }],
  ['two Hosts', { headers: ['Host', 'a', 'host', 'a'] }],
  ['a line break in a value', { headers: ['Host', 'a', 'X', 'y\r\nZ: 1'] }],
  ['a NUL in a value', { headers: ['Host', 'a', 'X', 'y\0'] }],
  ['a character beyond latin1 in a value', { headers: ['Host', 'a', 'X', '\u0100'] }],
  ['a line break in a name', { headers: ['Host', 'a', 'X: y\r\nZ', '1'] }],
  ['a space in a name', { headers: ['Host', 'a', 'X ', '1'] }],
  ['an empty name', { headers: ['Host', 'a', '', '1'] }],
]

for (const [why, overrides] of misuses) {
  testEach(`a request that no step before should have let through is never written: ${why}`, async (openTo) => {
    await using evil = await startEvil(always(ok))
    await using upstream = openTo(evil.origin, { retries: 3 })
    await assert.rejects(upstream.forward(requestTo(overrides)), (error: Error) => error.name !== 'GatewayError')
    assert.equal(evil.received(), '')
  })
}
