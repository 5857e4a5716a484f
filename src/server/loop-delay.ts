/** How often a timer tries how late the event loop is. */
const SAMPLE_MS = 50
/**
 * The latest of so long counts. Of an overloaded loop not every turn is a long one: when it has taken a crowd of requests
 * it sends them up, and the next turns, with the apps' answers, are short.
 */
const LOOK_MS = 250
/** What it takes to read a request, refuse it, and write that down; on slower machines the others take longer too. */
const REFUSAL_MS = 0.04
/** However late the loop is, no more of its time than this goes into refusing: whoever refused nearly all would serve nobody. */
const MOST_TIME_REFUSING = 0.25
/** Whatever a request costs, some are let in, or nothing would be learned of what they cost. */
const MOST_REFUSED = 0.95
/** The share of new requests that is refused moves by so much a second for each doubling of the delay beyond the bound… */
const PER_SECOND = 0.3
/** …and at once by so much when the delay doubles. Without it the two would chase each other. */
const AT_ONCE = 0.15
/** Doublings of the bound, upwards and downwards, beyond which a delay counts as no worse and no better. */
const MOST_DOUBLINGS = 2

/** What stands is there at so many looks in a row: one stall is a collection of garbage, or a machine that was asleep. */
const LOOKS = 3

/** What the loop has done since the look before. */
export interface LoopWork {
  readonly elapsedMs: number
  readonly served: number
  readonly refused: number
}

/**
 * The largest share of new requests that may be refused: refusing a request that costs much to serve is next to nothing,
 * and refusing a small one costs a third of it.
 */
export function mostRefused({ elapsedMs, served, refused }: LoopWork): number {
  if (served === 0) return MOST_REFUSED
  const servedMs = Math.max(REFUSAL_MS, (elapsedMs - refused * REFUSAL_MS) / served)
  const refusalsForOne = (MOST_TIME_REFUSING / (1 - MOST_TIME_REFUSING)) * (servedMs / REFUSAL_MS)
  return Math.min(MOST_REFUSED, refusalsForOne / (1 + refusalsForOne))
}

/**
 * Which share of new requests is to be refused, so that the event loop stays about as late as the bound when there is
 * more to do than can be done. Each turn of a loop that is overloaded takes longer than the one before by the same
 * factor, so it is the logarithm of the delay that is held, by a proportional and an integral term (as RFC 8033 does it
 * for queues of packets).
 */
export class DelayControl {
  readonly #boundMs: number
  #share = 0
  #latestMs: readonly number[] = new Array<number>(LOOKS).fill(0)
  #lastDoublings = -MOST_DOUBLINGS

  constructor(boundMs: number) {
    this.#boundMs = boundMs
  }

  /** The share, from 0 to the most that `mostRefused` allows. `lateMs`: how late the loop was, with that work. */
  next(lateMs: number, work: LoopWork): number {
    this.#latestMs = [...this.#latestMs.slice(1), lateMs]
    const standingMs = Math.min(...this.#latestMs)
    const doublings = within(Math.log2(Math.max(standingMs, 1e-3) / this.#boundMs), MOST_DOUBLINGS)
    const seconds = Math.min(work.elapsedMs, 1_000) / 1_000
    const change = PER_SECOND * doublings * seconds + AT_ONCE * (doublings - this.#lastDoublings)
    this.#lastDoublings = doublings
    this.#share = Math.min(mostRefused(work), Math.max(0, this.#share + change))
    // Below the bound there is nothing to make good, however fast the delay grows.
    if (doublings < 0 && this.#share < AT_ONCE * MOST_DOUBLINGS) this.#share = 0
    return this.#share
  }
}

function within(value: number, bound: number): number {
  return Math.max(-bound, Math.min(bound, value))
}

/** What is told of the loop, and asked. */
export interface LoopWatch {
  /** Since the process began. */
  readonly counts: () => Pick<LoopWork, 'served' | 'refused'>
  /** After each look: the share of new requests to be refused. */
  readonly onShare: (share: number) => void
}

/** Looks how late the event loop is. Returns the way to stop. */
export function watchLoopDelay(boundMs: number, { counts, onShare }: LoopWatch): () => void {
  const control = new DelayControl(boundMs)
  let triedAtMs = performance.now()
  let lookedAtMs = triedAtMs
  let before = counts()
  let lateMs = 0
  let timer = setTimeout(sample, SAMPLE_MS).unref()
  function sample(): void {
    const nowMs = performance.now()
    lateMs = Math.max(lateMs, nowMs - triedAtMs - SAMPLE_MS)
    triedAtMs = nowMs
    if (nowMs - lookedAtMs >= LOOK_MS) look(nowMs)
    timer = timer.refresh()
  }
  function look(nowMs: number): void {
    const now = counts()
    const elapsedMs = nowMs - lookedAtMs
    onShare(
      control.next(lateMs, { elapsedMs, served: now.served - before.served, refused: now.refused - before.refused }),
    )
    lookedAtMs = nowMs
    before = now
    lateMs = 0
  }
  return () => clearTimeout(timer)
}
