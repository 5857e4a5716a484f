import { setTimeout } from 'node:timers/promises'
import { type ExpiryRules, expiryAgeSeconds } from '../../django/expiry.ts'
import type { SessionData } from '../../django/json.ts'
import type { Clock, EpochMs } from '../../lib/clock.ts'
import type { CachedValue, SessionCache } from '../caches/session-cache.ts'
import { DecodedMemory } from '../decoded-memory.ts'
import {
  type KeyVerdict,
  type LoadResult,
  NotAdoptableError,
  type SessionEngine,
  type SessionEntry,
  type Transition,
  type TransitionResult,
} from '../engine.ts'
import { claimFreshKey } from '../fresh-key.ts'
import { createKeyQueue } from '../key-queue.ts'
import { keyVerdict } from '../key-verdict.ts'
import { storeUnavailable } from '../store-failure.ts'

/** How a session becomes the bytes of a cache's value. Values are not signed: whoever may write the cache is trusted. */
export interface SessionSerializer {
  encode(data: SessionData): Uint8Array
  /** Never throws; undefined for what is no session. */
  decode(bytes: Uint8Array): SessionData | undefined
  /**
   * A value that Django takes for nothing at all (`None`, `null`) and that carries `nonce` where Django does not look, so
   * that no two are alike. What the `cached_db` engine puts where nothing may be read.
   */
  marker(nonce: Uint8Array): Uint8Array
  /** True for what `marker` makes, whatever the nonce. */
  isMarker(bytes: Uint8Array): boolean
}

export interface CacheSessionsOptions {
  readonly serializer: SessionSerializer
  /** What stands in front of the session key (`cacheKeyPrefix`). */
  readonly keyPrefix: string
  readonly expiryRules: ExpiryRules
  readonly clock: Clock
  /** A fresh random key (`django/session-key.ts`). */
  readonly newKey: () => string
}

/**
 * What a key must not begin with. Behind `…sessions.cache` it would make the cache's key of another engine's session,
 * `…sessions.cached_db` and a key: one session under two names, of which a log-out ends one.
 */
const OTHER_ENGINE = 'd_db'

type Decide = (now: SessionData) => Transition
type Update = Extract<Transition, { kind: 'update' }>

/**
 * How often a change is computed anew because another process was faster. With the pauses that is about a second, the
 * default of `store_timeout`: fewer refused a change now and then that had lost by chance while there was time left,
 * where several writers changed one session without rest.
 */
const MAX_RETRIES = 400

/**
 * After so many attempts in a row each further one waits a moment, by chance: several processes in step with each other
 * would otherwise let the same one lose every time.
 */
const ATTEMPTS_AT_ONCE = 3
const MAX_PAUSE_MS = 5

/**
 * Django's `cache` engine over any {@link SessionCache}. Where Django reads and then sets, which undoes a log-out that
 * comes in between, every write here is a compare-and-set. The cache's time to live is the session's expiry; an age of
 * zero or less means that the session is over, so nothing is kept.
 */
export function createCacheSessions(cache: SessionCache, options: CacheSessionsOptions): SessionEngine {
  return new CacheSessions(cache, options)
}

class CacheSessions implements SessionEngine {
  readonly name = 'cache'
  readonly isServerSide = true
  readonly lists: boolean
  readonly admits = cacheKeyVerdict
  readonly #cache: SessionCache
  readonly #options: CacheSessionsOptions
  readonly #inTurn = createKeyQueue<string>()
  readonly #decoded: DecodedMemory

  constructor(cache: SessionCache, options: CacheSessionsOptions) {
    this.lists = cache.lists
    this.#cache = cache
    this.#options = options
    this.#decoded = new DecodedMemory({ decode: (bytes) => options.serializer.decode(bytes) })
  }

  load(key: string): Promise<LoadResult> {
    if (cacheKeyVerdict(key) !== 'ask') return Promise.resolve({ found: false, reason: 'not_found' })
    return this.#cache.get(this.#keyOf(key)).then((value) => this.#read(key, value))
  }

