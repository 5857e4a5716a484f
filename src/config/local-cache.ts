import type { CacheConfig, SessionConfig } from './config.ts'

/**
 * Why no session can be kept in the process, whatever `session.local_cache` says: a store that does not tell of changes.
 * Undefined where one can. One sentence's end, for logs: "…, because the engine file tells of no changes".
 */
export function localCacheObstacle({
  engine,
  readAlso,
}: Pick<SessionConfig, 'engine' | 'readAlso'>): string | undefined {
  if (readAlso !== undefined) return 'sessions are in two stores (read_also)'
  switch (engine.kind) {
    case 'db':
      return engine.database.kind === 'postgres' && engine.database.pgbouncer
        ? 'a PgBouncer in transaction mode hands on no notices'
        : undefined
    case 'cache':
    case 'cached_db':
      return cacheObstacle(engine.cache)
    case 'file':
      return 'files tell of no changes'
    case 'signed_cookies':
      return 'sessions in cookies are in no store'
  }
}

function cacheObstacle({ kind }: CacheConfig): string | undefined {
  switch (kind) {
    case 'memory':
      return 'the backend memory is this process already'
    case 'memcached':
      return 'memcached tells of no changes'
    case 'redis':
    case 'redis-sentinel':
    case 'redis-cluster':
      return undefined
  }
}
