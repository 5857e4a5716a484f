import type { Clock, EpochMs } from '../../lib/clock.ts'
import { storeUnavailable } from '../store-failure.ts'
import type { CachedValue, SessionCache } from './session-cache.ts'

export interface MemoryCacheOptions {
  readonly clock: Clock
  /** How many values are held. Default 1,000,000. */
  readonly maxEntries?: number
}

interface MemoryEntry extends CachedValue {
  readonly expiresAt: EpochMs
}

/**
 * Sessions in this process: for one worker and for trying things out; they end with the process.
 *
 * Nothing is ever evicted, since that would log somebody out without a word. When the memory is full of values whose time
 * is not over, a new one is refused (`ERR_STORE_UNAVAILABLE`), and those that are there stay readable and writable.
 */
export function createMemoryCache({ clock, maxEntries = 1_000_000 }: MemoryCacheOptions): SessionCache {
  const entries = new Map<string, MemoryEntry>()
  let lastStamp = 0
  let lookedForRoomAt: EpochMs = Number.NEGATIVE_INFINITY

  function find(key: string): MemoryEntry | undefined {
    const entry = entries.get(key)
    return entry && entry.expiresAt > clock() ? entry : undefined
  }

  function put(key: string, bytes: Uint8Array, ttlSeconds: number): void {
    // A copy, which `slice` of a Buffer is not: whoever gave the bytes may write on into the same memory.
    entries.set(key, { bytes: new Uint8Array(bytes), expiresAt: clock() + ttlSeconds * 1000, stamp: ++lastStamp })
  }

  function clearExpired(limit: number): number {
    let count = 0
    for (const key of entries.keys()) {
      if (count >= limit) break
      if (find(key) === undefined && entries.delete(key)) count++
    }
    return count
  }

  /** Looks through all entries at most once a second: a full memory must not cost every new session a walk through it. */
  function hasRoom(): boolean {
    if (entries.size < maxEntries) return true
    if (Math.abs(clock() - lookedForRoomAt) < 1000) return false
    lookedForRoomAt = clock()
    return clearExpired(Number.POSITIVE_INFINITY) > 0
  }

  return {
    async get(key) {
      const entry = find(key)
      return entry && { ...entry, bytes: new Uint8Array(entry.bytes) }
    },
    async add(key, bytes, ttlSeconds) {
      if (find(key)) return false
      if (!hasRoom()) throw storeUnavailable(`the memory cache is full: ${maxEntries} sessions`)
      put(key, bytes, ttlSeconds)
      return true
    },
    async replace(key, { stamp, bytes, ttlSeconds }) {
      if (find(key)?.stamp !== stamp) return false
      put(key, bytes, ttlSeconds)
      return true
    },
    async remove(key, stamp) {
      return find(key)?.stamp === stamp && entries.delete(key)
    },
    async *keys(prefix) {
      // A snapshot: whoever consumes the listing may take its time, and sessions come and go meanwhile.
      for (const key of [...entries.keys()]) if (key.startsWith(prefix)) yield key
    },
    async clearExpired(limit) {
      return clearExpired(limit)
    },
    async ping() {},
    async [Symbol.asyncDispose]() {
      entries.clear()
    },
  }
}
