import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MAX_JSON_LENGTH, parseSessionData, type SessionData, writeSessionData } from '../../../src/django/json.ts'
import * as opcodes from '../../../src/django/pickle/opcodes.ts'
import { parseSessionPickle, pickleSession } from '../../../src/django/pickle/session-pickle.ts'

const PROTO_5 = '8005'
const KEY_K = '8c016b'

function sessionOf(json: string): SessionData {
  const data = parseSessionData(json)
  assert.ok(data, json)
  return data
}

/** What Python would call `opcodes`: the pickle without PROTO, FRAME and STOP, MEMOIZE left out. */
function opcodesOf(json: string): string {
  const bytes = pickleSession(sessionOf(json)).subarray(11, -1)
  return bytes.toString('latin1').replaceAll('\x94', '')
}

function readBack(data: SessionData): SessionData | undefined {
  return parseSessionPickle(pickleSession(data))
}

function read(hex: string): string | undefined {
  const data = parseSessionPickle(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
  return data && writeSessionData(data)
}

describe('a string is written once', () => {
  const cases: [why: string, json: string, opcodes: string][] = [
    ['as a key, in every dict', '{"key":{"key":{"key":1}}}', '}\x8c\x03key}h\x01}h\x01K\x01sss'],
    ['not as a value', '{"k":["value","value"]}', '}\x8c\x01k](\x8c\x05value\x8c\x05valuees'],
    ['not as a key and a value', '{"key":"key"}', '}\x8c\x03key\x8c\x03keys'],
    ['as one character of Latin-1, key or value', '{"k":["k","k"]}', '}\x8c\x01k](h\x01h\x01es'],
    ['as the last of them', '{"\\u00ff":"\\u00ff"}', '}\x8c\x02\xc3\xbfh\x01s'],
    ['not as the next character', '{"k":["\\u0100","\\u0100"]}', '}\x8c\x01k](\x8c\x02\xc4\x80\x8c\x02\xc4\x80es'],
    ['as the empty string', '{"":["",""]}', '}\x8c\x00](h\x01h\x01es'],
  ]
  for (const [why, json, wanted] of cases) {
    test(why, () => {
      assert.equal(opcodesOf(json), wanted)
    })
  }
})

describe('writing', () => {
  test('takes values in any spelling', () => {
    const data = new Map([
      ['a', ' [ 1 , 2.50E+1 ] '],
      ['b', '"\\u006b Zoë"'],
    ])
    assert.deepEqual(
      readBack(data),
      new Map([
        ['a', '[1,25.0]'],
        ['b', '"k Zo\\u00eb"'],
      ]),
    )
  })

  const wrong = ['', 'nil', '1 2', '{', '[1,]', '"', '{"a":1', "'a'", '01', 'undefined', '1,"b":2', '{}}']
  for (const text of wrong) {
    test(`does not take ${JSON.stringify(text)} for the text of a value, and does not tell it`, () => {
      assert.throws(() => pickleSession(new Map([['k', text]])), {
        name: 'TypeError',
        message: 'a session value is not JSON text, or is nested too deeply',
      })
    })
  }
})

describe('reading', () => {
  const cases: [why: string, hex: string, json: string][] = [
    ['a tuple as a list', `${PROTO_5} 7d ${KEY_K} 4b01 4b02 86 73 2e`, '{"k":[1,2]}'],
    [
      'the last of equal keys, at the place of the first',
      `80057d28 ${KEY_K} 4b01 8c016c4b02 ${KEY_K} 4b03 752e`,
      '{"k":3,"l":2}',
    ],
    ['1e16 with an exponent', `80057d ${KEY_K} 474341c37937e08000 73 2e`, '{"k":1e+16}'],
    ['1e15 without', `80057d ${KEY_K} 47430c6bf526340000 73 2e`, '{"k":1000000000000000.0}'],
    ['0.0001 without', `80057d ${KEY_K} 473f1a36e2eb1c432d 73 2e`, '{"k":0.0001}'],
    ['0.00001 with an exponent of two digits', `80057d ${KEY_K} 473ee4f8b588e368f1 73 2e`, '{"k":1e-05}'],
    ['what follows the STOP as nothing', `${PROTO_5} 7d 2e 2e ff 00`, '{}'],
  ]
  for (const [why, hex, json] of cases) {
    test(`takes ${why}`, () => {
      assert.equal(read(hex), json)
    })
  }

  test('ends at every opcode that plain data does not need, whatever follows it', () => {
    const known = new Set<number>(Object.values(opcodes))
    const others = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !known.has(byte))
    assert.equal(others.length, 256 - 32)
    for (const byte of [...others, opcodes.PROTO]) {
      const opcode = byte.toString(16).padStart(2, '0')
      for (const operand of ['', '00', '05', '0000', '016b', '00000000', '01000000', '6f730a73797374656d0a', '310a']) {
        assert.equal(read(`${PROTO_5}7d${opcode}${operand}2e`), undefined, `${opcode} on a dict`)
        assert.equal(read(`${PROTO_5}7d${KEY_K}8c006e28${opcode}${operand}732e`), undefined, `${opcode} further on`)
        assert.equal(read(`${PROTO_5}7d${KEY_K}4e${opcode}${operand}732e`), undefined, `${opcode} as a value`)
      }
    }
  })
})

