import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { openStage } from '../security/stage.ts'
import { ask, cookieOf } from './contract-client.ts'

const kinds = {
  EdDSA: () => generateKeyPairSync('ed25519').privateKey,
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
}

for (const [algorithm, createKey] of Object.entries(kinds)) {
  test(`${algorithm}: jose verifies by the published keys, also what an older key signed; bound to the request`, async () => {
    const pem = (): string => createKey().export({ type: 'pkcs8', format: 'pem' }).toString()
    const files = { 'old.pem': pem(), 'new.pem': pem() }
    const config = (...ids: string[]): string => `
signing: { algorithm: ${algorithm}, bind: request }
keys: [${ids.map((id) => `{ id: "${id}", private_key: "\${file:./${id}.pem}" }`).join(', ')}]
upstreams: { app: { servers: ["APP"], writeback: { allow: ["*"] } } }
routes: [{ id: app, match: { path: /* }, upstream: app, include: [userInfo], headers: { session: { X-Name: userInfo.name } } }]
`
    await using old = await openStage(config('old'), { files })
    await using rotated = await openStage(config('new', 'old'), { files })
    const signed = (await ask({ port: old.gateway.port })).seen().values('X-Session-Assertion')[0] ?? ''
    const response = await fetch(`${rotated.gateway.url}/.well-known/sessiongate/jwks.json`)
    const jwks = (await response.json()) as { keys: { kid?: string; d?: string; kty: string }[] }
    assert.deepEqual(
      jwks.keys.map(({ kid, d }) => [kid, d]),
      [
        ['new', undefined],
        ['old', undefined],
      ],
    )
    const keys = createLocalJWKSet(jwks)
    const options = { issuer: 'sessiongate', audience: 'app', typ: 'sessiongate+jwt', algorithms: [algorithm] }
    assert.equal((await jwtVerify(signed, keys, options)).protectedHeader.kid, 'old')

    const { port } = rotated.gateway
    const Say = 'X-Session-Set: {"userInfo":{"name":" é%\\n x "},"cart":1}'
    const Cookie = cookieOf(await ask({ port, headers: { Say } }))
    const told = await ask({ port, method: 'PUT', path: '/a%2Db?q=1', headers: { Cookie, Host: 'app.example.com' } })
    const seen = told.seen()
    assert.deepEqual(seen.values('X-Name'), ['%20%C3%A9%25%0A x%20'])
    const { payload, protectedHeader } = await jwtVerify(seen.values('X-Session-Assertion')[0] ?? '', keys, options)
    assert.equal(protectedHeader.kid, 'new')
    assert.deepEqual(
      [payload.htm, payload.htu, payload.hdn, payload.ses],
      ['PUT', 'http://app.example.com/a%2Db', ['x-name'], { userInfo: { name: ' é%\n x ' } }],
    )
  })
}
