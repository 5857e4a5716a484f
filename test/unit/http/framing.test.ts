import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { GatewayError } from '../../../src/errors.ts'
import { type Framing, readFraming } from '../../../src/http/framing.ts'

const accepted: [why: string, method: string, version: string, raw: string[], framing: Framing][] = [
  ['no body', 'GET', '1.1', [], { hasBody: false }],
  ['a length', 'POST', '1.1', ['Content-Length', '5'], { hasBody: true, contentLength: 5 }],
  ['no length is no body', 'POST', '1.1', [], { hasBody: false }],
  ['length zero', 'POST', '1.1', ['Content-Length', '0'], { hasBody: false, contentLength: 0 }],
  [
    'length zero on GET, as some clients send it',
    'GET',
    '1.1',
    ['content-length', '0'],
    { hasBody: false, contentLength: 0 },
  ],
  [
    'the largest length',
    'PUT',
    '1.1',
    ['Content-Length', '9007199254740991'],
    { hasBody: true, contentLength: 2 ** 53 - 1 },
  ],
  ['chunked', 'POST', '1.1', ['Transfer-Encoding', 'chunked'], { hasBody: true }],
  ['chunked has no case', 'POST', '1.1', ['TRANSFER-ENCODING', 'ChUnKeD'], { hasBody: true }],
  ['a length in HTTP/1.0', 'POST', '1.0', ['Content-Length', '5'], { hasBody: true, contentLength: 5 }],
  ['DELETE may have a body', 'DELETE', '1.1', ['Content-Length', '5'], { hasBody: true, contentLength: 5 }],
  ['OPTIONS may have a body', 'OPTIONS', '1.1', ['Transfer-Encoding', 'chunked'], { hasBody: true }],
  ['WebDAV', 'PROPFIND', '1.1', ['Content-Length', '5'], { hasBody: true, contentLength: 5 }],
  [
    'the expectation',
    'POST',
    '1.1',
    ['Expect', '100-Continue', 'Content-Length', '1'],
    { hasBody: true, contentLength: 1 },
  ],
  ['a handshake', 'GET', '1.1', ['Upgrade', 'websocket', 'Connection', 'Upgrade'], { hasBody: false }],
  [
    'h2c beside a body, as the Java client offers it',
    'POST',
    '1.1',
    ['Upgrade', 'h2c', 'Content-Length', '2'],
    { hasBody: true, contentLength: 2 },
  ],
  [
    'lines that may repeat',
    'GET',
    '1.1',
    ['Cookie', 'a', 'Cookie', 'b', 'Connection', 'a', 'Connection', 'b'],
    { hasBody: false },
  ],
]
for (const [why, method, version, raw, framing] of accepted) {
  test(`${method} ${JSON.stringify(raw)} is accepted: ${why}`, () => {
    assert.deepEqual(readFraming(method, version, raw), framing)
  })
}

const badLengths: [why: string, value: string][] = [
  ['a leading zero', '005'],
  ['two zeros', '00'],
  ['a plus', '+5'],
  ['a minus', '-5'],
  ['empty', ''],
  ['a list', '5, 5'],
  ['a list without a space', '5,5'],
  ['a space inside', '5 5'],
  ['a space behind', '5 '],
  ['a vertical tab', '\x0b5'],
  ['hexadecimal', '0x5'],
  ['an exponent', '5e0'],
  ['a fraction', '5.0'],
  ['an underscore', '5_0'],
  ['above 2^53', '9007199254740993'],
  ['twenty digits', '18446744073709551617'],
  ['letters', 'five'],
  ['a semicolon', '5;'],
  ['obs-text', '5\xa0'],
]
for (const [why, value] of badLengths) {
  test(`Content-Length ${JSON.stringify(value)} is refused: ${why}`, () => {
    assert.throws(() => readFraming('POST', '1.1', ['Content-Length', value]), { code: 'ERR_REQUEST_INVALID' })
  })
}

const badCodings = [
  ...[
    '',
    'identity',
    'gzip',
    'chunked, gzip',
    'chunked, chunked',
    'chunked,chunked',
    'chunked;q=1',
    'chunked;',
    ';chunked',
  ],
  ...[
    ' chunked',
    'chunked ',
    'chunked\t',
    '\x0bchunked',
    'chunked\x0b',
    '\x00chunked',
    'chunked\xa0',
    '"chunked"',
    "'chunked'",
  ],
  ...['xchunked', 'chunkedx', 'chunked-', 'chun ked', 'cow', ',chunked', 'chunked,', ', chunked', 'chunked, identity'],
  ...[
    'identity; chunked',
    'chunked\r\n',
    '\nchunked',
    'chunke\u1e0b',
    'chun\u212aed',
    'x-chunked',
    'gzip chunked',
    'chunked gzip',
  ],
]
const unknownCodings = [
  'gzip, chunked',
  'gzip,chunked',
  'GZIP , Chunked',
  'gzip, deflate, chunked',
  'identity, chunked',
]

