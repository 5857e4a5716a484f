import type { Readable } from 'node:stream'
import type { ForwardedFacts } from '../http/forwarded.ts'
import type { RawHeaders } from '../http/headers.ts'
import type { Host } from '../http/host.ts'
import type { Target } from '../http/target.ts'
import type { ChunkMeter } from '../lib/chunk-memory.ts'
import type { Exchange } from '../observe/exchange.ts'
import type { Session } from '../sessions/session.ts'
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
  readonly body: Readable
  /** Ends when the browser is gone. */
  readonly gone: AbortSignal
  /** True once the whole body has been taken off the socket; what is not read would be taken for the next request. */
  readonly isBodyRead: () => boolean
  /** Told of every chunk that passes, up or down. */
  readonly onChunk: ChunkMeter
  /** Tells the browser to go on with its body (`Expect: 100-continue`), when the body is wanted. */
  readonly wantBody: () => void
  /** Hands an interim answer (1xx) on to the browser. */
  readonly inform: (status: number, headers: RawHeaders) => void
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
}

/**
 * One request on its way: what arrived, and what the steps have found out so far. The error path reads it too, so an
 * error after the route is known is answered as that route's answers are.
 */
export interface Visit extends Arrived {
  readonly exchange: Exchange
  place: Place | undefined
  route: Route | undefined
  cookie: BroughtCookie | undefined
  /** Present once it is loaded, on routes with a session. */
  session: Session | undefined
  /** When the request was handed to the upstream, by the monotonic clock. */
  upstreamStartedMs: number | undefined
  /**
   * The connection ends with this answer: the request was one that somebody in front of us may have read in another way,
   * and then what follows on it is not what it seems.
   */
  mustClose: boolean
  /** Nobody was logged in when the request began. */
  beganAnonymous: boolean
}

export function createVisit(arrived: Arrived, exchange: Exchange): Visit {
  return {
    ...arrived,
    exchange,
    place: undefined,
    route: undefined,
    cookie: undefined,
    session: undefined,
    upstreamStartedMs: undefined,
    mustClose: false,
    beganAnonymous: true,
  }
}
