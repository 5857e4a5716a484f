import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { GatewayError } from '../errors.ts'
import type { RawHeaders } from '../http/headers.ts'
import type { SocketRoom } from '../lib/descriptor-budget.ts'
import type { NameResolution } from './address-book.ts'
import type { Balance } from './balance.ts'
import type { HealthThresholds, ServerState } from './standing.ts'

/** How long an upstream may take, each in milliseconds. A deadline is never early, and at most 100 ms late. */
export interface UpstreamTimeouts {
  /** From the start of the name lookup to the end of the TCP or TLS handshake. */
  readonly connectMs: number
  /** From the last byte of the request to the end of the answer's head. Answers of 1xx do not extend it. */
  readonly firstByteMs: number
  /** The longest time in which no byte moves: of the request while it is sent, of the answer while it is received. */
  readonly idleMs: number
  /** How many bytes a second of an answer's body must come, looked at over each `idleMs`; undefined = any number. */
  readonly minBytesPerSecond?: number | undefined
}

/** How to know the servers behind `https://`, and be known there. PEM texts; undefined: as if nothing were said. */
export interface ShownCertificates {
  /** Whom to believe, in place of the system's authorities. */
  readonly ca: string | undefined
  /** Our certificate with those between it and its authority, and its key. */
  readonly cert: string | undefined
  readonly key: string | undefined
}

/** The same, with the name under which the servers are known. */
export interface UpstreamTls extends ShownCertificates {
  /** The name to ask for, and to find in the server's certificate; undefined: the host of the origin. */
  readonly serverName: string | undefined
}

/** How the servers of an upstream are looked at. */
export interface HealthOptions extends HealthThresholds {
  /** In origin form. */
  readonly path: string
  /** The Host that is asked for; undefined: the server's own. */
  readonly host: string | undefined
  /** From the end of one check to the start of the next, give or take a tenth. */
  readonly intervalMs: number
  /** From connecting to the end of the answer's head. */
  readonly timeoutMs: number
}

export interface UpstreamOptions {
  /** The name under `upstreams` in the configuration. */
  readonly name: string
  /** Origins, `http://host:port`, `https://host:port` or `unix:/path`. At least one. */
  readonly servers: readonly string[]
  /** Which of them a request goes to; default `round_robin`. */
  readonly balance?: Balance
  /** False: the Host that goes up is the server's own. Default true: the request's. */
  readonly passHost?: boolean
  /** For `https://`; default: the system's authorities, no certificate of ours, the name in the origin. */
  readonly tls?: UpstreamTls
  readonly timeouts: UpstreamTimeouts
  /** How many further attempts a request may have that is repeatable (see `Upstream.forward`). */
  readonly retries: number
  /** Checks of the servers, from now until disposal; default none. Until they have said otherwise a server is well. */
  readonly health?: HealthOptions
  /** How names of servers are resolved; default: as the system does it, every ten seconds. */
  readonly resolution?: NameResolution
  /** Room for its connections; default: any number. */
  readonly sockets?: SocketRoom
  /** Told when a server is left out of the choice, and when it is back. */
  readonly onState?: (state: ServerState) => void
  /** Limit of the names and values of one answer's head, and again of its trailers. Default 32 KiB. */
  readonly maxHeaderBytes?: number
  /**
   * Who speaks HTTP to the servers. `lean`, a client for plain HTTP/1.1 that does what a gateway needs and no more, is
   * the default for `http://` and `unix:`; `undici` is the default for `https://`, which `lean` cannot do, and
   * in either case what opens WebSockets. Both keep the same promises.
   */
  readonly implementation?: 'lean' | 'undici'
}

/** The browser's end of an exchange, as far as an upstream has to know: whether it has left, and whom to tell when it does. */
export interface Departure {
  readonly isGone: boolean
  /** Set by whoever has to act on it, one at a time; told at most once, when the browser has gone. */
  watcher: DepartureWatcher | undefined
}

/**
 * Who has to act when a browser leaves. An object and not a function: with a closure for each request in its place V8's
 * young generation kept every fifth request alive into the old one, and a request cost a fifth more.
 */
export interface DepartureWatcher {
  onGone(): void
}

/** Who keeps the books of a request that does not succeed at once. */
export interface AttemptRecorder {
  /** An attempt at that server (as `UpstreamAnswer.server`) failed, and another one follows. */
  onRetry(server: string, error: GatewayError): void
  /** An attempt failed, and the other one that was due is not made: too many are being made already. */
  onBudgetSpent(): void
}

/** What an exchange ends with when the browser has gone. Nobody is left to be answered, so it has no status. */
export class ClientGoneError extends Error {
  override readonly name = 'ClientGoneError'

  constructor() {
    super('the client has gone')
  }
}