test('chunked in no spelling but its own, with a length beside it or not', () => {
  for (const coding of badCodings) {
    for (const length of [[], ['Content-Length', '5'], ['Content-Length', '0']]) {
      const raw = ['Transfer-Encoding', coding, ...length]
      assert.throws(() => readFraming('POST', '1.1', raw), { code: 'ERR_REQUEST_INVALID' }, JSON.stringify(raw))
    }
  }
})

test('a well delimited coding that is not ours is 501, unless something else is wrong', () => {
  for (const coding of unknownCodings) {
    const raw = ['Transfer-Encoding', coding]
    assert.throws(() => readFraming('POST', '1.1', raw), { code: 'ERR_TRANSFER_CODING' })
    assert.throws(() => readFraming('POST', '1.0', raw), { code: 'ERR_REQUEST_INVALID' })
    assert.throws(() => readFraming('POST', '1.1', [...raw, 'Content-Length', '5']), { code: 'ERR_REQUEST_INVALID' })
  }
})

const refused: [why: string, code: string, method: string, version: string, raw: string[]][] = [
  [
    'a length and a coding',
    'ERR_REQUEST_INVALID',
    'POST',
    '1.1',
    ['Content-Length', '5', 'Transfer-Encoding', 'chunked'],
  ],
  ['the other order', 'ERR_REQUEST_INVALID', 'POST', '1.1', ['Transfer-Encoding', 'chunked', 'Content-Length', '0']],
  ['two equal lengths', 'ERR_REQUEST_INVALID', 'POST', '1.1', ['Content-Length', '5', 'content-length', '5']],
  ['two lengths', 'ERR_REQUEST_INVALID', 'POST', '1.1', ['Content-Length', '5', 'Content-Length', '6']],
  [
    'two codings',
    'ERR_REQUEST_INVALID',
    'POST',
    '1.1',
    ['Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked'],
  ],
  [
    'two codings, one a decoy',
    'ERR_REQUEST_INVALID',
    'POST',
    '1.1',
    ['Transfer-Encoding', 'x', 'Transfer-Encoding', 'chunked'],
  ],
  ['chunked in HTTP/1.0', 'ERR_REQUEST_INVALID', 'POST', '1.0', ['Transfer-Encoding', 'chunked']],
  ['a length that CGI takes for one', 'ERR_REQUEST_INVALID', 'POST', '1.1', ['Content_Length', '5']],
  ['a coding that CGI takes for one', 'ERR_REQUEST_INVALID', 'POST', '1.1', ['Transfer.Encoding', 'chunked']],
  ['GET with a body', 'ERR_REQUEST_INVALID', 'GET', '1.1', ['Content-Length', '1']],
  ['GET with chunks', 'ERR_REQUEST_INVALID', 'GET', '1.1', ['Transfer-Encoding', 'chunked']],
  ['HEAD with a body', 'ERR_REQUEST_INVALID', 'HEAD', '1.1', ['Content-Length', '1']],
  ['TRACE with a body', 'ERR_REQUEST_INVALID', 'TRACE', '1.1', ['Content-Length', '1']],
  ['CONNECT with a body', 'ERR_REQUEST_INVALID', 'CONNECT', '1.1', ['Transfer-Encoding', 'chunked']],
  ['TRACE', 'ERR_METHOD_NOT_ALLOWED', 'TRACE', '1.1', []],
  ['CONNECT', 'ERR_METHOD_NOT_ALLOWED', 'CONNECT', '1.1', []],
  ['a method nobody knows', 'ERR_METHOD_NOT_ALLOWED', 'FROBNICATE', '1.1', []],
  ['methods have a case', 'ERR_METHOD_NOT_ALLOWED', 'get', '1.1', []],
  ['a method that is no token', 'ERR_REQUEST_INVALID', 'GE T', '1.1', []],
  ['no method', 'ERR_REQUEST_INVALID', '', '1.1', []],
  ['HTTP/0.9', 'ERR_HTTP_VERSION', 'GET', '0.9', []],
  ['HTTP/2 in this dress', 'ERR_HTTP_VERSION', 'GET', '2.0', []],
  ['HTTP/1.2', 'ERR_HTTP_VERSION', 'GET', '1.2', []],
  [
    'a handshake with a body',
    'ERR_WEBSOCKET_HANDSHAKE',
    'POST',
    '1.1',
    ['Upgrade', 'websocket', 'Content-Length', '5'],
  ],
  [
    'a handshake with chunks',
    'ERR_WEBSOCKET_HANDSHAKE',
    'PUT',
    '1.1',
    ['Upgrade', 'WebSocket', 'Transfer-Encoding', 'chunked'],
  ],
  ['a handshake by POST', 'ERR_WEBSOCKET_HANDSHAKE', 'POST', '1.1', ['Upgrade', 'websocket']],
  ['a handshake in a list', 'ERR_WEBSOCKET_HANDSHAKE', 'POST', '1.1', ['Upgrade', 'h2c, websocket']],
  ['GET handshake with a body', 'ERR_REQUEST_INVALID', 'GET', '1.1', ['Upgrade', 'websocket', 'Content-Length', '5']],
  ['another expectation', 'ERR_EXPECTATION_FAILED', 'POST', '1.1', ['Expect', '200-ok']],
  ['an expectation with more', 'ERR_EXPECTATION_FAILED', 'POST', '1.1', ['Expect', '100-continue, x']],
  ['an empty expectation', 'ERR_EXPECTATION_FAILED', 'POST', '1.1', ['Expect', '']],
  ['two hosts', 'ERR_HOST_INVALID', 'GET', '1.1', ['Host', 'a', 'host', 'a']],
]
for (const [why, code, method, version, raw] of refused) {
  test(`${method} ${version} ${JSON.stringify(raw)} ends in ${code}: ${why}`, () => {
    assert.throws(() => readFraming(method, version, raw), { code })
  })
}