describe('limits', () => {
  test('a session of 1 MiB of JSON is read, one that is a character longer is not', () => {
    const longest = sessionOf(`{"k":1.5,"t":"${'a'.repeat(MAX_JSON_LENGTH - 16)}"}`)
    assert.equal(writeSessionData(longest).length, MAX_JSON_LENGTH)
    assert.deepEqual(readBack(longest), longest)
    assert.equal(readBack(new Map([...longest, ['k', '1.25']])), undefined)
  })

  test('no session of 1 MiB of JSON is too long as a pickle', () => {
    // Four characters here are nine bytes there: nothing grows more.
    const data = new Map([
      [
        'k',
        `[${Array(MAX_JSON_LENGTH / 4 - 10)
          .fill('0.0')
          .join(',')}]`,
      ],
    ])
    assert.deepEqual(readBack(data), data)
  })

  test('31 levels inside the session are read and written, 32 are not', () => {
    const nested = (levels: number) => new Map([['k', '['.repeat(levels) + ']'.repeat(levels)]])
    assert.deepEqual(readBack(nested(31)), nested(31))
    assert.throws(() => pickleSession(nested(32)), TypeError)
    const pickled = (levels: number) => `${PROTO_5}7d${KEY_K}${'5d'.repeat(levels)}${'61'.repeat(levels - 1)}732e`
    assert.ok(read(pickled(31)))
    assert.equal(read(pickled(32)), undefined)
  })

  test('what a small pickle unfolds to is bounded', () => {
    assert.equal(read(laughter(5))?.length, '{"k":}'.length + 322_221)
    assert.equal(read(laughter(6)), undefined)
    assert.equal(read(laughter(30)), undefined)
  })

  test('more dicts than a session has room for are not even made', () => {
    assert.equal(parseSessionPickle(Buffer.from(`\x80\x05${'}'.repeat(3_000_000)}.`, 'latin1')), undefined)
  })

  test('a pickle of four mebibytes is not looked at', () => {
    const bytes = Buffer.concat([pickleSession(new Map()), Buffer.alloc(4 * 1024 * 1024)])
    assert.equal(parseSessionPickle(bytes), undefined)
  })
})

/** A list of ten times the same list, of ten times the same list, and so on. */
function laughter(levels: number): string {
  let list = '5d94'
  for (let level = levels; level > 0; level--) {
    const inner = (level + 1).toString(16).padStart(2, '0')
    list = `5d9428${list}${`68${inner}`.repeat(9)}65`
  }
  return `${PROTO_5}7d94${KEY_K}${list}732e`
}
