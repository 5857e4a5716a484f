import type { Clock, EpochMs } from '../../lib/clock.ts'
import type { CachedValue, CacheKeyLayout, SessionCache } from '../caches/session-cache.ts'
import { createKeyQueue } from '../key-queue.ts'
import { storeUnavailable } from '../store-failure.ts'
import { type UserIndex, userIdDigest } from '../user-index.ts'

export interface CacheListIndexOptions {
  /** What stands in front of the hash of the user's id ({@link userIndexKeyPrefix}). */
  readonly keyPrefix: string
  readonly clock: Clock
  /** How many sessions of one user are kept. Default 2,000. */
  readonly maxSessions?: number
}

/** A session and the end of its note. */
type Entry = readonly [key: string, expiresAt: EpochMs]

/**
 * Half a hash, so that it fits into the 250 bytes of memcached's keys behind any prefix that a session's key fits behind. Two
 * users with the same half would share a list, which does no harm: whoever looks asks the sessions whose they are.
 */
const DIGEST_LENGTH = 32

/** How often a list is written anew because another process was faster. */
const MAX_RETRIES = 100

/** What the keys of the index begin with, in the layout of Django's own keys: by default `:1:sessiongate.user:`. */
export function userIndexKeyPrefix({ keyPrefix, version }: CacheKeyLayout): string {
  return `${keyPrefix}:${version}:sessiongate.user:`
}

/**
 * The index as one value for each user, a list that is changed by compare-and-set: for memcached, which knows nothing else.
 * A note costs two calls and carries the user's whole list, about 60 bytes for each session. Above `maxSessions` those
 * that end first are dropped; and whatever the cache evicts is lost until the sessions are met again.
 */
export function createCacheListIndex(cache: SessionCache, options: CacheListIndexOptions): UserIndex {
  const { keyPrefix, clock, maxSessions = 2000 } = options
  const inTurn = createKeyQueue<string>()
  const keyOf = (userId: string): string => keyPrefix + userIdDigest(userId).slice(0, DIGEST_LENGTH)

  async function change(userId: string, edit: (entries: Map<string, EpochMs>) => boolean): Promise<void> {
    const cacheKey = keyOf(userId)
    await inTurn(cacheKey, async () => {
      for (let attempt = 0; attempt < MAX_RETRIES; attempt++) {
        const value = await cache.get(cacheKey)
        const entries = new Map(livingEntries(value, clock()))
        if (!edit(entries) || (await store(cacheKey, value, entries))) return
      }
      throw storeUnavailable('the list of a user\u2019s sessions is rewritten all the time')
    })
  }

  async function store(
    cacheKey: string,
    value: CachedValue | undefined,
    entries: Map<string, EpochMs>,
  ): Promise<boolean> {
    if (value !== undefined && entries.size === 0) return await cache.remove(cacheKey, value.stamp)
    const longest = [...entries].toSorted(([, a], [, b]) => b - a).slice(0, maxSessions)
    const bytes = Buffer.from(JSON.stringify(longest))
    const lastEnd = longest[0]?.[1] ?? clock()
    const ttlSeconds = Math.max(1, Math.ceil((lastEnd - clock()) / 1000))
    return value === undefined
      ? await cache.add(cacheKey, bytes, ttlSeconds)
      : await cache.replace(cacheKey, { stamp: value.stamp, bytes, ttlSeconds })
  }

  return {
    note: (userId, key, expiresAt) =>
      change(userId, (entries) => {
        const isLater = expiresAt > Math.max(entries.get(key) ?? 0, clock())
        if (isLater) entries.set(key, expiresAt)
        return isLater
      }),
    forget: (userId, key) => change(userId, (entries) => entries.delete(key)),
    async *keysOf(userId) {
      const value = await cache.get(keyOf(userId))
      for (const [key] of livingEntries(value, clock())) yield key
    },
    clearExpired: async () => 0,
    [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose](),
  }
}

/** What is no list of ours is none. */
function livingEntries(value: CachedValue | undefined, now: EpochMs): readonly Entry[] {
  if (value === undefined) return []
  try {
    const list: unknown = JSON.parse(Buffer.from(value.bytes).toString())
    return Array.isArray(list) ? list.filter(isEntry).filter(([, expiresAt]) => expiresAt > now) : []
  } catch {
    return []
  }
}

function isEntry(item: unknown): item is Entry {
  return Array.isArray(item) && typeof item[0] === 'string' && typeof item[1] === 'number'
}
