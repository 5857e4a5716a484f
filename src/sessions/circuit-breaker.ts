import type { Scheduler } from './scheduler.ts'
import { wasNotAsked } from './store-failure.ts'

/** A change of a store's state. */
export interface StateChange {
  readonly isUp: boolean
  /** Undefined the first time. */
  readonly wasUp: boolean | undefined
  /** What failed, when it is down. */
  readonly cause: unknown
  /** For how long the state before lasted, in milliseconds. */
  readonly lastedMs: number
}

export interface BreakerOptions {
  /** So many failed reads in a row, with no success of any kind between, and the store is left alone. Default 5. */
  readonly failuresToOpen?: number
  /** Between two looks at a store that is down, in milliseconds; each pause is drawn anew. Default 100 to 400. */
  readonly pauseMs?: { readonly min: number; readonly max: number }
  /** From 0 to 1; default `Math.random`. */
  readonly random?: () => number
}

interface BreakerParts extends BreakerOptions {
  /** Asks the store for real: what it answers decides whether it is up. */
  readonly look: () => Promise<void>
  readonly onState: (change: StateChange) => void
  readonly scheduler: Scheduler
}

/**
 * Knows whether a store is up, and keeps calls away from one that is not.
 *
 * - What decides is a *look*: the store is asked for something that costs little and takes the way of every read. A call
 *   that fails makes us look; a single one that fails while looks succeed (a row locked by somebody, a disk that is full
 *   for writers) changes nothing for the others.
 * - After a failed look the store is *down*; it is looked at again and again, one look at a time, with and without
 *   traffic, until one succeeds. Only a look says *up* again: a part of the calls may well succeed while the rest fails.
 *   The pauses are drawn by chance, so that many gateways do not come back to a store at the same moment.
 * - After several failed reads in a row, looks included, the circuit is *open*: calls are refused at once, the store
 *   hears of looks only. The first look that succeeds closes it.
 */
export class CircuitBreaker {
  readonly #parts: BreakerParts
  readonly #failuresToOpen: number
  readonly #pauseMs: { readonly min: number; readonly max: number }
  #isUp: boolean | undefined
  #isOpen = false
  #failures = 0
  #lastFailure: unknown
  #stateSinceMs: number
  #lookedAtMs = Number.NEGATIVE_INFINITY
  #looking: Promise<void> | undefined
  #endPause: (() => void) | undefined
  #isStopped = false

  constructor(parts: BreakerParts) {
    this.#parts = parts
    const { failuresToOpen = 5, pauseMs = { min: 100, max: 400 } } = parts
    this.#failuresToOpen = failuresToOpen
    this.#pauseMs = pauseMs
    this.#stateSinceMs = parts.scheduler.nowMs()
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  get lastFailure(): unknown {
    return this.#lastFailure
  }

  /** The store did what a call asked. */
  succeeded(): void {
    if (!this.#isOpen) this.#failures = 0
    // Down, and yet it works: there may be no need to wait for the end of the pause.
    if (this.#isUp === false) this.#glance()
  }

  /** A call failed. Only failed reads count: every write is preceded by one, and readers shall not suffer for writers. */
  failed(error: unknown, isRead: boolean): void {
    if (wasNotAsked(error)) return
    this.#lastFailure = error
    if (isRead) this.#count(error)
    this.#glance()
  }

  /**
   * Looks at the store, together with everybody else who wants to know at this moment. While it is down, and was looked
   * at only just now, that look's answer is given again. Rejects with what failed.
   */
  look(): Promise<void> {
    if (this.#looking !== undefined) return this.#looking
    if (this.#isStopped || (this.#isUp === false && this.#hasJustLooked())) return Promise.reject(this.#lastFailure)
    this.#endPause?.()
    this.#endPause = undefined
    const looking = this.#look().finally(() => {
      this.#looking = undefined
      this.#lookedAtMs = this.#parts.scheduler.nowMs()
      if (this.#isUp === false) this.#pause()
    })
    this.#looking = looking
    return looking
  }

  /** No more looks. */
  stop(): void {
    this.#isStopped = true
    this.#endPause?.()
    this.#endPause = undefined
  }

  async #look(): Promise<void> {
    try {
      await this.#parts.look()
      this.#failures = 0
      this.#isOpen = false
      this.#settle(true, undefined)
    } catch (error) {
      if (!wasNotAsked(error)) {
        this.#lastFailure = error
        this.#count(error)
        this.#settle(false, error)
      }
      throw error
    }
  }

  /** A look that nobody waits for; of a store that was just found down, after a pause. */
  #glance(): void {
    if (this.#isUp === false && this.#hasJustLooked()) this.#pause()
    else this.look().catch(() => {})
  }

  #hasJustLooked(): boolean {
    return this.#parts.scheduler.nowMs() - this.#lookedAtMs < this.#pauseMs.min
  }

  #pause(): void {
    if (this.#isStopped || this.#looking !== undefined || this.#endPause !== undefined) return
    const { min, max } = this.#pauseMs
    const delayMs = min + (this.#parts.random ?? Math.random)() * (max - min)
    this.#endPause = this.#parts.scheduler.after(delayMs, () => {
      this.#endPause = undefined
      this.look().catch(() => {})
    })
  }

  #count(error: unknown): void {
    this.#failures += 1
    if (this.#failures < this.#failuresToOpen) return
    this.#isOpen = true
    this.#settle(false, error)
  }

  #settle(isUp: boolean, cause: unknown): void {
    // What fails while the store is being closed tells nothing.
    if (this.#isUp === isUp || this.#isStopped) return
    const nowMs = this.#parts.scheduler.nowMs()
    const change = { isUp, wasUp: this.#isUp, cause, lastedMs: nowMs - this.#stateSinceMs }
    this.#isUp = isUp
    this.#stateSinceMs = nowMs
    this.#parts.onState(change)
  }
}
