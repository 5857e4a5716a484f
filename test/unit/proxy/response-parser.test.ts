import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Llhttp } from '../../../src/proxy/llhttp.ts'
import { type ParseResult, ResponseParser } from '../../../src/proxy/response-parser.ts'

const PORTION_BYTES = 64 * 1024
const MAX_HEADER_BYTES = 1024

const llhttp = new Llhttp(PORTION_BYTES)

interface Reading {
  readonly parser: ResponseParser
  readonly result: ParseResult
  /** The data of a chunked body. */
  readonly data: string
  /** What came after the message. */
  readonly rest: string
}

/** Reads one message that arrives in those pieces, each one character a byte. */
function read(pieces: readonly string[], { isHead = false } = {}): Reading {
  let portion = Buffer.alloc(0)
  let data = ''
  const parser = new ResponseParser(llhttp, MAX_HEADER_BYTES, (from, to) => {
    data += portion.toString('latin1', from, to)
  })
  parser.expect(isHead)
  let result: ParseResult = 'more'
  let rest = ''
  for (const piece of pieces) {
    if (piece === '') continue
    if (result !== 'more') {
      rest += piece
      continue
    }
    portion = Buffer.from(piece, 'latin1')
    result = parser.parse(portion, 0, portion.length)
    if (result === 'message') rest = portion.toString('latin1', parser.position)
  }
  parser.free()
  return { parser, result, data, rest }
}

test('a head is read, and the message ends with it where the body is a matter of counting', () => {
  const { parser, result, rest } = read([
    'HTTP/1.1 200 Fine\r\nX-A: \t b c \t \r\nx-a:\r\nContent-Length: 3\r\n\r\nabcd',
  ])
  assert.equal(result, 'message')
  assert.deepEqual([parser.status, parser.reason, parser.isChunked, parser.mayPersist], [200, 'Fine', false, true])
  assert.deepEqual(parser.lines, ['X-A', 'b c', 'x-a', '', 'Content-Length', '3'])
  assert.equal(rest, 'abcd')
})

test('chunks are read to their end, and no further; trailers are nobody’s', () => {
  const { result, data, rest, parser } = read([
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\nHTTP',
  ])
  assert.deepEqual([result, data, rest], ['message', 'abcde', 'HTTP'])
  assert.deepEqual(parser.lines, ['Transfer-Encoding', 'chunked'])
})

