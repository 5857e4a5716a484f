import type { SessionData } from '../../django/json.ts'
import type { Clock, EpochMs } from '../../lib/clock.ts'
import { createSingleFlight } from '../../lib/single-flight.ts'
import { createCacheBreaker } from '../caches/cache-breaker.ts'
import { Invalidations } from '../caches/invalidations.ts'
import type { SessionCache } from '../caches/session-cache.ts'
import { SessionSlots } from '../caches/session-slots.ts'
import {
  type KeyVerdict,
  type LoadResult,
  NotAdoptableError,
  type SessionEngine,
  type SessionEntry,
  type Transition,
  type TransitionResult,
} from '../engine.ts'
import { type Scheduler, systemScheduler } from '../scheduler.ts'
import type { SessionSerializer } from './cache.ts'

/** Where a load found its answer: in the cache, in the database, or there because the cache could not be used. */
export type CacheLookup = 'hit' | 'miss' | 'bypass'

export interface CachedDbSessionsOptions {
  /** As the project's cache in Django is set. */
  readonly serializer: SessionSerializer
  /** What stands in front of the session key (`cacheKeyPrefix(layout, 'cached_db')`). */
  readonly keyPrefix: string
  readonly clock: Clock
  /** Default: the system's. */
  readonly scheduler?: Scheduler
  /** For how long a value may be served after its row was read, in milliseconds. Default one minute. */
  readonly trustMs?: number
  /** For how long the cache is left alone after it failed, in milliseconds. Default one second. */
  readonly pauseMs?: number
  /** How many keys are remembered that the cache could not be told of. Default 10,000. */
  readonly maxUntoldKeys?: number
  /** Told once per change; the cache counts as up until it first fails. `cause` is what failed, when it is down. */
  readonly onCacheState?: (isUp: boolean, cause: unknown) => void
  /** Told once per load of a key that could be one. */
  readonly onCacheLookup?: (lookup: CacheLookup) => void
}

type Decide = (now: SessionData) => Transition

/**
 * Django's `cached_db` engine: the database has the sessions, the cache answers most of the reading. The database alone
 * decides every change; a cache that fails costs time and nothing else.
 *
 * What must not be is that after the answer to a change somebody is served what was before it. Only two steps ever touch
 * the slot of a session in the cache:
 *
 * - *Changing*: first the row, then a fresh *marker* over whatever is in the slot, then the answer. A marker is a value
 *   that Django reads as `None`, and no two are alike.
 * - *Reading*: look into the slot. A *sealed* value is served. Anything else makes the database be asked, and the slot is
 *   then filled by compare-and-set against what stood in it *before* the row was read: a marker, ours or a stranger's, or
 *   a sealed value that has become too old. Where nothing is, or a value without a seal, a marker is put first.
 *
 * So whoever fills has read the row after he saw his token, and the token is still there. Every change whose answer has
 * been given by then has put its marker: either before he saw the token, and then he read the row as changed; or after,
 * and then the token is gone and cannot have come back. A token that expired or was evicted is gone as well. Therefore a
 * sealed value is as new as the last answered change, and a session that was revoked is not served by a warm cache.
 *
 * Django knows none of this and keeps working beside it. It reads sealed values (the seal is white space behind the value)
 * and takes markers for a miss. Its own `cache.set` after a miss is blind and may put back what a log-out has just
 * removed; such a value has no seal, so the gateway never serves it and asks the database instead, once for every value
 * that Django writes. Django's saves and deletes end a seal like any other change.
 *
 * A sealed value is believed for `trustMs` after its row was read, then the row is read again (and the value goes if the
 * row has gone). That bounds, to a minute, everything that goes past the gateway and that Django leaves open until the
 * session ends: rows deleted by SQL, `clearsessions` or an admin page without a word to the cache; a Django whose
 * transaction (ATOMIC_REQUESTS) commits after it has told the cache; a cache restored from a backup, or failed over to a
 * replica without the last writes; and a change by a process that could not reach the cache while others could. The
 * process that made that change serves the session from the database until the cache has been told.
 * What Django serves in these cases is Django's.
 *
 * When the database fails, sealed values are still served while they are believed; everything else fails.
 *
 * A process may keep a session in its own memory as well (`../local-cache.ts`), on notices of the *cache* alone: but only as
 * a copy of the sealed value that stands in the slot, read from there or just filled in, and no longer than that one is
 * believed (`keepUntil`). Whatever then becomes of the slot, the cache tells: a marker, a save or a deletion by Django, its
 * eviction. So what was said of the slot holds for memory too, later by no more than the lease of the notices. What the
 * database gave while the slot could not be used is not kept: a change might find the slot empty and leave it so, and
 * nobody would be told.
 */
export function createCachedDbSessions(
  db: SessionEngine,
  cache: SessionCache,
  options: CachedDbSessionsOptions,
): SessionEngine {
  return new CachedDbSessions(db, cache, options)
}

class CachedDbSessions implements SessionEngine {
  readonly name = 'cached_db'
  readonly isServerSide = true
  readonly lists = true
  readonly #db: SessionEngine
  readonly #cache: SessionCache
  readonly #slots: SessionSlots
  readonly #untold: Invalidations
  readonly #fetch: (key: string) => Promise<LoadResult>
  readonly #clock: Clock
  readonly #trustMs: number
  readonly #onLookup: (lookup: CacheLookup) => void

