import type { CacheConfig, DatabaseConfig, EngineConfig } from './config/config.ts'
import type { Clock } from './lib/clock.ts'
import { createMemcachedCache, memcachedFlags } from './sessions/caches/memcached.ts'
import type { UserIndex } from './sessions/user-index.ts'
import { createCacheListIndex, userIndexKeyPrefix } from './sessions/user-indexes/cache-list.ts'
import { createFileUserIndex } from './sessions/user-indexes/files.ts'
import { createMemoryUserIndex } from './sessions/user-indexes/memory.ts'
import { createPostgresUserIndex } from './sessions/user-indexes/postgres.ts'
import { createRedisUserIndex } from './sessions/user-indexes/redis.ts'
import { createSqliteUserIndex } from './sessions/user-indexes/sqlite.ts'
import { redisServers, sqliteTableCreation } from './store-parts.ts'

export interface UserIndexParts {
  /** Within which every call settles. */
  readonly timeoutMs: number
  readonly clock: Clock
}

/**
 * The index of users in the store of that engine, on connections of its own: what it costs shall not come out of what the
 * sessions have. Of `cached_db` it is the database, since a cache may lose what is noted. A server that is down, and a table
 * that is missing, show in the calls.
 *
 * @throws {Error} when a file with a certificate cannot be read.
 * @throws {TypeError} for an engine that keeps nothing.
 */
export async function openUserIndex(engine: EngineConfig, parts: UserIndexParts): Promise<UserIndex> {
  switch (engine.kind) {
    case 'db':
    case 'cached_db':
      return createDatabaseIndex(engine.database, parts)
    case 'cache':
      return await openCacheIndex(engine.cache, parts)
    case 'file':
      return createFileUserIndex({ directory: engine.directory, clock: parts.clock })
    case 'signed_cookies':
      throw new TypeError('signed_cookies keeps no session that could be found')
  }
}

function createDatabaseIndex(database: DatabaseConfig, { timeoutMs, clock }: UserIndexParts): UserIndex {
  if (database.kind === 'postgres') {
    const { url, create, pgbouncer } = database
    return createPostgresUserIndex({ url: url.reveal(), create, pgbouncer, timeoutMs, clock })
  }
  const create = sqliteTableCreation(database)
  return createSqliteUserIndex({ path: database.path, create, busyTimeoutMs: timeoutMs, clock })
}

async function openCacheIndex(cache: CacheConfig, { timeoutMs, clock }: UserIndexParts): Promise<UserIndex> {
  const keyPrefix = userIndexKeyPrefix(cache)
  switch (cache.kind) {
    case 'memory':
      return createMemoryUserIndex(clock)
    case 'memcached': {
      const { server } = cache
      const lists = createMemcachedCache({ server, keyPrefix, flags: memcachedFlags.json, timeoutMs, clock })
      return createCacheListIndex(lists, { keyPrefix, clock })
    }
    default:
      return createRedisUserIndex({ servers: await redisServers(cache), timeoutMs, keyPrefix, clock })
  }
}
