/**
 * What a request can end in when the gateway itself answers: the closed list of codes, each with its status and the
 * sentence that a person reads. `docs/errors.md` explains every one; a test holds the two together.
 */
export const errorTable = {
  ERR_REQUEST_INVALID: { status: 400, title: 'The request is not well-formed HTTP' },
  ERR_TARGET_INVALID: { status: 400, title: 'The request target is not acceptable' },
  ERR_TARGET_AMBIGUOUS: { status: 400, title: 'The request target can be read in more than one way' },
  ERR_HOST_INVALID: { status: 400, title: 'The Host header is missing or not acceptable' },
  ERR_WEBSOCKET_HANDSHAKE: { status: 400, title: 'The WebSocket handshake is not acceptable' },
  ERR_SESSION_REQUIRED: { status: 401, title: 'A login is required' },
  ERR_LOGIN_LOOP: { status: 401, title: 'The login does not last' },
  ERR_FORBIDDEN: { status: 403, title: 'The session does not permit this request' },
  ERR_CROSS_SITE: { status: 403, title: 'The request came from another site' },
  ERR_ROUTE_NOT_FOUND: { status: 404, title: 'Nothing is served at this address' },
  ERR_METHOD_NOT_ALLOWED: { status: 405, title: 'The method is not served' },
  ERR_REQUEST_TIMEOUT: { status: 408, title: 'The request did not arrive in time' },
  ERR_BODY_TOO_LARGE: { status: 413, title: 'The request body is too large' },
  ERR_TARGET_TOO_LONG: { status: 414, title: 'The request target is too long' },
  ERR_EXPECTATION_FAILED: { status: 417, title: 'The expectation cannot be met' },
  ERR_HOST_UNKNOWN: { status: 421, title: 'This host is not served here' },
  ERR_HEADERS_TOO_LARGE: { status: 431, title: 'The request headers are too large' },
  ERR_REDIRECT_LOOP: { status: 500, title: 'The way to https leads back to itself' },
  ERR_INTERNAL: { status: 500, title: 'The gateway failed' },
  ERR_ASSERTION_TOO_LARGE: { status: 500, title: 'The session is too large to be handed on' },
  ERR_TRANSFER_CODING: { status: 501, title: 'The transfer coding is not supported' },
  ERR_UPSTREAM_UNREACHABLE: { status: 502, title: 'The app could not be reached' },
  ERR_UPSTREAM_PROTOCOL: { status: 502, title: 'The app gave an answer that cannot be passed on' },
  ERR_WRITEBACK_REFUSED: { status: 502, title: 'The app asked for a session change that is not permitted' },
  ERR_STORE_UNAVAILABLE: { status: 503, title: 'The session store cannot be reached' },
  ERR_SESSION_WRITE: { status: 503, title: 'The session could not be stored' },
  ERR_OVERLOADED: { status: 503, title: 'The gateway has more to do than it can' },
  ERR_SHUTTING_DOWN: { status: 503, title: 'The gateway is shutting down' },
  ERR_UPSTREAM_TIMEOUT: { status: 504, title: 'The app did not answer in time' },
  ERR_HTTP_VERSION: { status: 505, title: 'The HTTP version is not supported' },
} as const satisfies Record<string, { status: number; title: string }>

export type ErrorCode = keyof typeof errorTable

/** RFC 9209, section 2.3: the error types of `Proxy-Status` that the gateway uses. */
export type ProxyErrorType =
  | 'dns_error'
  | 'dns_timeout'
  | 'destination_unavailable'
  | 'connection_refused'
  | 'connection_terminated'
  | 'connection_timeout'
  | 'connection_limit_reached'
  | 'connection_read_timeout'
  | 'connection_write_timeout'
  | 'tls_protocol_error'
  | 'tls_certificate_error'
  | 'http_response_incomplete'
  | 'http_response_header_section_size'
  | 'http_response_timeout'
  | 'http_protocol_error'
  | 'http_upgrade_failed'
  | 'proxy_internal_error'
  | 'proxy_internal_response'
  | 'proxy_configuration_error'

/** What the log, never the client, may be told beside the message. Values come from the configuration or are header and key names. */
export type ErrorFacts = Readonly<Record<string, string | number | readonly string[]>>

export interface GatewayErrorOptions {
  readonly cause?: unknown
  /** The RFC 9209 type for `Proxy-Status`; default `proxy_internal_error`. Only statuses of 500 and above carry it. */
  readonly proxyError?: ProxyErrorType
  readonly facts?: ErrorFacts
}

/**
 * The one class for what a request can end in. Clients and metrics get `code`; `message`, `facts` and `cause` go to
 * the log only, so none of them may hold a secret or a session value.
 */
export class GatewayError extends Error {
  override readonly name = 'GatewayError'
  readonly code: ErrorCode
  readonly proxyError: ProxyErrorType
  readonly facts: ErrorFacts

  constructor(code: ErrorCode, message: string, options: GatewayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.proxyError = options.proxyError ?? 'proxy_internal_error'
    this.facts = options.facts ?? {}
  }

  get status(): number {
    return errorTable[this.code].status
  }
}