/** A request as it goes up: decided, and with finished headers. */
export interface UpstreamRequest {
  /** Any method but CONNECT. */
  readonly method: string
  /** Path and query in origin form, `/…`, bytes 0x21-0x7E; sent as it is. */
  readonly target: string
  /**
   * Finished lines, with `Host` exactly once. Order, case and duplicates are kept; `Host` is moved to the front. Lines
   * that belong to one connection (`Connection`, `Content-Length`, `Transfer-Encoding`, `TE`, `Expect`, …) are not
   * taken over: they are written anew.
   */
  readonly headers: RawHeaders
  /**
   * The body, or null. It is read as fast as the upstream takes it. When the exchange ends before the body does, it is
   * left paused and unread, not destroyed: what to do with the rest is the affair of whoever owns the client's
   * connection. If it fails, the exchange fails with its error.
   */
  readonly body: Readable | null
  /** The body's length in bytes if it is known: sent as `Content-Length` and enforced. Otherwise it goes up chunked. */
  readonly contentLength?: number | undefined
  /**
   * Tells when the client has gone; the upstream's connection is cut at once, also while the answer's body flows. Its
   * `watcher` belongs to the upstream from the call until the answer's body has ended.
   */
  readonly client: Departure
  /** With `hash_session`: requests of one text go to one server. Undefined: to any. */
  readonly affinity?: string | undefined
  readonly recorder?: AttemptRecorder
  /** Told of each 1xx answer but 100 and 101, which are errors of the upstream. At most 16. */
  readonly onInformation?: (status: number, headers: RawHeaders) => void
}

/** The final answer of an upstream, when its head is there. */
export interface UpstreamAnswer {
  /** 200-599. */
  readonly status: number
  /** Printable ASCII, possibly empty. */
  readonly reason: string
  /**
   * The lines as received, in order and case, values latin1 without outer white space; only `Transfer-Encoding` and
   * `Trailer` are gone, and `Content-Length` of a 204.
   */
  readonly headers: RawHeaders
  /** How many bytes `body` will give, where the upstream said so: 0 for HEAD, 204 and 304. `undefined`: nobody knows. */
  readonly contentLength: number | undefined
  /**
   * The body, decoded of its framing and of nothing else; without trailers.
   *
   * A text is the whole of it, one character a byte (latin1), '' for none: it came together with the head, the
   * connection has been given back, and nothing can fail any more. An upstream is free to give a stream all the same.
   *
   * A stream fails with a `GatewayError` if the upstream does not send all of it (and with `ClientGoneError` when the
   * client has gone), and then nothing of it may look complete to the client. It must be consumed or destroyed;
   * destroying it cuts the upstream's connection.
   */
  readonly body: Readable | string
  /** The server that answered: `host:port` or `unix:/path`. */
  readonly server: string
  /** How often the request was tried, 1 if the first attempt succeeded. */
  readonly attempts: number
  /** From the call to the end of the head, all attempts included, in milliseconds. */
  readonly firstByteMs: number
}

/** A WebSocket handshake on its way up; a GET. `Upgrade` and `Connection` are written by the upstream side. */
export type UpgradeRequest = Omit<UpstreamRequest, 'method' | 'body' | 'contentLength' | 'onInformation'>

/** What an upstream says to a handshake: 101 with both upgrade lines and so a bare connection, or an ordinary answer. */
export type UpgradeAnswer =
  | { readonly kind: 'answer'; readonly answer: UpstreamAnswer }
  | { readonly kind: 'switched'; readonly headers: RawHeaders; readonly socket: Socket; readonly server: string }

/** One server of an upstream, for metrics. */
export interface ServerStats {
  /** `host:port` or `unix:/path`. */
  readonly server: string
  /** False while it is left out of the choice. */
  readonly isUp: boolean
  /** How often failed requests have put it out so far. */
  /** Its operator wants it to be left alone. */
  readonly isDrained: boolean
  readonly ejections: number
}

export interface UpstreamStats {
  /** Connections on which an exchange is under way, tunnels included. */
  readonly active: number
  /** Connections kept for later. */
  readonly idle: number
  /** Connections being opened. */
  readonly pending: number
}

/**
 * The servers of one upstream and the connections to them.
 *
 * A connection is used again only after an exchange that both sides finished cleanly and in order: it is closed after
 * an abort, a timeout, any error of the parser, bytes after the answer, an answer that began before the request had
 * ended, and any answer to an upgrade.
 */
export interface Upstream extends AsyncDisposable {
  readonly name: string
  /**
   * Sends a request and resolves with the head of the final answer.
   *
   * A request is repeatable if it has no body and its method is GET, HEAD, OPTIONS, PUT, DELETE or TRACE. It is tried
   * again, on a new connection, if the connection was refused or was cut before the first byte of an answer; not after
   * a timeout. Any other request is sent at most once. Where no connection came to stand, nothing was sent: then any
   * request goes to another server, if there is one. All this at most `retries` times, as the upstream's budget allows,
   * and at servers that have not been tried yet, as long as there are any.
   *
   * @throws {GatewayError} `ERR_UPSTREAM_UNREACHABLE`, `ERR_UPSTREAM_TIMEOUT`, `ERR_UPSTREAM_PROTOCOL`, each with its
   * type of RFC 9209; `ERR_REQUEST_TIMEOUT` if the client's body stalls; `ERR_OVERLOADED` if there is no
   * room for a connection; `ERR_SHUTTING_DOWN` after disposal.
   * @throws {ClientGoneError} when the client has gone, and the error of `body` if that failed.
   */
  forward(request: UpstreamRequest): Promise<UpstreamAnswer>
  /** Sends a handshake, always on a new connection. What a 101 says is for the caller to verify. Throws as `forward`. */
  upgrade(request: UpgradeRequest): Promise<UpgradeAnswer>
  /**
   * Shows and believes these from now on, on new connections; those that stand go on.
   *
   * @throws {Error} for certificates that OpenSSL does not take; nothing has changed then.
   */
  renewCertificates(certificates: ShownCertificates): void
  stats(): UpstreamStats
  servers(): readonly ServerStats[]
  /** A drained server gets no new requests while there is another. @returns false if there is none called so. */
  setDrained(server: string, isDrained: boolean): boolean
}
