import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import {
  deriveUpstreamKey,
  readSigningKeys,
  SigningKeyError,
  type SigningKeySpec,
} from '../../../src/assertion/keys.ts'

const secret = '0123456789abcdef0123456789abcdef'

function pkcs8(...parameters: ['ed25519'] | ['ec', string] | ['rsa', number]): string {
  const [type, option] = parameters
  if (type === 'ed25519')
    return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const { privateKey } =
    type === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: String(option) })
      : generateKeyPairSync('rsa', { modulusLength: Number(option) })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

function isKeyError(index: number, pattern: RegExp) {
  return (error: unknown) => error instanceof SigningKeyError && error.index === index && pattern.test(error.message)
}

test('each upstream has its own key, which any HKDF gives', () => {
  // Computed with Python's hmac, by RFC 5869.
  const cases: [secret: string, upstream: string, key: string][] = [
    [secret, 'legacy', '-O9YE71h9iXu8YL5nvOaO3lAE73Y4AxJoD7te3p6GBo'],
    [secret, 'shop', 'FLHO6BRFELcupcxw9S_DQDyOYFMzVimapT1q88s-Sps'],
    ['Zoë'.repeat(11), 'münchen', '8pnh78_cOs9DVodODwYCGp0LDP_mck7rJHsuPmDk3pM'],
  ]
  for (const [input, upstream, key] of cases)
    assert.equal(deriveUpstreamKey(input, upstream).toString('base64url'), key)
})

test('one final newline is no part of the secret, a second one and all other space is', () => {
  const key = deriveUpstreamKey(secret, 'legacy')
  assert.deepEqual(deriveUpstreamKey(`${secret}\n`, 'legacy'), key)
  for (const other of [`${secret}\n\n`, `${secret} `, `\n${secret}`, `${secret}\r\n`]) {
    assert.notDeepEqual(deriveUpstreamKey(other, 'legacy'), key, JSON.stringify(other))
  }
})

test('a secret has 32 bytes or more, the final newline not counted', () => {
  assert.throws(() => deriveUpstreamKey(secret.slice(1), 'legacy'), RangeError)
  assert.throws(() => deriveUpstreamKey(`${secret.slice(1)}\n`, 'legacy'), RangeError)
  assert.equal(deriveUpstreamKey('é'.repeat(16), 'legacy').length, 32)
})

test('two upstreams never share a key', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      fc.pre(a !== b)
      assert.notDeepEqual(deriveUpstreamKey(secret, a), deriveUpstreamKey(secret, b))
    }),
  )
})

test('an EdDSA key signs as Ed25519 has it', () => {
  const [key] = readSigningKeys([{ id: 'ed', privateKey: pkcs8('ed25519') }], {
    algorithm: 'EdDSA',
    audience: 'legacy',
  })
  const publicKey = createPublicKey({ key: { ...key.publicJwk }, format: 'jwk' })
  const signature = key.sign('a.b')
  assert.equal(signature.length, key.signatureLength)
  assert.ok(verify(null, Buffer.from('a.b'), publicKey, Buffer.from(signature, 'base64url')))
})

test('an ES256 key signs with the two numbers side by side', () => {
  const [key] = readSigningKeys([{ id: 'ec', privateKey: pkcs8('ec', 'P-256') }], {
    algorithm: 'ES256',
    audience: 'legacy',
  })
  const publicKey = createPublicKey({ key: { ...key.publicJwk }, format: 'jwk' })
  for (let i = 0; i < 20; i++) {
    const signature = key.sign(`a.${i}`)
    assert.equal(signature.length, key.signatureLength)
    const options = { key: publicKey, dsaEncoding: 'ieee-p1363' } as const
    assert.ok(verify('sha256', Buffer.from(`a.${i}`), options, Buffer.from(signature, 'base64url')))
  }
})

test('several keys keep their order, so the first signs', () => {
  const specs = [
    { id: '2026-12', secret },
    { id: '2026-11', secret: `${secret}2` },
  ]
  const keys = readSigningKeys(specs, { algorithm: 'HS256', audience: 'legacy' })
  assert.deepEqual(
    keys.map(({ id }) => id),
    ['2026-12', '2026-11'],
  )
  assert.notEqual(keys[0].sign('a'), keys[1]?.sign('a'))
})

