import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { RawHeaders } from '../http/headers.ts'
import { createRequestId } from '../http/request-id.ts'
import type { ChunkMeter } from '../lib/chunk-memory.ts'
import type { Clock } from '../lib/clock.ts'
import { createExchange, type Exchange } from '../observe/exchange.ts'
import { createUnparsedGuard } from './unparsed.ts'
import type { Arrived } from './visit.ts'

/** Of a request's head: the line and all headers (RFC 6585, section 5: 431 beyond it). */
const MAX_HEAD_BYTES = 16 * 1024
/** A head must be complete by then, counted from the connection's or the previous answer's end. */
const HEAD_DEADLINE_MS = 30_000
/** For how long an idle connection is kept; longer than the usual load balancer's 60 s, so that it closes first. */
const KEEP_ALIVE_MS = 75_000

/** `host` undefined = all interfaces. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string | undefined; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** What a listener does with what arrives. None of these throws. */
export interface Handlers {
  readonly onRequest: (arrived: Arrived, exchange: Exchange, response: ServerResponse) => Promise<void>
  readonly onUpgrade: (
    arrived: Arrived,
    exchange: Exchange,
    connection: { socket: Duplex; head: Buffer; response: ServerResponse },
  ) => Promise<void>
  /** A request that never became one: what the parser refused. */
  readonly onRefused: (exchange: Exchange) => void
  readonly clock: Clock
  readonly onChunk: ChunkMeter
}

export interface Listener extends AsyncDisposable {
  /** `host:port`, or the socket's path. */
  readonly address: string
  /** Stops taking connections and closes those that are idle; resolves when the last request has its answer. */
  drain(): Promise<void>
  /** Cuts what is still open. */
  closeNow(): void
}

/**
 * Opens one of the addresses that browsers come to.
 *
 * `node:http` parses; what it lets through and should not is judged by `http/framing.ts` and its neighbours. Its own
 * limit on the number of headers is off, because it drops the surplus in silence while it still frames the body by it.
 */
export async function openListener(address: ListenAddress, handlers: Handlers): Promise<Listener> {
  const server = createServer({
    maxHeaderSize: MAX_HEAD_BYTES,
    headersTimeout: HEAD_DEADLINE_MS,
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    requireHostHeader: false,
    insecureHTTPParser: false,
    connectionsCheckingInterval: 5_000,
    // Any other upgrade is a request like any other: RFC 9110, section 7.8 lets a server ignore it.
    shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === 'websocket',
  })
  server.maxHeadersCount = 0
  const unparsed = createUnparsedGuard(handlers.onRefused, handlers.clock)
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    unparsed.track(request, response)
    const peer = peerOf(request)
    void handlers.onRequest(
      arrivedOf({ request, response, peer, onChunk: handlers.onChunk }),
      exchangeOf(request, peer, handlers.clock),
      response,
    )
  }
  server.on('request', serve)
  server.on('checkContinue', serve)
  server.on('checkExpectation', serve)
  server.on('connect', (request, socket) => upgrade(request, socket, Buffer.alloc(0)))
  server.on('upgrade', upgrade)
  server.on('clientError', (error, socket) => unparsed.refuse(error, socket))
  await listen(server, address)
  return listenerOf(server, address)

  /** A TCP peer that is gone has no address any more; it must not pass for one on a Unix socket, which never had any. */
  function peerOf(request: IncomingMessage): string | undefined {
    return address.kind === 'unix' ? undefined : (request.socket.remoteAddress ?? 'unknown')
  }

  function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    const response = new ServerResponse(request)
    response.assignSocket(socket as Socket)
    response.shouldKeepAlive = false
    response.once('finish', () => socket.end())
    const peer = peerOf(request)
    const exchange = exchangeOf(request, peer, handlers.clock)
    void handlers.onUpgrade(arrivedOf({ request, response, peer, onChunk: handlers.onChunk }), exchange, {
      socket,
      head,
      response,
    })
  }
}

function listenerOf(server: Server, address: ListenAddress): Listener {
  const closeNow = (): void => server.closeAllConnections()
  const drain = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      server.closeIdleConnections()
    })
  return {
    address: textOf(server, address),
    drain,
    closeNow,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return
      const drained = drain()
      closeNow()
      await drained
    },
  }
}

async function listen(server: Server, address: ListenAddress): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    const onListening = (): void => {
      server.off('error', reject)
      resolve()
    }
    if (address.kind === 'unix') server.listen({ path: address.path }, onListening)
    else
      server.listen({ port: address.port, ...(address.host === undefined ? {} : { host: address.host }) }, onListening)
  })
}

function textOf(server: Server, address: ListenAddress): string {
  if (address.kind === 'unix') return address.path
  const bound = server.address() as AddressInfo
  return bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`
}

interface ArrivedParts {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly peer: string | undefined
  readonly onChunk: ChunkMeter
}

function exchangeOf(request: IncomingMessage, peer: string | undefined, clock: Clock): Exchange {
  return createExchange({
    requestId: createRequestId(),
    startedAt: clock(),
    peerAddress: peer ?? '',
    method: request.method ?? '',
    scheme: 'http',
  })
}

function arrivedOf({ request, response, peer, onChunk }: ArrivedParts): Arrived {
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort()
  })
  return {
    method: request.method ?? '',
    requestTarget: request.url ?? '',
    httpVersion: request.httpVersion,
    raw: request.rawHeaders,
    peer,
    isTls: false,
    body: request,
    gone: gone.signal,
    isBodyRead: () => request.complete,
    onChunk,
    wantBody() {
      if (request.headers.expect !== undefined) response.writeContinue()
    },
    inform: (status, headers) => inform(request, response, { status, headers }),
  }
}

/**
 * RFC 9110, section 15.2: interim answers are passed on, but not to an HTTP/1.0 client. 100 is ours to send. A runtime
 * without `writeInformation` (before Node 26) passes on early hints only.
 */
function inform(
  request: IncomingMessage,
  response: ServerResponse,
  interim: { status: number; headers: RawHeaders },
): void {
  if (request.httpVersion !== '1.1' || response.headersSent || interim.status === 100) return
  if (interim.status === 103) {
    const links = interim.headers.filter((_, i) => i % 2 === 1 && interim.headers[i - 1]?.toLowerCase() === 'link')
    if (links.length > 0) response.writeEarlyHints({ link: links })
  } else if (interim.status === 102) {
    response.writeProcessing()
  }
}
