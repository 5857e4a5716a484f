/** How much further tries may add to the load of an upstream: one for every five requests … */
const TRIES_PER_REQUEST = 0.2
/** … and this many a second, so that a site with little traffic may try again every time. */
const TRIES_PER_SECOND = 10
/** What is not used is kept, up to here: an outage of a second does not find an empty purse. */
const MOST_KEPT = 100

/**
 * Bounds the further tries of one upstream. Without it an upstream that fails under load gets twice the load for it, and
 * does not come back.
 */
export class RetryBudget {
  #left = MOST_KEPT
  #refilledMs = 0

  /** A request is sent for the first time. */
  earn(): void {
    if (this.#left < MOST_KEPT) this.#left += TRIES_PER_REQUEST
  }

  /** Whether one more try may be made now, by the monotonic clock; if so, it is paid for. */
  spend(nowMs: number): boolean {
    const earned = ((nowMs - this.#refilledMs) / 1000) * TRIES_PER_SECOND
    this.#refilledMs = nowMs
    this.#left = Math.min(MOST_KEPT, this.#left + earned)
    if (this.#left < 1) return false
    this.#left -= 1
    return true
  }
}
