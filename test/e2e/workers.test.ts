import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { startApp } from '../support/app.ts'
import { makeCertificates } from '../support/certificates.ts'
import { plainEnvironment, runCommand } from '../support/command.ts'
import { within } from '../support/deadline.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { pidsOf } from '../support/workers.ts'

const main = new URL('../../src/main.ts', import.meta.url).pathname

function configOf(origin: string, sections = ''): string {
  return `workers: 2
upstreams: { app: { servers: ["${origin}"], writeback: { allow: ["*"] } } }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: app, match: { path: /* }, upstream: app, auth: required }
${sections}`
}

/** Logs in at `/login`, answers with the user's name elsewhere. */
async function startDemo() {
  return await startApp(({ url, claims }) =>
    url === '/login'
      ? { headers: ['X-Session-Set', '{"userInfo":{"name":"Ada"}}'], body: 'welcome' }
      : { body: JSON.stringify(claims().ses.userInfo) },
  )
}

async function metricOf(gateway: TestGateway, line: string): Promise<number> {
  const text = await (await fetch(`${gateway.operatorUrl}/metrics`)).text()
  return Number(
    text
      .split('\n')
      .find((each) => each.startsWith(`${line} `))
      ?.slice(line.length) ?? Number.NaN,
  )
}

const requests = 'sessiongate_http_requests_total{route="app",method="GET",code="200"}'

