import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { MAX_JSON_LENGTH, parseSessionData, writeSessionData } from '../../../src/django/json.ts'
import * as opcodes from '../../../src/django/pickle/opcodes.ts'
import { parseSessionPickle, pickleSession } from '../../../src/django/pickle/session-pickle.ts'
import { randomSources, SEED } from '../../interop/random-sessions.ts'
import { requireServer } from '../../support/requirement.ts'
import { djangoRows, plainRows, refusedRows, sessionRows } from './pickle-corpus.ts'
import { pythonReads, pythonWrites } from './pickle-python.ts'

const python = requireServer('python')
const seed = { seed: SEED }

/** Short ones, so that a change of a few bytes hits something. */
const corpus = [
  ...djangoRows().flatMap((row) => [row.pickle5_hex, row.pickle2_hex]),
  ...sessionRows().flatMap((row) => [row.pickle5, row.pickle4, row.pickle2]),
  ...plainRows().map((row) => row.hex),
]
  .filter((hex) => hex.length < 1000)
  .map((hex): Buffer => Buffer.from(hex, 'hex'))

const byte = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...Object.values(opcodes)) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 2, 3, 0xff) },
  { weight: 1, arbitrary: fc.nat(0xff) },
)

/** One change of a pickle: bytes put in, taken away, written over, doubled or moved. */
const change = fc
  .record({
    kind: fc.constantFrom('insert', 'delete', 'overwrite', 'repeat', 'cut'),
    at: fc.nat(10_000),
    bytes: fc.array(byte, { minLength: 1, maxLength: 4 }),
    times: fc.integer({ min: 1, max: 40 }),
  })
  .map(({ kind, at, bytes, times }) => (pickle: Buffer): Buffer => {
    const start = 2 + (at % Math.max(1, pickle.length - 2))
    const [before, after] = [pickle.subarray(0, start), pickle.subarray(start)]
    switch (kind) {
      case 'insert':
        return Buffer.concat([before, Buffer.from(bytes), after])
      case 'delete':
        return Buffer.concat([before, after.subarray(bytes.length)])
      case 'overwrite':
        return Buffer.concat([before, Buffer.from(bytes), after.subarray(bytes.length)])
      case 'repeat':
        return Buffer.concat([before, ...Array(times).fill(after.subarray(0, bytes.length)), after])
      default:
        return before
    }
  })

const mutated = fc
  .tuple(fc.constantFrom(...corpus), fc.array(change, { minLength: 1, maxLength: 4 }))
  .map(([pickle, changes]) => changes.reduce<Buffer>((bytes, apply) => apply(bytes), pickle))

const key = fc.constantFrom(
  '\x8c\x01k',
  '\x8c\x01l\x94',
  '\x8c\x00',
  'X\x03\x00\x00\x00key',
  '\x8c\x03key\x94',
  '\x8c\x03key',
)

/** Plain data in a spelling by chance, with memo and all: a program that Python runs, if the places of the memo are there. */
const { value: spelled } = fc.letrec<{ value: string; values: string; pairs: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(
      'N',
      '\x88',
      '\x89',
      'K\x01',
      'M\x00\x01',
      'J\xff\xff\xff\xff',
      '\x8a\x01\xff',
      '\x8b\x01\x00\x00\x00\x07',
    ),
    fc.constantFrom(
      '\x8c\x01k',
      '\x8c\x00',
      'X\x01\x00\x00\x00m',
      '\x8c\x02\xc3\xa9\x94',
      'G\x3f\xf0\x00\x00\x00\x00\x00\x00',
    ),
    fc.constantFrom(
      '}',
      ']',
      ')',
      ']\x94',
      '}\x94',
      'h\x00',
      'h\x01',
      'j\x02\x00\x00\x00',
      ']q\x01',
      ']r\x02\x00\x00\x00',
    ),
    tie('values').map((values) => `](${values}e`),
    tie('values').map((values) => `]\x94(${values}e`),
    tie('value').map((value) => `]${value}a`),
    tie('pairs').map((pairs) => `}\x94(${pairs}u`),
    tie('values').map((values) => `(${values}t`),
    tie('value').map((value) => `${value}\x85\x94`),
    fc.tuple(tie('value'), tie('value')).map(([a, b]) => `${a}${b}\x86`),
  ),
  values: fc.array(tie('value'), { maxLength: 4 }).map((values) => values.join('')),
  pairs: fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map((pairs) => pairs.flat().join('')),
}))
const program = fc
  .tuple(
    fc.constantFrom('\x80\x05', '\x80\x02'),
    fc.constantFrom('}', '}\x94', '}q\x00'),
    fc.array(fc.tuple(key, spelled), { maxLength: 5 }),
    fc.option(change, { freq: 2, nil: undefined }),
  )
  .map(([proto, start, pairs, apply]) => {
    const bytes = Buffer.from(`${proto}${start}(${pairs.flat().join('')}u.`, 'latin1')
    return apply === undefined ? bytes : apply(bytes)
  })

