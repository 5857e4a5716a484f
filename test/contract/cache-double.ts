import type { SessionCache } from '../../src/sessions/caches/session-cache.ts'

/** The same cache with some of its methods replaced; closing it closes nothing. */
export function changeCache(cache: SessionCache, changes: Partial<SessionCache> = {}): SessionCache {
  return {
    lists: cache.lists,
    get: (key) => cache.get(key),
    add: (key, bytes, ttlSeconds) => cache.add(key, bytes, ttlSeconds),
    put: (key, bytes, ttlSeconds) => cache.put(key, bytes, ttlSeconds),
    replace: (key, replacement) => cache.replace(key, replacement),
    remove: (key, stamp) => cache.remove(key, stamp),
    keys: (prefix) => cache.keys(prefix),
    clearExpired: (limit) => cache.clearExpired(limit),
    ping: () => cache.ping(),
    async [Symbol.asyncDispose]() {},
    ...changes,
  }
}
