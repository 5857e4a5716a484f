import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseJsonValue, parseSessionData, writeSessionData } from '../../../src/django/json.ts'
import { readCommands } from '../../../src/writeback/commands.ts'
import { assertRefused, onWire, setLines } from './wire.ts'

test('X-Session-Set takes several lines and several objects, in order, and a later key wins', () => {
  const cases: [why: string, lines: string[], members: [string, string][]][] = [
    ['one object', ['{"a":1}'], [['a', '1']]],
    [
      'two lines',
      ['{"a":1}', '{"b":2}'],
      [
        ['a', '1'],
        ['b', '2'],
      ],
    ],
    [
      'two objects in one line',
      ['{"a":1},{"b":2}'],
      [
        ['a', '1'],
        ['b', '2'],
      ],
    ],
    [
      'with spaces and tabs',
      [' { "a" : 1 } ,\t{ "b" : [ 2 , 3 ] } '],
      [
        ['a', '1'],
        ['b', '[2,3]'],
      ],
    ],
    [
      'a later line',
      ['{"a":1,"b":1}', '{"a":2}'],
      [
        ['a', '2'],
        ['b', '1'],
      ],
    ],
    ['a later object', ['{"a":1}, {"a":2}, {"a":3}'], [['a', '3']]],
    ['an empty object', ['{}'], []],
    ['escaped names are names', ['{"\\u0061":1}'], [['a', '1']]],
  ]
  for (const [why, lines, members] of cases) {
    assert.deepEqual([...(readCommands(setLines(...lines))?.set ?? [])], members, why)
  }
})

test('values keep the text of their numbers and the order of their keys', () => {
  const value = '{"10":1.0,"9":1152921504606846977,"e":-1E+5,"z":-0,"deep":[1e999]}'
  assert.equal(readCommands(setLines(`{"v":${value}}`))?.set.get('v'), value)
})

test('UTF-8 is read as UTF-8 and becomes ASCII', () => {
  assert.deepEqual(
    [...(readCommands(setLines(onWire('{"naïve":"Zoë 🎈"}')))?.set ?? [])],
    [['naïve', '"Zo\\u00eb \\ud83c\\udf88"']],
  )
})

test('what is not strictly JSON is malformed', () => {
  const cases: [why: string, line: string, key?: string][] = [
    ['nothing', ''],
    ['no object', '[1]'],
    ['a string', '"a"'],
    ['an open object', '{"a":1'],
    ['a trailing comma inside', '{"a":1,}'],
    ['a trailing comma behind', '{"a":1},'],
    ['a comma in front', ',{"a":1}'],
    ['no comma between', '{"a":1}{"b":2}'],
    ['something behind', '{"a":1};'],
    ['a name without quotes', '{a:1}'],
    ['single quotes', "{'a':1}"],
    ['a comment', '{"a":1/**/}'],
    ['NaN', '{"a":NaN}', 'a'],
    ['Infinity inside', '{"b":[1,{"c":-Infinity}]}', 'b'],
    ['a leading zero', '{"a":01}'],
    ['a bare point', '{"a":1.}'],
    ['a plus', '{"a":+1}'],
    ['hexadecimal', '{"a":0x10}'],
    ['True', '{"a":True}'],
    ['undefined', '{"a":undefined}'],
    ['a raw control character', '{"a":"\t"}'],
    ['an unknown escape', '{"a":"\\x41"}'],
    ['a half escape', '{"a":"\\u12"}'],
    ['a byte order mark', onWire('\ufeff{"a":1}')],
    ['Latin-1 instead of UTF-8', '{"a":"Zo\xeb"}'],
    ['an overlong form', '{"a":"\xc0\xaf"}'],
    ['a surrogate in UTF-8', '{"a":"\xed\xa0\x80"}'],
    ['a no-break space between tokens', onWire('{"a":\u00a01}')],
    ['a duplicate', '{"a":1,"a":2}'],
    ['a duplicate in two spellings', '{"a":1,"\\u0061":2}'],
    ['a duplicate inside', '{"a":[{"b":{"c":1,"c":1}}]}'],
    ['an integer that Python refuses', `{"a":${'9'.repeat(4301)}}`],
  ]
  for (const [why, line, key] of cases) {
    assertRefused(
      setLines(line),
      { reason: 'malformed', header: 'X-Session-Set', ...(key === undefined ? {} : { key }) },
      why,
    )
  }
})

test('one bad line refuses the good ones too', () => {
  assertRefused(setLines('{"a":1}', ''), { reason: 'malformed', header: 'X-Session-Set' }, 'an empty second line')
  assertRefused(
    setLines('{"a":1', '"b":2}'),
    { reason: 'malformed', header: 'X-Session-Set' },
    'an object over two lines',
  )
})

test('values may be as deep as a session can be read again, and no deeper', () => {
  const nested = (levels: number) => `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`
  const commands = readCommands(setLines(nested(31)))
  assert.ok(parseSessionData(writeSessionData(commands?.set ?? new Map())))
  assertRefused(setLines(nested(32)), { reason: 'malformed', header: 'X-Session-Set' }, '33 levels')
})

test('whatever JSON an app sets is what the session then holds', () => {
  const keys = fc
    .string({ unit: 'binary', maxLength: 12 })
    .filter((key) => !/^(__proto__|constructor|prototype|_session_expiry|_gw.*)$/s.test(key))
  const objects = fc.dictionary(keys, fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }), {
    maxKeys: 8,
    noNullPrototype: true,
  })
  fc.assert(
    fc.property(objects, (object) => {
      const line = onWire(JSON.stringify(object))
      fc.pre(line.length <= 8192)
      const set = readCommands(setLines(line))?.set ?? new Map<string, string>()
      assert.deepEqual(
        new Map([...set].map(([key, text]) => [key, JSON.parse(text)])),
        new Map(Object.entries(JSON.parse(JSON.stringify(object)))),
      )
      assert.ok([...set.values()].every((text) => /^[ -~]*$/.test(text) && parseJsonValue(text) !== undefined))
    }),
  )
})
