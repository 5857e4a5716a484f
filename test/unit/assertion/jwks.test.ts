import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { publicKeySet } from '../../../src/assertion/jwks.ts'
import { readSigningKeys } from '../../../src/assertion/keys.ts'

const pems = {
  EdDSA: () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  ES256: () =>
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
}

for (const algorithm of ['EdDSA', 'ES256'] as const) {
  test(`the ${algorithm} key set holds every public key, no private part, and verifies what each key signs`, async () => {
    const specs = ['new', 'old'].map((id) => ({ id, privateKey: pems[algorithm]() }))
    const keys = readSigningKeys(specs, { algorithm, audience: 'legacy' })
    const set = publicKeySet(keys)
    assert.deepEqual(
      set.keys.map(({ kid, alg, use }) => [kid, alg, use]),
      [
        ['new', algorithm, 'sig'],
        ['old', algorithm, 'sig'],
      ],
    )
    assert.ok(!JSON.stringify(set).includes('"d"'))
    const verifiers = createLocalJWKSet({ keys: set.keys.map((key) => ({ ...key })) })
    for (const key of keys) {
      const text = [{ alg: algorithm, kid: key.id }, { sub: 'a' }]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.')
      const { payload } = await jwtVerify(`${text}.${key.sign(text)}`, verifiers)
      assert.equal(payload.sub, 'a')
    }
  })
}

test('of shared secrets nothing is published', () => {
  const keys = readSigningKeys([{ id: 'a', secret: 's'.repeat(32) }], { algorithm: 'HS256', audience: 'legacy' })
  assert.deepEqual(publicKeySet(keys), { keys: [] })
})
