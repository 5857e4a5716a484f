import type { Clock, EpochMs } from '../../lib/clock.ts'
import type { Scheduler } from '../scheduler.ts'

export interface InvalidationsOptions {
  /** Makes the cache forget what it has under a key; false if it could not be reached. */
  readonly invalidate: (key: string) => Promise<boolean>
  /** How long until what failed is tried again, in milliseconds. */
  readonly retryMs: number
  /** How many keys are remembered. */
  readonly maxKeys: number
  /** For how long a cached value is believed, in milliseconds; after that, whatever was forgotten does no harm. */
  readonly trustMs: number
  readonly clock: Clock
  readonly scheduler: Scheduler
}

/** So many are under way at once when a cache is back and has much to be told. */
const RETRIES_AT_ONCE = 16

/**
 * Keys of sessions that have changed, while the cache could not be told so. What it has under them is not to be served;
 * in the background it is told again and again until it knows. When more keys come than can be remembered, the oldest
 * is forgotten, and the cache is not believed in anything until all that it may hold from before is too old.
 */
export class Invalidations implements AsyncDisposable {
  readonly #options: InvalidationsOptions
  /** Each with the number of its last entry: a later one is not done with when an earlier one is. */
  readonly #pending = new Map<string, number>()
  #lastNumber = 0
  #nothingBelievedUntil: EpochMs = Number.NEGATIVE_INFINITY
  /** Calls off the retry that is to come, or under way. */
  #callOff: (() => void) | undefined
  #retrying: Promise<void> | undefined
  #isClosed = false

  constructor(options: InvalidationsOptions) {
    this.#options = options
  }

  /** How many keys the cache has still to be told of. */
  get pending(): number {
    return this.#pending.size
  }

  /** True if the cache's value may be served, as far as this process knows. */
  believes(key: string): boolean {
    return !this.#pending.has(key) && this.#options.clock() >= this.#nothingBelievedUntil
  }

  /** Tells the cache now, or remembers to. Never fails. */
  async perform(key: string): Promise<void> {
    const number = this.#pending.get(key)
    if (!(await this.#options.invalidate(key))) this.postpone(key)
    else if (this.#pending.get(key) === number) this.#pending.delete(key)
  }

  /** Remembers to tell the cache, a little later. */
  postpone(key: string): void {
    this.#pending.delete(key)
    this.#pending.set(key, ++this.#lastNumber)
    const [oldest] = this.#pending.keys()
    if (this.#pending.size > this.#options.maxKeys && oldest !== undefined) {
      this.#pending.delete(oldest)
      this.#nothingBelievedUntil = this.#options.clock() + this.#options.trustMs
    }
    this.#schedule()
  }

  /** Tries once more what is left; a restart forgets the rest. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#callOff?.()
    await this.#retrying
    await this.#retry()
  }

  #schedule(): void {
    if (this.#callOff !== undefined || this.#isClosed) return
    const { retryMs, scheduler } = this.#options
    // Spread a little, so that several processes do not come at once.
    this.#callOff = scheduler.after(retryMs * (1 + Math.random() / 4), () => {
      this.#retrying = this.#retry().then(() => {
        this.#callOff = undefined
        if (this.#pending.size > 0) this.#schedule()
      })
    })
  }

  /** All that were pending when it began, until nothing gets through. */
  async #retry(): Promise<void> {
    const keys = [...this.#pending]
    for (let i = 0; i < keys.length; i += RETRIES_AT_ONCE) {
      const told = await Promise.all(keys.slice(i, i + RETRIES_AT_ONCE).map((entry) => this.#tell(...entry)))
      if (!told.includes(true)) return
    }
  }

  async #tell(key: string, number: number): Promise<boolean> {
    if (this.#pending.get(key) !== number) return true
    const isTold = await this.#options.invalidate(key)
    if (isTold && this.#pending.get(key) === number) this.#pending.delete(key)
    return isTold
  }
}
