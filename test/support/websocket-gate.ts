import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { GatewayError } from '../../src/errors.ts'
import { acceptFor, readHandshake } from '../../src/proxy/handshake.ts'
import type { Tunnel } from '../../src/proxy/tunnel.ts'
import type { Upstream } from '../../src/proxy/upstream.ts'
import { openTunnel } from '../../src/proxy/websocket.ts'
import { within } from './deadline.ts'
import { type EvilConnection, startEvil } from './evil-upstream.ts'
import { openTo } from './proxied.ts'
import { connectRaw, type RawClient } from './raw-client.ts'

export interface Gate extends AsyncDisposable {
  readonly port: number
  /** The tunnel of that index; waits for it. */
  tunnel(index: number): Promise<Tunnel>
  /** What requests failed with, as `CODE proxy_error` or the message of another error. */
  readonly failures: readonly string[]
}

export interface GateOptions {
  readonly handshakeTimeoutMs?: number
  readonly idleMs?: number
  /** Flat lines that are put on every 101 beside those of the upstream. */
  readonly lines?: readonly string[]
  /** Called between the verified 101 and the start of the tunnel. */
  readonly beforeStart?: () => Promise<void>
}

/** The least of a gateway that a WebSocket needs: a server that hands each handshake to `openTunnel`. */
export async function startGate(upstream: Upstream, options: GateOptions = {}): Promise<Gate> {
  const { handshakeTimeoutMs = 10_000, idleMs = 10_000, lines = [], beforeStart } = options
  const tunnels = new Map<number, PromiseWithResolvers<Tunnel>>()
  const slot = (index: number) => {
    const found = tunnels.get(index) ?? Promise.withResolvers<Tunnel>()
    tunnels.set(index, found)
    return found
  }
  const failures: string[] = []
  let opened = 0
  const server = createServer()
  server.on('upgrade', async (request, client, head) => {
    const { method = '', httpVersion, rawHeaders: headers, url: target = '' } = request
    client.on('error', () => {})
    const gone = new AbortController()
    client.on('close', () => gone.abort(new Error('the client is gone')))
    try {
      readHandshake({ method, httpVersion, headers })
      const { signal } = gone
      const answer = await openTunnel({ upstream, target, headers, client, head, signal, handshakeTimeoutMs, idleMs })
      if (answer.kind === 'open') {
        await beforeStart?.()
        slot(opened++).resolve(answer.start([...answer.headers, ...lines]))
        return
      }
      const { status, body, headers: answerHeaders } = answer.answer
      client.write(`HTTP/1.1 ${status} X\r\n${linesOf(answerHeaders)}Connection: close\r\n\r\n`, 'latin1')
      await pipeline(typeof body === 'string' ? [Buffer.from(body, 'latin1')] : body, client)
    } catch (error) {
      const code = error instanceof GatewayError ? `${error.code} ${error.proxyError}` : String(error)
      failures.push(code)
      client.end(`HTTP/1.1 ${error instanceof GatewayError ? error.status : 500} ${code}\r\nContent-Length: 0\r\n\r\n`)
    }
  })
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    failures,
    tunnel: (index) => within(`tunnel ${index}`, slot(index).promise),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function linesOf(headers: readonly string[]): string {
  return headers.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
}

/** The key of RFC 6455, section 1.3, with which `handshake` asks and `switching` agrees. */
export const key = 'dGhlIHNhbXBsZSBub25jZQ=='

/** A client's handshake, whole. */
export const handshake = [
  'GET /chat%2F?x=%zz HTTP/1.1',
  'Host: app.test',
  'Upgrade: websocket',
  'Connection: keep-alive, Upgrade',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${key}`,
  '\r\n',
].join('\r\n')

/** The answer of a server that agrees, whole. */
export const switching = [
  'HTTP/1.1 101 Switching Protocols',
  'Upgrade: websocket',
  'Connection: Upgrade',
  `Sec-WebSocket-Accept: ${acceptFor(key)}`,
  '\r\n',
].join('\r\n')

/** A text frame as servers send it: "hello". */
export const hello = Buffer.from('810568656c6c6f', 'hex')
/** The same as clients send it, masked. */
export const maskedHello = Buffer.from('818537fa213d5f9f4d5158', 'hex')

/** A Close frame as servers send it. */
export function closeOf(code: number, reason: string): Buffer {
  const payload = Buffer.concat([Buffer.of(code >> 8, code & 0xff), Buffer.from(reason)])
  return Buffer.concat([Buffer.of(0x88, payload.length), payload])
}

/** Code and reason of a Close frame as clients send it. */
export function unmasked(frame: Buffer): string {
  const mask = frame.subarray(2, 6)
  const payload = Buffer.from(frame.subarray(6).map((byte, i) => byte ^ (mask[i % 4] ?? 0)))
  return `${payload.readUInt16BE(0)} ${payload.subarray(2)}`
}

export interface OpenTunnel extends AsyncDisposable {
  readonly client: RawClient
  readonly server: EvilConnection
  readonly tunnel: Tunnel
}

/** Opens a tunnel with a raw client at one end and a raw server at the other, right after the handshake. */
export async function openRaw(options: GateOptions = {}): Promise<OpenTunnel> {
  await using stack = new AsyncDisposableStack()
  const evil = stack.use(
    await startEvil(async (connection) => {
      await connection.head()
      await connection.send(switching)
    }),
  )
  const gate = stack.use(await startGate(stack.use(openTo(evil.origin)), options))
  const client = stack.use(await connectRaw(gate.port))
  await client.send(handshake)
  const { status } = await client.response()
  if (status !== 101) throw new Error(`the handshake was answered with ${status}`)
  const server = await evil.connection(0)
  const tunnel = await gate.tunnel(0)
  const rest = stack.move()
  return { client, server, tunnel, [Symbol.asyncDispose]: () => rest.disposeAsync() }
}

/** What a server got after the handshake, when it is at least that many bytes. */
export async function framesAt(server: EvilConnection, count: number): Promise<Buffer> {
  const from = server.received().indexOf('\r\n\r\n') + 4
  return Buffer.from((await server.bytes(from + count)).slice(from), 'latin1')
}
