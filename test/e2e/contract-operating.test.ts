import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startApp } from '../support/app.ts'
import { createJarBrowser } from '../support/browser-jar.ts'
import { startGateway } from '../support/gateway.ts'
import { connectRaw } from '../support/raw-client.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const run = promisify(execFile)

const config = (origin: string, rest = ''): string => `
${rest}
upstreams: { app: { servers: ["${origin}"], writeback: { allow: ["*"] } } }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: app, match: { path: /* }, upstream: app, auth: required }
`

test('explain acts on nothing: not even a log-out that it is asked about', async () => {
  await using app = await startApp(() => ({ headers: ['X-Session-Set', '{"userInfo":"alice"}'] }))
  await using gateway = await startGateway({ config: config(app.origin) })
  const browser = createJarBrowser(gateway.url)
  await browser.fetch('/login', { method: 'POST' })
  const file = join(gateway.folder, 'sessiongate.yaml')
  const sessiongate = async (...args: string[]): Promise<string> =>
    (await run(process.execPath, [main, ...args, '--config', file], { cwd: gateway.folder })).stdout
  const { id } = JSON.parse(await sessiongate('sessions', 'list', '--json')) as { id: string }
  const explained = await sessiongate('explain', 'POST', '/.sessiongate/logout', '--session', id)
  assert.match(explained, /outcome {3}answered\nanswer {4}303\nlocation {2}\/login\n/)
  assert.match(await sessiongate('explain', 'GET', '/.sessiongate/logout'), /answer {4}405/)
  assert.match(await sessiongate('explain', 'GET', '/.well-known/sessiongate/jwks.json'), /answer {4}200/)
  assert.equal((await browser.fetch('/')).status, 200)
})

test('observing the whole file: everything passes, and what would have been refused is logged and counted', async () => {
  await using app = await startApp((request) => ({ body: String(request.claims().auth) }))
  await using gateway = await startGateway({ config: config(app.origin, 'mode: observe') })
  const answer = await fetch(`${gateway.url}/private`)
  assert.deepEqual([answer.status, await answer.text()], [200, 'false'])
  const line = await gateway.logged('the observed no', (entry) => entry['auth.mode'] === 'observe')
  assert.equal(line['auth.decision'], 'deny')
  const metrics = await (await fetch(`${gateway.operatorUrl}/metrics`)).text()
  assert.match(
    metrics,
    /sessiongate_auth_decisions_total\{route="app",decision="deny",reason="no_session",mode="observe"\} 1/,
  )
})

test('two configurations have two hashes, also where only an upstream differs', async () => {
  await using app = await startApp(() => ({}))
  const hashes = new Set<string>()
  for (const retries of [1, 2]) {
    const yaml = config(app.origin).replace('writeback:', `retries: ${retries}, writeback:`)
    await using gateway = await startGateway({ config: `listen: [{ address: "127.0.0.1:0" }]\n${yaml}` })
    const metrics = await (await fetch(`${gateway.operatorUrl}/metrics`)).text()
    hashes.add(/sessiongate_config_info\{hash="([0-9a-f]+)"/.exec(metrics)?.[1] ?? '')
  }
  assert.equal(hashes.size, 2)
})

test('with admin and access log off, nothing listens for an operator and no request is logged, but its failures', async () => {
  await using gateway = await startGateway({
    config: `admin: off\nlogging: { access: false }\n${config('http://127.0.0.1:1').replace('auth: required', 'auth: optional')}`,
  })
  assert.equal((await fetch(`${gateway.url}/login`, { method: 'POST' })).status, 502)
  const failure = await gateway.logged('the failure', (line) => line.msg === 'request')
  assert.equal(failure['error.type'], 'ERR_UPSTREAM_UNREACHABLE')
  assert.equal((await fetch(`${gateway.url}//`)).status, 400)
  assert.equal(gateway.log.filter((line) => line.msg === 'request').length, 1)
})

test('an app that cannot be reached, or does not answer in time, is told apart in Proxy-Status', async () => {
  await using app = await startApp(() => new Promise(() => undefined))
  await using gateway = await startGateway({
    config: `
upstreams:
  dead: { servers: ["http://127.0.0.1:1"] }
  slow: { servers: ["${app.origin}"], timeouts: { first_byte: 300ms } }
routes:
  - { id: dead, match: { path: /dead }, upstream: dead }
  - { id: slow, match: { path: /slow }, upstream: slow }
`,
  })
  const told = async (path: string): Promise<[number, string | null]> => {
    const { status, headers } = await fetch(`${gateway.url}${path}`)
    return [status, headers.get('proxy-status')]
  }
  assert.deepEqual(await told('/dead'), [502, 'sessiongate; error=connection_refused'])
  assert.deepEqual(await told('/slow'), [504, 'sessiongate; error=http_response_timeout'])
})

test('a body that cannot be read ends its request at once, and the log blames nobody behind us', async () => {
  await using app = await startApp(() => ({}))
  await using gateway = await startGateway({ config: config(app.origin).replace('auth: required', 'auth: optional') })
  await using client = await connectRaw(gateway.port)
  await client.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n')
  assert.equal((await client.response()).status, 400)
  const line = await gateway.logged('the parser', (entry) => entry['error.type'] === 'ERR_REQUEST_INVALID')
  assert.equal(line['client.address'], '127.0.0.1')
  assert.equal(
    gateway.log.some((entry) => entry['error.type'] === 'ERR_UPSTREAM_UNREACHABLE'),
    false,
  )
})
