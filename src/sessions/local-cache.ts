import type { SessionData } from '../django/json.ts'
import type { Clock, EpochMs } from '../lib/clock.ts'
import { createSingleFlight } from '../lib/single-flight.ts'
import type { ChangeNotices } from './change-notices.ts'
import type {
  FoundSession,
  KeyVerdict,
  LoadResult,
  SessionEngine,
  SessionEntry,
  Transition,
  TransitionResult,
} from './engine.ts'
import { type Scheduler, systemScheduler } from './scheduler.ts'
import { SessionMemory } from './session-memory.ts'

export interface LocalCacheOptions {
  /** `session.local_cache.max_age`, in milliseconds, from the moment at which a session began to be read. */
  readonly maxAgeMs: number
  /** `session.local_cache.max_entries`. */
  readonly maxEntries: number
  /** Of all sessions together, by estimate. Default 64 MiB. */
  readonly maxBytes?: number
  /** A larger session is read for each request. Default 1 MiB. */
  readonly maxEntryBytes?: number
  /** The wall clock: sessions end by it. */
  readonly clock: Clock
  /** Told once per load, and of a `loadNow` that had an answer. */
  readonly onLookup?: (lookup: LocalLookup) => void
  /** For giving memory back. Default: the system's. */
  readonly scheduler?: Scheduler
}

/**
 * What became of a look for a session. `hit`: answered from memory. `miss`: the store was read. `stale`: the same, though
 * memory had the session, as that was too old or over. `coalesced`: the session was being read, and the answer came when
 * that was over, from memory or from one more read for all who waited.
 */
export type LocalLookup = 'hit' | 'miss' | 'stale' | 'coalesced'

export interface LocalCache extends SessionEngine {
  loadNow(key: string): LoadResult | undefined
}

/**
 * The same engine with the sessions that were read last in memory. It owns `engine` and `notices`, and closes both. It
 * stands inside of the guard, whose deadline is for whoever waits for another's read and then for his own.
 *
 * What must not be is that a session is served that is older than a change which was answered, longer ago than the lease of
 * the notices (see `change-notices.ts`; SQLite has none, a second elsewhere). Why that cannot happen:
 *
 * 1. A session is *kept* only if, from before its read began until after it ended, the notices were current, nothing was
 *    told of it, and no change of it through this process began or ended. So no change that was told, and none of ours,
 *    lies between the moment that the read saw and the moment at which the session went into memory.
 * 2. It is *dropped* when anything is told of it, before a change through this process begins, and again when it has ended,
 *    however it ended. When everything may have changed (the line was broken, or is a new one) memory is emptied and no
 *    read under way is kept.
 * 3. It is *served* only while the notices are current: every change answered longer than the lease ago has been told. Such
 *    a change was told either before the read began, and then the read saw it; or later, and then 1 or 2 applies.
 *
 * A change through this process has dropped the session before its answer, so the next request reads it, lease or none.
 * One whose outcome is unknown, since its caller stopped waiting, may still happen: then the line tells of it like of
 * anybody's.
 *
 * What is read is handed to callers as the store gave it, kept or not: with this engine nobody gets less than without it.
 * Of calls that come while a session is being read, none shares that read, which may be older than the call; they share the
 * next, and that one looks into memory first. A thousand at once cost one read, and two when the first was not kept.
 *
 * Only sessions that were found are kept: "no such session" is what anybody can make up, and would fill the memory.
 * `max_age`, count and bytes bound the memory. They are never a time in which a revoked session is served.
 */
export function createLocalCache(
  engine: SessionEngine,
  notices: ChangeNotices,
  options: LocalCacheOptions,
): LocalCache {
  return new CachingEngine(engine, notices, options)
}

/** A read that is under way. */
interface Read {
  /** What it brings may be older than something that was told meanwhile. */
  isTainted: boolean
}

const MAX_BYTES = 64 * 1024 * 1024
const MAX_ENTRY_BYTES = 1024 * 1024

/** Not longer, whatever `max_age` is: timers count to 2^31 milliseconds. */
const MAX_PURGE_PAUSE_MS = 60_000

class CachingEngine implements LocalCache {
  readonly #engine: SessionEngine
  readonly #notices: ChangeNotices
  readonly #memory: SessionMemory
  readonly #clock: Clock
  readonly #scheduler: Scheduler
  readonly #maxAgeMs: number
  readonly #fetch: (key: string) => Promise<LoadResult>
  /** By the name that notices use. */
  readonly #reads = new Map<string, Read>()
  /** Keys that are being fetched. */
  readonly #fetching = new Set<string>()
  /** Counts what was forgotten. */
  #generation = 0
  readonly #onLookup: (lookup: LocalLookup) => void
  #stopPurge: (() => void) | undefined