test('what cannot sign is refused with the place and the reason', () => {
  const good = { id: 'good', secret }
  const sec1 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .privateKey.export({ type: 'sec1', format: 'pem' })
    .toString()
  const publicPem = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const broken = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'
  const cases: [
    why: string,
    algorithm: 'HS256' | 'EdDSA' | 'ES256',
    specs: SigningKeySpec[],
    index: number,
    message: RegExp,
  ][] = [
    ['no key', 'HS256', [], 0, /no signing key/],
    ['a short secret', 'HS256', [good, { id: 'b', secret: 'short' }], 1, /secret of key b is too short: .* 32 bytes/],
    ['an empty secret', 'HS256', [{ id: 'a', secret: '' }], 0, /too short/],
    ['a double id', 'HS256', [good, good], 1, /good is given twice/],
    ['an empty id', 'HS256', [{ id: '', secret }], 0, /a key id is/],
    ['a quote in the id', 'HS256', [{ id: 'a"b', secret }], 0, /a key id is/],
    ['a space in the id', 'HS256', [{ id: 'a b', secret }], 0, /a key id is/],
    [
      'a private key for HS256',
      'HS256',
      [{ id: 'a', privateKey: pkcs8('ed25519') }],
      0,
      /no secret, which HS256 needs/,
    ],
    ['a secret for EdDSA', 'EdDSA', [good], 0, /no private_key, which EdDSA needs/],
    [
      'P-256 for EdDSA',
      'EdDSA',
      [{ id: 'a', privateKey: pkcs8('ec', 'P-256') }],
      0,
      /kind prime256v1, but EdDSA needs ed25519/,
    ],
    [
      'Ed25519 for ES256',
      'ES256',
      [{ id: 'a', privateKey: pkcs8('ed25519') }],
      0,
      /kind ed25519, but ES256 needs prime256v1/,
    ],
    ['another curve', 'ES256', [{ id: 'a', privateKey: pkcs8('ec', 'P-384') }], 0, /kind secp384r1/],
    ['RSA', 'ES256', [{ id: 'a', privateKey: pkcs8('rsa', 1024) }], 0, /kind rsa/],
    ['SEC 1', 'ES256', [{ id: 'a', privateKey: sec1 }], 0, /not PKCS#8 PEM/],
    ['a public key', 'EdDSA', [{ id: 'a', privateKey: publicPem }], 0, /not PKCS#8 PEM/],
    ['something broken', 'EdDSA', [{ id: 'a', privateKey: broken }], 0, /cannot be read/],
    ['something empty', 'EdDSA', [{ id: 'a', privateKey: '' }], 0, /not PKCS#8 PEM/],
  ]
  for (const [why, algorithm, specs, index, message] of cases) {
    assert.throws(() => readSigningKeys(specs, { algorithm, audience: 'legacy' }), isKeyError(index, message), why)
  }
})

test('a key shows itself in no print, and an error shows no key', () => {
  const pem = pkcs8('ed25519')
  const derived = deriveUpstreamKey(secret, 'legacy')
  const [hmac] = readSigningKeys([{ id: 'a', secret }], { algorithm: 'HS256', audience: 'legacy' })
  const [ed] = readSigningKeys([{ id: 'a', privateKey: pem }], { algorithm: 'EdDSA', audience: 'legacy' })
  const secrets = [secret, derived.toString('base64url'), derived.toString('hex'), pem.split('\n')[1] ?? '']
  for (const key of [hmac, ed]) {
    for (const text of [inspect(key, { depth: 9, showHidden: true }), JSON.stringify({ key }), String(key)]) {
      assert.ok(!secrets.some((part) => text.includes(part)), text)
    }
    assert.match(inspect({ key }), /\[redacted\]/)
    assert.match(JSON.stringify({ key }), /\[redacted\]/)
  }
  assert.throws(
    () => readSigningKeys([{ id: 'a', secret: 'open-sesame' }], { algorithm: 'HS256', audience: 'legacy' }),
    (error) => !inspect(error, { depth: 9 }).includes('open-sesame'),
  )
})
