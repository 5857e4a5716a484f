import { Readable } from 'node:stream'

/** What an answer's body asks of whoever reads it off the upstream. */
export interface AnswerSource {
  /** How much is read ahead of the browser, in bytes. */
  readonly aheadBytes: number
  /** The reader takes more. */
  onWanted(): void
  /** It has ended, or nobody wants it any more. */
  onDropped(error: Error | null): void
}

/** The body of an answer on its way down. */
export class AnswerBody extends Readable {
  readonly #source: AnswerSource

  constructor(source: AnswerSource) {
    super({ highWaterMark: source.aheadBytes })
    this.#source = source
    // Between the head and the first reader the gateway may write to a store; an error in that time must not be fatal.
    this.on('error', ignore)
  }

  override _read(): void {
    this.#source.onWanted()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#source.onDropped(error)
    done(error)
  }
}

function ignore(): void {}
