import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  MAX_JSON_LENGTH,
  normalizeJson,
  parseSessionData,
  parseSessionDataList,
  readPath,
  strictJson,
  writeSessionData,
} from '../../../src/django/json.ts'

function nested(levels: number): string {
  return `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`
}

const accepted: [why: string, text: string, members: [key: string, value: string][]][] = [
  ['an empty object', '{}', []],
  [
    'white space everywhere',
    ' \t\r\n{ "a" : 1 ,\n"b" : [ 1 , { } ] } ',
    [
      ['a', '1'],
      ['b', '[1,{}]'],
    ],
  ],
  [
    'the words',
    '{"a":true,"b":false,"c":null}',
    [
      ['a', 'true'],
      ['b', 'false'],
      ['c', 'null'],
    ],
  ],
  [
    'what only Python calls JSON',
    '{"a":NaN,"b":[Infinity,-Infinity]}',
    [
      ['a', 'NaN'],
      ['b', '[Infinity,-Infinity]'],
    ],
  ],
  ['a float that JavaScript would write as 1', '{"a":1.0}', [['a', '1.0']]],
  ['an integer that JavaScript would round', '{"a":12345678901234567890}', [['a', '12345678901234567890']]],
  ['every part of a number', '{"a":-12.50E+07}', [['a', '-12.50E+07']]],
  ['negative zero', '{"a":-0}', [['a', '-0']]],
  ['a float beyond all floats', '{"a":1e999}', [['a', '1e999']]],
  ['an integer of 4300 digits', `{"a":-${'9'.repeat(4300)}}`, [['a', `-${'9'.repeat(4300)}`]]],
  ['a float of more digits', `{"a":${'9'.repeat(4301)}.5}`, [['a', `${'9'.repeat(4301)}.5`]]],
  [
    'every escape, as it was written',
    '{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00EB"}',
    [['a', '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00EB"']],
  ],
  ['white space inside a string', '{ "a":" x  y " }', [['a', '" x  y "']]],
  ['brackets and escaped quotes inside a string', '{ "a":"}\\"]," }', [['a', '"}\\"],"']]],
  ['a backslash before the end of a string', '{ "a":"\\\\" }', [['a', '"\\\\"']]],
  [
    'raw characters beyond ASCII, escaped as Python does',
    '{"a":"Zoë \u{1f600}\x7f"}',
    [['a', '"Zo\\u00eb \\ud83d\\ude00\\u007f"']],
  ],
  ['a raw DEL, which is ASCII but escaped all the same', '{"a":"\x7f"}', [['a', '"\\u007f"']]],
  ['a raw line separator', '{"a":"\u2028"}', [['a', '"\\u2028"']]],
  ['a raw lone surrogate', '{"a":"\ud800"}', [['a', '"\\ud800"']]],
  [
    'escapes in keys',
    '{"\\u00eb\\n\\"":1,"\\ud83d\\ude00":2,"\\ud800":3}',
    [
      ['ë\n"', '1'],
      ['\u{1f600}', '2'],
      ['\ud800', '3'],
    ],
  ],
  ['an empty key', '{"":1}', [['', '1']]],
  [
    'keys that look like numbers, in their order',
    '{"2":1,"1":2,"b":3,"a":4}',
    [
      ['2', '1'],
      ['1', '2'],
      ['b', '3'],
      ['a', '4'],
    ],
  ],
  [
    'keys that mean something to JavaScript',
    '{"__proto__":{"x":1},"constructor":"c"}',
    [
      ['__proto__', '{"x":1}'],
      ['constructor', '"c"'],
    ],
  ],
  [
    'a key twice: the last wins, at the place of the first',
    '{"a":1,"b":2,"a":3}',
    [
      ['a', '3'],
      ['b', '2'],
    ],
  ],
  ['a key twice, spelled differently', '{"a":1,"\\u0061":2}', [['a', '2']]],
  ['32 levels', nested(32), [['a', '['.repeat(31) + ']'.repeat(31)]]],
]
describe('a session is read:', () => {
  for (const [why, text, members] of accepted) {
    test(why, () => {
      const data = parseSessionData(text)
      assert.ok(data)
      assert.deepEqual([...data], members)
    })
  }
})

