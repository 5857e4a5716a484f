import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { blanksOf, parseBlanks } from '../../../../src/sessions/caches/blank-code.ts'
import { jsonSerializer } from '../../../../src/sessions/caches/json-serializer.ts'
import { pickleSerializer } from '../../../../src/sessions/caches/pickle-serializer.ts'
import { parseSealed, SEAL_NONCE_BYTES, sealValue } from '../../../../src/sessions/caches/sealed-value.ts'
import { sessionOf } from '../../../contract/session-engine-world.ts'

const seal = { expiresAt: Date.UTC(2030, 0, 1), readAt: Date.UTC(2026, 10, 23) }
const nonce = randomBytes(SEAL_NONCE_BYTES)

describe('a seal', () => {
  test('comes off again with its dates, whatever the value', () => {
    const date = fc.nat({ max: 2 ** 48 - 1 })
    const check = fc.property(fc.uint8Array(), date, date, (body, expiresAt, readAt) => {
      const sealed = sealValue(body, { expiresAt, readAt }, nonce)
      const parsed = sealed && parseSealed(sealed)
      const expected = { body: Buffer.from(body), expiresAt, readAt }
      assert.deepEqual(
        parsed && { ...parsed, body: Buffer.from(parsed.body) },
        body.length === 0 ? undefined : expected,
      )
    })
    fc.assert(check)
  })

  test('is white space and nothing else, unlike any other', () => {
    const body = Buffer.from('{}')
    const texts = [nonce, randomBytes(SEAL_NONCE_BYTES)].map((it) => Buffer.from(sealValue(body, seal, it) ?? []))
    assert.match(texts[0]?.toString('latin1') ?? '', /^\{\}[ \t\r\n]{80}$/)
    assert.notDeepEqual(texts[0], texts[1])
  })

  const unsealed: [why: string, bytes: Uint8Array][] = [
    ['nothing', Buffer.of()],
    ['a session of Django\u2019s in JSON', jsonSerializer.encode(sessionOf('{"a":1}'))],
    ['a session of Django\u2019s as a pickle', pickleSerializer.encode(sessionOf('{"a":1}'))],
    ['a marker', jsonSerializer.marker(randomBytes(16))],
    ['white space of somebody else', Buffer.from(`{}${' '.repeat(80)}`)],
    ['a seal without a value', Buffer.from(sealValue(Buffer.of(), seal, nonce) ?? [])],
    ['a seal that is cut', Buffer.from(sealValue(Buffer.from('{}'), seal, nonce) ?? []).subarray(0, -1)],
  ]
  for (const [why, bytes] of unsealed) {
    test(`is not seen on what has none: ${why}`, () => assert.equal(parseSealed(bytes), undefined))
  }

  const dates: [why: string, at: number][] = [
    ['before 1970', -1],
    ['too late', 2 ** 48],
    ['none', Number.NaN],
    ['a fraction', 0.5],
  ]
  for (const [why, at] of dates) {
    test(`is not put on with a date that it cannot hold: ${why}`, () => {
      assert.equal(sealValue(Buffer.from('{}'), { ...seal, expiresAt: at }, nonce), undefined)
      assert.equal(sealValue(Buffer.from('{}'), { ...seal, readAt: at }, nonce), undefined)
    })
  }
})

describe('bytes as white space', () => {
  test('come back as they were', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => assert.deepEqual(parseBlanks(blanksOf(bytes)), Buffer.from(bytes))),
    )
  })

  for (const text of ['a', '   ', '    a   ', '\v\v\v\v', '\u00a0\u00a0\u00a0\u00a0']) {
    test(`are not found in ${JSON.stringify(text)}`, () => {
      assert.equal(parseBlanks(Buffer.from(text, 'latin1')), undefined)
    })
  }
})
