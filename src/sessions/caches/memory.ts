import type { Clock, EpochMs } from '../../lib/clock.ts'
import { storeUnavailable } from '../store-failure.ts'
import type { CachedValue, CacheReplacement, SessionCache } from './session-cache.ts'

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
  return new MemoryCache(clock, maxEntries)
}

class MemoryCache implements SessionCache {
  readonly #clock: Clock
  readonly #maxEntries: number
  readonly #entries = new Map<string, MemoryEntry>()
  #lastStamp = 0
  #lookedForRoomAt: EpochMs = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, maxEntries: number) {
    this.#clock = clock
    this.#maxEntries = maxEntries
  }

  async get(key: string): Promise<CachedValue | undefined> {
    const entry = this.#find(key)
    return entry && { ...entry, bytes: new Uint8Array(entry.bytes) }
  }

  async add(key: string, bytes: Uint8Array, ttlSeconds: number): Promise<boolean> {
    if (this.#find(key)) return false
    await this.put(key, bytes, ttlSeconds)
    return true
  }

  async put(key: string, bytes: Uint8Array, ttlSeconds: number): Promise<void> {
    if (!this.#entries.has(key) && !this.#hasRoom()) {
      throw storeUnavailable(`the memory cache is full: ${this.#maxEntries} sessions`)
    }
    this.#put(key, bytes, ttlSeconds)
  }

  async replace(key: string, { stamp, bytes, ttlSeconds }: CacheReplacement): Promise<boolean> {
    if (this.#find(key)?.stamp !== stamp) return false
    this.#put(key, bytes, ttlSeconds)
    return true
  }

  async remove(key: string, stamp: unknown): Promise<boolean> {
    return this.#find(key)?.stamp === stamp && this.#entries.delete(key)
  }

  async *keys(prefix: string): AsyncIterable<string> {
    // A snapshot: whoever consumes the listing may take its time, and sessions come and go meanwhile.
    for (const key of [...this.#entries.keys()]) if (key.startsWith(prefix)) yield key
  }

  async clearExpired(limit: number): Promise<number> {
    let count = 0
    for (const key of this.#entries.keys()) {
      if (count >= limit) break
      if (this.#find(key) === undefined && this.#entries.delete(key)) count++
    }
    return count
  }

  async ping(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.#entries.clear()
  }

  #find(key: string): MemoryEntry | undefined {
    const entry = this.#entries.get(key)
    return entry && entry.expiresAt > this.#clock() ? entry : undefined
  }

  #put(key: string, bytes: Uint8Array, ttlSeconds: number): void {
    this.#entries.set(key, {
      // A copy, which `slice` of a Buffer is not: whoever gave the bytes may write on into the same memory.
      bytes: new Uint8Array(bytes),
      expiresAt: this.#clock() + ttlSeconds * 1000,
      stamp: ++this.#lastStamp,
    })
  }

  /** Looks through all entries at most once a second: a full memory must not cost every new session a walk through it. */
  #hasRoom(): boolean {
    if (this.#entries.size < this.#maxEntries) return true
    const now = this.#clock()
    if (Math.abs(now - this.#lookedForRoomAt) < 1000) return false
    this.#lookedForRoomAt = now
    for (const [key, { expiresAt }] of this.#entries) if (expiresAt <= now) this.#entries.delete(key)
    return this.#entries.size < this.#maxEntries
  }
}
