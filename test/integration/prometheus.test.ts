import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, get, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { makeCertificates } from '../support/certificates.ts'
import { runCommand } from '../support/command.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { type PrometheusServer, startPrometheus } from '../support/prometheus.ts'
import { putConfig, reloadBy } from '../support/reloads.ts'
import { requireServer } from '../support/requirement.ts'
import { alertsFile, alertTestsFile, readAlerts, readPanelQueries } from '../support/shipped-metrics.ts'

const promtool = requireServer('promtool')
const prometheus = requireServer('prometheus')

test('the alerts are rules that Prometheus takes, and their unit tests pass', { skip: promtool.skip }, async () => {
  for (const args of [
    ['check', 'rules', alertsFile],
    ['test', 'rules', alertTestsFile],
  ]) {
    const { code, stdout, stderr } = await runCommand(promtool.path, args, { cwd: dirname(alertsFile) })
    assert.equal(code, 0, `${stdout}${stderr}`)
  }
})

describe('a gateway with traffic of every kind', { skip: promtool.skip || prometheus.skip }, () => {
  const stack = new AsyncDisposableStack()
  let gateway: TestGateway
  let server: PrometheusServer
  let tlsUrl: URL
  let cookie: string

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sessiongate-certificates-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const { files } = await makeCertificates(folder)
    const app = await openApp(stack)
    gateway = stack.use(await startGateway({ config: configOf(app, files.serverCert, files.serverKey) }))
    const tls = await gateway.logged('the second listener', (line) => line.msg === 'listening' && line.tls === true)
    tlsUrl = new URL(`http://${tls.address}`)
    cookie = cookieOf(await ask('/login'))
    await openWebSocket(gateway, cookie, stack)
    await reloadBy(gateway, () => putConfig(gateway, 'version: 1\nroutes: []\n'))
    server = stack.use(
      await startPrometheus(prometheus, {
        global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
        rule_files: [alertsFile],
        scrape_configs: [
          { job_name: 'sessiongate', static_configs: [{ targets: [new URL(gateway.operatorUrl).host] }] },
        ],
      }),
    )
  })
  after(() => stack.disposeAsync())

  async function ask(path: string, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(`${gateway.url}${path}`, { redirect: 'manual', ...init })
    await response.arrayBuffer()
    return response
  }

  /** Once around: every kind of request that some panel counts. */
  async function visit(): Promise<void> {
    const headers = { cookie }
    await ask('/login')
    await ask('/short')
    await ask('/')
    await ask('/', { headers })
    await ask('/', { headers, method: 'POST', body: 'x'.repeat(100) })
    await ask('/thief', { headers })
    await ask('/forbidden-key', { headers })
    await ask('/watched')
    await ask('/nowhere')
    await ask('/dead', { headers })
    const closing = new WebSocket(`${gateway.url.replace('http', 'ws')}/socket`, { headers })
    closing.on('open', () => closing.close())
    await once(closing, 'close')
    await new Promise((resolve) => get(tlsUrl, resolve).on('error', resolve)) // what is no TLS
  }

  test('promtool has nothing to say against what is scraped', async () => {
    await visit()
    const text = await (await fetch(`${gateway.operatorUrl}/metrics`)).text()
    assert.match(text, /^sessiongate_websocket_connections\{route="socket"\} 1$/m)
    const child = spawn(promtool.path, ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (piece: string) => {
        said += piece
      })
    }
    child.stdin.end(text)
    const [code] = await once(child, 'close')
    assert.deepEqual([code, said], [0, ''])
  })

  test('every query of the dashboard has an answer', async () => {
    let without = readPanelQueries('10s')
    assert.ok(without.length > 50)
    const giveUpAt = performance.now() + 60_000
    while (without.length > 0 && performance.now() < giveUpAt) {
      await visit()
      const answers = await Promise.all(without.map(({ expression }) => server.query(expression)))
      without = without.filter((_, i) => !answers[i]?.some(({ value }) => Number.isFinite(value)))
    }
    assert.deepEqual(without, [])
  })

  test('it is scraped, and the alerts are evaluated', async () => {
    assert.deepEqual(
      (await server.query('up')).map(({ metric, value }) => [metric.job, value]),
      [['sessiongate', 1]],
    )
    const { groups } = (await server.read('/rules')) as { groups: { rules: { name: string; health: string }[] }[] }
    const rules = groups.flatMap((group) => group.rules)
    assert.deepEqual(
      rules.map(({ name, health }) => [name, health]),
      readAlerts().map(({ alert }) => [alert, 'ok']),
    )
  })

  test('what is the matter with this one is seen: a refused file, an app that is not there, a certificate of two days', async () => {
    const expressions = new Map(readAlerts().map(({ alert, expr }) => [alert, expr]))
    for (const name of ['SessiongateConfigReloadFailed', 'SessiongateUpstreamDown', 'SessiongateCertificateEndsSoon']) {
      assert.equal((await server.query(expressions.get(name) ?? '')).length, 1, name)
    }
    assert.equal((await server.query(expressions.get('SessiongateDown') ?? '')).length, 0)
    assert.equal((await server.query(expressions.get('SessiongateStoreDown') ?? '')).length, 0)
  })
})

function cookieOf(response: Response): string {
  return response.headers.getSetCookie()[0]?.split(';')[0] ?? ''
}

/** Two servers for `app`, of which one is dead; none for `dead`. */
function configOf(app: string, cert: string, key: string): string {
  return `
version: 1
listen:
  - { address: "127.0.0.1:0" }
  - { address: "127.0.0.1:0", tls: { cert: "${cert}", key: "${key}" } }
hosts: [127.0.0.1]
admin: { listen: "127.0.0.1:0" }
session: { clear_expired: { every: 1s } }
keys: [{ id: "2026-11", created: 2026-11-01, secret: 0123456789abcdef0123456789abcdef }]
upstreams:
  app: { servers: ["${app}", "http://127.0.0.1:1"], writeback: { allow: [userInfo], commands: [expiry] } }
  dead: { servers: ["http://127.0.0.1:1"] }
routes:
  - { id: login, match: { path: [/login, /short] }, upstream: app, auth: public }
  - { id: dead, match: { path: /dead }, upstream: dead, auth: required }
  - { id: watched, match: { path: /watched }, upstream: app, auth: required, mode: observe }
  - { id: socket, match: { path: /socket }, upstream: app, auth: required }
  - { id: app, match: { path: [/, /thief, /forbidden-key] }, upstream: app, auth: required }
`
}

/** What it answers goes by the path; it takes WebSockets too. */
async function openApp(stack: AsyncDisposableStack): Promise<string> {
  const answers: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    '/login': { 'X-Session-Set': '{"userInfo":"alice"}' },
    '/short': { 'X-Session-Set': '{"userInfo":"alice"}', 'X-Session-Expiry': '1' },
    '/thief': { 'Set-Cookie': 'sessionid=mine' },
    '/forbidden-key': { 'X-Session-Set': '{"role":"admin"}' },
  }
  const server: Server = createServer((request, response) => {
    request.resume()
    response.writeHead(200, answers[request.url ?? '']).end('hello')
  })
  const sockets = new WebSocketServer({ server })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(async () => {
    for (const socket of sockets.clients) socket.terminate()
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** One that stays open. */
async function openWebSocket(gateway: TestGateway, cookie: string, stack: AsyncDisposableStack): Promise<void> {
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/socket`, { headers: { cookie } })
  stack.defer(() => socket.terminate())
  await once(socket, 'open')
}
