import { Readable } from 'node:stream'

/**
 * How much of an answer waits for a slow reader, in bytes, beside what the socket holds: the piece that was read when he took
 * no more, up to 64 KiB, and no second one behind it.
 */
const BODY_BUFFER_BYTES = 16 * 1024

/** The body of an answer on its way down. */
export class AnswerBody extends Readable {
  readonly #onWanted: () => void
  readonly #onDropped: (error: Error | null) => void

  /** `onWanted`: the reader takes more. `onDropped`: it has ended, or nobody wants it any more. */
  constructor(onWanted: () => void, onDropped: (error: Error | null) => void) {
    super({ highWaterMark: BODY_BUFFER_BYTES })
    this.#onWanted = onWanted
    this.#onDropped = onDropped
    // Between the head and the first reader the gateway may write to a store; an error in that time must not be fatal.
    this.on('error', ignore)
  }

  override _read(): void {
    this.#onWanted()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#onDropped(error)
    done(error)
  }
}

function ignore(): void {}
