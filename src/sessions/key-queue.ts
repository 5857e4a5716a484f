/** Runs tasks of one key strictly one after another, in the order of the calls; tasks of different keys run at once. */
export type KeyQueue<K> = <T>(key: K, task: () => Promise<T>) => Promise<T>

/**
 * Inside one process, writers of one session stand in line instead of meeting in the store again and again: fifty
 * parallel answers to one browser cost fifty steps, not hundreds of lost races.
 */
export function createKeyQueue<K>(): KeyQueue<K> {
  const tails = new Map<K, Promise<unknown>>()
  return function enqueue(key, task) {
    const before = tails.get(key) ?? Promise.resolve()
    const turn = before.then(task)
    // The next in line waits for the end of this one, whatever it is.
    const tail = turn.then(ignore, ignore).then(() => {
      if (tails.get(key) === tail) tails.delete(key)
    })
    tails.set(key, tail)
    return turn
  }
}

function ignore(): void {}