const refused: [why: string, text: string][] = [
  ['nothing', ''],
  ['white space', '  '],
  ['a list', '[]'],
  ['a string', '"a"'],
  ['a word', 'null'],
  ['a byte order mark', '\ufeff{}'],
  ['a byte order mark alone', '\ufeff'],
  ['white space that JSON does not know', '\u00a0{}'],
  ['a vertical tab', '{\v}'],
  ['something behind', '{} x'],
  ['another object behind', '{}{}'],
  ['another object behind a comma', '{},{}'],
  ['an open object', '{'],
  ['an open object after a member', '{"a":1'],
  ['an open list', '{"a":[1'],
  ['an open string', '{"a":"x'],
  ['an open key', '{"a'],
  ['a closed list that was an object', '{"a":1]'],
  ['a comma behind the last member', '{"a":1,}'],
  ['a comma before the first member', '{,"a":1}'],
  ['a comma behind the last element', '{"a":[1,]}'],
  ['two commas', '{"a":[1,,2]}'],
  ['a comma alone', '{"a":[,]}'],
  ['no comma', '{"a":1 "b":2}'],
  ['no colon', '{"a" 1}'],
  ['no value', '{"a":}'],
  ['no key', '{:1}'],
  ['a key without quotes', '{a:1}'],
  ['a key in single quotes', "{'a':1}"],
  ['a number as a key', '{1:1}'],
  ['a comment', '{/**/}'],
  ['a leading zero', '{"a":01}'],
  ['a leading zero behind a minus', '{"a":-01}'],
  ['a leading plus', '{"a":+1}'],
  ['a lone minus', '{"a":-}'],
  ['a minus and a space', '{"a":- 1}'],
  ['a point at the end', '{"a":1.}'],
  ['a point at the beginning', '{"a":.5}'],
  ['an exponent without digits', '{"a":1e}'],
  ['an exponent with a sign and no digits', '{"a":1e+}'],
  ['a hexadecimal number', '{"a":0x1}'],
  ['a number with a separator', '{"a":1_000}'],
  ['digits beyond ASCII', '{"a":\u0661}'],
  ['an integer of 4301 digits', `{"a":${'1'.repeat(4301)}}`],
  ['-NaN', '{"a":-NaN}'],
  ['+Infinity', '{"a":+Infinity}'],
  ['nan', '{"a":nan}'],
  ['Inf', '{"a":Inf}'],
  ['True', '{"a":True}'],
  ['None', '{"a":None}'],
  ['undefined', '{"a":undefined}'],
  ['half a word', '{"a":tru}'],
  ['a word and a half', '{"a":truetrue}'],
  ['a line break in a string', '{"a":"\n"}'],
  ['a NUL in a string', '{"a":"\0"}'],
  ['a tab in a key', '{"\t":1}'],
  ['an escape that does not exist', '{"a":"\\x41"}'],
  ['an escaped single quote', '{"a":"\\\'"}'],
  ['an escaped line break', '{"a":"\\\n"}'],
  ['a short \\u', '{"a":"\\u12"}'],
  ['a \\u with a sign, which an int() would read', '{"a":"\\u+123"}'],
  ['a \\u with an underscore, which an int() would read', '{"a":"\\u1_23"}'],
  ['a \\u at the end', '{"a":"\\u'],
  ['a backslash at the end', '{"a":"\\'],
  ['33 levels', nested(33)],
  ['33 levels of objects', `${'{"a":'.repeat(33)}1${'}'.repeat(33)}`],
  ['a million levels', '['.repeat(1_000_000)],
  ['half a million levels of objects', '{"":'.repeat(250_000)],
]
describe('a session is refused:', () => {
  for (const [why, text] of refused) {
    test(why, () => assert.equal(parseSessionData(text), undefined))
  }
})

test('depth is counted along the way, not in sum', () => {
  assert.ok(parseSessionData(`{"a":[${'[[]],'.repeat(1000)}{}]}`))
})

