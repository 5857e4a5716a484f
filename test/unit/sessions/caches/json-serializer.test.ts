import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { SessionData } from '../../../../src/django/json.ts'
import { jsonSerializer } from '../../../../src/sessions/caches/json-serializer.ts'

const data: SessionData = new Map([
  ['name', '"Zo\\u00eb \\ud83d\\ude00"'],
  ['cart', '[1.0,{"a":NaN}]'],
])

test('a session is compact ASCII, as django.core.signing.JSONSerializer writes it', () => {
  const bytes = Buffer.from(jsonSerializer.encode(data))
  assert.equal(bytes.toString('latin1'), '{"name":"Zo\\u00eb \\ud83d\\ude00","cart":[1.0,{"a":NaN}]}')
  assert.deepEqual(jsonSerializer.decode(bytes), data)
})

describe('a session is read', () => {
  const cases: [why: string, text: string][] = [
    [
      'as the JSONSerializer of django-redis writes it',
      '{"name": "Zo\\u00eb \\ud83d\\ude00", "cart": [1.0, {"a": NaN}]}',
    ],
    ['in raw UTF-8', '{"name":"Zoë \u{1f600}","cart":[1.0,{"a":NaN}]}'],
    ['with white space behind it', '{"name":"Zo\\u00eb \\ud83d\\ude00","cart":[1.0,{"a":NaN}]} \t\n\r  '],
  ]
  for (const [why, text] of cases) {
    test(why, () => {
      assert.deepEqual(jsonSerializer.decode(Buffer.from(text)), data)
    })
  }

  test('from the middle of a larger memory', () => {
    const around = Buffer.concat([Buffer.from('{{{'), jsonSerializer.encode(data), Buffer.from('}}}')])
    assert.deepEqual(
      jsonSerializer.decode(new Uint8Array(around.buffer, around.byteOffset + 3, around.length - 6)),
      data,
    )
  })
})

describe('no session', () => {
  const cases: [why: string, hex: string][] = [
    ['nothing', ''],
    ['an integer', '3432'],
    ['null', '6e756c6c'],
    ['an array', '5b5d'],
    ['a pickle', '80057d942e'],
    ['a byte order mark, which Python refuses too', 'efbbbf7b7d'],
    ['bytes that are not UTF-8, where a replacement would make it another session', '7b226b223a22ff227d'],
    ['a surrogate in UTF-8', '7b226b223a22eda080227d'],
  ]
  for (const [why, hex] of cases) {
    test(`is ${why}`, () => {
      assert.equal(jsonSerializer.decode(Buffer.from(hex, 'hex')), undefined)
    })
  }

  test('is what is longer than any', () => {
    assert.equal(jsonSerializer.decode(Buffer.alloc(4 * 1024 * 1024, ' ')), undefined)
  })
})

test('a marker is null with the nonce in the white space behind it, and no session', () => {
  const marker = jsonSerializer.marker(Buffer.from([0b00_01_10_11]))
  assert.equal(Buffer.from(marker).toString('latin1'), 'null \t\n\r')
  assert.equal(jsonSerializer.isMarker(marker), true)
  assert.equal(jsonSerializer.decode(marker), undefined)
})

test('no two nonces make one marker, and nothing else is one', () => {
  const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 })
  fc.assert(
    fc.property(bytes, bytes, (one, other) => {
      const [a, b] = [jsonSerializer.marker(one), jsonSerializer.marker(other)]
      assert.ok(jsonSerializer.isMarker(a))
      assert.equal(Buffer.from(a).equals(b), Buffer.from(one).equals(other))
      assert.equal(JSON.parse(Buffer.from(a).toString()), null)
    }),
  )
  for (const text of ['', 'nul', 'nulll', 'null,', '{}', '{"null":1}', '"null"']) {
    assert.equal(jsonSerializer.isMarker(Buffer.from(text)), false, text)
  }
})
