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
