import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'
import { stringify } from 'yaml'
import { eventWithin, until, within } from '../support/deadline.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'

const SECRET_KEY = 'a-secret-key-of-more-than-32-bytes-0123456789'

/** A WebSocket that is open, and how it ends. */
export interface OpenSocket {
  readonly socket: WebSocket
  /** The code, and how many milliseconds after `fromMs` of `performance.now()` it came. */
  readonly closed: Promise<{ readonly code: number; readonly atMs: number }>
  /** Sends a message and waits until it is back. */
  isAlive(): Promise<boolean>
}

/** Two gateways on one store with one app behind them. */
export interface SocketStage extends AsyncDisposable {
  readonly here: TestGateway
  readonly there: TestGateway
  /** A log-in by a browser without cookies; the key of the session. */
  logIn(gateway: TestGateway, ...headers: readonly [name: string, value: string][]): Promise<string>
  /** Asks the app for that answer to a request of that session. */
  command(gateway: TestGateway, key: string, header: string, value: string): Promise<void>
  /** Opens a WebSocket through the gateway, on a route for those who are logged in. */
  open(gateway: TestGateway, key: string): Promise<OpenSocket>
}

async function startSocketApp() {
  const server = createServer((request, response) => {
    request.resume()
    for (const [name, value] of JSON.parse(String(request.headers.command ?? '[]'))) response.appendHeader(name, value)
    response.end('ok')
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (peer) => {
    peer.on('message', (data, isBinary) => peer.send(data, { binary: isBinary }))
    peer.on('error', () => undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const peer of sockets.clients) peer.terminate()
      server.close()
      server.closeAllConnections()
    },
  }
}

/** @param sections Of the YAML: `session`, and where it is kept, from anywhere. */
export async function openSocketStage(sections: Readonly<Record<string, object>>): Promise<SocketStage> {
  await using stack = new AsyncDisposableStack()
  const app = stack.use(await startSocketApp())
  const { session = {}, ...stores } = sections
  const config = stringify({
    session: { secret_key: SECRET_KEY, ...session },
    keys: [{ id: 'test', secret: '0123456789abcdef0123456789abcdef' }],
    upstreams: { app: { servers: [app.origin], writeback: { allow: ['*'] } } },
    routes: [
      { id: 'login', match: { path: '/login' }, upstream: 'app', auth: 'public' },
      { id: 'app', match: { path: '/*' }, upstream: 'app', auth: 'required' },
    ],
    ...stores,
  })
  const here = stack.use(await startGateway({ config }))
  const there = stack.use(await startGateway({ config }))
  const closing = stack.move()
  return {
    here,
    there,
    async logIn(gateway, ...headers) {
      const command = JSON.stringify([['X-Session-Set', '{"userInfo":{"name":"ann"}}'], ...headers])
      const response = await fetch(`${gateway.url}/login`, { headers: { Command: command } })
      await response.body?.cancel()
      const [, key] = /^sessionid=([^;]+);/.exec(response.headers.getSetCookie()[0] ?? '') ?? []
      assert.ok(key, `${response.status} ${JSON.stringify(gateway.log.slice(-2))}`)
      return key
    },
    async command(gateway, key, header, value) {
      const response = await fetch(`${gateway.url}/page`, {
        headers: { Cookie: `sessionid=${key}`, Command: JSON.stringify([[header, value]]) },
      })
      assert.equal(response.status, 200, await response.text())
    },
    async open(gateway, key) {
      const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/live`, {
        headers: { Cookie: `sessionid=${key}` },
      })
      const refused = once(socket, 'unexpected-response').then(([, response]: IncomingMessage[]) =>
        Promise.reject(new Error(`the handshake was answered with ${response?.statusCode}`)),
      )
      socket.on('error', () => undefined)
      await within('the handshake', Promise.race([once(socket, 'open'), refused]))
      const { promise: closed, resolve } = Promise.withResolvers<{ code: number; atMs: number }>()
      socket.on('close', (code) => resolve({ code, atMs: performance.now() }))
      return {
        socket,
        closed,
        async isAlive() {
          const echoed = eventWithin(socket, 'message')
          socket.send('are you there')
          return String((await echoed)[0]) === 'are you there'
        },
      }
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** Resolves when both gateways hear of each other's changes. */
export async function untilTold({ here, there }: SocketStage): Promise<void> {
  let states: readonly string[] = []
  await until('the line to stand', () => {
    void Promise.all([here, there].map(stateOf)).then((now) => {
      states = now
    })
    return states.length === 2 && states.every((state) => state === 'on')
  })
}

async function stateOf({ operatorUrl }: TestGateway): Promise<string> {
  const { checks } = (await (await fetch(`${operatorUrl}/readyz`)).json()) as { checks: Record<string, string> }
  return checks.local_cache ?? ''
}

/**
 * What must hold on every store that tells of changes: whatever ends the session on the other gateway ends its socket here
 * with 1008 within that time, however often the session has changed before, and nobody else's.
 */
export async function assertEndsElsewhere(stage: SocketStage, boundMs: number): Promise<void> {
  const { here, there } = stage
  const neighbour = await stage.open(here, await stage.logIn(there))
  const ends: readonly [header: string, value: string][] = [
    ['X-Session-Command', 'flush'],
    ['X-Session-Delete', 'userInfo'],
    ['X-Session-Command', 'cycle-key'],
  ]
  for (const [header, value] of ends) {
    const key = await stage.logIn(there)
    const open = await stage.open(here, key)
    for (let i = 0; i < 3; i++) {
      await stage.command(there, key, 'X-Session-Set', `{"cart":${i}}`)
      assert.equal(await open.isAlive(), true)
    }
    await stage.command(there, key, header, value)
    const endedAtMs = performance.now()
    const { code, atMs } = await within(`the end by ${value}`, open.closed)
    assert.equal(code, 1008)
    assert.ok(atMs - endedAtMs < boundMs, `${value}: after ${Math.round(atMs - endedAtMs)} ms`)
  }
  assert.equal(await neighbour.isAlive(), true)
  neighbour.socket.terminate()
}

/** A session that is over by its date ends its sockets within a second; one that is renewed meanwhile does not. */
export async function assertEndsByDate(stage: SocketStage): Promise<void> {
  const { here, there } = stage
  const key = await stage.logIn(there, ['X-Session-Expiry', '5'])
  const renewed = await stage.logIn(there, ['X-Session-Expiry', '5'])
  const overAtMs = performance.now() + 5_000
  const [brief, lasting] = [await stage.open(here, key), await stage.open(here, renewed)]
  await stage.command(there, renewed, 'X-Session-Expiry', '600')
  const { code, atMs } = await within('the end by date', brief.closed)
  assert.equal(code, 1008)
  assert.ok(
    atMs > overAtMs - 2_000 && atMs < overAtMs + 1_000 + 3_000,
    `${Math.round(atMs - overAtMs)} ms after the end`,
  )
  assert.equal(await lasting.isAlive(), true)
  lasting.socket.terminate()
}
