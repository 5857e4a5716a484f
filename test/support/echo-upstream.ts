import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One request as an app saw it. */
export interface EchoedRequest {
  readonly method: string
  readonly url: string
  /** Flat name, value, …, in the order and case of the wire. */
  readonly rawHeaders: readonly string[]
  readonly bodyLength: number
  /** Lower-case hex. */
  readonly bodySha256: string
}

/** An HTTP app on a port of its own on 127.0.0.1. Disposing cuts every connection. */
export interface App extends AsyncDisposable {
  /** `http://127.0.0.1:port`. */
  readonly origin: string
  readonly port: number
  readonly server: Server
  /** How many connections were accepted so far. */
  connections(): number
}

export interface EchoUpstream extends App {
  /** Everything that was answered so far, in the order of arrival. */
  readonly requests: readonly EchoedRequest[]
}

/** Starts an app with that handler. Heads of requests may have up to 256 KiB, so that it is never the app that refuses. */
export async function startApp(handler: RequestListener): Promise<App> {
  const server = createServer({ maxHeaderSize: 256 * 1024 }, handler)
  let accepted = 0
  server.on('connection', (socket) => {
    accepted += 1
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    server,
    connections: () => accepted,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Reads a whole request and says what it was; the body itself is not kept. */
export async function readEchoed(request: IncomingMessage): Promise<EchoedRequest> {
  const hash = createHash('sha256')
  let bodyLength = 0
  for await (const chunk of request) {
    hash.update(chunk)
    bodyLength += chunk.length
  }
  return {
    method: request.method ?? '',
    url: request.url ?? '',
    rawHeaders: request.rawHeaders,
    bodyLength,
    bodySha256: hash.digest('hex'),
  }
}

/**
 * Starts an app that answers every request with `EchoedRequest` as JSON. `headers` are flat lines put on each answer
 * as they are: what an app would send back (`Set-Cookie`, `X-Session-Set`, …).
 */
export async function startEcho(headers: readonly string[] = []): Promise<EchoUpstream> {
  const requests: EchoedRequest[] = []
  const app = await startApp(async (request, response) => {
    const echoed = await readEchoed(request)
    requests.push(echoed)
    const body = JSON.stringify(echoed)
    response.writeHead(200, [
      ...['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body))],
      ...headers,
    ])
    response.end(body)
  })
  return { ...app, requests }
}