describe('two workers', () => {
  test('serve one session on one port; what they count and whether they are ready stands at one address', async () => {
    await using app = await startDemo()
    await using gateway = await startGateway({ config: configOf(app.origin) })
    const login = await fetch(`${gateway.url}/login`)
    const cookie = login.headers.getSetCookie()[0]?.split(';')[0] ?? ''
    for (let i = 0; i < 20; i++) {
      const answer = await fetch(`${gateway.url}/`, { headers: { cookie, connection: 'close' } })
      assert.equal(await answer.text(), '{"name":"Ada"}')
    }
    assert.equal(await metricOf(gateway, requests), 20)
    assert.equal(await metricOf(gateway, 'sessiongate_store_up{store="db"}'), 1)
    assert.equal(await metricOf(gateway, 'sessiongate_workers_up'), 2)
    const ready = await (await fetch(`${gateway.operatorUrl}/readyz`)).json()
    assert.deepEqual(ready, {
      ready: true,
      checks: { 'store:db': 'up', listener: 'up', local_cache: 'on', workers: '2/2' },
    })
    assert.equal(pidsOf(gateway).length, 2)
    assert.equal(await gateway.stop(), 0)
    assert.equal(gateway.log.filter(({ msg }) => msg === 'request').length, 21, 'each once')
    assert.equal(gateway.log.filter(({ msg }) => msg === 'listening').length, 1)
    assert.equal(gateway.log[0]?.msg, 'listening')
    assert.equal(gateway.log.filter(({ msg }) => msg === 'draining').length, 1)
  })

  test('share a Unix socket', async () => {
    await using app = await startDemo()
    const listen = 'listen: [{ address: "127.0.0.1:0" }, { address: "unix:gate.sock" }]'
    await using gateway = await startGateway({ config: configOf(app.origin, listen) })
    for (let i = 0; i < 6; i++) {
      const socket = connect(join(gateway.folder, 'gate.sock'))
      socket.write('GET /login HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1.1 200 /)
      socket.destroy()
    }
    assert.equal(await gateway.stop(), 0)
  })

  test('resume each other’s TLS sessions', async (context) => {
    const folder = await mkdtemp(join(tmpdir(), 'sessiongate-'))
    context.after(() => rm(folder, { recursive: true }))
    await using app = await startDemo()
    const { files } = await makeCertificates(folder)
    const listen = `listen: [{ address: "127.0.0.1:0", tls: { cert: "${files.serverCert}", key: "${files.serverKey}" } }]`
    await using gateway = await startGateway({ config: configOf(app.origin, listen) })
    const visit = async (session?: Buffer): Promise<{ isReused: boolean; ticket: Buffer | undefined }> => {
      const socket = connectTls({ port: gateway.port, rejectUnauthorized: false, ...(session && { session }) })
      let ticket: Buffer | undefined
      socket.on('session', (latest: Buffer) => {
        ticket = latest
      })
      await within('the handshake', once(socket, 'secureConnect'))
      const isReused = socket.isSessionReused()
      socket.write('GET /login HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      await within('the end', once(socket.resume(), 'close'))
      return { isReused, ticket }
    }
    const first = await visit()
    assert.deepEqual([first.isReused, first.ticket === undefined], [false, false])
    // In turn: every second one comes to the other worker.
    for (let i = 0; i < 6; i++) assert.equal((await visit(first.ticket)).isReused, true, `visit ${i}`)
  })

  test('take no signal for themselves: a whole group that is asked to end ends politely', async () => {
    await using app = await startDemo()
    await using gateway = await startGateway({ config: configOf(app.origin) })
    for (const pid of pidsOf(gateway)) {
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'] as const) process.kill(pid, signal)
    }
    assert.equal((await fetch(`${gateway.url}/login`)).status, 200)
    assert.equal(await metricOf(gateway, 'sessiongate_worker_restarts_total{reason="crash"}'), 0)
    assert.equal(await gateway.stop('SIGINT'), 0)
  })

  test('a worker that is replaced starts with the configuration in force, also when that on the disk is broken', async () => {
    await using app = await startDemo()
    const config = configOf(app.origin, `admin: { listen: "127.0.0.1:0", token: "\${file:token}" }`)
    await using gateway = await startGateway({
      config,
      files: { token: 'a-token-of-more-than-twenty-four-characters' },
    })
    await writeFile(join(gateway.folder, 'sessiongate.yaml'), 'nothing: [of')
    await writeFile(join(gateway.folder, 'token'), '')
    gateway.process.kill('SIGUSR2')
    await gateway.logged('the roll to end', ({ msg }) => msg === 'rolling restart ended')
    assert.equal((await fetch(`${gateway.url}/login`)).status, 200)
    assert.equal(await metricOf(gateway, 'sessiongate_worker_restarts_total{reason="roll"}'), 2)
  })
})

describe('what cannot start', () => {
  test('says why once, and leaves nothing behind', async (context) => {
    const folder = await mkdtemp(join(tmpdir(), 'sessiongate-'))
    context.after(() => rm(folder, { recursive: true }))
    await using app = await startDemo()
    const taken = new URL(app.origin).host
    const file = join(folder, 'gate.yaml')
    await writeFile(file, `version: 1\nlisten: [{ address: "${taken}" }]\nadmin: off\n${configOf(app.origin)}`)
    const { code, stdout, stderr } = await runCommand(process.execPath, [main, 'serve', '--config', file], {
      cwd: folder,
      env: plainEnvironment(),
    })
    assert.equal(code, 1)
    assert.equal(stdout, '')
    assert.match(stderr, /^sessiongate: .*EADDRINUSE.*\n$/)
  })
})

test('one process is not replaced by itself, and goes on', async () => {
  await using app = await startDemo()
  await using gateway = await startGateway({ config: configOf(app.origin).replace('workers: 2', 'workers: 1') })
  gateway.process.kill('SIGUSR2')
  assert.equal((await fetch(`${gateway.url}/login`)).status, 200)
  assert.equal(await gateway.stop(), 0)
  assert.match(gateway.stderr(), /cannot be replaced by itself/)
})

test('auto is as many as there are cores', async () => {
  await using app = await startDemo()
  await using gateway = await startGateway({ config: configOf(app.origin).replace('workers: 2', 'workers: auto') })
  const cores = availableParallelism()
  assert.equal(pidsOf(gateway).length, cores === 1 ? 0 : cores)
  assert.equal((await fetch(`${gateway.url}/login`)).status, 200)
})
