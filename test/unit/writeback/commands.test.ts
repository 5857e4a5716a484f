import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { jsonText } from '../../../src/django/json.ts'
import { GatewayError } from '../../../src/errors.ts'
import { type Commands, obeyedCommands, readCommands } from '../../../src/writeback/commands.ts'
import { assertRefused, onWire, setLines } from './wire.ts'

const nothing = { flush: false, clear: false, delete: [], set: new Map(), cycleKey: false }

test('an answer without command headers asks nothing', () => {
  assert.equal(readCommands(['Content-Type', 'text/html', 'X-Session', 'a', 'Set-Cookie', 'a=b']), undefined)
})

test('other X-Session- headers are no commands', () => {
  assert.equal(readCommands(['X-Session-Foo', '{}', 'X-Session-Assertion', 'a.b.c', 'X-Session-Set-2', '{']), undefined)
})

test('all commands of one answer are read together, whatever the case of their names', () => {
  const commands = readCommands([
    ...['x-session-set', '{"cart":{"n":1},"lang":null}'],
    ...['X-SESSION-DELETE', 'old, "_odd key"'],
    ...['X-Session-Command', 'clear, cycle-key'],
    ...['X-Session-Expiry', '300'],
  ])
  const set = new Map([
    ['cart', '{"n":1}'],
    ['lang', 'null'],
  ])
  const expiry = { kind: 'seconds', seconds: 300 }
  assert.deepEqual(commands, { flush: false, clear: true, delete: ['old', '_odd key'], set, cycleKey: true, expiry })
})

test('X-Session-Delete is a list of tokens and strings', () => {
  const cases: [why: string, lines: string[], keys: string[]][] = [
    ['a token', ['cart'], ['cart']],
    ['tokens and strings', ['cart, "_odd key"'], ['cart', '_odd key']],
    ['several lines', ['a,b', '"c"'], ['a', 'b', 'c']],
    ['escapes', ['"a\\"b\\\\c"'], ['a"b\\c']],
    ['a comma in a string', ['"a,b"'], ['a,b']],
    ['a key twice', ['a, a'], ['a']],
    ['the empty name', ['""'], ['']],
    ['an empty list', [''], []],
  ]
  for (const [why, lines, keys] of cases) {
    const raw = lines.flatMap((line) => ['X-Session-Delete', line])
    assert.deepEqual(readCommands(raw), { ...nothing, delete: keys }, why)
  }
})

test('an X-Session-Delete that RFC 9651 or the contract has no place for is malformed', () => {
  const cases: [why: string, lines: string[]][] = [
    ['a number', ['1']],
    ['a boolean', ['?1']],
    ['bytes', [':YQ==:']],
    ['a date', ['@1']],
    ['a display string', ['%"a"']],
    ['parameters', ['cart;now']],
    ['an inner list', ['(a b)']],
    ['an open string', ['"a']],
    ['a string over two lines', ['"a', 'b"']],
    ['a trailing comma', ['a,']],
    ['a double comma', ['a,,b']],
    ['an empty line among others', ['a', '']],
    ['a line of spaces among others', ['a', '  ']],
    ['a token that begins with _', ['_odd']],
    ['no commas', ['a b']],
    ['UTF-8', [onWire('"naïve"')]],
    ['JSON', ['["a"]']],
  ]
  for (const [why, lines] of cases) {
    const raw = lines.flatMap((line) => ['X-Session-Delete', line])
    assertRefused(raw, { reason: 'malformed', header: 'X-Session-Delete' }, why)
  }
})

test('X-Session-Command knows three words, several at once, the same one twice', () => {
  const cases: [lines: string[], expected: Partial<Commands>][] = [
    [['flush'], { flush: true }],
    [['clear'], { clear: true }],
    [['cycle-key'], { cycleKey: true }],
    [['flush, cycle-key'], { flush: true, cycleKey: true }],
    [['clear', 'cycle-key'], { clear: true, cycleKey: true }],
    [['flush', 'flush'], { flush: true }],
  ]
  for (const [lines, expected] of cases) {
    const raw = lines.flatMap((line) => ['X-Session-Command', line])
    assert.deepEqual(readCommands(raw), { ...nothing, ...expected }, lines.join())
  }
})

