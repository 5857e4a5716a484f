import { LRUCache } from 'lru-cache'
import type { SessionChanges } from '../django/changes.ts'
import type { ExpiryRules } from '../django/expiry.ts'
import type { SessionData } from '../django/json.ts'
import type { Clock, EpochMs } from '../lib/clock.ts'
import type { AbsenceReason, LoadResult, SessionEngine, Transition, TransitionResult } from './engine.ts'
import {
  createFrom,
  type IdentityRules,
  isOverMaxAge,
  type MergeContext,
  makesLogin,
  maxAgeEnd,
  mergeChanges,
  replacementFor,
} from './merge.ts'
import { type Found, type SaveOptions, type SaveResult, Session, type SessionBacking } from './session.ts'
import type { SessionNotice, WatchSession } from './watched-notices.ts'

/** For how long a cycled key is remembered: long enough for the answers that were under way at that moment. */
const CYCLED_KEY_MEMORY_MS = 60_000
const CYCLED_KEYS_REMEMBERED = 100_000

const noData: SessionData = new Map()

export interface SessionStoreOptions {
  readonly engine: SessionEngine
  readonly expiry: ExpiryRules
  readonly identity: IdentityRules
  /** `session.max_age`; undefined = no absolute limit. */
  readonly maxAgeMs: number | undefined
  readonly clock: Clock
  /** Changes by others, where the store tells of them (`watched-notices.ts`). */
  readonly watchElsewhere?: WatchSession | undefined
}

/** The sessions of one engine under the gateway's rules: found, merged, never adopted, never resurrected. */
export class SessionStore implements SessionBacking {
  readonly clock: Clock
  readonly expiry: ExpiryRules
  readonly #options: SessionStoreOptions
  /** From a key that was cycled to the one that it became. */
  readonly #cycled = new LRUCache<string, string>({ max: CYCLED_KEYS_REMEMBERED, ttl: CYCLED_KEY_MEMORY_MS })

  readonly #watchers = new Map<string, Set<(notice: SessionNotice) => void>>()

  constructor(options: SessionStoreOptions) {
    this.#options = options
    this.clock = options.clock
    this.expiry = options.expiry
  }

  /** The session behind a cookie's value (undefined: no cookie). Asks the store for nothing yet. */
  open(cookieValue: string | undefined): Session {
    return new Session(this, cookieValue)
  }

  /**
   * Tells `listener` when this process changes, cycles or deletes the session under `key`; and when anybody else does, where
   * the store tells of that. Returns the way to stop.
   */
  watch(key: string, listener: (notice: SessionNotice) => void): () => void {
    const listeners = this.#watchers.get(key) ?? new Set()
    this.#watchers.set(key, listeners.add(listener))
    const stopElsewhere = this.#options.watchElsewhere?.(key, listener)
    return () => {
      stopElsewhere?.()
      listeners.delete(listener)
      if (listeners.size === 0 && this.#watchers.get(key) === listeners) this.#watchers.delete(key)
    }
  }

  /** The session that an app named by a cookie of its own: where there is none, saving never brings one into being. */
  openExisting(key: string): Session {
    return new Session(
      {
        clock: this.clock,
        expiry: this.expiry,
        find: (cookieValue) => this.find(cookieValue),
        save: async (found, changes, options) =>
          found.key === undefined ? { kind: 'gone' } : await this.save(found, changes, options),
      },
      key,
    )
  }

  /** Looks a cookie's value up. An id that the client made up is never adopted: it comes back without a key. */
  find(cookieValue: string | undefined): Promise<Found> {
    const verdict = this.#verdict(cookieValue)
    if (typeof verdict !== 'string') return Promise.resolve(verdict)
    return this.#options.engine.load(verdict).then((loaded) => this.#found(verdict, loaded))
  }

  /** What `find` would give, where the engine has it in memory or has not to be asked at all; undefined elsewhere. */
  findNow(cookieValue: string | undefined): Found | undefined {
    const verdict = this.#verdict(cookieValue)
    if (typeof verdict !== 'string') return verdict
    const loaded = this.#options.engine.loadNow?.(verdict)
    return loaded && this.#found(verdict, loaded)
  }

  /** The key to ask the engine for, or what is known without asking. */
  #verdict(cookieValue: string | undefined): string | Found {
    if (cookieValue === undefined) return anonymous
    switch (this.#options.engine.admits(cookieValue)) {
      case 'ask':
        return cookieValue
      case 'unknown':
        return absent('not_found')
      case 'none':
        return anonymous
    }
  }

