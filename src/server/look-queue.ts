/** One that has to ask the store. */
export interface Looker {
  /** Never rejects. */
  look(): Promise<void>
}

/** So many ask at once. */
const LOOKS_AT_ONCE = 32

/**
 * Thousands that have to ask the store at the same moment do so a few at a time: a store that has just come back is not
 * run over, and one that answers without a wait (SQLite) does not hold up everybody else here.
 */
export class LookQueue {
  readonly #urgent = new Set<Looker>()
  readonly #others = new Set<Looker>()
  #running = 0
  #isPlanned = false

  /** Once, however often it is added before its turn. The urgent ones come first. */
  add(looker: Looker, isUrgent: boolean): void {
    if (isUrgent) this.#others.delete(looker)
    if (!this.#urgent.has(looker)) (isUrgent ? this.#urgent : this.#others).add(looker)
    this.#plan()
  }

  delete(looker: Looker): void {
    this.#urgent.delete(looker)
    this.#others.delete(looker)
  }

  #plan(): void {
    if (this.#isPlanned || this.#running >= LOOKS_AT_ONCE || this.#urgent.size + this.#others.size === 0) return
    this.#isPlanned = true
    setImmediate(() => this.#run())
  }

  #run(): void {
    this.#isPlanned = false
    while (this.#running < LOOKS_AT_ONCE) {
      const looker = this.#next()
      if (looker === undefined) return
      this.#running += 1
      void looker.look().finally(() => {
        this.#running -= 1
        this.#plan()
      })
    }
  }

  #next(): Looker | undefined {
    const [looker] = this.#urgent.size > 0 ? this.#urgent : this.#others
    if (looker !== undefined) this.delete(looker)
    return looker
  }
}
