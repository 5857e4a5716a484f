import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GatewayError } from '../../../src/errors.ts'
import { linesOf, readAnswerHead } from '../../../src/proxy/answer-head.ts'

const facts = { upstream: 'app' }
const headOf = (lines: string[], more: { method?: string; status?: number; reason?: string } = {}) =>
  readAnswerHead({ method: 'GET', status: 200, reason: 'OK', lines, ...more }, facts)

const lengths: [
  why: string,
  expected: number | undefined,
  lines: string[],
  more?: { method?: string; status?: number },
][] = [
  ['a length', 5, ['Content-Length', '5']],
  ['nothing', 0, ['content-length', '0']],
  ['the largest whole number', Number.MAX_SAFE_INTEGER, ['Content-Length', '9007199254740991']],
  ['chunks', undefined, ['Transfer-Encoding', 'Chunked']],
  ['until the close', undefined, []],
  ['HEAD', 0, ['Content-Length', '5'], { method: 'HEAD' }],
  ['HEAD of something chunked', 0, ['Transfer-Encoding', 'chunked'], { method: 'HEAD' }],
  ['204', 0, ['Content-Length', '5'], { status: 204 }],
  ['304', 0, ['Content-Length', '5'], { status: 304 }],
]

for (const [why, expected, lines, more] of lengths) {
  test(`the length of a body is known from its head: ${why}`, () => {
    assert.equal(headOf(lines, more).contentLength, expected)
  })
}

test('framing is taken out and everything else left, in order', () => {
  const lines = [
    'A',
    '1',
    'TRAILER',
    'x',
    'transfer-Encoding',
    'chunked',
    'a',
    '2',
    'Trailers',
    'y',
    'Connection',
    'close',
  ]
  assert.deepEqual(headOf(lines).headers, ['A', '1', 'a', '2', 'Trailers', 'y', 'Connection', 'close'])
  assert.deepEqual(headOf(['Content-Length', '5', 'A', '1'], { status: 204 }).headers, ['A', '1'])
  assert.deepEqual(headOf(['Content-Length', '5', 'A', '1'], { status: 304 }).headers, [
    'Content-Length',
    '5',
    'A',
    '1',
  ])
})

const refused: [why: string, lines: string[], more?: { status?: number }][] = [
  ['a line break in a value', ['A', '1\r\nB: 2']],
  ['a bare LF in a value', ['A', '1\nB']],
  ['a NUL in a value', ['A', '1\0']],
  ['a character beyond latin1', ['A', '\u0100']],
  ['a line break in a name', ['A\r\nB', '1']],
  ['a colon in a name', ['A:', '1']],
  ['an empty name', ['', '1']],
  ['a name that is not ASCII', ['\xe9', '1']],
  ['status 199', [], { status: 199 }],
  ['status 600', [], { status: 600 }],
  ['two lengths', ['Content-Length', '1', 'content-length', '1']],
  ['a hexadecimal length', ['Content-Length', '0x5']],
  ['a length of sixteen digits that is not exact', ['Content-Length', '9007199254740992']],
  ['a length of seventeen digits', ['Content-Length', '10000000000000000']],
  ['an empty coding', ['Transfer-Encoding', '']],
  ['identity', ['Transfer-Encoding', 'identity']],
]

for (const [why, lines, more] of refused) {
  test(`a head is refused: ${why}`, () => {
    const isRefusal = (error: unknown) => error instanceof GatewayError && error.code === 'ERR_UPSTREAM_PROTOCOL'
    assert.throws(() => headOf(lines, more), isRefusal)
  })
}

const reasons: [status: number, received: string, expected: string][] = [
  [200, 'OK', 'OK'],
  [200, 'K', 'OK'],
  [200, '', 'OK'],
  [200, 'Fine', 'Fine'],
  [299, '', ''],
  [299, 'Odd', 'Odd'],
  [200, 'caf\xe9', ''],
  [200, '\u{fffd}', ''],
  [200, 'a\tb', ''],
]

for (const [status, received, expected] of reasons) {
  test(`the reason of ${status} ${JSON.stringify(received)} is passed on as ${JSON.stringify(expected)}`, () => {
    assert.equal(headOf([], { status, reason: received }).reason, expected)
  })
}

test('lines are latin1 and lose the white space at their end only, in linear time', () => {
  assert.deepEqual(linesOf([Buffer.from('A'), Buffer.from('b \xe9\xa0 \t ', 'latin1')]), ['A', 'b \xe9\xa0'])
  assert.deepEqual(linesOf([Buffer.from('A'), Buffer.from(' \t')]), ['A', ''])
  const long = `a${' '.repeat(10_000_000)}b`
  assert.deepEqual(linesOf([long]), [long])
})
