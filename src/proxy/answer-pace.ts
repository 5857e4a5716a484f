/**
 * Whether an answer keeps coming as fast as it must: looked at when some of it comes, over stretches of time. Who sends
 * nothing at all is the idle deadline's affair, and a stretch in which the client would not take more is not held against
 * the app.
 */
export class AnswerPace {
  readonly #minBytesPerSecond: number
  readonly #stretchMs: number
  #sinceMs: number
  #bytes = 0
  #wasPaused = false

  constructor(minBytesPerSecond: number, stretchMs: number, nowMs: number) {
    this.#minBytesPerSecond = minBytesPerSecond
    this.#stretchMs = stretchMs
    this.#sinceMs = nowMs
  }

  /** So many bytes have come. False: too few since the stretch began, and it is over. */
  onBytes(count: number, nowMs: number): boolean {
    this.#bytes += count
    const elapsedMs = nowMs - this.#sinceMs
    if (elapsedMs < this.#stretchMs) return true
    const isFastEnough = this.#wasPaused || this.#bytes * 1000 >= this.#minBytesPerSecond * elapsedMs
    this.#sinceMs = nowMs
    this.#bytes = 0
    this.#wasPaused = false
    return isFastEnough
  }

  /** The client takes no more for now. */
  onPaused(): void {
    this.#wasPaused = true
  }
}
