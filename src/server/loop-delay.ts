/** How often it is looked how late the event loop is. */
const SAMPLE_MS = 50
/**
 * However late the loop is, no more than this is refused. A refusal must be read and written too, and costs a quarter to a
 * half of a small request that is served: whoever refused nearly all would be busy with refusing.
 */
const MOST_REFUSED = 0.5
/** The share of new requests that is refused moves by so much a second for each doubling of the delay beyond the bound… */
const PER_SECOND = 0.3
/** …and at once by so much when the delay doubles. Without it the two would chase each other. */
const AT_ONCE = 0.15
/** Doublings of the bound, upwards and downwards, beyond which a delay counts as no worse and no better. */
const MOST_DOUBLINGS = 2

/**
 * Which share of new requests is to be refused, so that the event loop stays about as late as the bound when there is
 * more to do than can be done. Each turn of a loop that is overloaded takes longer than the one before by the same
 * factor, so it is the logarithm of the delay that is held, by a proportional and an integral term (as RFC 8033 does it
 * for queues of packets).
 */
export class DelayControl {
  readonly #boundMs: number
  #share = 0
  #lastLateMs = 0
  #lateMsBefore = 0
  #lastDoublings = -MOST_DOUBLINGS

  constructor(boundMs: number) {
    this.#boundMs = boundMs
  }

  /** From 0 to 0.5. `elapsedMs`: since the sample before. */
  next(lateMs: number, elapsedMs: number): number {
    // One late turn is a collection of garbage, or a machine that was asleep; what stands is there at each look.
    const standingMs = Math.min(lateMs, this.#lastLateMs, this.#lateMsBefore)
    this.#lateMsBefore = this.#lastLateMs
    this.#lastLateMs = lateMs
    const doublings = within(Math.log2(Math.max(standingMs, 1e-3) / this.#boundMs), MOST_DOUBLINGS)
    const seconds = Math.min(elapsedMs, 1_000) / 1_000
    const change = PER_SECOND * doublings * seconds + AT_ONCE * (doublings - this.#lastDoublings)
    this.#lastDoublings = doublings
    this.#share = Math.min(MOST_REFUSED, Math.max(0, this.#share + change))
    // Below the bound there is nothing to make good, however fast the delay grows.
    if (doublings < 0 && this.#share < AT_ONCE * MOST_DOUBLINGS) this.#share = 0
    return this.#share
  }
}

function within(value: number, bound: number): number {
  return Math.max(-bound, Math.min(bound, value))
}

/** Samples how late the event loop is, and calls back with the share after each sample. Returns the way to stop. */
export function watchLoopDelay(boundMs: number, onShare: (share: number) => void): () => void {
  const control = new DelayControl(boundMs)
  let fromMs = performance.now()
  let timer = setTimeout(sample, SAMPLE_MS).unref()
  function sample(): void {
    const nowMs = performance.now()
    const elapsedMs = nowMs - fromMs
    fromMs = nowMs
    onShare(control.next(elapsedMs - SAMPLE_MS, elapsedMs))
    timer = timer.refresh()
  }
  return () => clearTimeout(timer)
}
