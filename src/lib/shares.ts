/** One user's hold on something shared. Disposing lets go of it; the last one to do so closes it. */
export interface Share<T> extends AsyncDisposable {
  readonly value: T
}

interface Kept<T> {
  readonly opened: Promise<T>
  users: number
}

/** Opens a thing once for all who want the same, and closes it when the last of them has let go. */
export class Shares<T extends AsyncDisposable> {
  readonly #kept = new Map<string, Kept<T>>()

  /**
   * The thing of that key: the one that is open, or else what `open` gives.
   *
   * @throws whatever `open` throws; then nothing is kept, and the next one tries again.
   */
  async take(key: string, open: () => T | Promise<T>): Promise<Share<T>> {
    const kept = this.#kept.get(key) ?? { opened: Promise.resolve().then(open), users: 0 }
    this.#kept.set(key, kept)
    kept.users += 1
    try {
      const value = await kept.opened
      return { value, [Symbol.asyncDispose]: this.#letGo(key, kept) }
    } catch (error) {
      kept.users -= 1
      this.#forget(key, kept)
      throw error
    }
  }

  #letGo(key: string, kept: Kept<T>): () => Promise<void> {
    let isHeld = true
    return async () => {
      if (!isHeld) return
      isHeld = false
      kept.users -= 1
      if (kept.users > 0) return
      this.#forget(key, kept)
      await (await kept.opened)[Symbol.asyncDispose]()
    }
  }

  /** Somebody may have opened another under that key since. */
  #forget(key: string, kept: Kept<T>): void {
    if (this.#kept.get(key) === kept) this.#kept.delete(key)
  }
}
