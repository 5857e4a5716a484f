import assert from 'node:assert/strict'
import { readAnswerHead } from '../../../src/proxy/answer-head.ts'
import { Llhttp } from '../../../src/proxy/llhttp.ts'
import { ResponseParser } from '../../../src/proxy/response-parser.ts'
import { type FuzzTarget, unlessRefused } from '../fuzz-target.ts'

const facts = { method: 'GET', upstream: 'app', server: 'http://127.0.0.1' }
const llhttp = new Llhttp(4096)

/**
 * What an app's server sends on one connection. How the bytes were split makes no difference to what is read, names and
 * values hold nothing that could end a line, and a message ends within the bytes that came.
 */
export const responseTarget: FuzzTarget = {
  name: 'responses',
  seeds: [
    'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b \t\r\n\r\nabc',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-T: 1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
    'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n',
  ],
  dictionary: [
    'HTTP/1.1 ',
    'HTTP/1.0 ',
    '200 OK',
    '\r\n',
    '\r\n\r\n',
    '\n',
    '\r',
    'Transfer-Encoding: chunked',
    'Content-Length: ',
    'Connection: close',
    'Upgrade: x',
    ' : ',
    '\0',
    '\x80',
    '0\r\n\r\n',
    'ffffffff',
    '\t',
    'gzip, chunked',
  ],
  check(bytes) {
    for (const isHead of [false, true]) {
      const whole = readAll([bytes], isHead)
      if (whole.includes('too-large')) continue
      const single = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
      const middle = bytes.length >> 1
      for (const pieces of [single, [bytes.subarray(0, middle), bytes.subarray(middle)]]) {
        const split = readAll(pieces, isHead)
        if (!split.includes('too-large')) assert.deepEqual(split, whole)
      }
    }
  },
}

/** All that is read of the messages on a connection whose pieces arrive one after the other. */
function readAll(pieces: readonly Buffer[], isHead: boolean): unknown[] {
  const seen: unknown[] = []
  let data = ''
  let portion = Buffer.alloc(0)
  const parser = new ResponseParser(llhttp, 1024, (from, to) => {
    assert.ok(from >= 0 && from <= to && to <= portion.length)
    data += portion.toString('latin1', from, to)
  })
  parser.expect(isHead)
  try {
    for (const piece of pieces) {
      portion = Buffer.from(piece)
      for (let at = 0; at < portion.length; ) {
        const result = parser.parse(portion, at, portion.length)
        if (result === 'malformed' || result === 'too-large') return [...seen, result]
        if (result === 'more') break
        assert.ok(parser.position > at && parser.position <= portion.length)
        at = parser.position
        checkHead(parser)
        seen.push(parser.status, parser.reason, [...parser.lines], parser.mayPersist, parser.isChunked, data)
        data = ''
      }
    }
    return [...seen, 'more', data]
  } finally {
    parser.free()
  }
}

function checkHead({ status, reason, lines }: ResponseParser): void {
  assert.ok(status >= 0 && status <= 999)
  const received = { method: 'GET', status, reason, lines }
  const head = unlessRefused(['ERR_UPSTREAM_PROTOCOL'], () => readAnswerHead(received, facts))
  if (head !== undefined) assert.match(head.reason, /^[ -~]*$/)
  for (const [at, text] of lines.entries()) {
    if (at % 2 === 0) assert.match(text, /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/)
    else assert.doesNotMatch(text, /[\r\n\0]|^[ \t]|[ \t]$/)
  }
}
