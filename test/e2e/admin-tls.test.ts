import assert from 'node:assert/strict'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Authority, type Issued, openAuthority } from '../support/certificates.ts'
import { runCommand } from '../support/command.ts'
import { until } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { putConfig, reloadBy } from '../support/reloads.ts'
import { askTls, type TlsAnswer, type TlsRequest } from '../support/tls-client.ts'

const TOKEN = 'the-token-of-this-test-0123456789'
const BEARER = `Authorization: Bearer ${TOKEN}`
const TLS = 'tls: { cert: ops.crt, key: ops.key, client_ca: ca.crt }'
const main = join(import.meta.dirname, '../../src/main.ts')

interface World extends AsyncDisposable {
  readonly authority: Authority
  readonly stranger: Authority
  readonly server: Issued
  readonly client: Issued
}

/** Making certificates takes longer than using them. */
async function openWorld(): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-admin-tls-'))
  const [authority, stranger] = [await openAuthority(folder), await openAuthority(folder, 'stranger')]
  const [server, client] = [await authority.issue({ hosts: ['localhost'] }), await authority.issue({})]
  return { authority, stranger, server, client, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) }
}

let world: World
before(async () => {
  world = await openWorld()
})
after(() => world[Symbol.asyncDispose]())

function configOf(origin: string, admin: string, more = ''): string {
  return `version: 1
listen: [{ address: "127.0.0.1:0" }]
admin: { listen: "127.0.0.1:0", ${admin} }
upstreams: { app: { servers: ["${origin}"] } }
routes: [{ id: app, match: { path: /* }, upstream: app }]
${more}`
}