  constructor(db: SessionEngine, cache: SessionCache, options: CachedDbSessionsOptions) {
    const { clock, trustMs = 60_000, pauseMs = 1000, maxUntoldKeys = 10_000, scheduler = systemScheduler } = options
    const breaker = createCacheBreaker({ pauseMs, onState: options.onCacheState ?? ignore, scheduler })
    const slots = new SessionSlots(cache, breaker, { ...options, trustMs })
    this.#db = db
    this.#cache = cache
    this.#slots = slots
    this.#untold = new Invalidations({
      invalidate: (key) => slots.invalidate(key),
      retryMs: pauseMs,
      maxKeys: maxUntoldKeys,
      trustMs,
      clock,
      scheduler,
    })
    this.#fetch = createSingleFlight((key) => this.#read(key))
    this.#clock = clock
    this.#trustMs = trustMs
    this.#onLookup = options.onCacheLookup ?? ignore
  }

  admits(cookieValue: string): KeyVerdict {
    return this.#db.admits(cookieValue)
  }

  async load(key: string): Promise<LoadResult> {
    return this.admits(key) === 'ask' ? await this.#fetch(key) : { found: false, reason: 'not_found' }
  }

  /** The cache hears of it at the first load; nobody has asked for the key yet. */
  create(data: SessionData): Promise<string> {
    return this.#db.create(data)
  }

  async adopt(entry: SessionEntry): Promise<boolean> {
    const isRefusal = (error: unknown): boolean => error instanceof NotAdoptableError
    return await this.#changing(entry.key, () => this.#db.adopt(entry), isRefusal)
  }

  async transition(key: string, decide: Decide): Promise<TransitionResult> {
    if (this.admits(key) !== 'ask') return { kind: 'gone', reason: 'not_found' }
    let refusal: { readonly error: unknown } | undefined
    const guarded: Decide = (now) => {
      refusal = undefined
      try {
        return decide(now)
      } catch (error) {
        refusal = { error }
        throw error
      }
    }
    const isRefusal = (error: unknown): boolean => refusal !== undefined && refusal.error === error
    return await this.#changing(key, () => this.#db.transition(key, guarded), isRefusal)
  }

  async delete(key: string): Promise<boolean> {
    return (await this.transition(key, () => ({ kind: 'delete' }))).kind === 'deleted'
  }

  entries(onUnreadable?: (key: string) => void): AsyncIterable<SessionEntry> {
    return this.#db.entries(onUnreadable)
  }

  clearExpired(limit: number): Promise<number> {
    return this.#db.clearExpired(limit)
  }

  countExpired(limit: number): AsyncIterable<number> | undefined {
    return this.#db.countExpired(limit)
  }

  /** Asks the database only: without the cache everything still works. */
  ping(): Promise<void> {
    return this.#db.ping()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _db = this.#db
    await using _cache = this.#cache
    await this.#untold[Symbol.asyncDispose]()
  }

  /** Changes the row, then makes the cache forget, then answers. */
  async #changing<T extends TransitionResult | boolean>(
    key: string,
    change: () => Promise<T>,
    isRefusal: (error: unknown) => boolean,
  ): Promise<T> {
    let result: T
    try {
      result = await change()
    } catch (error) {
      // Perhaps the row has changed all the same, or does so in a moment: too early to tell the cache.
      if (!isRefusal(error)) this.#untold.postpone(key)
      throw error
    }
    // `gone` as well: the row was deleted past the cache, which may still have it.
    if (typeof result === 'boolean' || result.kind !== 'kept') await this.#untold.perform(key)
    return result
  }

  /** One at a time for each key. */
  async #read(key: string): Promise<LoadResult> {
    const look = this.#untold.believes(key) ? await this.#slots.look(key) : undefined
    if (look?.kind === 'session') {
      this.#onLookup('hit')
      return { found: true, ...look.session, keepUntil: look.trustedUntil }
    }
    this.#onLookup(look?.kind === 'token' ? 'miss' : 'bypass')
    if (look?.kind !== 'token') return keptUntil(await this.#db.load(key), NEVER)
    const readAt = this.#clock()
    const [loaded, token] = await Promise.all([this.#db.load(key), this.#slots.stampOf(key, look.token)])
    const isFilled = token !== undefined && (await this.#slots.fill(key, token, { session: cacheable(loaded), readAt }))
    return keptUntil(loaded, isFilled ? readAt + this.#trustMs : NEVER)
  }
}

const NEVER: EpochMs = Number.NEGATIVE_INFINITY

function keptUntil(loaded: LoadResult, keepUntil: EpochMs): LoadResult {
  return loaded.found ? { ...loaded, keepUntil } : loaded
}

function cacheable(loaded: LoadResult): { data: SessionData; expiresAt: number } | undefined {
  return loaded.found && loaded.expiresAt !== undefined ? { data: loaded.data, expiresAt: loaded.expiresAt } : undefined
}

function ignore(): void {}
