import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openAuthority } from '../support/certificates.ts'
import { startApp } from '../support/echo-upstream.ts'
import { startGateway } from '../support/gateway.ts'
import { requireServer } from '../support/requirement.ts'
import { openBrowser, TOKEN } from './page-stage.ts'

const chromium = requireServer('chromium')

const configOf = (origin: string) => `version: 1
listen: [{ address: "127.0.0.1:0" }]
admin:
  listen: "127.0.0.1:0"
  tls: { cert: ops.crt, key: ops.key, client_ca: ca.crt }
  token: ${TOKEN}
upstreams: { app: { servers: ["${origin}"] } }
routes: [{ id: app, match: { path: /* }, upstream: app }]
`

test('over https the page lets in by a certificate, and asks whoever has none for the token', {
  skip: chromium.skip,
}, async () => {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-page-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const authority = await openAuthority(folder)
  const server = await authority.issue({ hosts: ['localhost'] })
  const client = await authority.issue({})
  const app = stack.use(await startApp((_, response) => response.end()))
  const files = { 'ops.crt': server.cert, 'ops.key': server.key, 'ca.crt': authority.cert }
  const gateway = stack.use(await startGateway({ config: configOf(app.origin), files }))
  const origin = `https://localhost:${gateway.operatorUrl.split(':').at(-1)}`
  const browser = await openBrowser(chromium.path)
  stack.defer(() => browser.close())

  const certificate = { origin, cert: Buffer.from(client.cert), key: Buffer.from(client.key) }
  const known = await browser.newContext({ ignoreHTTPSErrors: true, clientCertificates: [certificate] })
  const page = await known.newPage()
  await page.goto(`${origin}/#/keys`)
  await page.getByRole('heading', { level: 1, name: 'Keys' }).waitFor()
  await page.getByText('HS256').first().waitFor()
  assert.equal(await page.getByRole('button', { name: 'Log out' }).count(), 0)
  await page.getByRole('link', { name: 'Configuration' }).click()
  await page.getByRole('button', { name: 'Reload' }).click()
  await page.getByText('The file is in force').waitFor()

  const unknown = await browser.newContext({ ignoreHTTPSErrors: true })
  const other = await unknown.newPage()
  await other.goto(`${origin}/`)
  await other.getByLabel('Token').fill(TOKEN)
  await other.getByRole('button', { name: 'Open' }).click()
  await other.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
  await other.getByRole('button', { name: 'Log out' }).waitFor()
})
