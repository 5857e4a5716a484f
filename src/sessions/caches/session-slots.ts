import { randomBytes } from 'node:crypto'
import { type SessionData, writeSessionData } from '../../django/json.ts'
import type { Clock, EpochMs } from '../../lib/clock.ts'
import type { SessionSerializer } from '../engines/cache.ts'
import type { CacheBreaker } from './cache-breaker.ts'
import { parseSealed, SEAL_NONCE_BYTES, sealValue } from './sealed-value.ts'
import type { CachedValue, SessionCache } from './session-cache.ts'

/** A session with its end, as a row of the database has it. */
export interface CachedSession {
  readonly data: SessionData
  readonly expiresAt: EpochMs
}

/** What a look into a session's slot came to. */
export type Look =
  /** A session that may be served as it is, until its row has to be read again. */
  | { readonly kind: 'session'; readonly session: CachedSession; readonly trustedUntil: EpochMs }
  /** Ask the database; then the slot may be filled by whoever still finds in it what `token` says. */
  | { readonly kind: 'token'; readonly token: Token }
  /** Ask the database, and leave the slot alone: the cache cannot be reached, or somebody else is at it. */
  | { readonly kind: 'closed' }

/** What stood in the slot before the database was asked. Never the same twice, in no cache. */
export type Token =
  | { readonly kind: 'seen'; readonly stamp: unknown; readonly holdsSession: boolean }
  /** Our own marker, of which the cache has not told the stamp yet. */
  | { readonly kind: 'placed'; readonly marker: Uint8Array }

export interface SessionSlotsOptions {
  readonly serializer: SessionSerializer
  /** What stands in front of the session key (`cacheKeyPrefix`). */
  readonly keyPrefix: string
  readonly clock: Clock
  /** For how long a value may be served after its row was read, in milliseconds. */
  readonly trustMs: number
}

/** A look into the future longer than any read of the database; its end only costs the filling. In seconds. */
const MARKER_TTL_SECONDS = 30

const MARKER_NONCE_BYTES = 16

/** Larger sessions stay in the database: memcached takes no value of 1 MiB, and would look broken. */
const MAX_CACHED_BYTES = 512 * 1024

/**
 * The places in a cache where Django's `cached_db` keeps its sessions, and the steps of the protocol that
 * `engines/cached-db.ts` explains. Nothing here fails: a cache that does is one that holds nothing.
 */
export class SessionSlots {
  readonly #cache: SessionCache
  readonly #breaker: CacheBreaker
  readonly #options: SessionSlotsOptions
  readonly #markerLength: number

  constructor(cache: SessionCache, breaker: CacheBreaker, options: SessionSlotsOptions) {
    this.#cache = cache
    this.#breaker = breaker
    this.#options = options
    this.#markerLength = this.#newMarker().length
  }

