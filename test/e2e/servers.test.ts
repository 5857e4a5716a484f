import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type AppHandler, startApp } from '../support/app.ts'
import { makeCertificates } from '../support/certificates.ts'
import { startGateway } from '../support/gateway.ts'

const routes = `
routes:
  - { id: app, match: { path: /* }, upstream: app }
`
const named =
  (name: string): AppHandler =>
  ({ url }) =>
    url === '/login' ? { headers: ['X-Session-Set', '{"userInfo":"alice"}'], body: name } : { body: name }

const configOf = (servers: readonly string[], more = '') => `version: 1
upstreams:
  app: { servers: [${servers.join(', ')}], writeback: { allow: ["*"] }${more} }
${routes}`

async function metricsOf(operatorUrl: string, name: string): Promise<string[]> {
  const text = await (await fetch(`${operatorUrl}/metrics`)).text()
  return text.split('\n').filter((line) => line.startsWith(`${name}{`))
}

test('servers are taken in turn; when one dies nobody notices, it is left out, and metrics and log say so', async () => {
  await using two = await startApp(named('two'))
  const one = await startApp(named('one'))
  await using gateway = await startGateway({ config: configOf([one.origin, two.origin]) })
  const ask = async (init?: RequestInit): Promise<string> => {
    const response = await fetch(`${gateway.url}/`, init)
    assert.equal(response.status, 200)
    return await response.text()
  }
  assert.deepEqual([await ask(), await ask(), await ask(), await ask()], ['one', 'two', 'one', 'two'])

  await one[Symbol.asyncDispose]()
  // POST too: what was sent to nobody is not sent twice.
  for (let i = 0; i < 8; i++) assert.equal(await ask({ method: i % 2 === 0 ? 'POST' : 'GET' }), 'two')
  const [dead, alive] = [one.origin, two.origin].map((origin) => origin.slice('http://'.length))
  const leftOut = await gateway.logged('the server to be left out', ({ msg }) => msg === 'upstream server is left out')
  assert.equal(leftOut['upstream.address'], dead)
  assert.equal(leftOut.source, 'requests')
  const up = await metricsOf(gateway.operatorUrl, 'sessiongate_upstream_server_up')
  assert.deepEqual(
    up.toSorted(),
    [
      `sessiongate_upstream_server_up{upstream="app",server="${dead}"} 0`,
      `sessiongate_upstream_server_up{upstream="app",server="${alive}"} 1`,
    ].toSorted(),
  )
  const ejected = await metricsOf(gateway.operatorUrl, 'sessiongate_upstream_server_ejected_total')
  assert.ok(ejected.includes(`sessiongate_upstream_server_ejected_total{upstream="app",server="${dead}"} 1`))
  const errors = await metricsOf(gateway.operatorUrl, 'sessiongate_upstream_errors_total')
  assert.deepEqual(errors, ['sessiongate_upstream_errors_total{upstream="app",reason="connection_refused"} 3'])
  const retried = gateway.log.find((line) => line.msg === 'request' && line['upstream.attempts'] === 2)
  assert.equal(retried?.['upstream.address'], alive)
})

test('with hash_session a session stays with its server', async () => {
  await using one = await startApp(named('one'))
  await using two = await startApp(named('two'))
  await using three = await startApp(named('three'))
  const servers = [one.origin, two.origin, three.origin]
  await using gateway = await startGateway({ config: configOf(servers, ', balance: hash_session') })
  const seen = new Set<string>()
  for (let visitor = 0; visitor < 12; visitor++) {
    const login = await fetch(`${gateway.url}/login`)
    const cookie = login.headers.getSetCookie()[0]?.split(';')[0] ?? ''
    await login.text()
    const answers = new Set<string>()
    for (let i = 0; i < 4; i++) answers.add(await (await fetch(`${gateway.url}/`, { headers: { cookie } })).text())
    assert.equal(answers.size, 1)
    for (const answer of answers) seen.add(answer)
  }
  assert.ok(seen.size > 1, 'not all sessions live on one server')
})

test('a server whose health checks fail is left out, and is back when they go well', async () => {
  let status = 200
  await using one = await startApp(({ url }) => (url === '/up' ? { status } : { body: 'one' }))
  await using two = await startApp(({ url }) => (url === '/up' ? {} : { body: 'two' }))
  const health = ', health: { path: /up, interval: 50ms, unhealthy_after: 2, healthy_after: 1 }'
  await using gateway = await startGateway({ config: configOf([one.origin, two.origin], health) })
  status = 503
  const leftOut = await gateway.logged('the server to be left out', ({ msg }) => msg === 'upstream server is left out')
  assert.deepEqual([leftOut.source, leftOut['error.message']], ['checks', 'the health check was answered with 503'])
  for (let i = 0; i < 4; i++) assert.equal(await (await fetch(gateway.url)).text(), 'two')
  status = 200
  const back = await gateway.logged('the server to be back', ({ msg }) => msg === 'upstream server is up again')
  assert.equal(back['upstream.address'], one.origin.slice('http://'.length))
  const answers = [await (await fetch(gateway.url)).text(), await (await fetch(gateway.url)).text()]
  assert.deepEqual(answers.toSorted(), ['one', 'two'])
})

test('apps on a Unix socket and behind https, from the YAML to the answer', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-'))
  await using cleanup = new AsyncDisposableStack()
  cleanup.defer(() => rm(folder, { recursive: true, force: true }))
  const { files } = await makeCertificates(folder)
  const [cert, key] = await Promise.all([readFile(files.serverCert), readFile(files.serverKey)])
  const local = createServer((_incoming, response) => void response.end('socket')).listen(join(folder, 'app.sock'))
  const secure = createSecureServer({ cert, key }, (_incoming, response) => void response.end('secure'))
  secure.listen(0, '127.0.0.1')
  for (const server of [local, secure]) {
    cleanup.defer(() => {
      server.close()
      server.closeAllConnections()
    })
    if (!server.listening) await once(server, 'listening')
  }
  const port = (secure.address() as AddressInfo).port
  await using gateway = await startGateway({
    folder,
    config: `version: 1
upstreams:
  local: { servers: ["unix:app.sock"] }
  secure: { servers: ["https://127.0.0.1:${port}"], tls: { ca: ca.crt, server_name: localhost } }
routes:
  - { id: secure, match: { path: /secure }, upstream: secure }
  - { id: local, match: { path: /* }, upstream: local }
`,
  })
  assert.equal(await (await fetch(`${gateway.url}/secure`)).text(), 'secure')
  assert.equal(await (await fetch(`${gateway.url}/local`)).text(), 'socket')
  const line = await gateway.logged('the request', (entry) => entry['http.route'] === 'local')
  assert.equal(line['upstream.address'], `unix:${join(folder, 'app.sock')}`)
})