test('every other X-Session-Command is malformed', () => {
  const cases: [why: string, lines: string[]][] = [
    ['nothing', ['']],
    ['flush with clear', ['flush, clear']],
    ['flush with clear on two lines', ['flush', 'clear']],
    ['an unknown word', ['destroy']],
    ['a known and an unknown word', ['flush, destroy']],
    ['another case', ['Flush']],
    ['an underscore', ['cycle_key']],
    ['a string', ['"flush"']],
    ['parameters', ['flush;now']],
    ['an inner list', ['(flush)']],
    ['a trailing comma', ['flush,']],
  ]
  for (const [why, lines] of cases) {
    const raw = lines.flatMap((line) => ['X-Session-Command', line])
    assertRefused(raw, { reason: 'malformed', header: 'X-Session-Command' }, why)
  }
})

test('X-Session-Expiry stands once', () => {
  assert.deepEqual(readCommands(['X-Session-Expiry', ' 300 ']), {
    ...nothing,
    expiry: { kind: 'seconds', seconds: 300 },
  })
  assert.deepEqual(readCommands(['X-Session-Expiry', 'default']), { ...nothing, expiry: { kind: 'default' } })
  const facts = { reason: 'malformed', header: 'X-Session-Expiry' }
  assertRefused(['X-Session-Expiry', '300', 'X-Session-Expiry', '300'], facts, 'twice the same')
  assertRefused(['X-Session-Expiry', ''], facts, 'nothing')
  assertRefused(['X-Session-Expiry', '1.5'], facts, 'a fraction')
})

test('a command that only a lax reader recognises is refused by the name that it has', () => {
  for (const header of ['X_Session_Set', 'x-session_delete', 'X.Session.Command', 'X-Session_Expiry']) {
    assertRefused([header, '{}'], { reason: 'malformed', header }, header)
  }
})

test('names that no app may touch are refused, also for deletion', () => {
  for (const key of ['__proto__', 'constructor', 'prototype', '_session_expiry', '_gw', '_gw_anything']) {
    assertRefused(setLines(`{"a":1,${jsonText(key)}:1}`), { reason: 'reserved', header: 'X-Session-Set', key }, key)
    assertRefused(['X-Session-Delete', `a, "${key}"`], { reason: 'reserved', header: 'X-Session-Delete', key }, key)
  }
  assert.deepEqual(readCommands(setLines('{"a":{"__proto__":1}}'))?.set.get('a'), '{"__proto__":1}')
})

test('64 keys are read, 65 are too many, set and deleted ones together', () => {
  const members = (count: number) => `{${Array.from({ length: count }, (_, i) => `"k${i}":1`).join()}}`
  const names = (count: number) => Array.from({ length: count }, (_, i) => `d${i}`).join()
  assert.equal(readCommands(setLines(members(64)))?.set.size, 64)
  assert.equal(readCommands([...setLines(members(60)), 'X-Session-Delete', names(4)])?.delete.length, 4)
  assertRefused(setLines(members(65)), { reason: 'too_many_keys', header: 'X-Session-Set' }, 'set')
  assertRefused(['X-Session-Delete', names(65)], { reason: 'too_many_keys', header: 'X-Session-Delete' }, 'deleted')
  assertRefused(
    [...setLines(members(60)), 'X-Session-Delete', names(5)],
    { reason: 'too_many_keys', header: 'X-Session-Delete' },
    'both',
  )
  for (const [count, header] of [
    [64, 'X-Session-Delete'],
    [65, 'X-Session-Set'],
  ] as const) {
    const raw = [...setLines(members(count)), 'X-Session-Delete', 'd']
    assertRefused(raw, { reason: 'too_many_keys', header }, `one deleted beside ${count}`)
  }
})

test('8 KiB of commands are read, one byte more is too large, over all lines together', () => {
  const line = (bytes: number) => `{"a":"${'x'.repeat(bytes - 8)}"}`
  assert.equal(readCommands(setLines(line(8192)))?.set.size, 1)
  assertRefused(setLines(line(8193)), { reason: 'too_large', header: 'X-Session-Set' }, 'one line')
  const spread = [...setLines(line(4000), line(4000)), 'X-Session-Delete', 'y'.repeat(193)]
  assertRefused(spread, { reason: 'too_large', header: 'X-Session-Delete' }, 'three lines')
})

