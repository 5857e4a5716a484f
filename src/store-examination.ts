import type { CacheConfig, Config, DatabaseConfig, EngineConfig } from './config/config.ts'
import { systemClock } from './lib/clock.ts'
import { type Diagnosis, good } from './lib/diagnosis.ts'
import { examineCache } from './sessions/caches/cache-examination.ts'
import { examineRedis } from './sessions/caches/redis-examination.ts'
import { redisServersName } from './sessions/caches/redis-servers.ts'
import { cacheKeyPrefix } from './sessions/caches/session-cache.ts'
import { examinePostgres } from './sessions/databases/postgres-examination.ts'
import { examineSqlite } from './sessions/databases/sqlite-examination.ts'
import { examineSessionFolder } from './sessions/files/folder-examination.ts'
import { openCache, redisServers, sqliteTableCreation } from './store-parts.ts'

/** A store that the configuration names, and how to look at it. */
export interface StoreExamination {
  /** `database`, `cache`, `files`, `cookies`; with `read_also` in front for the second engine. */
  readonly name: string
  /** What is found; nothing is left behind. @throws {GatewayError} when the store cannot be reached. */
  readonly examine: () => Promise<readonly Diagnosis[]>
}

/** The stores under the sessions of a configuration, each with a look at it of that many milliseconds at most a step. */
export function storeExaminations({ session }: Config, timeoutMs: number): readonly StoreExamination[] {
  const tables = session.userIndex ? ['django_session', 'sessiongate_user_session'] : ['django_session']
  const also = session.readAlso?.engine
  return [
    ...examinationsOf(session.engine, { prefix: '', tables, timeoutMs }),
    ...(also === undefined
      ? []
      : examinationsOf(also, { prefix: 'read_also ', tables: ['django_session'], timeoutMs })),
  ]
}

interface Looks {
  readonly prefix: string
  readonly tables: readonly string[]
  readonly timeoutMs: number
}

function examinationsOf(engine: EngineConfig, { prefix, tables, timeoutMs }: Looks): StoreExamination[] {
  const database = (config: DatabaseConfig): StoreExamination => ({
    name: `${prefix}database`,
    examine: () => examineDatabase(config, tables, timeoutMs),
  })
  const cache = (config: CacheConfig, of: 'cache' | 'cached_db'): StoreExamination => ({
    name: `${prefix}cache`,
    examine: () => lookAtCache(config, cacheKeyPrefix(config, of), timeoutMs),
  })
  switch (engine.kind) {
    case 'db':
      return [database(engine.database)]
    case 'cache':
      return [cache(engine.cache, 'cache')]
    case 'cached_db':
      return [database(engine.database), cache(engine.cache, 'cached_db')]
    case 'file':
      return [{ name: `${prefix}files`, examine: () => examineSessionFolder(engine.directory) }]
    case 'signed_cookies':
      return [
        {
          name: `${prefix}cookies`,
          examine: async () => [good('sessions are in cookies: there is no store to look at')],
        },
      ]
  }
}

function examineDatabase(database: DatabaseConfig, tables: readonly string[], timeoutMs: number) {
  if (database.kind === 'postgres') {
    const { url, pgbouncer, create } = database
    return examinePostgres({ url: url.reveal(), pgbouncer, create, tables, timeoutMs })
  }
  return examineSqlite({ path: database.path, create: sqliteTableCreation(database), tables, timeoutMs })
}

async function lookAtCache(config: CacheConfig, keyPrefix: string, timeoutMs: number): Promise<Diagnosis[]> {
  if (config.kind === 'memory') return [good('sessions are in the memory of the gateway: there is no store to look at')]
  const options = { keyPrefix, timeoutMs, clock: systemClock, watcher: undefined }
  await using cache = await openCache(config, options)
  if (config.kind === 'memcached') return await examineCache(cache, memcachedName(config.server), keyPrefix)
  const servers = await redisServers(config)
  const first = await examineCache(cache, redisServersName(servers), keyPrefix)
  return [...first, ...(await examineRedis({ servers, timeoutMs }))]
}

function memcachedName(
  server:
    | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
    | { readonly kind: 'unix'; readonly path: string },
): string {
  return `memcached at ${server.kind === 'unix' ? server.path : `${server.host}:${server.port}`}`
}
