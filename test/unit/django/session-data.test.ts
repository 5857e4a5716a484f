import assert from 'node:assert/strict'
import { test } from 'node:test'
import { constants, deflateRawSync, deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { jsonText, type SessionData } from '../../../src/django/json.ts'
import { createSessionCodec, createSignedCookieCodec } from '../../../src/django/session-data.ts'
import { createTimestampSigner } from '../../../src/django/signing.ts'

const secretKey = 'test-secret-key-0123456789'
const salt = 'django.contrib.sessions.SessionStore'
const at = 1_700_000_000_000
const codec = createSessionCodec({ secretKey })
const signer = createTimestampSigner({ secretKey, salt })

/** Text with a right signature, as somebody who has the key could make it. */
function signedPlain(json: string): string {
  return signer.sign(Buffer.from(json, 'latin1').toString('base64url'), at)
}

function signedCompressed(bytes: string | Buffer): string {
  return signer.sign(`.${deflateSync(bytes).toString('base64url')}`, at)
}

const malformed = { ok: false, reason: 'malformed' } as const

test('four sessions look as they do in the documentation of the format', () => {
  const texts: [session: Record<string, unknown>, text: string][] = [
    [{}, 'e30:1r31eq:I_lzTiPndLeCNM1aHTOTlBIASx97zx-I-h5XZ0FtLXg'],
    [{ a: 1 }, 'eyJhIjoxfQ:1r31eq:-erKf6X8XuUqGwrV8KEYexjqNCph05oz8-C135MZMYM'],
    [
      { userInfo: { name: 'Zoë', id: 7 } },
      'eyJ1c2VySW5mbyI6eyJuYW1lIjoiWm9cdTAwZWIiLCJpZCI6N319:1r31eq:vtEjs9vmA489LEEe4FP1aSrdCab5uBkv-I-rBJha7eI',
    ],
  ]
  for (const [session, text] of texts) {
    const data = new Map(Object.entries(session).map(([key, value]) => [key, jsonText(value)]))
    assert.equal(codec.encode(data, at), text)
    assert.deepEqual(codec.decode(text), { ok: true, data, signedAt: at, key: 'current' })
  }
  const compressed = '.eJyrVspWslJKHCZAqRYAlOZN7g:1r31eq:ApGZjUu_7atGNdo0D4-IYCJ0jshvWMronbf2VFITvPY'
  const decoded = codec.decode(compressed)
  assert.ok(decoded.ok)
  assert.deepEqual([...decoded.data], [['k', `"${'a'.repeat(200)}"`]])
})

const signedButNoSession: [why: string, text: string][] = [
  ['a list', signedPlain('[]')],
  ['a string', signedPlain('"a"')],
  ['null', signedPlain('null')],
  ['nothing', signedPlain('')],
  ['no JSON', signedPlain('{"a":1,}')],
  ['two objects', signedPlain('{}{}')],
  ['two objects with a comma between them', signedPlain('{},{}')],
  ['a byte order mark in front', signedPlain('\xef\xbb\xbf{}')],
  ['33 levels', signedPlain(`{"a":${'['.repeat(32)}${']'.repeat(32)}}`)],
  ['100 000 levels', signedPlain('{"a":'.repeat(100_000))],
  ['500 000 levels, compressed', signedCompressed('['.repeat(500_000))],
  ['a compressed list', signedCompressed('[]')],
  ['a dot and nothing', signer.sign('.', at)],
  ['a dot in front of what is not compressed', signer.sign('.e30', at)],
  ['two dots', signer.sign(`..${deflateSync('{}').toString('base64url')}`, at)],
  ['half a zlib stream', signer.sign(`.${deflateSync('{"a":1}').subarray(0, -3).toString('base64url')}`, at)],
  ['a character that base64url does not have', signer.sign('e3=0', at)],
  ["padding, which Django's writer never leaves", signer.sign('e30=', at)],
  ['the other base64 alphabet', signer.sign('e30/', at)],
  ['a lone character behind whole base64', signer.sign('eyB9A', at)],
  ['a line break behind the payload', signer.sign('e30\n', at)],
  ['a lone surrogate', signer.sign('\ud800', at)],
]
for (const [why, text] of signedButNoSession) {
  test(`signed, but no session: ${why}`, () => assert.deepEqual(codec.decode(text), malformed))
}

test('32 levels are read, and written back', () => {
  const json = `{"a":${'['.repeat(31)}${']'.repeat(31)}}`
  const decoded = codec.decode(signedPlain(json))
  assert.ok(decoded.ok)
  assert.equal(codec.encode(decoded.data, at), signedCompressedAsOurs(json))
})

function signedCompressedAsOurs(json: string): string {
  const compressed = deflateSync(json)
  return compressed.length < json.length - 1 ? signedCompressed(json) : signedPlain(json)
}

test('bytes above 127, which no Django writes, are read as latin-1 and written back escaped', () => {
  const decoded = codec.decode(signedPlain('{"n\xe4me":"Zo\xc3\xab"}'))
  assert.ok(decoded.ok)
  assert.deepEqual([...decoded.data], [['näme', '"Zo\\u00c3\\u00ab"']])
})

test('compression is used exactly when it saves more than the dot', () => {
  for (let length = 0; length < 80; length++) {
    const data: SessionData = new Map([['k', `"${'a'.repeat(length)}"`]])
    const json = `{"k":"${'a'.repeat(length)}"}`
    assert.equal(codec.encode(data, at).startsWith('.'), deflateSync(json).length < json.length - 1)
  }
})

test('a session of exactly the limit is read, one byte more is not, compressed or plain', () => {
  const limited = createSessionCodec({ secretKey, maxInflatedBytes: 65_536 })
  const sized = (bytes: number) => `{"k":"${'x'.repeat(bytes - 8)}"}`
  const random = Array.from({ length: 65_536 - 8 }, (_, i) => ((i * 7919) % 36).toString(36)).join('')
  assert.equal(limited.decode(signedCompressed(sized(65_536))).ok, true)
  assert.deepEqual(limited.decode(signedCompressed(sized(65_537))), malformed)
  assert.equal(limited.decode(signedPlain(`{"k":"${random}"}`)).ok, true)
  assert.deepEqual(limited.decode(signedPlain(`{"k":"${random}x"}`)), malformed)
})

test('a bomb never gets as far as the memory', () => {
  // 256 times the same megabyte of spaces, without ever holding them: a block that ends in a full flush can be repeated.
  const block = deflateRawSync(Buffer.alloc(1_048_576, 0x20), { finishFlush: constants.Z_FULL_FLUSH })
  const zlibHeader = Buffer.from([0x78, 0x9c])
  const bomb = signer.sign(`.${Buffer.concat([zlibHeader, ...new Array(256).fill(block)]).toString('base64url')}`, at)
  const before = process.resourceUsage().maxRSS
  assert.deepEqual(codec.decode(bomb), malformed)
  assert.ok(process.resourceUsage().maxRSS - before < 64 * 1024, 'grew by more than 64 MiB')
})

test('a bomb of well-formed JSON is malformed', () => {
  const bomb = signedCompressed(`{"a":[${'1,'.repeat(4_000_000)}1]}`)
  assert.deepEqual(codec.decode(bomb), malformed)
})

test('a text too long to be a session is refused without looking at its signature', () => {
  const limited = createSessionCodec({ secretKey, maxInflatedBytes: 1024 })
  assert.deepEqual(limited.decode('x'.repeat(10_000)), malformed)
  assert.deepEqual(limited.decode(`${'x'.repeat(10_000)}:1:sig`), malformed)
})

test('another session class of Django has another salt', () => {
  const custom = createSessionCodec({ secretKey, saltClass: 'MyStore' })
  const text = custom.encode(new Map(), at)
  assert.equal(custom.decode(text).ok, true)
  assert.deepEqual(codec.decode(text), { ok: false, reason: 'bad_signature' })
})

test('a session and a signed cookie are never taken for each other', () => {
  const cookies = createSignedCookieCodec({ secretKey, maxAgeSeconds: 60 })
  assert.equal(cookies.decode(codec.encode(new Map(), at), at).ok, false)
  assert.equal(codec.decode(cookies.encode(new Map(), at)).ok, false)
})

test('a signed cookie is good for its age to the millisecond, and before its time', () => {
  const cookies = createSignedCookieCodec({ secretKey, maxAgeSeconds: 60 })
  const text = cookies.encode(new Map([['a', '1']]), at)
  assert.equal(cookies.decode(text, at + 60_000).ok, true)
  assert.deepEqual(cookies.decode(text, at + 60_001), { ok: false, reason: 'expired' })
  assert.equal(cookies.decode(text, at - 86_400_000).ok, true)
  assert.deepEqual(cookies.decode(text.slice(0, -1), at + 60_001), { ok: false, reason: 'bad_signature' })
})

test('an empty key makes no codec', () => {
  assert.throws(() => createSessionCodec({ secretKey: '' }), TypeError)
  assert.throws(() => createSignedCookieCodec({ secretKey, secretKeyFallbacks: [''], maxAgeSeconds: 1 }), TypeError)
})

test('what is no JSON is not written: it could write its neighbours', () => {
  assert.throws(() => codec.encode(new Map([['a', '1,"_auth_user_id":"1"']]), at), TypeError)
})

const value = fc.oneof(
  fc.jsonValue({ maxDepth: 4, noUnicodeString: false }).map(jsonText),
  fc.bigInt().map(String),
  fc.constantFrom('1.0', '-0.0', '1E5', 'NaN', '-Infinity', '12345678901234567890', '"\\/"', '"\\ud800"', '1e400'),
)
const session = fc
  .array(fc.tuple(fc.string({ unit: 'binary' }), value), { maxLength: 20 })
  .map((members) => new Map(members))

test('every session comes back as it was, with the order of its keys and the text of its numbers', () => {
  fc.assert(
    fc.property(session, fc.integer({ min: -(2 ** 33), max: 2 ** 40 }), (data, seconds) => {
      const decoded = codec.decode(codec.encode(data, seconds * 1000))
      assert.ok(decoded.ok)
      assert.deepEqual([...decoded.data], [...data])
      assert.equal(decoded.signedAt, seconds * 1000 > 253_402_300_799_999 ? 253_402_300_799_000 : seconds * 1000)
    }),
    { numRuns: 300 },
  )
})

test('no text throws, signed or not, compressed or not', () => {
  const hostile = fc.string({ unit: 'binary', maxLength: 300 })
  fc.assert(fc.property(hostile, (text) => assert.equal(codec.decode(text).ok, false)))
  fc.assert(fc.property(hostile, (text) => assert.equal(typeof codec.decode(signer.sign(text, at)).ok, 'boolean')))
  fc.assert(fc.property(hostile, (text) => assert.equal(typeof codec.decode(signedPlain(text)).ok, 'boolean')))
  fc.assert(fc.property(hostile, (text) => assert.equal(typeof codec.decode(signedCompressed(text)).ok, 'boolean')))
  const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array).toString('base64url'))
  fc.assert(fc.property(bytes, (text) => assert.equal(codec.decode(signer.sign(`.${text}`, at)).ok, false)))
})
