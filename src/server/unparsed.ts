import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type ErrorCode, GatewayError } from '../errors.ts'
import { createRequestId } from '../http/request-id.ts'
import type { Clock } from '../lib/clock.ts'
import { createExchange, type Exchange } from '../observe/exchange.ts'
import { PROBLEM_TYPE, problemText } from './answer.ts'
import type { Conversations } from './conversation.ts'

const parserErrors: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'ERR_HEADERS_TOO_LARGE',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'ERR_BODY_TOO_LARGE',
  ERR_HTTP_REQUEST_TIMEOUT: 'ERR_REQUEST_TIMEOUT',
}

/** How long the client has to read the refusal. */
const LAST_WORDS_MS = 2_000

/**
 * Answers what the parser would not read, in the barest form, because nothing of the request can be trusted, and ends
 * the connection. Answers to earlier requests on it finish first: a second head in the middle of one would be read as a
 * part of its body. Where the body of a request under way is what cannot be read, no more of it can come, so that
 * request ends here too.
 */
export function createUnparsedGuard(
  conversations: Conversations,
  context: {
    readonly record: (exchange: Exchange) => void
    readonly clock: Clock
    readonly peerOf: (socket: Duplex) => { readonly address: string | undefined; readonly isTls: boolean }
  },
): (error: NodeJS.ErrnoException, socket: Duplex) => void {
  return function refuse(error, socket) {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    const code = parserErrors[error.code ?? ''] ?? 'ERR_REQUEST_INVALID'
    const refusal = new GatewayError(code, `the parser refused the request: ${error.code ?? 'unknown'}`)
    const { address, isTls } = context.peerOf(socket)
    const exchange = createExchange({
      requestId: createRequestId(),
      startedAt: context.clock(),
      peerAddress: address ?? '',
      method: '',
      scheme: isTls ? 'https' : 'http',
    })
    exchange.error = { code, message: refusal.message, proxyError: refusal.proxyError, facts: {} }
    exchange.status = finish(socket, refusal, exchange) ? refusal.status : undefined
    context.record(exchange)
  }

  /** True if the refusal could be written. */
  function finish(socket: Duplex, refusal: GatewayError, exchange: Exchange): boolean {
    const turns = conversations.under(socket)
    const isWhole = turns.every(({ request }) => request.complete)
    const [first] = turns
    if (first !== undefined && isWhole) {
      conversations.end(socket)
      return false
    }
    if (turns.length > 1 || first?.response.headersSent) {
      socket.destroy()
      return false
    }
    socket.end(bareAnswer(refusal, exchange))
    // The request whose body it was still waits for more of it.
    setTimeout(() => socket.destroy(), LAST_WORDS_MS).unref()
    return true
  }
}

/** The record of a connection that ended before anything on it was read as HTTP. */
export function refusedConnection(
  peerAddress: string,
  { clock, reason }: { readonly clock: Clock; readonly reason: string },
): Exchange {
  const exchange = createExchange({
    requestId: createRequestId(),
    startedAt: clock(),
    peerAddress,
    method: '',
    scheme: 'http',
  })
  const { code, message, proxyError } = new GatewayError('ERR_REQUEST_INVALID', `the connection was closed: ${reason}`)
  exchange.error = { code, message, proxyError, facts: {} }
  return exchange
}

function bareAnswer(refusal: GatewayError, exchange: Exchange): string {
  const problem = problemText(refusal, exchange)
  const head = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(problem)}`,
    'Cache-Control: no-store',
    'Connection: close',
  ]
  return `${head.join('\r\n')}\r\n\r\n${problem}`
}