test('a header that the gateway acts on stands there once', () => {
  const names = ['Expect', 'Upgrade', 'Origin', 'Referer', 'Sec-Fetch-Mode', 'Sec-Fetch-Site', 'Sec-Fetch-Dest']
  for (const name of [...names, 'Sec-WebSocket-Key', 'Sec-WebSocket-Version', 'X-Requested-With']) {
    const raw = [name, 'a', 'Accept', '*/*', name.toUpperCase(), 'a']
    assert.throws(() => readFraming('GET', '1.1', raw), { code: 'ERR_REQUEST_INVALID' }, name)
  }
})

test('a hundred header lines are accepted, one more is not, wherever the framing stands', () => {
  const lines = (count: number): string[] => Array.from({ length: count }, (_, i) => [`X-${i}`, 'v']).flat()
  assert.equal(readFraming('POST', '1.1', [...lines(99), 'Content-Length', '5']).hasBody, true)
  for (const count of [100, 1998, 1999, 5000]) {
    const raw = [...lines(count), 'Content-Length', '5']
    assert.throws(() => readFraming('POST', '1.1', raw), { code: 'ERR_HEADERS_TOO_LARGE' })
  }
})

test('whatever the lines, a request is refused or has one framing that a second look confirms', () => {
  const line = fc.oneof(
    fc.tuple(
      fc.constantFrom('Content-Length', 'content_length', 'Content-length'),
      fc.constantFrom('0', '5', '05', '5,5', ''),
    ),
    fc.tuple(
      fc.constantFrom('Transfer-Encoding', 'transfer_encoding'),
      fc.constantFrom('chunked', 'CHUNKED', 'gzip, chunked', 'x'),
    ),
    fc.tuple(fc.constantFrom('Upgrade', 'Expect', 'Host', 'X'), fc.constantFrom('websocket', '100-continue', 'a')),
  )
  const method = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'OPTIONS', 'TRACE', 'CONNECT', 'X')
  fc.assert(
    fc.property(method, fc.constantFrom('1.0', '1.1'), fc.array(line, { maxLength: 4 }), (verb, version, lines) => {
      let framing: Framing
      try {
        framing = readFraming(verb, version, lines.flat())
      } catch (error) {
        assert.ok(error instanceof GatewayError && error.status >= 400 && error.status < 506)
        return
      }
      const lengths = lines.filter(([name]) => /^content.length$/i.test(name))
      const codings = lines.filter(([name]) => /^transfer.encoding$/i.test(name))
      assert.ok(lengths.length + codings.length <= 1)
      assert.equal(framing.hasBody, codings.length === 1 || (framing.contentLength ?? 0) > 0)
      assert.equal(framing.contentLength, lengths[0] === undefined ? undefined : Number(lengths[0][1]))
      if (framing.hasBody) assert.ok(verb !== 'GET' && verb !== 'HEAD')
      if (codings.length > 0) assert.equal(version, '1.1')
    }),
    { numRuns: 3000 },
  )
})
