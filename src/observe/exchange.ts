import type { ErrorCode, ErrorFacts, ProxyErrorType } from '../errors.ts'
import type { EpochMs } from '../lib/clock.ts'

/** Why the gateway answered by itself: a token of RFC 9209, section 2.3, or one of ours. */
export type LocalReason =
  | ProxyErrorType
  | 'http_request_error'
  | 'login_redirect'
  | 'https_redirect'
  | 'unauthorized'
  | 'forbidden'
  | 'no_route'
  | 'rate_limited'
  | 'body_too_large'
  | 'draining'
  | 'overloaded'
  | 'store_unavailable'
  | 'loop_breaker'
  | 'well_known'

/** What the look for a session came to. */
export type SessionResult =
  | 'hit'
  | 'anonymous'
  | 'expired'
  | 'not_found'
  | 'bad_signature'
  | 'malformed'
  | 'ambiguous_cookie'
  | 'store_error'

/** What became of the commands in an app's answer. `cut`: not looked at, because the route or the status has none. */
export type WritebackResult =
  | 'applied'
  | 'noop'
  | 'conflict_merged'
  | 'gone'
  | 'cut'
  | 'forbidden_key'
  | 'invalid'
  | 'too_large'
  | 'error'

/** Why the session cookie was sent to the browser. */
export type CookieSetReason = 'new' | 'rotated' | 'refreshed' | 'deleted'

/** How the exchange ended; `aborted`: the browser went away before its answer was complete. */
export type ExchangeOutcome = 'forwarded' | 'local' | 'upgraded' | 'aborted'

export interface SessionFacts {
  readonly result: SessionResult
  /** The public id of the session (`sid`), never its key; absent where there is no session. */
  readonly idHash?: string | undefined
  /** The engine's name and how long it took, when it was asked. */
  readonly engine?: string | undefined
  readonly resolveMs?: number | undefined
  /** Length of the stored JSON. */
  readonly storedBytes?: number | undefined
  /** True when the cookie came more than once. */
  readonly duplicateCookie?: boolean | undefined
}

export interface DecisionFacts {
  readonly outcome: 'allow' | 'login' | 'forbidden'
  readonly reason: 'public' | 'user' | 'rule' | 'no_session' | 'missing_key' | 'rule_error'
  readonly mode: 'enforce' | 'observe'
}

export interface AssertionFacts {
  readonly algorithm: 'HS256' | 'EdDSA' | 'ES256'
  /** True when an assertion signed earlier was sent again. */
  readonly reused: boolean
  readonly bytes: number
}

/** One try at one server; a retried request has several. */
export interface UpstreamAttempt {
  /** `host:port` from the configuration. */
  readonly address: string
  /** Absent when no answer came. */
  readonly status?: number | undefined
  /** Why it failed; absent when an answer came whole. */
  readonly error?: ProxyErrorType | undefined
  /** From handing over the request to the first byte of the answer. */
  readonly firstByteMs?: number | undefined
}

export interface UpstreamFacts {
  readonly name: string
  readonly attempts: readonly UpstreamAttempt[]
  /** From the first hand-over to the last byte of the answer, waits for a slow browser included; written when that is over. */
  durationMs: number
  /** True when a further try was due and the budget of tries was spent. */
  readonly retryBudgetExhausted?: boolean | undefined
}

export interface ErrorReport {
  readonly code: ErrorCode
  readonly message: string
  readonly proxyError: ProxyErrorType
  readonly facts: ErrorFacts
  /** What stood behind it; the log tells its kind and where it was thrown, not its words. */
  readonly cause?: unknown
}

/** What is known when a request head has arrived. */
export interface Arrival {
  readonly requestId: string
  /** Wall-clock time, for people; durations come from the monotonic clock. */
  readonly startedAt: EpochMs
  /** The address of the socket's other end; empty on a unix socket. */
  readonly peerAddress: string
  readonly method: string
  readonly scheme: 'http' | 'https'
}

/**
 * The facts of one request, written down by the pipeline on its way and read once at the end by the access log and the
 * metrics. `undefined` means "did not come to it". It holds nothing secret: no cookie, no session key, no session value,
 * no query.
 */
