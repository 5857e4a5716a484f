import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { jwtVerify } from 'jose'
import { deriveUpstreamKey } from '../../src/assertion/keys.ts'
import { startApp, type TestApp } from '../support/app.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { putConfig, reloadBy } from '../support/reloads.ts'

const [oldKey, newKey] = ['old'.repeat(20), 'new'.repeat(20)]

const config = (origin: string, top: string): string => `version: 1
listen: [{ address: "127.0.0.1:0" }]
admin: off
${top}
upstreams: { app: { servers: ["${origin}"], writeback: { allow: ["*"] } } }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: app, match: { path: /* }, upstream: app, auth: required }
`

const startLoginApp = (): Promise<TestApp> =>
  startApp(({ url }) => (url === '/login' ? { headers: ['X-Session-Set', '{"userInfo":"alice"}'] } : {}))

async function logIn(gateway: TestGateway): Promise<string> {
  const response = await fetch(`${gateway.url}/login`, { method: 'POST' })
  return response.headers.getSetCookie()[0]?.split(';')[0] ?? ''
}

async function reload(gateway: TestGateway, app: TestApp, top: string): Promise<void> {
  const line = await reloadBy(gateway, () => putConfig(gateway, config(app.origin, top)))
  assert.equal(line.msg, 'configuration reloaded')
}

test('signing keys change by the steps of docs/rotate-keys.md: whoever goes by them verifies every request', async () => {
  await using app = await startLoginApp()
  await using gateway = await startGateway({ config: config(app.origin, '') })
  const cookie = await logIn(gateway)
  const generated = await readFile(join(gateway.folder, 'var/signing-key'), 'utf8')
  /** The secrets that the app knows by now. */
  const known = new Map([['generated', generated]])
  const signedBy = async (): Promise<string | undefined> => {
    assert.equal((await fetch(`${gateway.url}/`, { headers: { cookie } })).status, 200)
    const { protectedHeader } = await jwtVerify(
      app.requests.at(-1)?.values('X-Session-Assertion')[0] ?? '',
      ({ kid = '' }) => deriveUpstreamKey(known.get(kid) ?? assert.fail(kid), 'app'),
    )
    return protectedHeader.kid
  }
  assert.equal(await signedBy(), 'generated')
  const entry = (id: string, secret: string): string => `{ id: "${id}", secret: "${secret}" }`
  const [first, second] = [entry('generated', `\${file:./var/signing-key}`), entry('2027-01', newKey)]
  await reload(gateway, app, `keys: [${first}, ${second}]`)
  assert.equal(await signedBy(), 'generated')
  known.set('2027-01', newKey)
  await reload(gateway, app, `keys: [${second}, ${first}]`)
  assert.equal(await signedBy(), '2027-01')
  known.delete('generated')
  await reload(gateway, app, `keys: [${second}]`)
  assert.equal(await signedBy(), '2027-01')
})

test('the SECRET_KEY changes by its steps, and nobody is logged out; without them, everybody is', async () => {
  await using app = await startLoginApp()
  const key = (current: string, fallback?: string): string =>
    `session: { secret_key: "${current}", secret_key_fallbacks: [${fallback === undefined ? '' : `"${fallback}"`}] }`
  await using gateway = await startGateway({ config: config(app.origin, key(oldKey)) })
  const before = await logIn(gateway)
  const statusOf = async (cookie: string): Promise<number> =>
    (await fetch(`${gateway.url}/`, { headers: { cookie }, redirect: 'manual' })).status
  await reload(gateway, app, key(oldKey, newKey))
  assert.equal(await statusOf(before), 200)
  await reload(gateway, app, key(newKey, oldKey))
  assert.equal(await statusOf(before), 200)
  const after = await logIn(gateway)
  await reload(gateway, app, key(newKey))
  assert.deepEqual([await statusOf(after), await statusOf(before)], [200, 401])
})

test('an operator sees how old keys are, and which of them is still needed', async () => {
  await using app = await startLoginApp()
  const token = 'the-token-of-this-test-0123456789'
  const top = (current: string, fallbacks: string): string =>
    `session: { secret_key: "${current}", secret_key_fallbacks: [${fallbacks}], local_cache: null }
keys: [{ id: new, created: 2026-11-01, secret: "${newKey}" }, { id: old, secret: "${oldKey}" }]`
  const text = (...keys: Parameters<typeof top>): string =>
    config(app.origin, top(...keys)).replace('admin: off', `admin: { listen: "127.0.0.1:0", token: ${token} }`)
  await using gateway = await startGateway({ config: text(oldKey, '') })
  const ask = async (path: string): Promise<string> =>
    await (await fetch(gateway.operatorUrl + path, { headers: { Authorization: `Bearer ${token}` } })).text()
  const keys = async (): Promise<Record<string, unknown>[]> => JSON.parse(await ask('/api/keys'))
  const cookie = await logIn(gateway)
  const startedAt = (await keys())[0]?.signs_since
  const line = await reloadBy(gateway, () => putConfig(gateway, text(newKey, `"${oldKey}"`)))
  assert.equal(line.msg, 'configuration reloaded')
  for (let count = 0; count < 3; count++)
    assert.equal((await fetch(`${gateway.url}/`, { headers: { cookie } })).status, 200)

  const listed = await keys()
  const told = listed.map(({ id, signs, created, sessions_read: read }) => [id, signs, created, read])
  assert.deepEqual(told, [
    ['new', true, '2026-11-01', null],
    ['old', false, null, null],
    ['current', true, null, 0],
    ['fallback-1', false, null, 3],
  ])
  const [signing, , current, fallback] = listed
  const age = (Date.now() - Date.parse('2026-11-01')) / 1000
  assert.ok(Math.abs(Number(signing?.age_seconds) - age) < 60)
  assert.equal(signing?.signs_since, startedAt, 'the key that signs assertions is the same')
  assert.ok(String(current?.signs_since) > String(startedAt), 'the one that signs sessions is another')
  assert.ok(String(fallback?.counted_since) >= String(startedAt))
  const metrics = await ask('/metrics')
  assert.match(metrics, /^sessiongate_signing_key_age_seconds\{kid="new"\} \d{4,}/m)
  assert.doesNotMatch(metrics, /age_seconds\{kid="old"/)
  assert.match(metrics, /^sessiongate_session_key_reads_total\{key="fallback-1"\} 3$/m)
  for (const secret of [oldKey, newKey]) assert.ok(!`${JSON.stringify(listed)}${metrics}`.includes(secret))
})
