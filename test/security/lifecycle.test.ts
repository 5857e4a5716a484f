import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { acceptFor } from '../../src/proxy/handshake.ts'
import { startApp } from '../support/app.ts'
import { until, within } from '../support/deadline.ts'
import { startEcho } from '../support/echo-upstream.ts'
import { startGateway } from '../support/gateway.ts'
import { connectRaw } from '../support/raw-client.ts'
import { openStage } from './stage.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const config = `
upstreams: { app: { servers: ["APP"], timeouts: { connect: 1s, first_byte: 20s, idle: 20s } } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`

/** Runs a gateway that is expected to end by itself. */
async function serve(yaml: string, options: { env?: Record<string, string> } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-'))
  try {
    const file = join(folder, 'g.yaml')
    await writeFile(file, yaml.replaceAll('FOLDER', folder))
    const env = { PATH: process.env.PATH ?? '', ...options.env }
    const child = spawn(process.execPath, [main, 'serve', '--config', file], { cwd: folder, env, timeout: 8000 })
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
    return { stdout, stderr, code: code as number | null }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const rest = `
upstreams: { app: { servers: ["http://127.0.0.1:1"] } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`

const handshake = [
  'GET /ws HTTP/1.1',
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n')

/** Takes connections and what comes on them, and never says a word. */
async function startSilentApp(onData: () => void): Promise<AsyncDisposable & { readonly origin: string }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('data', onData).on('error', () => undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

describe('starting and stopping', () => {
  test('SIGTERM lets a running request finish, ends the connection with it, and the exit code is 0', async () => {
    await using stage = await openStage(config)
    await using client = await connectRaw(stage.gateway.port)
    await client.send('GET / HTTP/1.1\r\nHost: x\r\nWait: 800\r\n\r\n')
    await until('the request to reach the app', () => stage.app.requests.length > 0)
    const startedMs = performance.now()
    const stopped = stage.gateway.stop()
    const answer = await client.response()
    assert.equal(answer.status, 200)
    assert.equal(await stopped, 0)
    const tookMs = performance.now() - startedMs
    assert.ok(tookMs < 5000, `a kept connection held the end up for ${Math.round(tookMs)} ms`)
  })

  test('after SIGTERM a kept connection is told to close, and no new connection is taken', async () => {
    await using stage = await openStage(config)
    await using client = await connectRaw(stage.gateway.port)
    await client.send('GET / HTTP/1.1\r\nHost: x\r\nWait: 600\r\n\r\n')
    await until('the request to reach the app', () => stage.app.requests.length > 0)
    const stopped = stage.gateway.stop()
    await stage.gateway.logged('the drain', (line) => line.msg === 'draining')
    await assert.rejects(connectRaw(stage.gateway.port).then(async (late) => late.response({ deadlineMs: 500 })))
    const answer = await client.response()
    assert.deepEqual(answer.values('Connection'), ['close'])
    assert.equal(await stopped, 0)
  })

  test('readiness goes before the listener does', async () => {
    await using stage = await openStage(`${config}\nshutdown: { drain: 5s, readiness_delay: 1s }\n`)
    const stopped = stage.gateway.stop()
    await stage.gateway.logged('the drain', (line) => line.msg === 'draining')
    assert.equal((await fetch(`${stage.gateway.operatorUrl}/readyz`)).status, 503)
    assert.equal((await fetch(`${stage.gateway.operatorUrl}/livez`)).status, 200)
    assert.equal((await fetch(stage.gateway.url)).status, 200)
    assert.equal(await stopped, 0)
  })

  test('a second SIGTERM ends at once, whatever is under way', async () => {
    await using stage = await openStage(config)
    await using client = await connectRaw(stage.gateway.port)
    await client.send('GET / HTTP/1.1\r\nHost: x\r\nWait: 15000\r\n\r\n')
    await until('the request to reach the app', () => stage.app.requests.length > 0)
    const startedMs = performance.now()
    stage.gateway.process.kill('SIGTERM')
    await stage.gateway.logged('the drain', (line) => line.msg === 'draining')
    assert.equal(await stage.gateway.stop(), 0)
    assert.ok(performance.now() - startedMs < 3000)
  })

  test('the client of a refused handshake cannot hold up the end by keeping its side open', async () => {
    await using stage = await openStage(
      `${config.replace('auth: optional', 'auth: required')}login: { url: https://login.example/ }\nshutdown: { drain: 5s }\n`,
    )
    await using client = await connectRaw(stage.gateway.port)
    await client.send(handshake)
    assert.equal((await client.response()).status, 401)
    assert.equal(await within('the end', stage.gateway.stop(), 6_000), 0)
  })

  test('a handshake that the app has not answered at the deadline is cut, and opens nothing afterwards', async () => {
    const asked = Promise.withResolvers<void>()
    await using app = await startSilentApp(() => asked.resolve())
    await using gateway = await startGateway({
      config: `${config.replace('APP', app.origin)}shutdown: { drain: 1s }\n`,
    })
    await using client = await connectRaw(gateway.port)
    await client.send(handshake)
    await within('the handshake to reach the app', asked.promise)
    assert.equal(await within('the end', gateway.stop(), 6_000), 0)
  })

  test('what is left at the deadline of the drain is cut, a WebSocket too', async () => {
    await using app = await startEcho()
    app.server.on('upgrade', (request, socket) => {
      const accept = acceptFor(String(request.headers['sec-websocket-key']))
      socket
        .on('error', () => undefined)
        .on('end', () => socket.end())
        .resume()
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      )
    })
    await using gateway = await startGateway({
      config: `${config.replace('APP', app.origin)}\nshutdown: { drain: 1s }\n`,
    })
    await using client = await connectRaw(gateway.port)
    await client.send(
      'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    )
    assert.equal((await client.response()).status, 101)
    const startedMs = performance.now()
    assert.equal(await gateway.stop(), 0)
    assert.ok(performance.now() - startedMs < 5000)
    assert.equal((await client.rest()).readUInt16BE(2), 1001)
  })

  test('a port that is taken ends the start with 1 and its name, not with a stack', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const { code, stderr } = await serve(`version: 1\nlisten: [{ address: "127.0.0.1:${port}" }]\nadmin: off\n${rest}`)
    server.close()
    assert.equal(code, 1, stderr)
    assert.match(stderr, new RegExp(`EADDRINUSE|${port}`))
    assert.doesNotMatch(stderr, /^\s+at /m)
  })

  test('a database that is no database ends the start with 1, and the file stays as it is', async () => {
    const { code, stderr } = await serve(
      `version: 1\nlisten: [{ address: "127.0.0.1:0" }]\nadmin: off\nsession: { secret_key: "${'k'.repeat(50)}" }\ndatabase: { url: "sqlite:./g.yaml" }\n${rest}`,
    )
    assert.equal(code, 1, stderr)
    assert.match(stderr, /none of SQLite's/)
    assert.doesNotMatch(stderr, /^\s+at /m)
  })

  test('a broken file ends the start with 78, and no secret of it is shown', async () => {
    const { code, stderr, stdout } = await serve(
      `version: 1\nsession: { secret_key: [ "CANARY-SECRET-KEY" ] , sekret_key: CANARY-OTHER }\nkeys: [{ id: a, secret: CANARY-SHORT }]\nadmin: { listen: "127.0.0.1:0", token: CANARY-TOKEN }\n${rest}`,
    )
    assert.equal(code, 78, stderr)
    assert.doesNotMatch(stderr + stdout, /CANARY/)
  })

  test('alias bombs, merge keys and duplicate keys in the file are refused, quickly', async () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'
      .split('')
      .map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(',')}]`)
      .join('\n')}\n`
    for (const yaml of [
      `version: 1\n${bomb}${rest}`,
      `version: 1\nversion: 1\n${rest}`,
      `version: 1\nx-a: &a { url: /x }\nlogin: { <<: *a }\n${rest}`,
    ]) {
      const startedMs = performance.now()
      assert.equal((await serve(yaml)).code, 78)
      assert.ok(performance.now() - startedMs < 6000)
    }
  })

  test('a reader of the log that has gone does not take the gateway with it', async () => {
    await using app = await startApp(() => ({ body: 'fine' }))
    await using gateway = await startGateway({ config: config.replace('APP', app.origin) })
    gateway.process.stdout?.destroy()
    for (let i = 0; i < 20; i++) {
      const status = await fetch(gateway.url).then(
        (answer) => answer.status,
        () => 0,
      )
      assert.equal(status, 200, `request ${i}, exit code ${gateway.process.exitCode}`)
    }
    assert.equal(gateway.process.exitCode, null)
  })

  test('a reader of the log that stands still does not stop the gateway', async () => {
    await using app = await startApp(() => ({ body: 'fine' }))
    await using gateway = await startGateway({ config: config.replace('APP', app.origin) })
    gateway.process.stdout?.pause()
    for (let i = 0; i < 60; i++) {
      const path = `/${'x'.repeat(6000)}`
      const answers = await within('answers', Promise.all(Array.from({ length: 10 }, () => fetch(gateway.url + path))))
      for (const answer of answers) assert.equal(answer.status, 200)
    }
    gateway.process.stdout?.resume()
    assert.equal(gateway.process.exitCode, null)
  })
})