  #found(key: string, loaded: LoadResult): Found {
    if (!loaded.found) return { ...absent(loaded.reason), isSuperseded: this.#cycled.has(key) }
    if (isOverMaxAge(loaded.data, this.#options.maxAgeMs, this.clock())) return absent('expired')
    return { key, data: loaded.data, resolution: 'hit', expiresAt: loaded.expiresAt, isSuperseded: false }
  }

  /** When a session that was found is over, if nothing changes it: by its date, or by `session.max_age`. */
  endOf({ key, data, expiresAt }: Found): EpochMs | undefined {
    const oldest = key === undefined ? undefined : maxAgeEnd(data, this.#options.maxAgeMs)
    return oldest === undefined || expiresAt === undefined ? (oldest ?? expiresAt) : Math.min(oldest, expiresAt)
  }

  /** Applies the changes to the session as it is stored now, or brings one into being where none was found. */
  async save(found: Found, changes: SessionChanges, options: SaveOptions): Promise<SaveResult> {
    const context = this.#context(options)
    const isLogin = context.beganAnonymous && makesLogin(changes, context.identity)
    const { key } = found
    if (key === undefined) {
      // A new session for the holder of a key that was just cycled would overwrite the cookie of its successor.
      if (found.isSuperseded && !isLogin) return { kind: 'gone' }
      return await this.#create(createFrom(changes, context), options)
    }
    let outlived = false
    const result = await this.#options.engine.transition(key, (now) => {
      outlived = isOverMaxAge(now, context.maxAgeMs, context.now)
      const next: Transition = outlived ? { kind: 'keep' } : mergeChanges(now, changes, context)
      if (next.kind === 'update' || next.kind === 'cycle') options.check?.(next.data)
      return next
    })
    if (result.kind !== 'gone' && !outlived) return this.#settle(key, result)
    return isLogin ? await this.#create(replacementFor(changes, context), options) : { kind: 'gone' }
  }

  /** Renews expiry and cookie of a found session (`save_every_request`) without changing its data; nobody is notified. */
  async touch(key: string): Promise<SaveResult> {
    let outlived = false
    const result = await this.#options.engine.transition(key, (data) => {
      outlived = isOverMaxAge(data, this.#options.maxAgeMs, this.clock())
      return outlived ? { kind: 'keep' } : { kind: 'update', data }
    })
    return outlived || result.kind !== 'stored' ? { kind: 'gone' } : { ...result, reason: 'refreshed' }
  }

  /** The key that this one became less than a minute ago, in this process. */
  successorOf(key: string | undefined): string | undefined {
    return key === undefined ? undefined : this.#cycled.get(key)
  }

  /** Ends the session under that key, whatever is in it. */
  async end(key: string): Promise<void> {
    await this.change(key, () => ({ kind: 'delete' }))
  }

  /** A change by somebody who has no request: whoever watches the session is told. */
  async change(key: string, decide: (now: SessionData) => Transition): Promise<TransitionResult> {
    const result = await this.#options.engine.transition(key, decide)
    this.#settle(key, result)
    return result
  }

  async #create(data: SessionData | undefined, options: SaveOptions): Promise<SaveResult> {
    if (data === undefined) return { kind: 'unchanged' }
    options.check?.(data)
    const key = await this.#options.engine.create(data)
    return { kind: 'stored', key, data, reason: 'new' }
  }

  #settle(key: string, result: TransitionResult): SaveResult {
    if (result.kind !== 'kept') for (const listener of this.#watchers.get(key) ?? []) listener('changed')
    switch (result.kind) {
      case 'kept':
        return { kind: 'unchanged' }
      case 'stored':
        if (result.key === key) return { ...result, reason: 'refreshed' }
        if (this.#options.engine.isServerSide) this.#cycled.set(key, result.key)
        return { ...result, reason: this.#options.engine.isServerSide ? 'rotated' : 'refreshed' }
      case 'deleted':
        return { kind: 'deleted' }
      case 'gone':
        return { kind: 'gone' }
    }
  }

  #context(options: SaveOptions): MergeContext {
    return {
      expiry: this.expiry,
      identity: this.#options.identity,
      beganAnonymous: options.beganAnonymous ?? false,
      maxAgeMs: this.#options.maxAgeMs,
      now: this.clock(),
    }
  }
}

const anonymous: Found = {
  key: undefined,
  data: noData,
  resolution: 'anonymous',
  expiresAt: undefined,
  isSuperseded: false,
}

function absent(resolution: AbsenceReason): Found {
  return { ...anonymous, resolution }
}
