import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type MemcachedReply, MemcachedReplyReader } from '../../../../src/sessions/caches/memcached-replies.ts'

function readAll(text: string, splitAt: readonly number[] = []): MemcachedReply[] {
  const reader = new MemcachedReplyReader()
  const bytes = Buffer.from(text, 'latin1')
  const bounds = [0, ...splitAt.toSorted((a, b) => a - b), bytes.length]
  return bounds.flatMap((from, i) => [...reader.read(bytes.subarray(from, bounds[i + 1]))])
}

function value(key: string, text: string, rest: { flags?: number; cas?: string } = {}): MemcachedReply {
  return { kind: 'value', key, flags: 1, cas: '7', ...rest, bytes: new Uint8Array(Buffer.from(text, 'latin1')) }
}

const good: [why: string, text: string, replies: MemcachedReply[]][] = [
  ['stored', 'STORED\r\n', [{ kind: 'stored' }]],
  ['not stored', 'NOT_STORED\r\n', [{ kind: 'notStored' }]],
  ['another value is there', 'EXISTS\r\n', [{ kind: 'exists' }]],
  ['none is there', 'NOT_FOUND\r\n', [{ kind: 'notFound' }]],
  ['nothing under the key', 'END\r\n', [{ kind: 'nothing' }]],
  ['a version', 'VERSION 1.6.18\r\n', [{ kind: 'version' }]],
  ['too large', 'SERVER_ERROR object too large for cache\r\n', [{ kind: 'refused', why: 'too large' }]],
  ['full', 'SERVER_ERROR out of memory storing object\r\n', [{ kind: 'refused', why: 'out of memory' }]],
  ['another trouble', 'SERVER_ERROR busy\r\n', [{ kind: 'refused', why: 'unknown' }]],
  ['a value', 'VALUE k 1 3 7\r\nabc\r\nEND\r\n', [value('k', 'abc')]],
  ['an empty value', 'VALUE k 1 0 7\r\n\r\nEND\r\n', [value('k', '')]],
  [
    'a value that looks like replies',
    'VALUE k 1 15 7\r\nSTORED\r\nEND\r\n\r\n\r\nEND\r\n',
    [value('k', 'STORED\r\nEND\r\n\r\n')],
  ],
  ['a value of any bytes', 'VALUE k 1 4 7\r\n\0\xff\n\r\r\nEND\r\n', [value('k', '\0\xff\n\r')]],
  ['a key in UTF-8', 'VALUE k\xc3\xa9 1 1 7\r\na\r\nEND\r\n', [value('k\xc3\xa9', 'a')]],
  [
    'the largest numbers',
    'VALUE k 4294967295 1 18446744073709551615\r\na\r\nEND\r\n',
    [value('k', 'a', { flags: 4294967295, cas: '18446744073709551615' })],
  ],
  ['several', 'END\r\nSTORED\r\nEND\r\n', [{ kind: 'nothing' }, { kind: 'stored' }, { kind: 'nothing' }]],
]

for (const [why, text, replies] of good) {
  test(`a reply is read wherever it is torn apart: ${why}`, () => {
    for (let at = 0; at <= text.length; at++) assert.deepEqual(readAll(text, [at]), replies)
    const everywhere = Array.from(text, (_, at) => at)
    assert.deepEqual(readAll(text, everywhere), replies)
  })
}

const bad: [why: string, text: string][] = [
  ['nonsense', 'HELLO\r\n'],
  ['an empty line', '\r\n'],
  ['a line feed alone', 'STORED\n'],
  ['a carriage return too many', 'STORED\r\r\n'],
  ['a blank behind the word', 'STORED \r\n'],
  ['small letters', 'stored\r\n'],
  ['a name of every object', 'constructor\r\n'],
  ['a number (of incr)', '17\r\n'],
  ['a command that was not understood', 'ERROR\r\n'],
  ['and one that was wrong', 'CLIENT_ERROR bad data chunk\r\n'],
  ['a line without end', 'x'.repeat(600)],
  ['a value without a cas number', 'VALUE k 1 3\r\n'],
  ['with one column too many', 'VALUE k 1 3 7 8\r\n'],
  ['with two blanks', 'VALUE k  1 3 7\r\n'],
  ['with a size that is none', 'VALUE k 1 x 7\r\n'],
  ['with a negative size', 'VALUE k 1 -1 7\r\n'],
  ['with a size beyond all memory', 'VALUE k 1 9999999999 7\r\n'],
  ['with a size of twenty digits', 'VALUE k 1 18446744073709551615 7\r\n'],
  ['with a key of 251 bytes', `VALUE ${'k'.repeat(251)} 1 3 7\r\n`],
  ['longer than it said', 'VALUE k 1 3 7\r\nabcd\r\nEND\r\n'],
  ['shorter than it said', 'VALUE k 1 3 7\r\nab\r\nEND\r\n'],
  ['without END', 'VALUE k 1 3 7\r\nabc\r\nSTORED\r\n'],
  ['followed by another value', 'VALUE k 1 3 7\r\nabc\r\nVALUE k 1 3 7\r\nabc\r\nEND\r\n'],
]

for (const [why, text] of bad) {
  test(`what is no reply is an error wherever it is torn apart, without a word of what came: ${why}`, () => {
    for (let at = 0; at <= text.length; at++) {
      assert.throws(
        () => readAll(text, [at]),
        (error) => error instanceof Error && !error.message.includes('abc') && !error.message.includes('HELLO'),
      )
    }
  })
}

test('a value of more than 2 MiB takes no memory and reads as empty; what follows is read', () => {
  const reader = new MemcachedReplyReader()
  const piece = new Uint8Array(1024 * 1024)
  const replies: MemcachedReply[] = []
  for (const text of ['VALUE k 1 3145728 7\r\n', piece, piece, piece, '\r\nEND\r\nSTORED\r\n'])
    replies.push(...reader.read(typeof text === 'string' ? Buffer.from(text) : text))
  assert.deepEqual(replies, [value('k', ''), { kind: 'stored' }])
})

test('any bytes are replies or an error, and never more memory than 2 MiB a value', () => {
  const token = fc.constantFrom(
    'VALUE',
    'k',
    '1',
    '3',
    '7',
    ' ',
    '\r\n',
    '\n',
    'abc',
    'END',
    'STORED',
    '\0',
    '99999999',
  )
  fc.assert(
    fc.property(fc.array(fc.oneof(token, fc.string()), { maxLength: 30 }), fc.array(fc.nat(60)), (tokens, splitAt) => {
      const text = tokens.join('')
      const within = splitAt.filter((at) => at <= text.length)
      assert.deepEqual(outcome(text, within), outcome(text, []))
    }),
    { numRuns: 2000 },
  )
})

/** The replies, or that there was an error: where the text is torn apart must make no difference. */
function outcome(text: string, splitAt: readonly number[]): unknown {
  try {
    return readAll(text, splitAt)
  } catch {
    return 'error'
  }
}
