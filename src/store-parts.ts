import { readFile } from 'node:fs/promises'
import type {
  CacheConfig,
  CacheServerConfig,
  ClientTlsConfig,
  DatabaseConfig,
  EngineConfig,
  SessionConfig,
  SqliteConfig,
} from './config/config.ts'
import type { ExpiryRules } from './django/expiry.ts'
import { createSignedCookieCodec, type SessionCodec } from './django/session-data.ts'
import { createSessionKey } from './django/session-key.ts'
import type { SigningKeyName } from './django/signing.ts'
import type { Clock } from './lib/clock.ts'
import { jsonSerializer } from './sessions/caches/json-serializer.ts'
import { createMemcachedCache, memcachedFlags } from './sessions/caches/memcached.ts'
import { createMemoryCache } from './sessions/caches/memory.ts'
import { pickleSerializer } from './sessions/caches/pickle-serializer.ts'
import { createRedisCache } from './sessions/caches/redis.ts'
import type { RedisServers, RedisTls } from './sessions/caches/redis-servers.ts'
import { cacheKeyPrefix, type SessionCache } from './sessions/caches/session-cache.ts'
import { createLazyTable } from './sessions/databases/lazy-table.ts'
import { openPostgresTable } from './sessions/databases/postgres.ts'
import type { SessionTable } from './sessions/databases/session-table.ts'
import { openSqliteTable } from './sessions/databases/sqlite.ts'
import type { TableCreation } from './sessions/databases/sqlite-file.ts'
import type { SqliteTableWatcher } from './sessions/databases/sqlite-notices.ts'
import type { SessionEngine } from './sessions/engine.ts'
import { createCacheSessions, type SessionSerializer } from './sessions/engines/cache.ts'
import { type CacheLookup, createCachedDbSessions } from './sessions/engines/cached-db.ts'
import { createDbSessions } from './sessions/engines/db.ts'
import { createFileSessions } from './sessions/engines/file.ts'
import { createReadAlsoEngine } from './sessions/engines/read-also.ts'
import { createSignedCookieSessions } from './sessions/engines/signed-cookies.ts'

/** What an engine needs beside the stores that it stands on. */
export interface EngineParts {
  readonly session: Pick<SessionConfig, 'cookie' | 'storeTimeoutMs'>
  readonly keys: SecretKeys
  readonly codec: SessionCodec
  readonly expiry: ExpiryRules
  readonly clock: Clock
  /** Told of the cache of `cached_db`, once per change; without it everything still works. */
  readonly onCacheState?: (isUp: boolean, cause: unknown) => void
  /** Told once per load through `cached_db`. */
  readonly onCacheLookup?: (lookup: CacheLookup) => void
  /** Puts a guard around each of two stores, which is called that in logs and metrics. Default: none. */
  readonly guard?: Guarding
  /** Told of what goes on in the store of `session.engine`. */
  readonly watcher?: StoreWatcher | undefined
}

/** Whoever remembers what was read has to know these of the stores that it was read from. */
export interface StoreWatcher {
  /** Of a table on SQLite. */
  readonly table?: SqliteTableWatcher
  /** Told of each new connection to Redis before anything is asked on it. */
  readonly onCacheConnected?: () => void
}

export type Guarding = (engine: SessionEngine, store: string) => SessionEngine

export interface SecretKeys {
  /** Told of each session that was read, and with which key. */
  readonly onRead?: (key: SigningKeyName) => void
  readonly secretKey: string
  readonly secretKeyFallbacks: readonly string[]
}

/**
 * The part of `store_timeout` that `cached_db` gives its cache: one that hangs must leave the database the time to
 * answer instead of it.
 */
const CACHE_SHARE = 4

/**
 * Opens the engine of the sessions, together with the one of `read_also` where there is one. Of two, each gets a guard of
 * its own: one that is down must not keep the other from being asked.
 *
 * @throws {Error} when a file with a certificate cannot be read.
 */
export async function openSessionEngine(
  { engine, readAlso }: Pick<SessionConfig, 'engine' | 'readAlso'>,
  parts: EngineParts,
): Promise<SessionEngine> {
  await using stack = new AsyncDisposableStack()
  const main = stack.use(await openEngine(engine, parts))
  if (readAlso === undefined) {
    stack.move()
    return main
  }
  const also = await openEngine(readAlso.engine, { ...parts, watcher: undefined })
  stack.move()
  const { clock, session, guard = unguarded } = parts
  return createReadAlsoEngine(guard(main, main.name), guard(also, 'read_also'), {
    moves: readAlso.moves ? 'to main' : 'never',
    timeoutMs: session.storeTimeoutMs,
    clock,
    newKey: () => createSessionKey(),
  })
}

const unguarded: Guarding = (engine) => engine

/**
 * Opens an engine with what it stands on. A server or a database that is down or missing shows in the calls.
 *
 * @throws {Error} when a file with a certificate cannot be read.
 */
