import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RawHeaders } from '../http/headers.ts'
import { createRequestId } from '../http/request-id.ts'
import type { ChunkMeter } from '../lib/chunk-memory.ts'
import type { Clock } from '../lib/clock.ts'
import { createExchange, type Exchange } from '../observe/exchange.ts'
import type { Arrived } from './visit.ts'

export interface ArrivalParts {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Undefined on a Unix socket. */
  readonly peer: string | undefined
  readonly onChunk: ChunkMeter
}

/** What `node:http` found, as the rest of the house takes it. */
export function arrivedOf({ request, response, peer, onChunk }: ArrivalParts): Arrived {
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
      // RFC 9110, section 10.1.1: an HTTP/1.0 client does not know interim answers.
      if (request.headers.expect !== undefined && request.httpVersion === '1.1') response.writeContinue()
    },
    inform: (status, headers) => inform(request, response, { status, headers }),
  }
}

/** The empty record of a request that has just arrived. */
export function exchangeOf(request: IncomingMessage, peer: string | undefined, clock: Clock): Exchange {
  return createExchange({
    requestId: createRequestId(),
    startedAt: clock(),
    peerAddress: peer ?? '',
    method: request.method ?? '',
    scheme: 'http',
  })
}

/**
 * RFC 9110, section 15.2: interim answers are passed on, but not to an HTTP/1.0 client; 100 is ours to send. Of early
 * hints only `Link` goes on, the one header that they are for.
 */
function inform(
  request: IncomingMessage,
  response: ServerResponse,
  interim: { readonly status: number; readonly headers: RawHeaders },
): void {
  if (request.httpVersion !== '1.1' || response.headersSent) return
  const { status, headers } = interim
  if (status === 102) response.writeProcessing()
  if (status !== 103) return
  const links = headers.filter((_, i) => i % 2 === 1 && headers[i - 1]?.toLowerCase() === 'link')
  try {
    if (links.length > 0) response.writeEarlyHints({ link: links })
  } catch {
    // node:http does not write every Link that apps do. A hint may be lost; the answer that it goes ahead of may not.
  }
}
