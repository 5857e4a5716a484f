import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before } from 'node:test'
import { sqliteDateText } from '../../src/django/dates.ts'
import { jsonSerializer } from '../../src/sessions/caches/json-serializer.ts'
import { createMemcachedCache, memcachedFlags } from '../../src/sessions/caches/memcached.ts'
import { createMemoryCache } from '../../src/sessions/caches/memory.ts'
import { pickleSerializer } from '../../src/sessions/caches/pickle-serializer.ts'
import { createRedisCache } from '../../src/sessions/caches/redis.ts'
import { cacheKeyPrefix, type SessionCache } from '../../src/sessions/caches/session-cache.ts'
import { openPostgresSessions } from '../../src/sessions/databases/postgres.ts'
import { openSqliteSessions } from '../../src/sessions/databases/sqlite.ts'
import type { SessionEngine } from '../../src/sessions/engine.ts'
import type { SessionSerializer } from '../../src/sessions/engines/cache.ts'
import { createCachedDbSessions } from '../../src/sessions/engines/cached-db.ts'
import { type MemcachedServer, startMemcached } from '../support/memcached.ts'
import { type PostgresDatabase, startPostgres } from '../support/postgres.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { scratchRoot } from '../support/scratch.ts'
import { changeCache } from './cache-double.ts'
import { describeSessionEngine } from './session-engine.ts'
import type { EngineWorld, OpenStore, StoreUnderTest } from './session-engine-world.ts'

const [postgres, redis, memcached] = [requireServer('postgres'), requireServer('redis'), requireServer('memcached')]
const servers = new AsyncDisposableStack()
let database: PostgresDatabase
let redisServer: RedisServer
let memcachedServer: MemcachedServer

before(async () => {
  if (postgres.skip === false) database = await servers.use(await startPostgres()).createDatabase()
  if (redis.skip === false) redisServer = servers.use(await startRedis())
  if (memcached.skip === false) memcachedServer = servers.use(await startMemcached(memcached))
})
after(() => servers.disposeAsync())

/** A database as the db engine's own suite has it. */
interface Database extends Omit<StoreUnderTest, 'connect'> {
  open(): Promise<SessionEngine>
}

/** A cache, empty at first, as each process connects to it. */
type OpenCache = (world: EngineWorld, keyPrefix: string) => () => SessionCache

/** The cache in front of it must not make a difference that the suite could see. */
function onTop(
  openDatabase: (world: EngineWorld) => Promise<Database>,
  openCache: OpenCache,
  serializer: SessionSerializer,
): OpenStore {
  return async (world) => {
    const { open, ...rest } = await openDatabase(world)
    const keyPrefix = cacheKeyPrefix({ keyPrefix: randomUUID(), version: 1 }, 'cached_db')
    const connectCache = openCache(world, keyPrefix)
    const connect = async () =>
      createCachedDbSessions(await open(), connectCache(), { ...world, serializer, keyPrefix })
    return { ...rest, connect }
  }
}

async function openSqlite(world: EngineWorld): Promise<Database> {
  const folder = await mkdtemp(join(scratchRoot(), 'sessiongate-cached-db-'))
  const path = join(folder, 'sessions.sqlite3')
  const open = () => openSqliteSessions({ ...world, useTz: true, path, create: 'ours', busyTimeoutMs: 5000 })
  await (await open())[Symbol.asyncDispose]()
  const sqlite = new DatabaseSync(path, { timeout: 5000 })
  return {
    open,
    async peek(key) {
      const row = sqlite.prepare('SELECT session_data FROM django_session WHERE session_key = ?').get(key)
      return row && String(row.session_data)
    },
    async plant(key, text) {
      const insert = sqlite.prepare('INSERT INTO django_session VALUES (?, ?, ?)')
      insert.run(key, text, sqliteDateText(world.now + 3_600_000, true))
    },
    async [Symbol.asyncDispose]() {
      sqlite.close()
      await rm(folder, { recursive: true })
    },
  }
}

async function openPostgres(world: EngineWorld): Promise<Database> {
  const connection = await database.connect()
  await connection.sql('DROP TABLE IF EXISTS django_session')
  const settings = { url: database.url, create: true, poolSize: 5, pgbouncer: false, timeoutMs: 10_000 }
  const open = async () => openPostgresSessions({ ...world, ...settings })
  {
    await using engine = await open()
    await engine.ping()
  }
  return {
    open,
    async peek(key) {
      const [row] = await connection.sql('SELECT session_data FROM django_session WHERE session_key = $1', [key])
      return row && String(row.session_data)
    },
    async plant(key, text) {
      const date = new Date(world.now + 3_600_000).toISOString()
      await connection.sql('INSERT INTO django_session VALUES ($1, $2, $3)', [key, text, date])
    },
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  }
}

const openMemory: OpenCache = (world) => {
  const cache = createMemoryCache(world)
  // The memory is this process's; an engine that closes it would take it from the other.
  return () => changeCache(cache)
}

// The servers count the lives of values by clocks of their own; what is over is told by the world's, in the seal.
const openRedis: OpenCache =
  ({ clock }, probePrefix) =>
  () =>
    createRedisCache({ servers: redisServer.servers, timeoutMs: 5000, clock, probePrefix })

const openMemcached: OpenCache =
  ({ clock }, keyPrefix) =>
  () =>
    createMemcachedCache({
      server: memcachedServer,
      keyPrefix,
      flags: memcachedFlags.pickle,
      timeoutMs: 5000,
      clock,
    })

const traits = { isServerSide: true, isSigned: true, tellsExpired: true }

describeSessionEngine('cached_db on SQLite and memory', onTop(openSqlite, openMemory, jsonSerializer), traits)
describeSessionEngine('cached_db on PostgreSQL and Redis', onTop(openPostgres, openRedis, pickleSerializer), traits, {
  skip: postgres.skip || redis.skip,
})
describeSessionEngine('cached_db on SQLite and memcached', onTop(openSqlite, openMemcached, pickleSerializer), traits, {
  skip: memcached.skip,
})
