import type { EpochMs } from '../../lib/clock.ts'

/** A value as the cache has it now. */
export interface CachedValue {
  readonly bytes: Uint8Array
  /** When the cache will drop it; undefined where it does not tell. */
  readonly expiresAt: EpochMs | undefined
  /**
   * What the cache's own compare-and-set compares: a version, a `cas` number, the bytes themselves. Only ever given back
   * to the cache that it came from.
   */
  readonly stamp: unknown
}

/** What a compare-and-set expects and puts in its place. */
export interface CacheReplacement {
  readonly stamp: unknown
  readonly bytes: Uint8Array
  /** From now, in seconds; at least 1. */
  readonly ttlSeconds: number
}

/**
 * A cache as far as the `cache` engine needs one: bytes with a time to live, and writes that never overwrite what they
 * have not seen. It knows nothing of sessions. "Not there" is `undefined`; a value whose time is over is not there.
 *
 * A cache that evicts values to make room logs people out; each implementation says what it does when it is full.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` from any method, with the driver's error as `cause`.
 */
export interface SessionCache extends AsyncDisposable {
  /** False where `keys` gives nothing, since the cache does not know what it holds (memcached). */
  readonly lists: boolean
  get(key: string): Promise<CachedValue | undefined>
  /** Stores only if the key is free; false if it is taken. `ttlSeconds` is at least 1. */
  add(key: string, bytes: Uint8Array, ttlSeconds: number): Promise<boolean>
  /** Stores whatever is there now, and also if nothing is. `ttlSeconds` is at least 1. */
  put(key: string, bytes: Uint8Array, ttlSeconds: number): Promise<void>
  /** Stores only if the value is still the one that the stamp came with; false if it is another, or gone. */
  replace(key: string, replacement: CacheReplacement): Promise<boolean>
  /** Deletes only if the value is still the one that the stamp came with; false if it is another, or gone. */
  remove(key: string, stamp: unknown): Promise<boolean>
  /** The keys that begin with `prefix`, streamed, some perhaps twice; none if not `lists`. */
  keys(prefix: string): AsyncIterable<string>
  /** Frees at most `limit` values whose time is over and returns how many; 0 where the cache does so by itself. */
  clearExpired(limit: number): Promise<number>
  /** Resolves when the cache answers. */
  ping(): Promise<void>
}

export interface CacheKeyLayout {
  /** Django's KEY_PREFIX. */
  readonly keyPrefix: string
  /** Django's VERSION. */
  readonly version: number
}

/**
 * What Django's default KEY_FUNCTION and the engine's `cache_key_prefix` put in front of a session key: by default
 * `:1:django.contrib.sessions.cache`.
 */
export function cacheKeyPrefix({ keyPrefix, version }: CacheKeyLayout, engine: 'cache' | 'cached_db'): string {
  return `${keyPrefix}:${version}:django.contrib.sessions.${engine}`
}