async function openStage(admin = `${TLS}, token: ${TOKEN}`, more = '') {
  await using stack = new AsyncDisposableStack()
  const app = stack.use(await startApp((_, response) => response.end()))
  const { server, authority } = world
  const files = { 'ops.crt': server.cert, 'ops.key': server.key, 'ca.crt': authority.cert }
  const gateway = stack.use(await startGateway({ config: configOf(app.origin, admin, more), files }))
  const closing = stack.move()
  return {
    gateway,
    configOf: (changed: string) => configOf(app.origin, changed, more),
    port: Number(gateway.operatorUrl.split(':').at(-1)),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

interface Asked extends Partial<TlsRequest> {
  readonly method?: string
  readonly lines?: readonly string[]
  /** Whose certificate is shown; default nobody's. */
  readonly as?: Issued
}

interface Answered extends TlsAnswer {
  readonly status: number
}

async function ask(
  port: number,
  path: string,
  { method = 'GET', lines = [], as, ...more }: Asked = {},
): Promise<Answered> {
  const body = method === 'POST' ? ['Content-Type: application/json', 'Content-Length: 2'] : []
  const head = [`${method} ${path} HTTP/1.1`, `Host: localhost:${port}`, 'Connection: close', ...body, ...lines]
  const request = `${head.join('\r\n')}\r\n\r\n${method === 'POST' ? '{}' : ''}`
  const answer = await askTls({ port, ca: world.authority.cert, servername: 'localhost', request, ...as, ...more })
  return { ...answer, status: Number(answer.text.split(' ')[1]) }
}

async function put({ folder }: TestGateway, name: string, text: string): Promise<void> {
  await writeFile(join(folder, `${name}.new`), text)
  await rename(join(folder, `${name}.new`), join(folder, name))
}

function actors({ log }: TestGateway): unknown[] {
  return log.filter(({ msg }) => msg === 'audit').map(({ actor }) => actor)
}

describe('the operator’s listener in TLS', () => {
  test('answers probes and scrapers that show no certificate, and nobody in plain http', async () => {
    await using stage = await openStage()
    const { gateway, port } = stage
    const listening = gateway.log.find(({ msg }) => msg === 'operator listening')
    assert.equal(listening?.tls, true)
    for (const path of ['/metrics', '/livez', '/readyz']) assert.equal((await ask(port, path)).status, 200, path)
    assert.match((await ask(port, '/metrics')).text, /certificate_not_after_timestamp_seconds\{name="ops.crt"\} \d/)
    await assert.rejects(fetch(`http://127.0.0.1:${port}/livez`))
  })

  test('opens /api to the token and to a certificate, and the audit line says which it was', async () => {
    await using stage = await openStage()
    const { gateway, port } = stage
    const { client } = world
    assert.equal((await ask(port, '/api/overview')).status, 401)
    assert.equal((await ask(port, '/api/overview', { lines: ['Authorization: Bearer wrong'] })).status, 401)
    assert.equal((await ask(port, '/api/overview', { lines: [BEARER] })).status, 200)
    assert.equal((await ask(port, '/api/overview', { as: client })).status, 200)
    assert.equal((await ask(port, '/api/reload', { method: 'POST', lines: [BEARER] })).status, 200)
    assert.equal((await ask(port, '/api/reload', { method: 'POST', as: client })).status, 200)
    assert.equal((await ask(port, '/api/reload', { method: 'POST', lines: [BEARER], as: client })).status, 200)
    await until('three audit lines', () => actors(gateway).length === 3)
    const [byToken, ...byCertificate] = actors(gateway)
    assert.equal(byToken, 'admin.token')
    assert.deepEqual(byCertificate, ['CN=authority-1', 'CN=authority-1'])
  })

  test('needs no token where there are authorities', async () => {
    await using stage = await openStage(TLS)
    assert.equal((await ask(stage.port, '/api/overview')).status, 401)
    assert.equal((await ask(stage.port, '/api/overview', { lines: ['Authorization: Bearer '] })).status, 401)
    assert.equal((await ask(stage.port, '/api/overview', { as: world.client })).status, 200)
  })

  test('takes no certificate for a word of its owner where no authority is named', async () => {
    await using stage = await openStage(`tls: { cert: ops.crt, key: ops.key }, token: ${TOKEN}`)
    assert.equal((await ask(stage.port, '/api/overview', { as: world.client })).status, 401)
    assert.equal((await ask(stage.port, '/api/overview', { lines: [BEARER] })).status, 200)
  })

  test('lets nobody in by the certificate of another authority, nor by one that has ended', async () => {
    await using stage = await openStage()
    const { port } = stage
    const strange = await world.stranger.issue({})
    const ended = await world.authority.issue({ days: -1 })
    for (const as of [strange, ended]) await assert.rejects(ask(port, '/api/overview', { as }))
    const metrics = (await ask(port, '/metrics')).text
    assert.match(metrics, /^sessiongate_tls_handshake_failures_total\{reason="bad_client_certificate"\} 2$/m)
  })

  test('takes a resumed connection for what the first one was', async () => {
    await using stage = await openStage()
    const { port } = stage
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { session } = await ask(port, '/livez', { maxVersion })
      assert.ok(session)
      const again = await ask(port, '/api/overview', { maxVersion, session })
      assert.deepEqual([again.isReused, again.status], [true, 401], maxVersion)
    }
  })

  test('answers no page of another site, whoever’s certificate its browser shows', async () => {
    await using stage = await openStage()
    const { port, gateway } = stage
    const reload = (origin: string, ...lines: string[]) =>
      ask(port, '/api/reload', { method: 'POST', as: world.client, lines: [`Origin: ${origin}`, ...lines] })
    assert.equal((await reload('https://evil.example')).status, 403)
    assert.equal((await reload(`http://localhost:${port}`)).status, 403)
    assert.equal((await reload(`https://localhost:${port}`, 'Sec-Fetch-Site: cross-site')).status, 403)
    assert.deepEqual(actors(gateway), [])
    assert.equal((await reload(`https://localhost:${port}`)).status, 200)
  })
})

describe('what stands in the files', () => {
  test('is shown and believed as soon as it is there', async () => {
    await using stage = await openStage()
    const { gateway, port } = stage
    const before = await ask(port, '/livez')
    const next = await world.authority.issue({ hosts: ['localhost'] })
    const replaced = (name: string) =>
      gateway.logged(name, (line) => line.msg === 'tls certificate replaced' && line.name === name)
    await put(gateway, 'ops.key', next.key)
    await put(gateway, 'ops.crt', next.cert)
    await replaced('ops.crt')
    const after = await ask(port, '/livez')
    assert.notEqual(after.certificate?.fingerprint256, before.certificate?.fingerprint256)

    assert.equal((await ask(port, '/api/overview', { as: world.client })).status, 200)
    await put(gateway, 'ca.crt', world.stranger.cert)
    await replaced('ca.crt')
    await assert.rejects(ask(port, '/api/overview', { as: world.client }))
    const theirs = await world.stranger.issue({})
    assert.equal((await ask(port, '/api/overview', { as: theirs })).status, 200)
  })

  test('must be in order for the gateway to start', async () => {
    const files = { 'ops.crt': 'rubbish', 'ops.key': 'rubbish', 'ca.crt': world.authority.cert }
    const config = configOf('http://127.0.0.1:9', TLS)
    await assert.rejects(startGateway({ config, files }), /ops\.crt" holds no certificate/)
  })
})

describe('a changed configuration', () => {
  test('has the same address speak TLS, other TLS, or none', async () => {
    await using stage = await openStage(`token: ${TOKEN}`)
    const { gateway, port } = stage
    const take = async (admin: string): Promise<void> => {
      const line = await reloadBy(gateway, () => putConfig(gateway, stage.configOf(admin)))
      assert.equal(line.msg, 'configuration reloaded', JSON.stringify(line))
    }
    const plain = async (): Promise<number> => (await fetch(`http://127.0.0.1:${port}/livez`)).status
    assert.equal(await plain(), 200)
    await take(`${TLS}, token: ${TOKEN}`)
    await assert.rejects(plain())
    assert.equal((await ask(port, '/api/overview', { as: world.client })).status, 200)
    await take(`tls: { cert: ops.crt, key: ops.key }, token: ${TOKEN}`)
    assert.equal((await ask(port, '/api/overview', { as: world.client })).status, 401)
    await take(`token: ${TOKEN}`)
    assert.equal(await plain(), 200)
    await assert.rejects(ask(port, '/livez'))
    await take(`${TLS}, token: ${TOKEN}`)
    assert.equal(await gateway.stop(), 0)
  })
})

test('with several workers it is the supervisor who speaks TLS', async () => {
  await using stage = await openStage(TLS, 'workers: 2')
  assert.equal((await ask(stage.port, '/readyz')).status, 200)
  assert.match((await ask(stage.port, '/metrics')).text, /^sessiongate_workers_up 2$/m)
  await assert.rejects(fetch(`http://127.0.0.1:${stage.port}/livez`))
})

test('healthcheck asks in TLS, also while the files are in disorder', async () => {
  await using stage = await openStage()
  const { gateway, port } = stage
  const check = async (...args: string[]) => {
    const command = [main, 'healthcheck', '--config', join(gateway.folder, 'sessiongate.yaml'), ...args]
    return await runCommand(process.execPath, command, { cwd: gateway.folder })
  }
  // The port of this file is 0, which is nobody's.
  await writeFile(
    join(gateway.folder, 'check.yaml'),
    stage
      .configOf(`${TLS}, token: ${TOKEN}`)
      .replace('admin: { listen: "127.0.0.1:0"', `admin: { listen: "127.0.0.1:${port}"`),
  )
  const asked = ['--config', join(gateway.folder, 'check.yaml')]
  assert.deepEqual((await check(...asked)).stdout, 'ready\n')
  await put(gateway, 'ops.crt', 'rubbish')
  assert.deepEqual((await check(...asked, '--live')).stdout, 'live\n')
  // Whoever names an address has it judged like any other.
  const named = await check('--url', `https://127.0.0.1:${port}/readyz`)
  assert.deepEqual([named.code, named.stdout], [1, ''])
})