const anything = fc
  .tuple(fc.boolean(), fc.array(byte, { maxLength: 60 }))
  .map(([isPickle, bytes]): Buffer => Buffer.from(isPickle ? [0x80, 5, ...bytes] : bytes))

/** Reads, and holds what came out to all that a session promises. */
function readChecked(bytes: Buffer): string | undefined {
  const data = parseSessionPickle(bytes)
  if (data === undefined) return undefined
  const json = writeSessionData(data)
  assert.ok(json.length <= MAX_JSON_LENGTH)
  assert.deepEqual(parseSessionData(json), data)
  assert.deepEqual(parseSessionPickle(pickleSession(data)), data)
  return json
}

describe('bytes that are no pickle of a session', () => {
  test('are read without an error, whatever they are, and what is read is a session', () => {
    fc.assert(
      fc.property(fc.oneof(mutated, mutated, program, anything), (bytes) => {
        readChecked(bytes)
      }),
      { ...seed, numRuns: 15_000 },
    )
  })

  test('are read as Python reads them, if they are read at all', { skip: python.skip }, () => {
    const samples = fc.sample(fc.oneof(mutated, program), { ...seed, numRuns: 6000 })
    const read = samples.map((bytes) => ({ bytes, json: readChecked(bytes) })).filter(({ json }) => json !== undefined)
    assert.ok(read.length > 500, `${read.length} of ${samples.length} were sessions`)
    const python3 = pythonReads(
      python,
      read.map(({ bytes }) => bytes),
    )
    for (const [i, { bytes, json }] of read.entries()) assert.equal(json, python3[i], bytes.toString('hex'))
  })

  test('that would run code are still refused after any change of theirs that keeps the opcode', () => {
    const running = refusedRows()
      .filter(({ why }) => /os\.system|instance|GLOBAL|INST|OBJ|a function|a builtin/.test(why))
      .map(({ hex }) => Buffer.from(hex, 'hex'))
    assert.ok(running.length > 20)
    const prefix = fc.array(fc.constantFrom('}', ']', 'N', '(', '\x88', 'K\x01', '\x8c\x01k', '\x94'), { maxLength: 5 })
    fc.assert(
      fc.property(fc.constantFrom(...running), prefix, fc.nat(200), (pickle, steps, end) => {
        const bytes = Buffer.concat([
          pickle.subarray(0, 2),
          Buffer.from(steps.join(''), 'latin1'),
          pickle.subarray(2),
          Buffer.alloc(end, '.'),
        ])
        assert.equal(parseSessionPickle(bytes), undefined)
      }),
      { ...seed, numRuns: 3000 },
    )
  })
})

describe('random sessions', () => {
  const sources = randomSources(1500)

  test('come back as they were, but for the spelling of their values', () => {
    for (const source of sources) {
      const data = parseSessionData(source)
      if (data === undefined) continue
      const read = parseSessionPickle(pickleSession(data))
      assert.ok(read, source)
      assert.deepEqual([...read.keys()], [...data.keys()])
      assert.deepEqual(parseSessionPickle(pickleSession(read)), read)
    }
  })

  test('are pickled byte for byte as Python does, and read from its pickles of every protocol', {
    skip: python.skip,
  }, () => {
    const readable = sources.filter((source) => parseSessionData(source) !== undefined)
    const large = [
      `{"k":"${'x'.repeat(70_000)}","after":[1,2]}`,
      `{"a":"${'x'.repeat(65_535)}","b":"${'x'.repeat(65_536)}","c":"${'x'.repeat(65_537)}","d":1}`,
      `{"a":[${Array(30_000).fill('"ab",-70000').join(',')}],"b":"${'é'.repeat(40_000)}"}`,
      `{${Array.from({ length: 9000 }, (_, i) => `"key ${i % 6000}":{"key ${i % 700}":"${i}"}`).join(',')}}`,
      ...[999, 1000, 1001, 2000, 2001].map((count) => `{"l":[${Array(count).fill('{}').join(',')}]}`),
      ...[999, 1000, 1001, 2000].map((n) => `{"d":{${Array.from({ length: n }, (_, i) => `"${i}":${i}`).join(',')}}}`),
    ]
    const all = [...readable, ...large]
    const written = pythonWrites(python, all)
    for (const [i, source] of all.entries()) {
      const data = parseSessionData(source)
      const theirs = written[i]
      assert.ok(data && theirs)
      assert.equal(pickleSession(data).toString('hex'), theirs.pickles.at(-1), source.slice(0, 500))
      for (const hex of theirs.pickles)
        assert.equal(readChecked(Buffer.from(hex, 'hex')), theirs.json, source.slice(0, 500))
    }
  })
})
