import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RawHeaders } from '../http/headers.ts'
import { createRequestId } from '../http/request-id.ts'
import type { ChunkMeter } from '../lib/chunk-memory.ts'
import type { Clock } from '../lib/clock.ts'
import { createExchange } from '../observe/exchange.ts'
import { type Doorway, Visit } from './visit.ts'

export interface ArrivalParts {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Undefined on a Unix socket. */
  readonly peer: string | undefined
  /** The browser's side is TLS. */
  readonly isTls: boolean
  /** As RFC 9440 writes it; undefined if the client has shown none. */
  readonly clientCertificate: string | undefined
  readonly clock: Clock
  readonly onChunk: ChunkMeter
}

/** What `node:http` found, as the rest of the house takes it. */
export function visitOf({ request, response, peer, isTls, clientCertificate, clock, onChunk }: ArrivalParts): Visit {
  const method = request.method ?? ''
  const arrived = {
    method,
    requestTarget: request.url ?? '',
    httpVersion: request.httpVersion,
    raw: request.rawHeaders,
    peer,
    isTls,
    clientCertificate,
    body: request,
    onChunk,
  }
  const exchange = createExchange({
    requestId: createRequestId(),
    startedAt: clock(),
    peerAddress: peer ?? '',
    method,
    scheme: isTls ? 'https' : 'http',
  })
  return new Visit(arrived, new HttpDoorway(request, response), exchange)
}

class HttpDoorway implements Doorway {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request
    this.#response = response
  }

  isBodyRead(): boolean {
    return this.#request.complete
  }

  wantBody(): void {
    const { headers, httpVersion } = this.#request
    // RFC 9110, section 10.1.1: an HTTP/1.0 client does not know interim answers.
    if (headers.expect !== undefined && httpVersion === '1.1') this.#response.writeContinue()
  }

  /**
   * RFC 9110, section 15.2: interim answers are passed on, but not to an HTTP/1.0 client; 100 is ours to send. Of early
   * hints only `Link` goes on, the one header that they are for.
   */
  inform(status: number, headers: RawHeaders): void {
    const response = this.#response
    if (this.#request.httpVersion !== '1.1' || response.headersSent) return
    if (status === 102) response.writeProcessing()
    if (status !== 103) return
    const links = headers.filter((_, i) => i % 2 === 1 && headers[i - 1]?.toLowerCase() === 'link')
    try {
      if (links.length > 0) response.writeEarlyHints({ link: links })
    } catch {
      // node:http does not write every Link that apps do. A hint may be lost; the answer that it goes ahead of may not.
    }
  }
}
