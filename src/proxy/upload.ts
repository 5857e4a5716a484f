import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { BodySource, type BodyTaker } from './body-source.ts'
import { CHUNKED_BODY, sizedBody } from './request-head.ts'

/** Up to this many bytes a piece is cheaper copied into one text with what stands around it than written beside it. */
const JOINED_BYTES = 16 * 1024

export interface UploadOptions {
  readonly socket: Socket
  readonly body: Readable
  readonly contentLength: number | undefined
  /** The request's head but for its framing and the empty line. It is written with the first piece of the body. */
  readonly head: string
  /** Bytes came from the client. */
  readonly onProgress: () => void
  /** The first bytes are about to be written. */
  readonly onFirst: () => void
  /** All of the request has been handed to the socket. */
  readonly onSent: () => void
  /** The body will not come whole. */
  readonly onFailure: (error: unknown) => void
}

/**
 * Writes a request that has a body, as fast as the socket takes it. An empty body of unknown length goes up as one of
 * length 0. Every piece leaves in one write, with the head or the size of its chunk before it.
 */
export class Upload implements BodyTaker {
  readonly #options: UploadOptions
  readonly #source: BodySource
  #hasBegun = false

  constructor(options: UploadOptions) {
    this.#options = options
    this.#source = new BodySource(options.body, options.contentLength, this)
    this.#source.resume()
  }

  /** The socket takes more. */
  resume(): void {
    this.#source.resume()
  }

  /** Leaves the rest of the body to its owner. */
  letGo(): void {
    this.#source.letGo()
  }

  onChunk(chunk: Buffer): void {
    const { socket, contentLength, onProgress } = this.#options
    onProgress()
    // An empty chunk would end the body.
    if (chunk.length === 0) return
    const head = this.#begin(contentLength === undefined ? CHUNKED_BODY : sizedBody(contentLength))
    if (contentLength === undefined) writeJoined(socket, `${head}${chunk.length.toString(16)}\r\n`, chunk, '\r\n')
    else writeJoined(socket, head, chunk, '')
    if (socket.writableNeedDrain) this.#source.pause()
  }

  onEnd(): void {
    const { socket, contentLength, onSent } = this.#options
    if (!this.#hasBegun) socket.write(this.#begin(sizedBody(0)), 'latin1')
    else if (contentLength === undefined) socket.write('0\r\n\r\n', 'latin1')
    onSent()
  }

  onFailure(error: unknown): void {
    this.#options.onFailure(error)
  }

  /** What has to stand before the first piece of the body. */
  #begin(framing: string): string {
    if (this.#hasBegun) return ''
    this.#hasBegun = true
    this.#options.onFirst()
    return this.#options.head + framing
  }
}

function writeJoined(socket: Socket, before: string, chunk: Buffer, after: string): void {
  if (before === '' && after === '') {
    socket.write(chunk)
  } else if (chunk.length <= JOINED_BYTES) {
    socket.write(before + chunk.toString('latin1') + after, 'latin1')
  } else {
    socket.cork()
    socket.write(before, 'latin1')
    socket.write(chunk)
    if (after !== '') socket.write(after, 'latin1')
    socket.uncork()
  }
}
