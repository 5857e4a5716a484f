import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { GatewayError } from '../../src/errors.ts'
import { readHandshake } from '../../src/proxy/handshake.ts'
import type { Tunnel } from '../../src/proxy/tunnel.ts'
import type { Upstream } from '../../src/proxy/upstream.ts'
import { openTunnel } from '../../src/proxy/websocket.ts'
import { within } from './deadline.ts'

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
      await pipeline(body, client)
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
