import { LRUCache } from 'lru-cache'
import type { SessionData } from '../django/json.ts'
import type { EpochMs } from '../lib/clock.ts'
import type { FoundSession } from './engine.ts'

/** A session as it was read. */
export interface KeptSession {
  readonly session: FoundSession
  /** What the line of notices calls it. */
  readonly name: string
  /** The moment at which it began to be read, by the wall clock. Before it, the clock was set back: not to be believed. */
  readonly from: EpochMs
  /** From this moment on it is not to be believed. */
  readonly until: EpochMs
}

export interface SessionMemoryBounds {
  readonly maxEntries: number
  /** Of all sessions together, by estimate. */
  readonly maxBytes: number
  /** A larger session is not kept. */
  readonly maxEntryBytes: number
  /** From `from` on; what nobody asks for any more is given back by `purge`. */
  readonly maxAgeMs: number
}

/** Sessions by key and by the name that notices use, bounded by count, bytes and age. */
export class SessionMemory {
  readonly #bounds: SessionMemoryBounds
  readonly #sessions: LRUCache<string, KeptSession>
  /** From names to keys. */
  readonly #keys = new Map<string, string>()

  constructor(bounds: SessionMemoryBounds) {
    const { maxEntries, maxBytes, maxEntryBytes } = bounds
    this.#bounds = bounds
    this.#sessions = new LRUCache({
      // It takes room for all of them at once: no more than can ever be there.
      max: Math.max(1, Math.min(maxEntries, Math.floor(maxBytes / ENTRY_BYTES))),
      maxSize: maxBytes,
      maxEntrySize: maxEntryBytes,
      sizeCalculation: ({ session }) => estimateBytes(session.data),
      dispose: ({ name }) => this.#keys.delete(name),
    })
  }

  get size(): number {
    return this.#sessions.size
  }

  get(key: string): KeptSession | undefined {
    return this.#sessions.get(key)
  }

  has(key: string): boolean {
    return this.#sessions.has(key)
  }

  put(key: string, kept: KeptSession): void {
    // Two keys of one name: a notice would find one of them only.
    this.dropNamed(kept.name)
    this.#sessions.set(key, kept)
    if (this.#sessions.has(key)) this.#keys.set(kept.name, key)
  }

  drop(key: string): void {
    this.#sessions.delete(key)
  }

  dropNamed(name: string): void {
    const key = this.#keys.get(name)
    if (key !== undefined) this.#sessions.delete(key)
  }

  /** Emptying the library's lists takes as long as filling them did; where others write all the time, few are in them. */
  clear(): void {
    if (this.#sessions.size * 4 > this.#sessions.max) this.#sessions.clear()
    else while (this.#sessions.pop() !== undefined) {}
  }

  /**
   * Gives back what was too old at that moment, or is from before the clock was set back, beginning with what was used
   * longest ago and up to the first that is young: nothing stays for longer than three times its age, and no purge looks at
   * more than it gives back.
   */
  purge(now: EpochMs): void {
    for (;;) {
      const [oldest] = this.#sessions.rkeys()
      const kept = oldest === undefined ? undefined : this.#sessions.peek(oldest)
      if (oldest === undefined || kept === undefined) return
      if (kept.from <= now && now < kept.from + this.#bounds.maxAgeMs) return
      this.#sessions.delete(oldest)
    }
  }
}

/** Of an entry with its key and its name, and of each member of its data beside the text: measured, and rounded up. */
const ENTRY_BYTES = 500
const MEMBER_BYTES = 100

/** What keeping that takes, from the length of its source text. */
export function estimateBytes(data: SessionData): number {
  let bytes = ENTRY_BYTES
  for (const [name, text] of data) bytes += MEMBER_BYTES + name.length + text.length
  return bytes
}
