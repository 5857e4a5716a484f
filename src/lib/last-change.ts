import type { Clock, EpochMs } from './clock.ts'

/** Since when something is what it is, by whoever is told each time what it is. */
export class LastChange {
  readonly #clock: Clock
  #value: string | undefined
  #since: EpochMs | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** It is that now, perhaps as before. */
  note(value: string): void {
    if (value === this.#value) return
    this.#value = value
    this.#since = this.#clock()
  }

  /** Undefined before it was told anything. */
  get since(): EpochMs | undefined {
    return this.#since
  }
}