test('the depth is the caller to choose', () => {
  assert.ok(parseSessionData('{"a":{}}', { maxDepth: 2 }))
  assert.equal(parseSessionData('{"a":[{}]}', { maxDepth: 2 }), undefined)
  assert.ok(parseSessionData(nested(100), { maxDepth: 100 }))
})

test('a text is refused by its length before it is read', () => {
  const text = `{"a":"${'x'.repeat(65_528)}"}`
  assert.equal(text.length, 65_536)
  assert.ok(parseSessionData(text, { maxLength: 65_536 }))
  assert.equal(parseSessionData(text, { maxLength: 65_535 }), undefined)
  assert.equal(parseSessionData(`{}${' '.repeat(MAX_JSON_LENGTH)}`), undefined)
})

const twice: [why: string, text: string, isRefused: boolean][] = [
  ['at the top', '{"a":1,"a":2}', true],
  ['spelled differently', '{"a":1,"\\u0061":2}', true],
  ['inside', '{"a":{"b":1,"b":1}}', true],
  ['inside a list', '{"a":[{"b":1,"b":1}]}', true],
  ['in two objects', '{"a":{"b":1},"c":{"b":1,"a":[{"b":{}}]}}', false],
  ['a key that every object of JavaScript has', '{"toString":1,"a":{"toString":1}}', false],
]
for (const [why, text, isRefused] of twice) {
  test(`a key twice, where the caller refuses it: ${why}`, () => {
    assert.equal(parseSessionData(text, { duplicateKeys: 'refuse' }) === undefined, isRefused)
    assert.ok(parseSessionData(text))
  })
}

test('several objects with commas between them are read one by one', () => {
  const read = (text: string) => parseSessionDataList(text)?.map((data) => [...data])
  assert.deepEqual(read('{"a":1}'), [[['a', '1']]])
  assert.deepEqual(read('{"a":1}, {"a":[1, 2],"b":"x"},{}'), [
    [['a', '1']],
    [
      ['a', '[1,2]'],
      ['b', '"x"'],
    ],
    [],
  ])
  assert.deepEqual(read('{"a":",{}"}'), [[['a', '",{}"']]])
  for (const text of ['', ',', '{},', ',{}', '{} {}', '{},[]', '{},null', '{};{}']) assert.equal(read(text), undefined)
  assert.equal(parseSessionDataList('{"a":1},{"a":1,"a":2}', { duplicateKeys: 'refuse' }), undefined)
  assert.equal(parseSessionDataList('{"a":1},{"a":2}', { duplicateKeys: 'refuse' })?.length, 2)
})

test('a session is written as Python writes it', () => {
  const data = new Map([
    ['naïve', '"Zo\\u00eb"'],
    ['\u{1f600}\ud800\x7f', '1.0'],
    ['"\\\n\x01/', '[ 1 , "a  b" ]'],
    ['raw', '{"é": "ü\x7f"}'],
    ['', '12345678901234567890'],
  ])
  assert.equal(
    writeSessionData(data),
    '{"na\\u00efve":"Zo\\u00eb","\\ud83d\\ude00\\ud800\\u007f":1.0,"\\"\\\\\\n\\u0001/":[1,"a  b"],"raw":{"\\u00e9":"\\u00fc\\u007f"},"":12345678901234567890}',
  )
  assert.equal(writeSessionData(new Map()), '{}')
})

test('a value that would not be one value is a bug, and is not written', () => {
  for (const text of ['', ' ', '1,"b":2', '1}', '{"a":1', '"\n"', 'undefined', '[1,]']) {
    assert.throws(() => writeSessionData(new Map([['a', text]])), TypeError, text)
    assert.throws(() => normalizeJson(text), TypeError, text)
  }
})

test('a session that could not be read again is not written', () => {
  const levels = (count: number) => '['.repeat(count) + ']'.repeat(count)
  assert.ok(parseSessionData(writeSessionData(new Map([['a', levels(31)]]))))
  assert.throws(() => writeSessionData(new Map([['a', levels(32)]])), TypeError)
})

