import type { Readable } from 'node:stream'
import type { GatewayError } from '../errors.ts'
import type { ForwardedFacts } from '../http/forwarded.ts'
import type { RawHeaders } from '../http/headers.ts'
import type { Host } from '../http/host.ts'
import type { Target } from '../http/target.ts'
import type { ChunkMeter } from '../lib/chunk-memory.ts'
import type { Exchange, UpstreamAttempt } from '../observe/exchange.ts'
import type { RequestTrace } from '../observe/request-trace.ts'
import type { AttemptRecorder, Departure, DepartureWatcher } from '../proxy/upstream.ts'
import type { Session } from '../sessions/session.ts'
import type { ClientPace } from './client-pace.ts'
import type { Route } from './route.ts'

/** A request head as it came off the socket. */
export interface Arrived {
  readonly method: string
  /** The request target as received, before anybody judged it. */
  readonly requestTarget: string
  readonly httpVersion: string
  readonly raw: RawHeaders
  /** The address of the socket's other end; undefined on a Unix socket, and when it is gone already. */
  readonly peer: string | undefined
  readonly isTls: boolean
  /** The certificate that the client has shown to this listener and that it accepts, as RFC 9440 writes it. */
  readonly clientCertificate?: string | undefined
  readonly body: Readable
  /** Told of every chunk that passes, up or down. */
  readonly onChunk: ChunkMeter
}

/** What a request may ask of the connection that it came on. */
export interface Doorway {
  /** True once the whole body has been taken off the socket; what is not read would be taken for the next request. */
  isBodyRead(): boolean
  /** Tells the browser to go on with its body (`Expect: 100-continue`), when the body is wanted. */
  wantBody(): void
  /** Hands an interim answer (1xx) on to the browser. */
  inform(status: number, headers: RawHeaders): void
}

/** The request's place: where it came from and what it asks for, each read once. */
export interface Place {
  readonly host: Host
  readonly target: Target
  readonly client: ForwardedFacts
  /** The peer is one of `trusted_proxies`. */
  readonly isTrusted: boolean
  /** The browser's side is https: here, or as a trusted proxy says. */
  readonly isSecure: boolean
  /** Scheme, host and port as the browser sees them. */
  readonly origin: string
}

/** The session cookie as the request brought it. */
export interface BroughtCookie {
  /** The value that counts; undefined for none. */
  readonly value: string | undefined
  readonly count: number
  /** Several came, and the operator wants none of them believed. */
  readonly isAmbiguous: boolean
}

/**
 * One request on its way: what arrived, and what the steps have found out so far. The error path reads it too, so an
 * error after the route is known is answered as that route's answers are. It is also whom an upstream asks whether the
 * browser is still there. One object for each request, and all of one shape: this is the busiest thing in the house.
 */
export class Visit implements Arrived, Departure, AttemptRecorder {
  readonly method: string
  readonly requestTarget: string
  readonly httpVersion: string
  readonly raw: RawHeaders
  readonly peer: string | undefined
  readonly isTls: boolean
  readonly clientCertificate: string | undefined
  readonly body: Readable
  readonly onChunk: ChunkMeter
  readonly door: Doorway
  readonly exchange: Exchange
  /** When the request came, by the monotonic clock. */
  readonly startedMs: number
  /** Where spans are recorded. */
  trace: RequestTrace | undefined = undefined
  /** The browser left before its answer was complete. */
  isGone = false
  watcher: DepartureWatcher | undefined = undefined
  place: Place | undefined = undefined
  route: Route | undefined = undefined
  /** Of a CORS preflight that its route lets through: nobody's, whatever the route asks of others. */
  announcedMethod: string | undefined = undefined
  /** What goes up, on a route that changes the path. */
  upTarget: Target | undefined = undefined
  cookie: BroughtCookie | undefined = undefined
  /** Present once it is loaded, on routes with a session. */
  session: Session | undefined = undefined
  /** When the request was handed to the upstream, by the monotonic clock. */
  upstreamStartedMs: number | undefined = undefined
  /** Tries that failed and were followed by others. */
  failedAttempts: UpstreamAttempt[] | undefined = undefined
  /** A further try was due, and was one too many. */
  isRetryBudgetSpent = false
  /**
   * The connection ends with this answer: the request was one that somebody in front of us may have read in another way,
   * and then what follows on it is not what it seems.
   */
  mustClose = false
  /** Nobody was logged in when the request began. */
  beganAnonymous = true
  /** It was let in by `Load.enter`, and has to leave. */
  isLetIn = false
  /** How fast its client has to be; undefined = at any pace. */
  pace: ClientPace | undefined = undefined
  /** Of its two ends, the work's and the answer's, one has come. */
  isHalfDone = false

  constructor(arrived: Arrived, door: Doorway, exchange: Exchange) {
    this.method = arrived.method
    this.requestTarget = arrived.requestTarget
    this.httpVersion = arrived.httpVersion
    this.raw = arrived.raw
    this.peer = arrived.peer
    this.isTls = arrived.isTls
    this.clientCertificate = arrived.clientCertificate
    this.body = arrived.body
    this.onChunk = arrived.onChunk
    this.door = door
    this.exchange = exchange
    this.startedMs = performance.now()
  }

  onRetry(server: string, error: GatewayError): void {
    this.failedAttempts ??= []
    this.failedAttempts.push({ address: server, error: error.proxyError })
  }

  onBudgetSpent(): void {
    this.isRetryBudgetSpent = true
  }

  /** The browser has left: whoever acts on it is told, once. */
  leave(): void {
    if (this.isGone) return
    this.isGone = true
    const { watcher } = this
    this.watcher = undefined
    watcher?.onGone()
  }
}
