import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { inflateSync } from 'node:zlib'
import { parseSessionData, writeSessionData } from '../../../src/django/json.ts'
import { createSessionCodec, createSignedCookieCodec } from '../../../src/django/session-data.ts'
import { createTimestampSigner } from '../../../src/django/signing.ts'

interface Row {
  readonly json: string
  readonly timestamp: number
  readonly session_data: string
}

interface Vectors {
  readonly secret_key: string
  readonly secret_key_fallbacks: readonly string[]
  readonly salt: string
  readonly rows: readonly Row[]
  readonly signed_with_fallback: Row
  readonly signed_cookie: { readonly value: string; readonly json: string; readonly timestamp: number }
  readonly rejected: readonly { readonly session_data: string }[]
}

const vectors: Vectors = JSON.parse(
  readFileSync(new URL('../../vectors/django-sessions.json', import.meta.url), 'utf8'),
)
const keys = { secretKey: vectors.secret_key, secretKeyFallbacks: vectors.secret_key_fallbacks }
const codec = createSessionCodec(keys)
const signer = createTimestampSigner({ ...keys, salt: vectors.salt })

function payloadOf(text: string): string {
  return text.slice(0, text.indexOf(':'))
}

function jsonOf(payload: string): string {
  if (!payload.startsWith('.')) return Buffer.from(payload, 'base64url').toString('latin1')
  return inflateSync(Buffer.from(payload.slice(1), 'base64url')).toString('latin1')
}

function sessionOf(json: string) {
  const data = parseSessionData(json)
  assert.ok(data, json)
  return data
}

test('there are 73 sessions of Django to compare with', () => {
  assert.equal(vectors.rows.length, 73)
})

for (const [index, row] of vectors.rows.entries()) {
  describe(`Django's session ${index}: ${row.json.slice(0, 60)}`, () => {
    test('is read as what it holds, with the time of its signing', () => {
      const decoded = codec.decode(row.session_data)
      assert.ok(decoded.ok)
      assert.equal(decoded.key, 'current')
      assert.equal(decoded.signedAt, row.timestamp * 1000)
      assert.deepEqual([...decoded.data.keys()], [...sessionOf(row.json).keys()])
      assert.deepEqual(decoded.data, sessionOf(row.json))
    })

    test('is written back byte for byte while nobody touches it', () => {
      const decoded = codec.decode(row.session_data)
      assert.ok(decoded.ok)
      assert.equal(writeSessionData(decoded.data), row.json)
    })

    test('is encoded to the same JSON, and to the same text wherever neither side compresses', () => {
      const encoded = codec.encode(sessionOf(row.json), row.timestamp * 1000)
      assert.equal(jsonOf(payloadOf(encoded)), row.json)
      if (!encoded.startsWith('.') && !row.session_data.startsWith('.')) assert.equal(encoded, row.session_data)
    })

    test("gets Django's signature for Django's payload and time", () => {
      assert.equal(signer.sign(payloadOf(row.session_data), row.timestamp * 1000), row.session_data)
    })
  })
}

test('a session signed with a fallback key is read, and its key named', () => {
  const { session_data: text, json, timestamp } = vectors.signed_with_fallback
  assert.deepEqual(codec.decode(text), {
    ok: true,
    data: sessionOf(json),
    signedAt: timestamp * 1000,
    key: 'fallback-1',
  })
})

test('a session signed with a key that is no longer listed is not', () => {
  const withoutFallbacks = createSessionCodec({ secretKey: vectors.secret_key })
  assert.deepEqual(withoutFallbacks.decode(vectors.signed_with_fallback.session_data), {
    ok: false,
    reason: 'bad_signature',
  })
})

test('a signed_cookies value is read and written as Django does', () => {
  const { value, json, timestamp } = vectors.signed_cookie
  const cookies = createSignedCookieCodec({ ...keys, maxAgeSeconds: 1_209_600 })
  const signedAt = timestamp * 1000
  assert.deepEqual(cookies.decode(value, signedAt), { ok: true, data: sessionOf(json), signedAt, key: 'current' })
  assert.equal(cookies.encode(sessionOf(json), signedAt), value)
})

for (const { session_data: text } of vectors.rejected) {
  test(`what Django rejects has a bad signature here: ${JSON.stringify(text.slice(0, 70))}`, () => {
    assert.deepEqual(codec.decode(text), { ok: false, reason: 'bad_signature' })
  })
}