export interface Exchange extends Arrival {
  /** A trusted proxy's, where it sent one. */
  requestId: string
  /** The browser's side, as far as a trusted proxy tells of it. */
  scheme: 'http' | 'https'
  traceId: string | undefined
  /** Behind trusted proxies the browser's address, else the peer's. */
  clientAddress: string
  /** Lower-case name of the host asked for, without its port. */
  host: string | undefined
  /** The path that rules see, without the query. */
  path: string | undefined
  userAgent: string | undefined
  routeId: string | undefined
  session: SessionFacts | undefined
  decision: DecisionFacts | undefined
  assertion: AssertionFacts | undefined
  upstream: UpstreamFacts | undefined
  writeback: WritebackResult | undefined
  cookieSet: CookieSetReason | undefined
  /** How many Set-Cookie lines of the app were cut because they bear the session cookie's name. */
  cookiesCut: number
  /** Set where the gateway answers without an error (a redirect to the login); errors tell theirs by their code. */
  localReason: LocalReason | undefined
  error: ErrorReport | undefined
  outcome: ExchangeOutcome
  /** As sent to the browser; undefined when the connection ended before a head went out. */
  status: number | undefined
  requestBodyBytes: number
  responseBodyBytes: number
  durationMs: number
  /** Of `durationMs`, what passed in waiting for the browser outside of the time spent on the upstream. */
  clientWaitMs: number
}

/** A record with nothing known yet but the arrival. */
export function createExchange(arrival: Arrival): Exchange {
  return {
    requestId: arrival.requestId,
    startedAt: arrival.startedAt,
    peerAddress: arrival.peerAddress,
    method: arrival.method,
    scheme: arrival.scheme,
    traceId: undefined,
    clientAddress: arrival.peerAddress,
    host: undefined,
    path: undefined,
    userAgent: undefined,
    routeId: undefined,
    session: undefined,
    decision: undefined,
    assertion: undefined,
    upstream: undefined,
    writeback: undefined,
    cookieSet: undefined,
    cookiesCut: 0,
    localReason: undefined,
    error: undefined,
    outcome: 'local',
    status: undefined,
    requestBodyBytes: 0,
    responseBodyBytes: 0,
    durationMs: 0,
    clientWaitMs: 0,
  }
}

/** The gateway's own share of the time: the whole, less the upstream's and the browser's. Never negative. */
export function overheadMs(exchange: Exchange): number {
  return Math.max(0, exchange.durationMs - (exchange.upstream?.durationMs ?? 0) - exchange.clientWaitMs)
}

/** Why the gateway answered by itself; undefined when the app's answer went out. */
export function localReasonOf(exchange: Exchange): LocalReason | undefined {
  if (exchange.error === undefined) return exchange.localReason
  return reasonOfCode[exchange.error.code] ?? exchange.error.proxyError
}

/** The codes whose reason is not the error's own `proxyError`. */
const reasonOfCode: Readonly<Partial<Record<ErrorCode, LocalReason>>> = {
  ERR_REQUEST_INVALID: 'http_request_error',
  ERR_TARGET_INVALID: 'http_request_error',
  ERR_TARGET_AMBIGUOUS: 'http_request_error',
  ERR_TARGET_TOO_LONG: 'http_request_error',
  ERR_HOST_INVALID: 'http_request_error',
  ERR_WEBSOCKET_HANDSHAKE: 'http_request_error',
  ERR_METHOD_NOT_ALLOWED: 'http_request_error',
  ERR_REQUEST_TIMEOUT: 'http_request_error',
  ERR_EXPECTATION_FAILED: 'http_request_error',
  ERR_HEADERS_TOO_LARGE: 'http_request_error',
  ERR_TRANSFER_CODING: 'http_request_error',
  ERR_HTTP_VERSION: 'http_request_error',
  ERR_SESSION_REQUIRED: 'unauthorized',
  ERR_LOGIN_LOOP: 'loop_breaker',
  ERR_FORBIDDEN: 'forbidden',
  ERR_CROSS_SITE: 'forbidden',
  ERR_ROUTE_NOT_FOUND: 'no_route',
  ERR_HOST_UNKNOWN: 'no_route',
  ERR_BODY_TOO_LARGE: 'body_too_large',
  ERR_STORE_UNAVAILABLE: 'store_unavailable',
  ERR_SESSION_WRITE: 'store_unavailable',
  ERR_SHUTTING_DOWN: 'draining',
  ERR_OVERLOADED: 'overloaded',
}
