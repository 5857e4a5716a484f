import { type ErrorCode, type ErrorFacts, GatewayError, type ProxyErrorType } from '../errors.ts'

/** Which upstream and which of its servers an error came from, for the log. */
export type Place = ErrorFacts & { readonly upstream: string; readonly server: string }

/** The `code` of errors of Node and undici; '' if there is none. */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}

const connectErrors: ReadonlyMap<string, ProxyErrorType> = new Map([
  ['ECONNREFUSED', 'connection_refused'],
  // A socket in the file system whose app is not there.
  ['ENOENT', 'connection_refused'],
  ['ENOTFOUND', 'dns_error'],
  ['EAI_FAIL', 'dns_error'],
  ['EAI_NODATA', 'dns_error'],
  ['EAI_AGAIN', 'dns_timeout'],
  ['ECONNRESET', 'connection_terminated'],
  ['EPIPE', 'connection_terminated'],
])

/** The system has nothing left for a further socket: that is our trouble, and not the server's. */
const ownShortages: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])

/** What an error before the connection stood means (RFC 9209, section 2.3). */
export function connectFailure(cause: unknown, facts: Place): GatewayError {
  const code = codeOf(cause)
  if (code === 'ETIMEDOUT') return connectTimeout(facts, cause)
  if (ownShortages.has(code)) return noSocketLeft(facts, cause)
  return new GatewayError('ERR_UPSTREAM_UNREACHABLE', `no connection to the upstream (${code || 'unknown'})`, {
    cause,
    facts,
    proxyError: connectErrors.get(code) ?? tlsError(code) ?? 'destination_unavailable',
  })
}

/** There is no room for a further connection, or the system has none left. Says nothing about the server. */
export function noSocketLeft(facts: Place, cause?: unknown): GatewayError {
  return new GatewayError('ERR_OVERLOADED', 'no socket is left for a connection to the upstream', {
    cause,
    facts,
    proxyError: 'connection_limit_reached',
  })
}

/** It was for want of sockets of our own. */
export function isOwnShortage(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'ERR_OVERLOADED'
}

export function connectTimeout(facts: Place, cause?: unknown): GatewayError {
  return new GatewayError('ERR_UPSTREAM_TIMEOUT', 'the upstream did not accept the connection in time', {
    cause,
    facts,
    proxyError: 'connection_timeout',
  })
}

/** OpenSSL's verification errors have names of their own; those of the protocol begin with ERR_SSL or EPROTO. */
function tlsError(code: string): ProxyErrorType | undefined {
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) return 'tls_protocol_error'
  return /CERT|SIGNATURE|ISSUER|CRL/.test(code) ? 'tls_certificate_error' : undefined
}

/** Where an exchange stood when undici reported an error. */
export interface FailureState {
  /** The final head has been handed on. */
  readonly hasAnswered: boolean
  /** The other side sent FIN, or the socket failed. */
  readonly isConnectionLost: boolean
}

/**
 * What an error on an established connection means. undici gives one code to "the other side closed" and to "the
 * answer makes no sense", so the state of the socket decides: if it still stood, it was the answer.
 */
export function exchangeFailure(cause: unknown, state: FailureState, facts: Place): GatewayError {
  const code = codeOf(cause)
  if (code === 'UND_ERR_HEADERS_OVERFLOW') return headersTooLarge(facts, cause)
  const [errorCode, message, proxyError] = state.isConnectionLost ? lost(state) : malformed
  return new GatewayError(errorCode, message, { cause, facts, proxyError })
}

const malformed: readonly [ErrorCode, string, ProxyErrorType] = [
  'ERR_UPSTREAM_PROTOCOL',
  'the answer is not well-formed HTTP',
  'http_protocol_error',
]

function lost(state: FailureState): readonly [ErrorCode, string, ProxyErrorType] {
  return state.hasAnswered
    ? ['ERR_UPSTREAM_UNREACHABLE', 'the connection ended within the answer', 'http_response_incomplete']
    : ['ERR_UPSTREAM_UNREACHABLE', 'the connection ended before an answer', 'connection_terminated']
}

/** An answer that is HTTP, but not one that may be passed on. */
export function unusableAnswer(message: string, facts: ErrorFacts): GatewayError {
  return new GatewayError('ERR_UPSTREAM_PROTOCOL', message, { facts, proxyError: 'http_protocol_error' })
}

/** An answer, or what stands where one is due, that is not HTTP as RFC 9112 has it. */
export function malformedAnswer(facts: Place): GatewayError {
  const [errorCode, message, proxyError] = malformed
  return new GatewayError(errorCode, message, { facts, proxyError })
}

export function headersTooLarge(facts: Place, cause?: unknown): GatewayError {
  return new GatewayError('ERR_UPSTREAM_PROTOCOL', 'the header section of the answer is too large', {
    cause,
    facts,
    proxyError: 'http_response_header_section_size',
  })
}

/** An app that sends more 1xx answers than this to one request is broken, or wants to keep us busy. */
const MAX_INFORMATIONAL = 16

/** Why the `count`-th interim answer to a request cannot be accepted, `undefined` if it can. */
export function informationRefusal(status: number, count: number, facts: Place): GatewayError | undefined {
  if (status <= 101) return unusableAnswer(`status ${status}, which nobody asked for`, facts)
  return count > MAX_INFORMATIONAL ? unusableAnswer('too many interim answers', facts) : undefined
}

export function unanswered(firstByteMs: number, facts: Place): GatewayError {
  return timeout(`no answer within ${firstByteMs} ms`, 'http_response_timeout', facts)
}

/** Nothing of the request's body moved; `isBlocked`: because the upstream does not take it. */
export function requestStalled(idleMs: number, isBlocked: boolean, facts: Place): GatewayError {
  if (!isBlocked) return new GatewayError('ERR_REQUEST_TIMEOUT', `nothing of the body came for ${idleMs} ms`)
  return timeout(`the upstream took nothing of the body for ${idleMs} ms`, 'connection_write_timeout', facts)
}

/** Nothing of the answer's body moved; `isPaused`: because the client does not take it. */
export function answerStalled(idleMs: number, isPaused: boolean, facts: Place): GatewayError {
  if (isPaused) return new GatewayError('ERR_REQUEST_TIMEOUT', `nothing of the answer was taken for ${idleMs} ms`)
  return timeout(`nothing of the answer came for ${idleMs} ms`, 'connection_read_timeout', facts)
}

/** The answer keeps coming, and too slowly. */
export function answerDrips(minBytesPerSecond: number, facts: Place): GatewayError {
  return timeout(`the answer came slower than ${minBytesPerSecond} bytes a second`, 'connection_read_timeout', facts)
}

export function shuttingDown(): GatewayError {
  return new GatewayError('ERR_SHUTTING_DOWN', 'the upstream is closed')
}

function timeout(message: string, proxyError: ProxyErrorType, facts: Place): GatewayError {
  return new GatewayError('ERR_UPSTREAM_TIMEOUT', message, { facts, proxyError })
}

/** Nobody listens there, or whoever does closed the connection before it stood. */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return false
  return error.proxyError === 'connection_refused' || error.proxyError === 'connection_terminated'
}

const faults: ReadonlySet<ErrorCode> = new Set([
  'ERR_UPSTREAM_UNREACHABLE',
  'ERR_UPSTREAM_TIMEOUT',
  'ERR_UPSTREAM_PROTOCOL',
])

/** It was the server's doing, and not the browser's or ours. */
export function isServerFault(error: unknown): error is GatewayError {
  return error instanceof GatewayError && faults.has(error.code)
}