const bodiless: [why: string, head: string, isHead: boolean][] = [
  ['an answer to HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked', true],
  ['204', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked', false],
  ['304', 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked', false],
  ['an interim answer', 'HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked', false],
]

for (const [why, head, isHead] of bodiless) {
  test(`nothing belongs to it but its head: ${why}`, () => {
    const { result, data, rest } = read([`${head}\r\n\r\n3\r\nabc\r\n0\r\n\r\n`], { isHead })
    assert.deepEqual([result, data, rest], ['message', '', '3\r\nabc\r\n0\r\n\r\n'])
  })
}

const persistence: [why: string, mayPersist: boolean, head: string][] = [
  ['HTTP/1.1 with a length', true, 'HTTP/1.1 200 OK\r\nContent-Length: 0'],
  ['HTTP/1.1 with chunks', true, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked'],
  ['HTTP/1.1 that ends with the connection', false, 'HTTP/1.1 200 OK'],
  ['Connection: close', false, 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0'],
  ['close among others', false, 'HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\nContent-Length: 0'],
  ['HTTP/1.0', false, 'HTTP/1.0 200 OK\r\nContent-Length: 0'],
  ['HTTP/1.0 that says so', true, 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0'],
  [
    'HTTP/1.0 with chunks, which it does not know',
    false,
    'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked',
  ],
]

for (const [why, mayPersist, head] of persistence) {
  test(`the connection ${mayPersist ? 'may' : 'may not'} persist: ${why}`, () => {
    assert.equal(read([`${head}\r\n\r\n`]).parser.mayPersist, mayPersist)
  })
}

const many = (line: string, bytes: number) => line.repeat(Math.ceil(bytes / line.length))
const chunkedHead = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'

const unreadable: [why: string, expected: ParseResult, bytes: string][] = [
  ['an empty line before the answer', 'malformed', '\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a line feed before the answer', 'malformed', '\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['HTTP/2.0', 'malformed', 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['HTTP/0.9', 'malformed', 'HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a value folded behind its colon', 'malformed', 'HTTP/1.1 200 OK\r\nX:\r\n b\r\n\r\n'],
  ['a value folded later', 'malformed', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n'],
  ['a head that ends in a bare LF', 'malformed', 'HTTP/1.1 200 OK\r\nX: a\r\n\n'],
  ['a NUL in a name', 'malformed', 'HTTP/1.1 200 OK\r\nX\0: a\r\n\r\n'],
  ['a space after the size of a chunk', 'malformed', `${chunkedHead}3 \r\nabc\r\n0\r\n\r\n`],
  ['a hexadecimal prefix', 'malformed', `${chunkedHead}0x3\r\nabc\r\n0\r\n\r\n`],
  ['a bare LF in an extension', 'malformed', `${chunkedHead}3;a\nb\r\nabc\r\n0\r\n\r\n`],
  ['names and values', 'too-large', `HTTP/1.1 200 OK\r\n${many('A: bcdefghi\r\n', 2000)}\r\n`],
  ['one value', 'too-large', `HTTP/1.1 200 OK\r\nA: ${'b'.repeat(1024)}\r\n\r\n`],
  ['a reason', 'too-large', `HTTP/1.1 200 ${'b'.repeat(1024)}\r\n\r\n`],
  ['white space, which is no part of any value', 'too-large', `HTTP/1.1 200 OK\r\nA:${' '.repeat(8000)}`],
  ['trailers', 'too-large', `${chunkedHead}0\r\n${many('A: bcdefghi\r\n', 2000)}\r\n`],
  ['white space in trailers', 'too-large', `${chunkedHead}0\r\nA:${' '.repeat(8000)}`],
  ['the extension of a chunk', 'too-large', `${chunkedHead}3;${'x'.repeat(8000)}`],
]

for (const [why, expected, bytes] of unreadable) {
  test(`an answer is ${expected}, whole or in pieces: ${why}`, () => {
    assert.equal(read([bytes]).result, expected)
    assert.equal(read(bytes.match(/.{1,100}/gs) ?? []).result, expected)
    assert.equal(read([...bytes]).result, expected)
  })
}

test('chunks without end are not too large, whatever they are cut into', () => {
  const small = read([chunkedHead, ...Array.from({ length: 5000 }, () => '1\r\na\r\n')])
  assert.deepEqual([small.result, small.data.length], ['more', 5000])
  const large = read([`${chunkedHead}fffff\r\n`, ...Array.from({ length: 20 }, () => 'a'.repeat(PORTION_BYTES / 2))])
  assert.deepEqual([large.result, large.data.length], ['more', 10 * PORTION_BYTES])
})

test('one parser reads message after message, also after a head that was too long for one portion', () => {
  const parser = new ResponseParser(llhttp, MAX_HEADER_BYTES, () => {})
  for (let i = 0; i < 10; i++) {
    parser.expect(false)
    const interim = Buffer.from(`HTTP/1.1 103 Early Hints\r\nLink: <${i}>\r\n\r\nHTTP/1.1 200 OK\r\nX-A: `)
    assert.equal(parser.parse(interim, 0, interim.length), 'message')
    assert.deepEqual([parser.status, parser.lines], [103, ['Link', `<${i}>`]])
    assert.equal(parser.parse(interim, parser.position, interim.length), 'more')
    const rest = Buffer.from(`${i}\r\nContent-Length: 0\r\n\r\n`)
    assert.equal(parser.parse(rest, 0, rest.length), 'message')
    assert.equal(parser.position, rest.length)
    assert.deepEqual([parser.status, parser.lines], [200, ['X-A', `${i}`, 'Content-Length', '0']])
  }
  parser.free()
})

test('parsers of one machine do not get into each other’s way, however many there are', () => {
  const parsers = Array.from({ length: 3000 }, () => new ResponseParser(llhttp, MAX_HEADER_BYTES, () => {}))
  const pieces = ['HTTP/1.1 20', '0 OK\r\nX-Nu', 'mber: ', '\r\nContent-Length: 0\r\n\r\n']
  for (const parser of parsers) parser.expect(false)
  for (const [i, piece] of pieces.entries()) {
    for (const [number, parser] of parsers.entries()) {
      const bytes = Buffer.from(i === 2 ? `${piece}${number}` : piece)
      assert.equal(parser.parse(bytes, 0, bytes.length), i === 3 ? 'message' : 'more')
    }
  }
  for (const [number, parser] of parsers.entries()) {
    assert.deepEqual(parser.lines, ['X-Number', String(number), 'Content-Length', '0'])
    parser.free()
  }
})

test('property: an answer is the same in whatever pieces it comes', () => {
  const token = fc.stringMatching(/^[A-Za-z0-9-]{1,12}$/)
  const value = fc.stringMatching(/^[!-~\x80-\xff]([\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?$/)
  const chunks = fc.array(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 30 }), { maxLength: 4 })
  const lines = fc.array(fc.tuple(token, value), { maxLength: 6 })
  const framing = /^(?:content-length|transfer-encoding|connection|upgrade|proxy-connection)$/i
  fc.assert(
    fc.property(lines, chunks, fc.array(fc.nat(300), { maxLength: 8 }), (drawn, parts, cuts) => {
      const kept = drawn.filter(([name]) => !framing.test(name))
      const head = kept.map(([name, text]) => `${name}: ${text}\r\n`).join('')
      const body = parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('')
      const bytes = `HTTP/1.1 404 Not Found\r\n${head}Transfer-Encoding: chunked\r\n\r\n${body}0\r\n\r\nrest`
      const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((a, b) => a - b)
      const { parser, result, data, rest } = read(ends.map((end, i) => bytes.slice(ends[i - 1] ?? 0, end)))
      assert.deepEqual([result, parser.status, parser.reason], ['message', 404, 'Not Found'])
      assert.deepEqual(parser.lines, [...kept.flat(), 'Transfer-Encoding', 'chunked'])
      assert.deepEqual([data, rest], [parts.join(''), 'rest'])
    }),
  )
})
