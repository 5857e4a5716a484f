import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ChunkMeter } from '../lib/chunk-memory.ts'
import type { Clock } from '../lib/clock.ts'
import type { Exchange } from '../observe/exchange.ts'
import { visitOf } from './arrival.ts'
import { type ConnectionLimit, guardConnections } from './connection-limit.ts'
import { createConversations, type Turn } from './conversation.ts'
import type { Door } from './door.ts'
import { createHalfCloseWatch } from './half-close.ts'
import { createHttpFront, type HttpFront, type TlsParts } from './http-front.ts'
import { createProxyGate, type ProxiedPeer, type ProxyGate } from './proxy-gate.ts'
import { createUnparsedGuard, refusedConnection } from './unparsed.ts'
import type { UpgradeConnection } from './upgrade.ts'
import type { Visit } from './visit.ts'

/** Of a request's head: the line and all headers (RFC 6585, section 5: 431 beyond it). */
const MAX_HEAD_BYTES = 16 * 1024
/** How often it is looked whether a head is late, at most. */
const HEAD_LOOK_MS = 5_000
/** At the end, how long a kept connection may stay silent: long enough for a busy client to bring what it has on the way. */
const LAST_SILENCE_MS = 250
/** At the end, how long a request whose head has begun to come may still take to arrive, and a first one to begin. */
const LAST_HEAD_MS = 1_000
/** How long the client of a refused upgrade has to read why. */
const LAST_WORDS_MS = 2_000

/** What a listener does with what arrives. None of these throws. */
export interface Handlers {
  onRequest(visit: Visit, response: ServerResponse): Promise<void>
  /** The answer to a request is out, or will never be; perhaps before `onRequest` has ended. */
  onAnswered(visit: Visit): void
  onUpgrade(visit: Visit, connection: UpgradeConnection): Promise<void>
  /** A request that never became one: what the parser refused. */
  readonly onRefused: (exchange: Exchange) => void
  readonly clock: Clock
  readonly onChunk: ChunkMeter
}

/** How long a client may take before its request is there. */
export interface ClientTimes {
  /** A head must be complete by then, counted from the connection's or the previous answer's end. Default 30 s. */
  readonly headMs: number
  /** For how long an idle connection is kept. Default 75 s: longer than the usual load balancer's 60 s, so that it closes first. */
  readonly keepAliveMs: number
}

const DEFAULT_TIMES: ClientTimes = { headMs: 30_000, keepAliveMs: 75_000 }

export interface ListenerOptions {
  readonly times?: ClientTimes
  /** Default: any number of connections. */
  readonly connections?: ConnectionLimit
  /** Undefined = plain HTTP. What it refers to must outlive the listener. */
  readonly tls?: TlsParts | undefined
  /**
   * Every connection begins with a header of the PROXY protocol, in clear also where TLS follows, and only trusted
   * addresses may connect. Default no.
   */
  readonly proxyProtocol?: { readonly isTrusted: (address: string | undefined) => boolean } | undefined
}

interface Arrived {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

export interface Listener extends AsyncDisposable {
  readonly isTls: boolean
  /** Serves a connection, from its first byte to its last. */
  readonly take: (socket: Socket) => void
  /** From now on requests go there, also those that come on connections of before. */
  use(handlers: Handlers): void
  /** Closes connections that stay idle, and the others with their next answer; resolves when none is left. */
  drain(): Promise<void>
  /** Cuts what is still open. */
  closeNow(): void
}

/**
 * Speaks HTTP on the connections that come through a door, which is to be led to its `take`. Disposing cuts them.
 *
 * `node:http` parses; what it lets through and should not is judged by `http/framing.ts` and its neighbours. Its own
 * limit on the number of headers is off, because it drops the surplus in silence while it still frames the body by it.
 */
export function createListener(
  door: Pick<Door, 'isUnix'>,
  handlers: Handlers,
  options: ListenerOptions = {},
): Listener {
  return new HttpListener(door, handlers, options)
}

class HttpListener implements Listener {
  readonly #isUnix: boolean
  #handlers: Handlers
  readonly #front: HttpFront
  readonly #server: HttpFront['server']
  readonly #conversations = createConversations()
  readonly #sockets = new Set<Socket>()
  readonly #gate: ProxyGate | undefined
  /** Requests that asked for another protocol and are served without it. */
  readonly #declined = new WeakSet<IncomingMessage>()
  /** Upgrades that are neither refused nor open yet. */
  readonly #handshakes = new Set<Duplex>()
  /** Connections that were taken and are not closed yet, whatever has become of them. */
  #taken = 0
  #isDraining = false
  readonly #allClosed = Promise.withResolvers<void>()