  constructor(engine: SessionEngine, notices: ChangeNotices, options: LocalCacheOptions) {
    const { maxAgeMs, maxEntries, maxBytes = MAX_BYTES, maxEntryBytes = MAX_ENTRY_BYTES } = options
    this.#engine = engine
    this.#notices = notices
    this.#memory = new SessionMemory({ maxEntries, maxBytes, maxEntryBytes, maxAgeMs })
    this.#clock = options.clock
    this.#scheduler = options.scheduler ?? systemScheduler
    this.#maxAgeMs = maxAgeMs
    this.#onLookup = options.onLookup ?? ignore
    this.#fetch = createSingleFlight((key) => this.#fetchOne(key))
    notices.listen({ changed: (name) => this.#forgetNamed(name), everythingChanged: () => this.#forgetAll() })
  }

  get name(): string {
    return this.#engine.name
  }

  get isServerSide(): boolean {
    return this.#engine.isServerSide
  }

  get lists(): boolean {
    return this.#engine.lists
  }

  admits(cookieValue: string): KeyVerdict {
    return this.#engine.admits(cookieValue)
  }

  loadNow(key: string): LoadResult | undefined {
    const session = this.#recall(key)
    if (session !== undefined) this.#onLookup('hit')
    return session
  }

  load(key: string): Promise<LoadResult> {
    const session = this.#recall(key)
    if (session !== undefined) {
      this.#onLookup('hit')
      return Promise.resolve(session)
    }
    this.#onLookup(this.#fetching.has(key) ? 'coalesced' : this.#memory.has(key) ? 'stale' : 'miss')
    return this.#fetch(key)
  }

  create(data: SessionData): Promise<string> {
    return this.#engine.create(data)
  }

  adopt(entry: SessionEntry): Promise<boolean> {
    return this.#changing(entry.key, () => this.#engine.adopt(entry))
  }

  transition(key: string, decide: (now: SessionData) => Transition): Promise<TransitionResult> {
    return this.#changing(key, () => this.#engine.transition(key, decide))
  }

  delete(key: string): Promise<boolean> {
    return this.#changing(key, () => this.#engine.delete(key))
  }

  entries(onUnreadable?: (key: string) => void): AsyncIterable<SessionEntry> {
    return this.#engine.entries(onUnreadable)
  }

  clearExpired(limit: number): Promise<number> {
    return this.#engine.clearExpired(limit)
  }

  countExpired(limit: number): AsyncIterable<number> | undefined {
    return this.#engine.countExpired(limit)
  }

  ping(): Promise<void> {
    return this.#engine.ping()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#forgetAll()
    this.#stopPurge?.()
    await using _engine = this.#engine
    await this.#notices[Symbol.asyncDispose]()
  }

  /** The one way out of memory. Asked, the notices may empty it. */
  #recall(key: string): FoundSession | undefined {
    const kept = this.#memory.get(key)
    if (kept === undefined) return undefined
    const generation = this.#generation
    if (!this.#notices.isCurrent() || generation !== this.#generation) return undefined
    const now = this.#clock()
    return now < kept.until && now >= kept.from ? kept.session : undefined
  }

  /** One at a time for each key. Whoever had to wait for another's read has it in memory now, most of the time. */
  async #fetchOne(key: string): Promise<LoadResult> {
    const session = this.#recall(key)
    if (session !== undefined) return session
    this.#fetching.add(key)
    try {
      return await this.#read(key)
    } finally {
      this.#fetching.delete(key)
    }
  }

  async #read(key: string): Promise<LoadResult> {
    const name = this.#notices.nameOf(key)
    const from = this.#clock()
    const isCurrent = this.#notices.isCurrent()
    // Two keys of one name at once: one of them is not watched, so it is not kept.
    const isWatched = !this.#reads.has(name)
    const read: Read = { isTainted: !isCurrent || !isWatched }
    if (isWatched) this.#reads.set(name, read)
    try {
      const loaded = await this.#engine.load(key)
      // Asked, the notices may taint the read: so they come first.
      if (!loaded.found || !this.#notices.isCurrent() || read.isTainted) this.#memory.drop(key)
      else this.#keep(key, { name, from, session: loaded })
      return loaded
    } finally {
      if (isWatched) this.#reads.delete(name)
    }
  }

  #keep(key: string, { name, from, session }: { name: string; from: EpochMs; session: FoundSession }): void {
    const { expiresAt = Number.POSITIVE_INFINITY, keepUntil = Number.POSITIVE_INFINITY } = session
    const until = Math.min(from + this.#maxAgeMs, expiresAt, keepUntil)
    if (until <= this.#clock()) {
      this.#memory.drop(key)
      return
    }
    this.#memory.put(key, { session, name, from, until })
    this.#planPurge()
  }

  async #changing<T>(key: string, change: () => Promise<T>): Promise<T> {
    const name = this.#notices.nameOf(key)
    this.#forgetNamed(name)
    try {
      return await change()
    } finally {
      this.#forgetNamed(name)
    }
  }

  #forgetNamed(name: string): void {
    this.#generation += 1
    this.#memory.dropNamed(name)
    const read = this.#reads.get(name)
    if (read !== undefined) read.isTainted = true
  }

  #forgetAll(): void {
    this.#generation += 1
    this.#memory.clear()
    for (const read of this.#reads.values()) read.isTainted = true
  }

  #planPurge(): void {
    this.#stopPurge ??= this.#scheduler.after(Math.min(this.#maxAgeMs, MAX_PURGE_PAUSE_MS), () => {
      this.#stopPurge = undefined
      this.#memory.purge(this.#clock())
      if (this.#memory.size > 0) this.#planPurge()
    })
  }
}

function ignore(): void {}
