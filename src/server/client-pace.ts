import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { GatewayError } from '../errors.ts'
import type { ErrorReport } from '../observe/exchange.ts'
import type { Pace, PaceWatch } from './pace.ts'

/** What a client was too slow with; a closed set, for metrics. */
export type SlowPart = 'body' | 'answer'

export interface ClientPaceOptions {
  /** Of a request's body; undefined = at any pace. */
  readonly upload: Pace | undefined
  /** Of an answer; undefined = at any pace. */
  readonly download: Pace | undefined
}

export interface ClientPaceParts {
  readonly watch: PaceWatch
  /** A client is being cut. */
  readonly onSlow: (part: SlowPart) => void
}

/** A request, as far as its client's pace is concerned. */
export interface PacedVisit {
  readonly exchange: { readonly requestBodyBytes: number; error: ErrorReport | undefined }
  readonly route: { readonly idleMs: number } | undefined
}

/** For routes that are not known yet. */
const DEFAULT_IDLE_MS = 60_000

/**
 * Holds clients to the pace that they must have. Who was fast and then stands still may do so for as long as the route's
 * `idle` allows: that deadline is another's.
 */
export class ClientPace {
  readonly #options: ClientPaceOptions
  readonly #parts: ClientPaceParts

  constructor(options: ClientPaceOptions, parts: ClientPaceParts) {
    this.#options = options
    this.#parts = parts
  }

  /** `way`: through which the body goes up; it is destroyed with the error that the request ends in. */
  watchBody(visit: PacedVisit, body: Readable, way: Writable): void {
    const { upload } = this.#options
    if (upload === undefined || body.readableEnded) return
    const stop = this.#parts.watch.watch(
      {
        movedBytes: () => visit.exchange.requestBodyBytes,
        // Bytes that the app does not take fill the way up, and then nothing more is read off the socket.
        isClientsTurn: () => !way.writableNeedDrain,
        onTooSlow: () => {
          this.#parts.onSlow('body')
          way.destroy(tooSlow('the body came slower', upload))
        },
      },
      { pace: upload, mostBehindMs: idleMsOf(visit), startsFull: false },
    )
    body.once('end', stop).once('close', stop)
  }

  /** Bytes of the answer wait in the gateway, or will. */
  watchAnswer(visit: PacedVisit, response: ServerResponse): void {
    const { download } = this.#options
    const { socket } = response
    if (download === undefined || socket === null) return
    const stop = this.#parts.watch.watch(
      {
        movedBytes: () => takenBytes(socket),
        isClientsTurn: () => socket.writableLength > 0,
        onTooSlow: () => {
          this.#cut(visit, response, tooSlow('the answer was taken slower', download))
        },
      },
      // The system tells in large steps what was taken: a third of its buffer has to be free first.
      { pace: download, mostBehindMs: idleMsOf(visit), startsFull: true },
    )
    response.once('close', stop)
  }

  /** Nothing of an answer was taken for so long. */
  cutStalled(visit: PacedVisit, response: ServerResponse, idleMs: number): void {
    const error = new GatewayError('ERR_REQUEST_TIMEOUT', `nothing of the answer was taken for ${idleMs} ms`)
    this.#cut(visit, response, error)
  }

  /**
   * Ends a connection whose reader does not read. With a reset, where that can be had: what the system holds for him,
   * often megabytes, it would go on holding for minutes.
   */
  #cut(visit: PacedVisit, response: ServerResponse, { code, message, proxyError, facts }: GatewayError): void {
    this.#parts.onSlow('answer')
    visit.exchange.error = { code, message, proxyError, facts }
    try {
      response.socket?.resetAndDestroy()
    } catch {
      // Neither TLS nor Unix sockets can be reset.
    }
    response.destroy()
  }
}

function idleMsOf({ route }: PacedVisit): number {
  return route?.idleMs ?? DEFAULT_IDLE_MS
}

function tooSlow(what: string, { minBytesPerSecond }: Pace): GatewayError {
  return new GatewayError('ERR_REQUEST_TIMEOUT', `${what} than ${minBytesPerSecond} bytes a second`)
}

/**
 * Bytes that the system has taken from a socket. Of a write under way Node's public figures tell nothing until all of it is
 * taken, which for a large one takes minutes; the handle tells, and `node:net` asks it for its own timeouts.
 */
function takenBytes(socket: Socket): number {
  const handle: unknown = '_handle' in socket ? socket._handle : undefined
  if (typeof handle === 'object' && handle !== null && 'bytesWritten' in handle && 'writeQueueSize' in handle) {
    const { bytesWritten, writeQueueSize } = handle
    if (typeof bytesWritten === 'number' && typeof writeQueueSize === 'number') return bytesWritten - writeQueueSize
  }
  return socket.bytesWritten - socket.writableLength
}
