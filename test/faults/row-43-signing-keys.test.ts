import assert from 'node:assert/strict'
import { generateKeyPairSync, hkdfSync, randomBytes } from 'node:crypto'
import { Agent, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import { startApp } from '../support/app.ts'
import { until, within } from '../support/deadline.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { pause, times } from './stage.ts'

interface SigningKey {
  readonly id: string
  /** As `keys` in the YAML has it. */
  readonly yaml: string
  /** What an app verifies HS256 with. */
  readonly derived: Uint8Array
}

type Algorithm = 'HS256' | 'EdDSA'

function createKey(algorithm: Algorithm, id: string): SigningKey {
  if (algorithm === 'HS256') {
    const secret = randomBytes(32).toString('hex')
    const derived = new Uint8Array(hkdfSync('sha256', secret, '', 'sessiongate/assertion/app', 32))
    return { id, yaml: `{ id: "${id}", secret: "${secret}" }`, derived }
  }
  const { privateKey } = generateKeyPairSync('ed25519')
  const pem = JSON.stringify(privateKey.export({ type: 'pkcs8', format: 'pem' }))
  return { id, yaml: `{ id: "${id}", private_key: ${pem} }`, derived: new Uint8Array() }
}

/** An app that answers those requests that are signed by a key that it has been told of. */
async function startVerifier(algorithm: Algorithm) {
  const refused: string[] = []
  const kids = new Set<string>()
  let known: readonly SigningKey[] = []
  let published: JSONWebKeySet = { keys: [] }
  async function verify(token: string): Promise<void> {
    const { kid = '' } = decodeProtectedHeader(token)
    kids.add(kid)
    const options = { issuer: 'sessiongate', audience: 'app', algorithms: [algorithm], typ: 'sessiongate+jwt' }
    if (algorithm === 'EdDSA') await jwtVerify(token, createLocalJWKSet(published), options)
    else await jwtVerify(token, known.find(({ id }) => id === kid)?.derived ?? new Uint8Array(32), options)
  }
  const app = await startApp(async ({ values }) => {
    const [token = '', ...more] = values('X-Session-Assertion')
    assert.deepEqual(more, [])
    try {
      await verify(token)
      return { body: 'signed' }
    } catch (error) {
      refused.push(String(error))
      return { status: 403 }
    }
  })
  return {
    ...app,
    refused,
    /** The ids of the keys that requests were signed by since the last call. */
    async takeKids(): Promise<string[]> {
      await until('somebody asks', () => kids.size > 0)
      const seen = [...kids].sort()
      kids.clear()
      return seen
    },
    /** What an operator does by hand with HS256, and an app by itself where keys are public. */
    async learn(keys: readonly SigningKey[], { url }: TestGateway): Promise<void> {
      known = keys
      published = (await (await fetch(`${url}/.well-known/sessiongate/jwks.json`)).json()) as JSONWebKeySet
    },
  }
}

/** Asks without a pause, whichever gateway is the present one. */
function startProbe(current: () => TestGateway) {
  const agent = new Agent({ keepAlive: true })
  const failures: string[] = []
  let asked = 0
  let isOver = false
  async function ask(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    request({ agent, port: current().port, path: `/${asked++}`, host: '127.0.0.1' }, async (response) =>
      resolve(`${response.statusCode} ${await text(response)}`),
    )
      .on('error', reject)
      .end()
    const said = await promise.catch(String)
    if (said !== '200 signed') failures.push(said)
  }
  async function askOn(): Promise<void> {
    while (!isOver) {
      await ask()
      await pause(10)
    }
  }
  const asking = Promise.all([askOn(), askOn(), askOn(), askOn()])
  return {
    failures,
    async end(): Promise<number> {
      isOver = true
      await within('the last answers', asking)
      agent.destroy()
      return asked
    },
  }
}

for (const algorithm of ['HS256', 'EdDSA'] as const) {
  test(`row 43: ${algorithm} keys that take turns: none refused, none unsigned, both good while they overlap`, async (t) => {
    await using verifier = await startVerifier(algorithm)
    const open = (keys: readonly SigningKey[]): Promise<TestGateway> =>
      startGateway({
        config: `hosts: []
session: { engine: db, secret_key: "a secret key for all of them" }
signing: { algorithm: ${algorithm} }
keys: [${keys.map(({ yaml }) => yaml).join(', ')}]
upstreams: { app: { servers: ["${verifier.origin}"] } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
shutdown: { drain: 5s }
`,
      })
    let key = createKey(algorithm, 'key-0')
    let current = await open([key])
    await using _last = { [Symbol.asyncDispose]: () => current[Symbol.asyncDispose]() }
    await verifier.learn([key], current)
    const probe = startProbe(() => current)
    /** A restart that loses nothing: the next one serves before the present one ends. */
    async function turnTo(keys: readonly SigningKey[]): Promise<void> {
      const before = current
      current = await open(keys)
      assert.equal(await before.stop(), 0)
      await before[Symbol.asyncDispose]()
      await verifier.takeKids()
      await pause(50)
      assert.deepEqual(await verifier.takeKids(), [keys[0]?.id])
    }
    for (let round = 1; round <= times({ usual: 1, whole: 34 }); round++) {
      const next = createKey(algorithm, `key-${round}`)
      await turnTo([key, next])
      await verifier.learn([key, next], current)
      await turnTo([next, key])
      await turnTo([next])
      await verifier.learn([next], current)
      key = next
    }
    t.diagnostic(`${await probe.end()} requests`)
    assert.deepEqual(verifier.refused, [])
    assert.deepEqual(probe.failures, [])
  })
}