  create(data: SessionData): Promise<string> {
    return claimFreshKey(() => this.#add(data))
  }

  /** The time to live is in whole seconds, so a session may end up to a second before its time, never after. */
  async adopt({ key, data, expiresAt }: SessionEntry): Promise<boolean> {
    if (cacheKeyVerdict(key) !== 'ask') throw new NotAdoptableError('no key of a session')
    const ttlSeconds = this.#ageOf(data, expiresAt)
    if (ttlSeconds <= 0) return true
    return await this.#cache.add(this.#keyOf(key), this.#options.serializer.encode(data), ttlSeconds)
  }

  async transition(key: string, decide: Decide): Promise<TransitionResult> {
    if (cacheKeyVerdict(key) !== 'ask') return { kind: 'gone', reason: 'not_found' }
    return await this.#inTurn(key, async () => {
      for (let attempt = 0; attempt < MAX_RETRIES; attempt++) {
        if (attempt >= ATTEMPTS_AT_ONCE) await setTimeout(Math.random() * MAX_PAUSE_MS)
        const result = await this.#step(key, decide)
        if (result !== undefined) return result
      }
      throw storeUnavailable('a session in the cache is rewritten all the time')
    })
  }

  async delete(key: string): Promise<boolean> {
    return (await this.transition(key, () => ({ kind: 'delete' }))).kind === 'deleted'
  }

  async *entries(onUnreadable?: (key: string) => void): AsyncIterable<SessionEntry> {
    const { keyPrefix } = this.#options
    for await (const cacheKey of this.#cache.keys(keyPrefix)) {
      const key = cacheKey.slice(keyPrefix.length)
      if (key.startsWith(OTHER_ENGINE)) continue
      const value = cacheKeyVerdict(key) === 'ask' ? await this.#cache.get(cacheKey) : undefined
      if (value === undefined) continue
      // Not remembered: a listing would push out the sessions that are in use.
      const data = this.#options.serializer.decode(value.bytes)
      if (data) yield { key, data, expiresAt: value.expiresAt }
      else onUnreadable?.(key)
    }
  }

  clearExpired(limit: number): Promise<number> {
    return this.#cache.clearExpired(limit)
  }

  /** Not of the one in memory either: it makes room for itself when it is full. */
  countExpired(): undefined {
    return undefined
  }

  ping(): Promise<void> {
    return this.#cache.ping()
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#cache[Symbol.asyncDispose]()
  }

  /** One try of a transition; undefined if the value was changed by somebody else meanwhile. */
  async #step(key: string, decide: Decide): Promise<TransitionResult | undefined> {
    const value = await this.#cache.get(this.#keyOf(key))
    if (value === undefined) return { kind: 'gone', reason: 'not_found' }
    const current = this.#read(key, value)
    if (!current.found) return { kind: 'gone', reason: current.reason }
    const next = decide(current.data)
    switch (next.kind) {
      case 'keep':
        return { kind: 'kept', data: current.data }
      case 'update':
        return (await this.#replace(key, value, next)) ? { kind: 'stored', key, data: next.data } : undefined
      case 'cycle':
        return await this.#cycle(key, value, next.data)
      case 'delete':
        return (await this.#cache.remove(this.#keyOf(key), value.stamp)) ? { kind: 'deleted' } : undefined
    }
  }

  async #replace(key: string, { stamp }: CachedValue, { data, expiresAt }: Update): Promise<boolean> {
    const ttlSeconds = this.#ageOf(data, expiresAt)
    if (ttlSeconds <= 0) return await this.#cache.remove(this.#keyOf(key), stamp)
    return await this.#cache.replace(this.#keyOf(key), {
      stamp,
      bytes: this.#options.serializer.encode(data),
      ttlSeconds,
    })
  }

  /** The new value first: a crash in between leaves one under a key that nobody was told, until its time is over. */
  async #cycle(key: string, { stamp }: CachedValue, data: SessionData): Promise<TransitionResult | undefined> {
    const fresh = await claimFreshKey(() => this.#add(data))
    if (await this.#cache.remove(this.#keyOf(key), stamp)) return { kind: 'stored', key: fresh, data }
    const orphan = await this.#cache.get(this.#keyOf(fresh))
    if (orphan) await this.#cache.remove(this.#keyOf(fresh), orphan.stamp)
    return undefined
  }

  async #add(data: SessionData): Promise<string | undefined> {
    const key = this.#options.newKey()
    const ttlSeconds = this.#ageOf(data)
    if (ttlSeconds <= 0) return key
    const bytes = this.#options.serializer.encode(data)
    return (await this.#cache.add(this.#keyOf(key), bytes, ttlSeconds)) ? key : undefined
  }

  #read(key: string, value: CachedValue | undefined): LoadResult {
    if (value === undefined) {
      this.#decoded.forget(key)
      return { found: false, reason: 'not_found' }
    }
    const data = this.#decoded.decode(key, value.bytes)
    return data ? { found: true, data, expiresAt: value.expiresAt } : { found: false, reason: 'malformed' }
  }

  #ageOf(data: SessionData, expiresAt?: EpochMs): number {
    const { clock, expiryRules } = this.#options
    const now = clock()
    return expiresAt === undefined ? expiryAgeSeconds(data, expiryRules, now) : Math.floor((expiresAt - now) / 1000)
  }

  #keyOf(key: string): string {
    return this.#options.keyPrefix + key
  }
}

function cacheKeyVerdict(cookieValue: string): KeyVerdict {
  const verdict = keyVerdict(cookieValue)
  return verdict === 'ask' && cookieValue.startsWith(OTHER_ENGINE) ? 'unknown' : verdict
}
