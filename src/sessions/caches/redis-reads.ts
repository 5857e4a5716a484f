import type { RedisValue } from './redis-scripts.ts'

type Reading = RedisValue | undefined

/** Reads the values of several keys: one for each of them, in their order, or a promise of it. Rejects for all of them. */
export type ReadTogether = (keys: readonly string[]) => Promise<readonly (Reading | Promise<Reading>)[]>

/** So many keys go into one command: a server does nothing else while it answers that, some tenths of a millisecond. */
const MAX_KEYS = 50

interface Waiting {
  readonly key: string
  readonly resolve: (reading: Reading | Promise<Reading>) => void
  readonly reject: (error: unknown) => void
}

/**
 * Joins the reads of one turn of the loop, in which the requests of many connections are taken off their sockets, to one
 * command: a command, and a write to the socket for it, costs more than all else that is done for a session. A read waits
 * for nothing but the end of the turn, and is made after it was asked for, as if it were alone.
 */
export function createReads(readTogether: ReadTogether): (key: string) => Promise<Reading> {
  let waiting: Waiting[] = []

  function depart(): void {
    const all = waiting
    waiting = []
    for (let at = 0; at < all.length; at += MAX_KEYS) void bring(all.slice(at, at + MAX_KEYS))
  }

  async function bring(some: readonly Waiting[]): Promise<void> {
    try {
      const readings = await readTogether(some.map(({ key }) => key))
      for (let i = 0; i < some.length; i++) some[i]?.resolve(readings[i])
    } catch (error) {
      for (const { reject } of some) reject(error)
    }
  }

  return function read(key) {
    return new Promise((resolve, reject) => {
      if (waiting.push({ key, resolve, reject }) === 1) setImmediate(depart)
    })
  }
}