test('the message of such a bug does not show the value', () => {
  assert.throws(
    () => normalizeJson('hunter2'),
    (error) => error instanceof TypeError && !error.message.includes('hunter2'),
  )
})

const normalized: [text: string, compact: string][] = [
  ['1.0', '1.0'],
  [' 1.0\n', '1.0'],
  ['{"b": 1, "a": [ ]}', '{"b":1,"a":[]}'],
  ['"é"', '"\\u00e9"'],
  ['"\\u00E9 \\/ \\" x"', '"\\u00E9 \\/ \\" x"'],
  ['[ "\\\\" , "\\\\\\"" , " " ]', '["\\\\","\\\\\\""," "]'],
  ['[NaN, -Infinity]', '[NaN,-Infinity]'],
]
for (const [text, compact] of normalized) {
  test(`${JSON.stringify(text)} is ${compact} in compact ASCII`, () => assert.equal(normalizeJson(text), compact))
}

const strict: [text: string, strictly: string][] = [
  ['{"a":1.0}', '{"a":1.0}'],
  ['NaN', 'null'],
  ['[NaN,Infinity,-Infinity,1]', '[null,null,null,1]'],
  ['{"NaN":"Infinity","a":NaN}', '{"NaN":"Infinity","a":null}'],
  ['["\\"NaN","\\\\",-Infinity,"NaN\\\\\\""]', '["\\"NaN","\\\\",null,"NaN\\\\\\""]'],
]
for (const [text, strictly] of strict) {
  test(`${text} is ${strictly} for other readers of JSON`, () => {
    assert.equal(strictJson(text), strictly)
    assert.doesNotThrow(() => JSON.parse(strictly))
  })
}

const user = '{"id":7.0,"name":"Zo\\u00eb","roles":["a",{"b":null}],"0":"zero","a.b":1,"toString":"own","x":1,"x":2}'
const session = new Map([
  ['userInfo', user],
  ['list', '[ 10 , [ 11 ] ]'],
  ['text', '"abc"'],
  ['a.b', 'true'],
  ['broken', '{"a":1,'],
])
const paths: [why: string, path: string[], text: string | undefined][] = [
  ['a key', ['text'], '"abc"'],
  ['a missing key', ['nothing'], undefined],
  ['no path', [], undefined],
  ['a member, in its source text', ['userInfo', 'id'], '7.0'],
  ['a member of a member of a list', ['userInfo', 'roles', '1', 'b'], 'null'],
  ['an escaped string', ['userInfo', 'name'], '"Zo\\u00eb"'],
  ['a missing member', ['userInfo', 'nothing'], undefined],
  ['beyond a missing member', ['userInfo', 'nothing', 'x'], undefined],
  ['a member that comes twice: the last', ['userInfo', 'x'], '2'],
  ['an index of an object is a key', ['userInfo', '0'], '"zero"'],
  ['a step with a dot', ['userInfo', 'a.b'], '1'],
  ['a key with a dot', ['a.b'], 'true'],
  ['a member that every object of JavaScript has', ['userInfo', 'constructor'], undefined],
  ['one that is its own', ['userInfo', 'toString'], '"own"'],
  ['the prototype', ['userInfo', '__proto__'], undefined],
  ['an element', ['list', '0'], '10'],
  ['an element of an element', ['list', '1', '0'], '11'],
  ['beyond the end of a list', ['list', '2'], undefined],
  ['from the end of a list', ['list', '-1'], undefined],
  ['an index with a leading zero', ['list', '00'], undefined],
  ['an index with a fraction', ['list', '0.0'], undefined],
  ['the length of a list', ['list', 'length'], undefined],
  ['a character of a string', ['text', '0'], undefined],
  ['into a boolean', ['a.b', 'x'], undefined],
  ['into what is no JSON', ['broken', 'a'], undefined],
]
for (const [why, path, text] of paths) {
  test(`a path leads to: ${why}`, () => assert.equal(readPath(session, path), text))
}
