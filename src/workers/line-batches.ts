/** Lines about requests on their way to the supervisor, and how many after them had no room. */
export interface LineBatch {
  readonly lines: readonly string[]
  readonly leftOut: number
}

/** What may wait while the batch before is under way, in characters. */
const MAX_WAITING = 256 * 1024

/**
 * Sends lines in batches, the next one when the one before has been taken: where the supervisor does not read, lines are
 * left out here and counted, and nothing grows.
 */
export class LineBatches {
  readonly #send: (batch: LineBatch) => Promise<void>
  #lines: string[] = []
  #waiting = 0
  #leftOut = 0
  #sending: Promise<void> | undefined

  constructor(send: (batch: LineBatch) => Promise<void>) {
    this.#send = send
  }

  add(line: string): void {
    if (this.#waiting + line.length > MAX_WAITING) this.#leftOut += 1
    else {
      this.#lines.push(line)
      this.#waiting += line.length
    }
    this.#sending ??= this.#sendAll()
  }

  /** Resolves when all that was added is on its way. */
  async flushed(): Promise<void> {
    await this.#sending
  }

  async #sendAll(): Promise<void> {
    // What else ends in this turn of the event loop goes with it.
    await new Promise(setImmediate)
    while (this.#lines.length > 0 || this.#leftOut > 0) {
      const batch = { lines: this.#lines, leftOut: this.#leftOut }
      this.#lines = []
      this.#waiting = 0
      this.#leftOut = 0
      await this.#send(batch)
    }
    this.#sending = undefined
  }
}