  constructor(door: Pick<Door, 'isUnix'>, handlers: Handlers, listenerOptions: ListenerOptions) {
    const { tls, proxyProtocol, connections, times = DEFAULT_TIMES } = listenerOptions
    this.#isUnix = door.isUnix
    this.#handlers = handlers
    const options = {
      maxHeaderSize: MAX_HEAD_BYTES,
      headersTimeout: times.headMs,
      requestTimeout: 0,
      keepAliveTimeout: times.keepAliveMs,
      requireHostHeader: false,
      insecureHTTPParser: false,
      connectionsCheckingInterval: Math.min(HEAD_LOOK_MS, times.headMs / 4),
      shouldUpgradeCallback: (request: IncomingMessage) => this.#isServedUpgrade(request),
    }
    this.#front = createHttpFront(options, tls && { ...tls, addressOf: (socket) => this.#peerOf(socket).address ?? '' })
    this.#server = this.#front.server
    this.#server.maxHeadersCount = 0
    const record = (exchange: Exchange): void => this.#handlers.onRefused(exchange)
    const peerOf = (socket: Duplex): ProxiedPeer => this.#peerOf(socket)
    const refuse = createUnparsedGuard(this.#conversations, { record, clock: handlers.clock, peerOf })
    if (proxyProtocol !== undefined) this.#gate = this.#openGate(proxyProtocol.isTrusted, connections)
    const service: Service = { current: () => this.#handlers, visitOf: this.#visit }
    const onRequest = (request: IncomingMessage, response: ServerResponse): void =>
      this.#conversations.take(new HttpTurn({ request, response }, service))
    this.#server.on('request', onRequest)
    this.#server.on('checkContinue', onRequest)
    this.#server.on('checkExpectation', onRequest)
    // Only to be told that it is not served.
    this.#server.on('connect', (request, socket) => this.#upgrade(request, socket, Buffer.alloc(0)))
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    this.#server.on('clientError', refuse)
    // node:http would end the connection of a client that has finished sending, with the answer still to come.
    Object.assign(this.#server, { httpAllowHalfOpen: true })
    const watchHalfClose = createHalfCloseWatch(this.#conversations)
    this.#front.onConnection((socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      socket.once('end', () => watchHalfClose(socket))
    })
    if (connections !== undefined) this.#guard(connections)
    // Closing calls it, and its own cuts answers that were handed over whole and are not taken yet; `#closeSilent` does not.
    this.#server.closeIdleConnections = () => undefined
    // It is the door that listens. Without this `node:http` would not look for heads that are never completed.
    this.#server.emit('listening')
  }

  get isTls(): boolean {
    return this.#front.isTls
  }

  readonly take = (socket: Socket): void => {
    this.#taken += 1
    socket.once('close', this.#onClosed)
    // A handshake is not waited for by somebody who has finished sending; `#front` allows it behind the handshake.
    if (this.#front.isTls) socket.allowHalfOpen = false
    this.#server.emit('connection', socket)
  }

  use(handlers: Handlers): void {
    this.#handlers = handlers
  }

  async drain(): Promise<void> {
    this.#isDraining = true
    this.#gate?.close()
    const startedMs = performance.now()
    const bytesBefore = new WeakMap<Socket, number>()
    // Answers say from now on that the connection ends; those that began before did not, so the looks go on.
    this.#closeSilent(bytesBefore)
    const look = (): void => {
      // Whoever began a head and never ends it would otherwise hold up every restart for the whole of the time allowed.
      const isLate = performance.now() - startedMs >= LAST_HEAD_MS
      this.#closeSilent(isLate ? undefined : bytesBefore)
    }
    // A process that got no time to run finds its timers due before it has read what came meanwhile: that comes first.
    const looks = setInterval(() => setImmediate(look), LAST_SILENCE_MS)
    if (this.#taken === 0) this.#allClosed.resolve()
    await this.#allClosed.promise
    clearInterval(looks)
    this.#server.close()
  }

  closeNow(): void {
    this.#gate?.close()
    this.#server.closeAllConnections()
    this.#front.endHandshakes()
    for (const socket of this.#handshakes) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const drained = this.drain()
    this.closeNow()
    await drained
  }

  readonly #onClosed = (): void => {
    this.#taken -= 1
    if (this.#isDraining && this.#taken === 0) this.#allClosed.resolve()
  }

  readonly #visit = ({ request, response }: Arrived): Visit => {
    const { onChunk, clock } = this.#handlers
    const { address: peer, isTls } = this.#peerOf(request.socket)
    const clientCertificate = this.#front.clientCertificate(request.socket)
    const visit = visitOf({ request, response, peer, isTls, clientCertificate, onChunk, clock })
    visit.mustClose = this.#isDraining || this.#declined.has(request)
    return visit
  }

  /**
   * Any other upgrade is a request like any other: RFC 9110, section 7.8 lets a server ignore it. But what stands behind it
   * in the same packet is lost: `node:http` stops parsing there, and goes on with the next packet as if a request began with
   * it, be it the middle of one (seen with Node 26.10). So nothing that follows on the connection is served.
   */
  #isServedUpgrade(request: IncomingMessage): boolean {
    const isServed = request.headers.upgrade?.toLowerCase() === 'websocket'
    if (!isServed) this.#declined.add(request)
    return isServed
  }

  /** A switch of protocols behind requests that are under way has no place to be answered at: the connection ends. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    if (!this.#conversations.isFree(socket)) {
      this.#conversations.end(socket)
      return
    }
    const response = new ServerResponse(request)
    response.assignSocket(socket as Socket)
    response.shouldKeepAlive = false
    // node:http has let go of the socket: nobody else would close it on a client that keeps its own side open.
    response.once('finish', () => {
      socket.end()
      socket.resume()
      setTimeout(() => socket.destroy(), LAST_WORDS_MS).unref()
    })
    this.#handshakes.add(socket)
    const visit = this.#visit({ request, response })
    response.once('close', () => {
      if (!response.writableFinished) visit.leave()
    })
    const upgrading = this.#handlers.onUpgrade(visit, { socket, head, response })
    void upgrading.catch(() => socket.destroy()).finally(() => this.#handshakes.delete(socket))
  }

  /** Who stands behind a connection: its peer, or whom the proxy in front names. */
  #peerOf(socket: Duplex): ProxiedPeer {
    const proxied = this.#gate?.peerOf(socket)
    const address = proxied === undefined ? this.#addressOf(socket) : proxied.address
    return { address, isTls: this.#front.isTls || proxied?.isTls === true }
  }

  /** A TCP peer that is gone has no address any more; it must not pass for one on a Unix socket, which never had any. */
  #addressOf(socket: Duplex): string | undefined {
    if (this.#isUnix) return undefined
    return 'remoteAddress' in socket && typeof socket.remoteAddress === 'string' ? socket.remoteAddress : 'unknown'
  }

  /** Who stands behind a PROXY header is known when that has been read. */
  #guard(connections: ConnectionLimit): void {
    guardConnections(this.#server, (socket) => {
      if (!connections.enter(socket)) return false
      return this.#gate !== undefined || connections.attribute(socket, this.#addressOf(socket))
    })
  }

  #openGate(isTrusted: (address: string | undefined) => boolean, connections: ConnectionLimit | undefined): ProxyGate {
    return createProxyGate(this.#server, {
      isTrusted,
      admits: connections && ((socket, address) => connections.attribute(socket, address)),
      addressOf: (socket) => this.#addressOf(socket),
      onRefused: (socket, reason) => {
        const { clock, onRefused } = this.#handlers
        onRefused(refusedConnection(this.#addressOf(socket) ?? '', { clock, reason }))
      },
    })
  }

  /**
   * Closes the connections on which no request is under way: with `bytesBefore`, only those that brought one before and
   * have brought nothing since the last look. Open WebSockets have a request behind them, and are not here.
   */
  #closeSilent(bytesBefore: WeakMap<Socket, number> | undefined): void {
    if (bytesBefore === undefined) this.#front.endHandshakes()
    for (const socket of this.#sockets) {
      if (this.#conversations.under(socket).length > 0 || isUpgraded(socket)) continue
      const bytes = socket.bytesRead
      if (bytesBefore === undefined || (bytes > 0 && bytesBefore.get(socket) === bytes)) socket.destroy()
      else bytesBefore.set(socket, bytes)
    }
  }
}

/** What a turn needs of the listener that it came to. */
interface Service {
  readonly current: () => Handlers
  readonly visitOf: (arrived: Arrived) => Visit
}

class HttpTurn implements Turn {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly #service: Service
  #handlers: Handlers | undefined
  #visit: Visit | undefined

  constructor({ request, response }: Arrived, service: Service) {
    this.request = request
    this.response = response
    this.#service = service
  }

  serve(): void {
    const { response } = this
    // What an answer before this one was given as its time for standing still is not this one's.
    if (response.socket?.timeout) response.socket.setTimeout(0)
    const visit = this.#service.visitOf(this)
    const handlers = this.#service.current()
    this.#visit = visit
    this.#handlers = handlers
    // Whatever goes wrong there, one request is the most that it may cost.
    handlers.onRequest(visit, response).catch(() => response.destroy())
  }

  onAnswered(): void {
    if (this.#visit === undefined) return
    if (!this.response.writableFinished) this.#visit.leave()
    this.#handlers?.onAnswered(this.#visit)
  }
}

/** `node:http` takes its parser off a connection that has changed protocols. */
function isUpgraded(socket: Duplex): boolean {
  return !('parser' in socket) || socket.parser === null
}
