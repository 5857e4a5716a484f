/** Counts what is under way, and tells when nothing is any more. */
export class Occupancy {
  #count = 0
  #onEmpty: (() => void) | undefined

  enter(): void {
    this.#count += 1
  }

  leave(): void {
    this.#count -= 1
    if (this.#count === 0) this.#onEmpty?.()
  }

  /** Resolves as soon as nothing is under way; to be called once, when nothing new begins. */
  async emptied(): Promise<void> {
    if (this.#count === 0) return
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve
    })
  }
}