  /** Tells what may be done with the slot, and places a marker where there is nothing to hold on to. */
  async look(key: string): Promise<Look> {
    const seen = await this.#breaker.reading(() => this.#cache.get(this.#keyOf(key)))
    if (seen === undefined) return { kind: 'closed' }
    const { value } = seen
    if (value !== undefined && this.#isMarker(value)) return tokenOf(seenToken(value, false))
    const sealed = value && parseSealed(value.bytes)
    if (value === undefined || sealed === undefined) return await this.#place(key, value)
    const now = this.#options.clock()
    // The distance, since the clock of another machine, or this one, may have been ahead.
    const isTrusted = Math.abs(now - sealed.readAt) < this.#options.trustMs && sealed.expiresAt > now
    const data = isTrusted ? this.#options.serializer.decode(sealed.body) : undefined
    if (data === undefined) return tokenOf(seenToken(value, true))
    const session = { data, expiresAt: sealed.expiresAt }
    return { kind: 'session', session, trustedUntil: sealed.readAt + this.#options.trustMs }
  }

  /** The token with its stamp; undefined if the slot holds something else by now. May run beside the database's read. */
  async stampOf(key: string, token: Token): Promise<Token | undefined> {
    if (token.kind === 'seen') return token
    const seen = await this.#breaker.reading(() => this.#cache.get(this.#keyOf(key)))
    const value = seen?.value
    if (value === undefined || Buffer.compare(value.bytes, token.marker) !== 0) return undefined
    return seenToken(value, false)
  }

  /**
   * Puts what the database said in the token's place, unless that has been taken meanwhile. `readAt` is a moment after the
   * look and before the database was asked; `session` undefined: there is none, or none that could be cached. True if the
   * session stands in the slot now.
   */
  async fill(
    key: string,
    token: Token,
    found: { session: CachedSession | undefined; readAt: EpochMs },
  ): Promise<boolean> {
    if (token.kind === 'placed') return false
    const { stamp } = token
    const next = this.#valueOf(found.session, found.readAt)
    // What the database no longer has must go, for Django as well.
    const replacement = next ?? (token.holdsSession ? this.#markerValue() : undefined)
    if (replacement === undefined) return false
    const filled = await this.#breaker.writing(() => this.#cache.replace(this.#keyOf(key), { stamp, ...replacement }))
    return next !== undefined && filled?.value === true
  }

  /**
   * After this nothing that was read before is served from the slot, and nobody who read before can fill it. False if the
   * cache could not be brought to it.
   */
  async invalidate(key: string): Promise<boolean> {
    const { bytes, ttlSeconds } = this.#markerValue()
    if (await this.#breaker.writing(() => this.#cache.put(this.#keyOf(key), bytes, ttlSeconds))) return true
    // A cache that is full takes nothing and still gives things up.
    const seen = await this.#breaker.reading(() => this.#cache.get(this.#keyOf(key)))
    if (seen === undefined) return false
    const { value } = seen
    if (value === undefined) return true
    const removal = await this.#breaker.reading(() => this.#cache.remove(this.#keyOf(key), value.stamp))
    return removal?.value === true
  }

  /** A marker where nothing is, or a value that Django put there and that may come back after it was replaced. */
  async #place(key: string, value: CachedValue | undefined): Promise<Look> {
    const { bytes, ttlSeconds } = this.#markerValue()
    const placed = await this.#breaker.writing(() =>
      value === undefined
        ? this.#cache.add(this.#keyOf(key), bytes, ttlSeconds)
        : this.#cache.replace(this.#keyOf(key), { stamp: value.stamp, bytes, ttlSeconds }),
    )
    return placed?.value ? tokenOf({ kind: 'placed', marker: bytes }) : { kind: 'closed' }
  }

  #valueOf(session: CachedSession | undefined, readAt: EpochMs): TimedBytes | undefined {
    if (session === undefined) return undefined
    const ttlSeconds = Math.floor((session.expiresAt - this.#options.clock()) / 1000)
    if (ttlSeconds <= 0) return undefined
    const body = this.#encode(session.data)
    if (body === undefined || body.length > MAX_CACHED_BYTES) return undefined
    const seal = { expiresAt: Math.floor(session.expiresAt), readAt }
    const bytes = sealValue(body, seal, randomBytes(SEAL_NONCE_BYTES))
    return bytes && { bytes, ttlSeconds }
  }

  /**
   * Undefined for what the cache's format has no form for, or another one: where `1e5` would come back as `100000.0`,
   * apps would see the one or the other by chance. Such a session is never cached.
   */
  #encode(data: SessionData): Uint8Array | undefined {
    const { serializer } = this.#options
    try {
      const body = serializer.encode(data)
      const again = serializer.decode(body)
      return again !== undefined && writeSessionData(again) === writeSessionData(data) ? body : undefined
    } catch {
      return undefined
    }
  }

  #markerValue(): TimedBytes {
    return { bytes: this.#newMarker(), ttlSeconds: MARKER_TTL_SECONDS }
  }

  #newMarker(): Uint8Array {
    return this.#options.serializer.marker(randomBytes(MARKER_NONCE_BYTES))
  }

  /** A marker without a nonce would be no marker: one like it may have stood there before. */
  #isMarker({ bytes }: CachedValue): boolean {
    return bytes.length === this.#markerLength && this.#options.serializer.isMarker(bytes)
  }

  #keyOf(key: string): string {
    return this.#options.keyPrefix + key
  }
}

interface TimedBytes {
  readonly bytes: Uint8Array
  readonly ttlSeconds: number
}

function seenToken({ stamp }: CachedValue, holdsSession: boolean): Token {
  return { kind: 'seen', stamp, holdsSession }
}

function tokenOf(token: Token): Look {
  return { kind: 'token', token }
}
