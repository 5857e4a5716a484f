import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { EARLIEST_MS, LATEST_MS } from '../../../src/django/dates.ts'
import { createTimestampSigner } from '../../../src/django/signing.ts'

const salt = 'django.contrib.sessions.SessionStore'
const signer = createTimestampSigner({ secretKey: 'new', secretKeyFallbacks: ['old', 'oldest'], salt })

/** The definition of the signature once more, in one line. */
function signed(text: string, secret = 'new'): string {
  const key = createHash('sha256').update(`${salt}signer${secret}`).digest()
  return `${text}:${createHmac('sha256', key).update(text).digest('base64url')}`
}

test('a text is signed together with the whole seconds of its time', () => {
  assert.equal(signer.sign('e30', 1_700_000_000_999), signed('e30:1r31eq'))
})

const stamps: [why: string, stamp: string, signedAt: number | undefined][] = [
  ['zero is one digit', '0', 0],
  ['the alphabet ends with z', 'z', 61_000],
  ['the most significant digit comes first', '10', 62_000],
  ['a minus sign goes in front', '-1', -1000],
  ['a lone minus sign is zero, as in Django', '-', 0],
  ['leading zeros are read', '0001', 1000],
  ['a time beyond the calendar is its end', 'zzzzzzzzzzzz', LATEST_MS],
  ['a time before the calendar is its beginning', '-zzzzzzzzzzzz', EARLIEST_MS],
  ['a number beyond all numbers is its end too', 'z'.repeat(5000), LATEST_MS],
  ['nothing is no time', '', undefined],
  ['two signs are no time', '--1', undefined],
  ['what is not in the alphabet is no time', '1r31e!', undefined],
  ['a fraction is no time', '1.5', undefined],
  ['white space is no time', ' 1', undefined],
]
for (const [why, stamp, signedAt] of stamps) {
  test(`the time of a signature: ${why}`, () => {
    const expected =
      signedAt === undefined ? { ok: false, reason: 'malformed' } : { ok: true, value: 'v', signedAt, key: 'current' }
    assert.deepEqual(signer.unsign(signed(`v:${stamp}`)), expected)
  })
}

test('every time inside the calendar survives, in whole seconds', () => {
  fc.assert(
    fc.property(fc.integer({ min: EARLIEST_MS / 1000, max: Math.floor(LATEST_MS / 1000) }), (seconds) => {
      const unsigned = signer.unsign(signer.sign('v', seconds * 1000))
      assert.ok(unsigned.ok)
      assert.equal(unsigned.signedAt, seconds * 1000)
    }),
  )
})

for (const at of [Number.NaN, Infinity, -Infinity, 1e300, -1e300]) {
  test(`a time of ${at} is signed as the nearest that there is`, () => {
    const unsigned = signer.unsign(signer.sign('v', at))
    assert.ok(unsigned.ok)
    assert.equal(unsigned.signedAt, at > 0 ? LATEST_MS - 999 : EARLIEST_MS)
  })
}

test('each fallback verifies under its number, and none of them signs', () => {
  const keyOf = (text: string) => {
    const unsigned = signer.unsign(text)
    return unsigned.ok ? unsigned.key : unsigned.reason
  }
  assert.equal(keyOf(signed('v:1', 'new')), 'current')
  assert.equal(keyOf(signed('v:1', 'old')), 'fallback-1')
  assert.equal(keyOf(signed('v:1', 'oldest')), 'fallback-2')
  assert.equal(keyOf(signed('v:1', 'other')), 'bad_signature')
  assert.equal(signer.sign('v', 1000), signed('v:1', 'new'))
})

test('the text is cut at the last colons, so the value may hold some', () => {
  const unsigned = signer.unsign(signer.sign('a:b::', 5000))
  assert.ok(unsigned.ok)
  assert.equal(unsigned.value, 'a:b::')
})

test('a signed text without a time is malformed', () => {
  assert.deepEqual(signer.unsign(signed('v')), { ok: false, reason: 'malformed' })
})

test('nothing may be signed, and nothing else may be the value', () => {
  assert.deepEqual(signer.unsign(signed('')), { ok: false, reason: 'malformed' })
  assert.deepEqual(signer.unsign(signed(':1')), { ok: true, value: '', signedAt: 1000, key: 'current' })
})

test('what has no signature, or none of its length, has a bad one', () => {
  const whole = signed('v:1')
  for (const text of ['', 'v', 'v:1', ':', whole.slice(0, -1), `${whole}A`, `${whole}=`, whole.replaceAll(':', '.')]) {
    assert.deepEqual(signer.unsign(text), { ok: false, reason: 'bad_signature' }, text)
  }
})

test('a signature made for another salt is none', () => {
  const other = createTimestampSigner({ secretKey: 'new', salt: 'django.contrib.sessions.MyStore' })
  assert.deepEqual(signer.unsign(other.sign('v', 0)), { ok: false, reason: 'bad_signature' })
})

test('secrets are taken as UTF-8', () => {
  const umlaut = createTimestampSigner({ secretKey: 'schlüssel', salt })
  assert.equal(umlaut.sign('v', 1000), signed('v:1', 'schlüssel'))
})

test('one changed, missing or added character anywhere breaks the signature', () => {
  const text = signer.sign('eyJhIjoxfQ', 1_700_000_000_000)
  const position = fc.integer({ min: 0, max: text.length - 1 })
  fc.assert(
    fc.property(position, fc.string({ unit: 'binary', maxLength: 2 }), (at, replacement) => {
      fc.pre(replacement !== text[at])
      assert.deepEqual(signer.unsign(text.slice(0, at) + replacement + text.slice(at + 1)), {
        ok: false,
        reason: 'bad_signature',
      })
    }),
    { numRuns: 500 },
  )
})

test('the unused bits of the last character count: there is one text per signature, not four', () => {
  const text = signer.sign('v', 0)
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const accepted = [...alphabet].filter((last) => signer.unsign(text.slice(0, -1) + last).ok)
  assert.deepEqual(accepted, [text.at(-1)])
})

test('characters that share their lower byte with a signature are not it', () => {
  const text = signer.sign('v', 0)
  const cut = text.lastIndexOf(':') + 1
  const lookalike = Array.from(text.slice(cut), (unit) => String.fromCharCode(unit.charCodeAt(0) + 0x100)).join('')
  assert.deepEqual(signer.unsign(text.slice(0, cut) + lookalike), { ok: false, reason: 'bad_signature' })
})

test('no text throws', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      assert.equal(signer.unsign(text).ok, false)
    }),
  )
  for (const text of ['', ':', '::', ':::', '\ud800:\udfff:\ud800', ':'.repeat(1000)]) {
    assert.equal(signer.unsign(text).ok, false)
  }
})

test('an empty key is refused at once, current or fallback', () => {
  assert.throws(() => createTimestampSigner({ secretKey: '', salt }), TypeError)
  assert.throws(() => createTimestampSigner({ secretKey: 'k', secretKeyFallbacks: ['old', ''], salt }), TypeError)
})