export async function openEngine(engine: EngineConfig, parts: EngineParts): Promise<SessionEngine> {
  const { codec, expiry: expiryRules, clock, session } = parts
  const common = { codec, expiryRules, clock, newKey: () => createSessionKey() }
  const timeoutMs = session.storeTimeoutMs
  switch (engine.kind) {
    case 'db':
      return createDbSessions(openTable(engine.database, { timeoutMs, clock, watcher: parts.watcher?.table }), common)
    case 'cache': {
      const keyPrefix = cacheKeyPrefix(engine.cache, 'cache')
      const cache = await openCache(engine.cache, { keyPrefix, timeoutMs, clock, watcher: parts.watcher })
      return createCacheSessions(cache, { ...common, serializer: serializerOf(engine.cache), keyPrefix })
    }
    case 'cached_db': {
      const keyPrefix = cacheKeyPrefix(engine.cache, 'cached_db')
      const cacheTimeoutMs = Math.ceil(timeoutMs / CACHE_SHARE)
      const cacheOptions = { keyPrefix, timeoutMs: cacheTimeoutMs, clock, watcher: parts.watcher }
      const cache = await openCache(engine.cache, cacheOptions)
      const db = createDbSessions(openTable(engine.database, { timeoutMs, clock, watcher: undefined }), common)
      const { onCacheState, onCacheLookup } = parts
      return createCachedDbSessions(db, cache, {
        serializer: serializerOf(engine.cache),
        keyPrefix,
        clock,
        ...(onCacheState === undefined ? {} : { onCacheState }),
        ...(onCacheLookup === undefined ? {} : { onCacheLookup }),
      })
    }
    case 'file':
      return createFileSessions({
        ...common,
        directory: engine.directory,
        prefix: session.cookie.name,
        lockTimeoutMs: timeoutMs,
      })
    case 'signed_cookies': {
      const { cookieAgeSeconds } = expiryRules
      return createSignedCookieSessions({
        clock,
        cookieName: session.cookie.name,
        cookieAgeSeconds,
        codec: createSignedCookieCodec({ ...parts.keys, maxAgeSeconds: cookieAgeSeconds }),
      })
    }
  }
}

interface StoreOptions {
  /** Within which every call settles. */
  readonly timeoutMs: number
  readonly clock: Clock
}

interface TableOptions extends StoreOptions {
  readonly watcher: SqliteTableWatcher | undefined
}

function openTable(database: DatabaseConfig, { timeoutMs, clock, watcher }: TableOptions): SessionTable {
  if (database.kind === 'postgres') {
    const { url, create, poolSize, pgbouncer } = database
    return openPostgresTable({ url: url.reveal(), create, poolSize, pgbouncer, timeoutMs, clock })
  }
  const { path, useTz } = database
  return createLazyTable(() =>
    openSqliteTable({
      path,
      create: sqliteTableCreation(database),
      useTz,
      busyTimeoutMs: timeoutMs,
      clock,
      ...(watcher === undefined ? {} : { watcher }),
    }),
  )
}

/** The gateway's own file is its own business; in anybody else's a table is made only when it was told so. */
export function sqliteTableCreation({ create, isOwn }: SqliteConfig): TableCreation {
  return create ? 'always' : isOwn ? 'ours' : 'never'
}

/** Nobody but this process reads its memory, so nothing there is a pickle. */
function serializerOf({ kind, serializer }: CacheConfig): SessionSerializer {
  return kind === 'memory' || serializer === 'json' ? jsonSerializer : pickleSerializer
}

export interface CacheOptions extends StoreOptions {
  /** What every key begins with. */
  readonly keyPrefix: string
  readonly watcher: StoreWatcher | undefined
}

/** The cache of a configuration; a server that is down shows in the calls. @throws {Error} when a certificate cannot be read. */
export async function openCache(
  cache: CacheConfig,
  { keyPrefix, timeoutMs, clock, watcher }: CacheOptions,
): Promise<SessionCache> {
  switch (cache.kind) {
    case 'memory':
      return createMemoryCache({ clock })
    case 'memcached':
      return createMemcachedCache({
        server: cache.server,
        keyPrefix,
        flags: memcachedFlags[cache.serializer],
        timeoutMs,
        clock,
      })
    default:
      return createRedisCache({
        servers: await redisServers(cache),
        timeoutMs,
        clock,
        probePrefix: keyPrefix,
        ...(watcher?.onCacheConnected === undefined ? {} : { onConnected: watcher.onCacheConnected }),
      })
  }
}

type RedisConfig = Exclude<CacheServerConfig, { kind: 'memory' | 'memcached' }>

/** @throws {Error} when a file with a certificate cannot be read. */
export async function redisServers(config: RedisConfig): Promise<RedisServers> {
  const access = {
    username: config.username,
    password: config.password?.reveal(),
    database: config.database,
    tls: config.tls && (await readTls(config.tls)),
  }
  switch (config.kind) {
    case 'redis':
      return { kind: 'redis', server: config.server, ...access }
    case 'redis-cluster':
      return { kind: 'redis-cluster', nodes: config.nodes, ...access }
    case 'redis-sentinel': {
      const { sentinels, master, sentinelUsername, sentinelPassword } = config
      return {
        kind: 'redis-sentinel',
        sentinels,
        master,
        sentinelUsername,
        sentinelPassword: sentinelPassword?.reveal(),
        ...access,
      }
    }
  }
}

async function readTls({ caFile, certFile, keyFile, serverName }: ClientTlsConfig): Promise<RedisTls> {
  const [ca, cert, key] = await Promise.all([caFile, certFile, keyFile].map(readPem))
  return { ca, cert, key, serverName }
}

async function readPem(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new Error(`the certificate file ${path} cannot be read`, { cause })
  }
}