test('a refusal names long keys only in part, and never a value', () => {
  const key = `_gw${'k'.repeat(500)}`
  assert.throws(
    () => readCommands(setLines(`{"${key}":"sesame"}`)),
    (error) =>
      error instanceof GatewayError &&
      !`${error.message}${JSON.stringify(error.facts)}`.includes('sesame') &&
      error.message.length < 200,
  )
})

test('a refusal names header, key and reason, and where a name was cut', () => {
  const messages: [why: string, raw: string[], message: string][] = [
    ['no one key', setLines('{'), 'X-Session-Set: malformed'],
    ['a key', setLines('{"_gw":1}'), 'X-Session-Set for "_gw": reserved'],
    [
      'as long as is shown',
      setLines(`{"_gw${'k'.repeat(97)}":1}`),
      `X-Session-Set for "_gw${'k'.repeat(97)}": reserved`,
    ],
    ['one more', setLines(`{"_gw${'k'.repeat(98)}":1}`), `X-Session-Set for "_gw${'k'.repeat(97)}…": reserved`],
  ]
  for (const [why, raw, message] of messages) {
    assert.throws(() => readCommands(raw), { code: 'ERR_WRITEBACK_REFUSED', message }, why)
  }
})

test('answers from 500 on are not read; only a lone flush is obeyed', () => {
  const cases: [why: string, raw: string[], isFlush: boolean][] = [
    ['flush alone', ['X-Session-Command', 'flush'], true],
    [
      'flush alone among other headers',
      ['Content-Type', 'text/plain', 'x-session-command', ' flush', 'X-Session-Foo', '1'],
      true,
    ],
    ['flush twice', ['X-Session-Command', 'flush', 'X-Session-Command', 'flush'], true],
    ['flush with set', ['X-Session-Command', 'flush', 'X-Session-Set', '{}'], false],
    ['flush with cycle-key', ['X-Session-Command', 'flush, cycle-key'], false],
    ['flush with expiry', ['X-Session-Expiry', '0', 'X-Session-Command', 'flush'], false],
    ['flush with something misspelt', ['X_Session_Set', '{}', 'X-Session-Command', 'flush'], false],
    ['clear', ['X-Session-Command', 'clear'], false],
    ['the word in another command', ['X-Session-Delete', 'flush'], false],
    ['what would be malformed', ['X-Session-Set', '{'], false],
    ['none', ['Content-Type', 'text/plain'], false],
  ]
  for (const status of [500, 503, 599]) {
    for (const [why, raw, isFlush] of cases) {
      assert.deepEqual(obeyedCommands(status, raw), isFlush ? { ...nothing, flush: true } : undefined, why)
    }
  }
})

test('below 500 commands are read at every final status, and at no interim one', () => {
  const raw = ['X-Session-Command', 'clear']
  for (const status of [200, 204, 302, 304, 404, 499])
    assert.deepEqual(obeyedCommands(status, raw), { ...nothing, clear: true })
  for (const status of [100, 101, 103, 199]) assert.equal(obeyedCommands(status, raw), undefined)
  assert.equal(obeyedCommands(101, ['X-Session-Command', 'flush']), undefined)
})

test('no bytes in command headers end in anything but commands or a refusal', () => {
  const bytes = fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
    maxLength: 60,
  })
  const json = fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0a1-.eE ntf'), maxLength: 40 })
  const name = fc.constantFrom(
    'X-Session-Set',
    'X-Session-Delete',
    'X-Session-Command',
    'X-Session-Expiry',
    'X_Session_Set',
    'X-Session-Foo',
  )
  const lines = fc.array(fc.tuple(name, fc.oneof(bytes, json)), { maxLength: 4 }).map((pairs) => pairs.flat())
  fc.assert(
    fc.property(lines, fc.constantFrom(101, 200, 500), (raw, status) => {
      try {
        obeyedCommands(status, raw)
      } catch (error) {
        assert.ok(
          error instanceof GatewayError && error.code === 'ERR_WRITEBACK_REFUSED' && status === 200,
          String(error),
        )
      }
    }),
    { numRuns: 2000 },
  )
})
