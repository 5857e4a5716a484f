import { resolve } from 'node:path'
import { readCache } from './cache-resolution.ts'
import type { CacheConfig, DatabaseConfig, EngineConfig } from './config.ts'
import { parseDatabaseUrl } from './database-url.ts'
import type { EngineInUse } from './engines-in-use.ts'
import type { FileDatabase } from './schema/file.ts'
import { Secret } from './secret.ts'

/** Where relative paths start, and where `file_path: null` leads. */
export interface Directories {
  readonly working: string
  readonly temporary: string
}

/** An engine and what it stands on; undefined if a check has, or will have, something to say about it. */
export function resolveEngine(engine: EngineInUse, directories: Directories): EngineConfig | undefined {
  const database = engine.database && resolveDatabase(engine.database.value, directories)
  const cache = resolveCache(engine, directories)
  switch (engine.name) {
    case 'db':
      return database && { kind: 'db', database }
    case 'cache':
      return cache && { kind: 'cache', cache }
    case 'cached_db':
      return database && cache && { kind: 'cached_db', database, cache }
    case 'file': {
      const { filePath } = engine
      const { working, temporary } = directories
      return { kind: 'file', directory: filePath === undefined ? temporary : resolve(working, filePath) }
    }
    case 'signed_cookies':
      return { kind: 'signed_cookies' }
  }
}

function resolveDatabase(database: FileDatabase, { working }: Directories): DatabaseConfig | undefined {
  const url = parseDatabaseUrl(database.url, working)
  const { use_tz: useTz, create, pool_size: poolSize, pgbouncer, notify } = database
  switch (url.kind) {
    case 'flaw':
      return undefined
    case 'sqlite':
      return { ...url, useTz, create }
    case 'postgres': {
      const createsTrigger = notify === 'create'
      const address = { url: new Secret(database.url), place: url.place }
      return { kind: 'postgres', ...address, useTz, create, poolSize, pgbouncer, createsTrigger }
    }
  }
}

function resolveCache({ cache }: EngineInUse, { working }: Directories): CacheConfig | undefined {
  if (cache?.value === undefined) return undefined
  const reading = readCache({ alias: cache.alias, value: cache.value, working })
  return reading.isSound ? reading.cache : undefined
}

/**
 * What two engines must not have in common: a name for the place where a session of theirs is decided upon. Of
 * cached_db that is the database, since its cache holds copies.
 */
export function placeOf(engine: EngineConfig): string {
  switch (engine.kind) {
    case 'db':
    case 'cached_db':
      return engine.database.kind === 'sqlite' ? `sqlite:${engine.database.path}` : `postgres:${engine.database.place}`
    case 'cache':
      return `cache:${engine.cache.keyPrefix}:${engine.cache.version}:${serverOf(engine.cache)}`
    case 'file':
      return `file:${engine.directory}`
    case 'signed_cookies':
      return 'cookies'
  }
}

function serverOf(cache: CacheConfig): string {
  switch (cache.kind) {
    case 'memory':
      return 'memory'
    case 'memcached':
      return `memcached:${JSON.stringify(cache.server)}`
    case 'redis':
      return `redis:${JSON.stringify(cache.server)}/${cache.database}`
    case 'redis-sentinel':
      return `sentinel:${JSON.stringify([cache.sentinels, cache.master])}/${cache.database}`
    case 'redis-cluster':
      return `cluster:${JSON.stringify(cache.nodes)}`
  }
}
