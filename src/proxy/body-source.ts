import type { Readable } from 'node:stream'
import { GatewayError } from '../errors.ts'

/** Who takes a body: pieces, and then one of the other two, once. */
export interface BodyTaker {
  onChunk(chunk: Buffer): void
  /** All of it has come, and it is as long as was announced. */
  onEnd(): void
  /** It will not come whole; called before anything of it looks complete. */
  onFailure(error: unknown): void
}

/**
 * The client's body, as it is read. Letting go of it leaves it paused and whole: with it goes the client's connection,
 * on which an answer may still have to be sent.
 */
export class BodySource {
  readonly #source: Readable
  readonly #contentLength: number | undefined
  readonly #taker: BodyTaker
  #received = 0
  #isLetGo = false

  /** Begins to listen, paused. `contentLength`: what the request's head promised, if it promised anything. */
  constructor(source: Readable, contentLength: number | undefined, taker: BodyTaker) {
    this.#source = source
    this.#contentLength = contentLength
    this.#taker = taker
    // Nobody else listens once it was let go.
    source.on('error', ignore)
    source.on('end', this.#onEnd).on('error', this.#fail).on('close', this.#onClose)
    // Attaching 'data' starts the flow, and nothing may be read before it is asked for.
    source.pause()
    source.on('data', this.#onData)
    if (source.readableEnded) process.nextTick(this.#onEnd)
    else if (source.destroyed) process.nextTick(source.errored ? this.#fail : this.#onClose, source.errored)
  }

  resume(): void {
    if (!this.#isLetGo) this.#source.resume()
  }

  pause(): void {
    this.#source.pause()
  }

  letGo(): void {
    if (this.#isLetGo) return
    this.#isLetGo = true
    const source = this.#source
    source.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#fail).off('close', this.#onClose)
    source.pause()
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#received += chunk.length
    // Surplus bytes would be read as the next request.
    if (this.#contentLength !== undefined && this.#received > this.#contentLength) this.#fail(wrongLength())
    else this.#taker.onChunk(chunk)
  }

  readonly #onEnd = (): void => {
    if (this.#isLetGo) return
    // With nothing sent yet it would otherwise end as an empty body: a complete request that nobody made.
    if (this.#contentLength !== undefined && this.#received < this.#contentLength) {
      this.#fail(wrongLength())
      return
    }
    this.letGo()
    this.#taker.onEnd()
  }

  readonly #fail = (error: unknown): void => {
    if (this.#isLetGo) return
    this.letGo()
    this.#taker.onFailure(error)
  }

  readonly #onClose = (): void => {
    this.#fail(new GatewayError('ERR_REQUEST_INVALID', 'the client went away within the body'))
  }
}

function ignore(): void {}

function wrongLength(): GatewayError {
  return new GatewayError('ERR_REQUEST_INVALID', 'the body has not the length that the request announced')
}
