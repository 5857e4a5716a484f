import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  jsonText,
  normalizeJson,
  parseJsonValue,
  parseSessionData,
  strictJson,
  writeSessionData,
} from '../../../src/django/json.ts'

const texts: [value: unknown, text: string][] = [
  [null, 'null'],
  [true, 'true'],
  [0, '0'],
  [-0, '-0.0'],
  [1.5, '1.5'],
  [2 ** 53 - 1, '9007199254740991'],
  [2 ** 53, '9.007199254740992e+15'],
  [1e21, '1e+21'],
  [2n ** 64n, '18446744073709551616'],
  [-5n, '-5'],
  [Number.NaN, 'NaN'],
  [Infinity, 'Infinity'],
  [-Infinity, '-Infinity'],
  ['Zoë \u{1f600}\u2028\x7f\x00"\\/\n', '"Zo\\u00eb \\ud83d\\ude00\\u2028\\u007f\\u0000\\"\\\\/\\n"'],
  ['\ud800', '"\\ud800"'],
  [[], '[]'],
  [[1, [null, 'a']], '[1,[null,"a"]]'],
  [{}, '{}'],
  [{ b: 1, a: { é: [] } }, '{"b":1,"a":{"\\u00e9":[]}}'],
  [{ a: undefined, b: 1 }, '{"b":1}'],
  [Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
  [{ toJSON: null }, '{"toJSON":null}'],
  [JSON.parse('{"__proto__":1}'), '{"__proto__":1}'],
]
for (const [value, text] of texts) {
  test(`the text of ${typeof value} ${text} is Python's`, () => assert.equal(jsonText(value), text))
}

const cycle: unknown[] = []
cycle.push(cycle)
const formless: [why: string, value: unknown][] = [
  ['undefined', undefined],
  ['undefined in a list', [undefined]],
  ['a hole in a list', new Array(1)],
  ['a function', () => 1],
  ['a symbol', Symbol('a')],
  ['a date', new Date(0)],
  ['a map', new Map()],
  ['an error', new Error('a')],
  ['a cycle', cycle],
]
for (const [why, value] of formless) {
  test(`no text for ${why}`, () => assert.throws(() => jsonText(value), TypeError))
}

const values: [text: string, value: unknown][] = [
  ['null', null],
  [' true ', true],
  ['false', false],
  ['7', 7],
  ['7.0', 7],
  ['-0', 0],
  ['-0.0', -0],
  ['9007199254740991', 2 ** 53 - 1],
  ['9007199254740993', 9007199254740993n],
  ['-12345678901234567890', -12345678901234567890n],
  ['1e400', Infinity],
  ['NaN', Number.NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
  ['"Zo\\u00eb\\ud83d\\ude00"', 'Zoë\u{1f600}'],
  ['"\\ud800"', '\ud800'],
  ['[1, [], "a"]', [1, [], 'a']],
  ['[1,]', undefined],
  ['[1] 2', undefined],
  ['{"a":[1,x]}', undefined],
  ['', undefined],
  ['"', undefined],
  ['['.repeat(33) + ']'.repeat(33), undefined],
  ['['.repeat(1_000_000), undefined],
]
for (const [text, value] of values) {
  test(`the value of ${text.slice(0, 40)}`, () => assert.deepStrictEqual(parseJsonValue(text), value))
}

test('an object has the members of its text and nothing else', () => {
  const value = parseJsonValue('{"__proto__":{"polluted":true},"a":1,"a":2,"é":{}}')
  assert.ok(typeof value === 'object' && value !== null)
  assert.equal(Object.getPrototypeOf(value), null)
  assert.deepEqual(Object.keys(value), ['__proto__', 'a', 'é'])
  assert.ok('a' in value && value.a === 2)
  assert.equal('polluted' in {}, false)
  assert.equal('toString' in value, false)
})

const anyValue = fc.jsonValue({ maxDepth: 6, noUnicodeString: false })

test('JSON.parse reads what jsonText writes, and it is ASCII', () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const text = jsonText(value)
      assert.match(text, /^[ -~]*$/)
      assert.deepEqual(JSON.parse(text), value)
      assert.equal(normalizeJson(text), text)
      assert.equal(strictJson(text), text)
    }),
  )
})

test('parseJsonValue reads what JSON.parse reads, however it is laid out', () => {
  const layout = fc.constantFrom(undefined, 1, 4, '\t', '\r\n ')
  fc.assert(
    fc.property(anyValue, layout, (value, space) => {
      const text = JSON.stringify(value, undefined, space)
      const expected: unknown = JSON.parse(text)
      assert.deepEqual(jsonValueOf(parseJsonValue(text)), expected)
      assert.deepEqual(JSON.parse(normalizeJson(text)), expected)
    }),
  )
})

/** Objects with a prototype again, for comparison. */
function jsonValueOf(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, member: unknown) => (typeof member === 'bigint' ? Number(member) : member)),
  )
}

test('for any text at all, a session is read exactly when JSON.parse reads an object, Python aside', () => {
  const piece = fc.constantFrom(...'{}[]",:\\ \n019.eE+-ué\0'.split(''), '"a":', '{"a":1}', 'true', '\\u00e9', '\ufeff')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), fc.boolean(), (pieces, wrap) => {
      const text = wrap ? `{"k":${pieces.join('')}}` : pieces.join('')
      const data = parseSessionData(text)
      assert.equal(data !== undefined, isObjectText(text), JSON.stringify(text))
      if (data) assert.deepEqual(JSON.parse(writeSessionData(data)), JSON.parse(text))
    }),
    { numRuns: 5000 },
  )
})

function isObjectText(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

const repeated: [piece: string, isSession: boolean][] = [
  ['[]', true],
  ['{}', true],
  ['""', true],
  ['"\\\\"', true],
  ['"\\u00e9"', true],
  ['"é"', true],
  ['1', true],
  [' 1 ', true],
  ['{"a":1,"a":1}', true],
  ['-', false],
  ['[', false],
  ['{"', false],
  ['\\', false],
]
for (const [piece, isSession] of repeated) {
  // Quadratic work on a million characters would take minutes, so no clock is needed to notice it.
  test(`a million characters of ${piece} are read in linear time`, () => {
    const count = Math.floor(1_000_000 / (piece.length + 1))
    const data = parseSessionData(`{"a":[${`${piece},`.repeat(count)}0]}`)
    assert.equal(data !== undefined, isSession)
    if (data) assert.ok(writeSessionData(data).length > 2 * count)
  })
}
