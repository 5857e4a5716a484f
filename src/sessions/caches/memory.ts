import { setImmediate } from 'node:timers/promises'
import type { Clock, EpochMs } from '../../lib/clock.ts'
import { createKeyQueue } from '../key-queue.ts'
import { storeUnavailable } from '../store-failure.ts'
import type { CachedValue, CacheReplacement, SessionCache } from './session-cache.ts'

export interface MemoryCacheOptions {
  readonly clock: Clock
  /** How many values are held. Default 1,000,000. */
  readonly maxEntries?: number
}

/** A sweep of a million sessions takes a tenth of a second, in which nobody else would be served. */
const LOOKED_AT_IN_A_TURN = 5000

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
  readonly lists = true
  readonly #clock: Clock
  readonly #maxEntries: number
  readonly #entries = new Map<string, MemoryEntry>()
  #lastStamp = 0
  /** Where the last `clearExpired` stopped: from the start, each batch would walk over all that lives once more. */
  #sweep: Iterator<string> | undefined
  readonly #sweeps = createKeyQueue<'sweep'>()
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

  clearExpired(limit: number): Promise<number> {
    return this.#sweeps('sweep', () => this.#clearBatch(limit))
  }

  async ping(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.#entries.clear()
  }

  async #clearBatch(limit: number): Promise<number> {
    let count = 0
    let lookedAt = 0
    // A walk that was continued has not seen what expired before its place meanwhile: then one more, from the start.
    for (let isWhole = false; !isWhole; ) {
      isWhole = this.#sweep === undefined
      const sweep = this.#sweep ?? this.#entries.keys()
      this.#sweep = sweep
      for (let next = sweep.next(); next.done !== true; next = sweep.next()) {
        const key = next.value
        if (this.#find(key) === undefined && this.#entries.delete(key)) count++
        if (count >= limit) return count
        if (++lookedAt % LOOKED_AT_IN_A_TURN === 0) await setImmediate()
      }
      this.#sweep = undefined
    }
    return count
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
