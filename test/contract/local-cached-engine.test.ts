import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before } from 'node:test'
import { Redis } from 'ioredis'
import { sqliteDateText } from '../../src/django/dates.ts'
import { jsonSerializer } from '../../src/sessions/caches/json-serializer.ts'
import { createRedisCache } from '../../src/sessions/caches/redis.ts'
import { openRedisNotices } from '../../src/sessions/caches/redis-notices.ts'
import { cacheKeyPrefix } from '../../src/sessions/caches/session-cache.ts'
import { openPostgresSessions } from '../../src/sessions/databases/postgres.ts'
import { NOTICE_CHANNEL } from '../../src/sessions/databases/postgres-notice-trigger.ts'
import { openPostgresNotices } from '../../src/sessions/databases/postgres-notices.ts'
import { openSqliteSessions } from '../../src/sessions/databases/sqlite.ts'
import { createSqliteNotices } from '../../src/sessions/databases/sqlite-notices.ts'
import { createCacheSessions } from '../../src/sessions/engines/cache.ts'
import { createCachedDbSessions } from '../../src/sessions/engines/cached-db.ts'
import { type PostgresDatabase, startPostgres } from '../support/postgres.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { scratchRoot } from '../support/scratch.ts'
import { type Aside, locallyCached, type TellingStore } from './local-cached.ts'
import { describeSessionEngine } from './session-engine.ts'
import type { EngineWorld } from './session-engine-world.ts'

const [postgres, redis] = [requireServer('postgres'), requireServer('redis')]
const servers = new AsyncDisposableStack()
let database: PostgresDatabase
let redisServer: RedisServer
let client: Redis

before(async () => {
  if (postgres.skip === false) database = await servers.use(await startPostgres()).createDatabase()
  if (redis.skip !== false) return
  redisServer = servers.use(await startRedis())
  client = servers.adopt(new Redis(redisServer.port), (opened) => opened.disconnect())
})
after(() => servers.disposeAsync())

async function openSqlite(world: EngineWorld): Promise<TellingStore> {
  const folder = await mkdtemp(join(scratchRoot(), 'sessiongate-local-'))
  const path = join(folder, 'sessions.sqlite3')
  const settings = { ...world, useTz: true, path, create: 'ours', busyTimeoutMs: 5000 } as const
  await (await openSqliteSessions(settings))[Symbol.asyncDispose]()
  const sqlite = new DatabaseSync(path, { timeout: 5000 })
  return {
    async connect() {
      const notices = createSqliteNotices()
      return { notices, engine: await openSqliteSessions({ ...settings, watcher: notices }) }
    },
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

async function openPostgres(world: EngineWorld): Promise<TellingStore> {
  const connection = await database.connect()
  await connection.sql('DROP TABLE IF EXISTS django_session')
  const settings = { url: database.url, create: true, poolSize: 5, pgbouncer: false, timeoutMs: 10_000 }
  {
    await using engine = await openPostgresSessions({ ...world, ...settings })
    await engine.ping()
  }
  return {
    connect: async () => ({
      notices: openPostgresNotices({ url: database.url, create: true }),
      engine: await openPostgresSessions({ ...world, ...settings }),
    }),
    aside: { nameOf: (tag) => tag, tell: (name) => connection.sql('SELECT pg_notify($1, $2)', [NOTICE_CHANNEL, name]) },
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

/** A key that comes and goes in one step: no listing ever sees it. */
const TELL = "redis.call('SET', KEYS[1], '') redis.call('DEL', KEYS[1])"

function redisAside(keyPrefix: string): Aside {
  return { nameOf: (tag) => keyPrefix + tag, tell: (name) => client.eval(TELL, 1, name) }
}

/** Makes everything whose key begins so older by some milliseconds. */
const AGE = `for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left <= tonumber(ARGV[2]) then redis.call('DEL', key)
  elseif left >= 0 then redis.call('PEXPIRE', key, left - ARGV[2]) end
end`

async function openRedis(world: EngineWorld): Promise<TellingStore> {
  const { servers: redisServers } = redisServer
  const keyPrefix = cacheKeyPrefix({ keyPrefix: randomUUID(), version: 1 }, 'cache')
  const cache = createRedisCache({ servers: redisServers, timeoutMs: 5000, clock: world.clock })
  world.onAdvance.push(async (seconds) => {
    await client.eval(AGE, 0, `${keyPrefix}*`, seconds * 1000)
  })
  return {
    async connect() {
      const notices = openRedisNotices({ servers: redisServers, prefix: keyPrefix })
      const own = createRedisCache({
        servers: redisServers,
        timeoutMs: 5000,
        clock: world.clock,
        probePrefix: keyPrefix,
        onConnected: () => notices.renew(),
      })
      return { notices, engine: createCacheSessions(own, { ...world, serializer: jsonSerializer, keyPrefix }) }
    },
    aside: redisAside(keyPrefix),
    async peek(key) {
      const value = await cache.get(keyPrefix + key)
      return value && Buffer.from(value.bytes).toString()
    },
    plant: (key, text) => cache.put(keyPrefix + key, Buffer.from(text), 3600),
    [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose](),
  }
}

/** On the notices of the cache alone. */
function withCache(openDatabase: (world: EngineWorld) => Promise<TellingStore>) {
  return async (world: EngineWorld): Promise<TellingStore> => {
    const { connect, ...store } = await openDatabase(world)
    const keyPrefix = cacheKeyPrefix({ keyPrefix: randomUUID(), version: 1 }, 'cached_db')
    return {
      ...store,
      async connect() {
        const { engine: db, notices: unused } = await connect()
        await unused[Symbol.asyncDispose]()
        const { servers: redisServers } = redisServer
        const notices = openRedisNotices({ servers: redisServers, prefix: keyPrefix })
        const cache = createRedisCache({
          servers: redisServers,
          timeoutMs: 5000,
          clock: world.clock,
          probePrefix: keyPrefix,
          onConnected: () => notices.renew(),
        })
        return {
          notices,
          engine: createCachedDbSessions(db, cache, { ...world, serializer: jsonSerializer, keyPrefix }),
        }
      },
      aside: redisAside(keyPrefix),
    }
  }
}

const traits = { isServerSide: true, isSigned: true, tellsExpired: true }
const redisTraits = {
  isServerSide: true,
  isSigned: false,
  tellsExpired: false,
  sweeps: false,
  countsExpired: false,
  toleranceMs: 10_000,
}

describeSessionEngine('db on SQLite, kept in the process', locallyCached(openSqlite), traits)

describeSessionEngine('db on PostgreSQL, kept in the process', locallyCached(openPostgres), traits, {
  skip: postgres.skip,
})
describeSessionEngine('cache on Redis, kept in the process', locallyCached(openRedis), redisTraits, {
  skip: redis.skip,
})
describeSessionEngine(
  'cached_db on SQLite and Redis, kept in the process',
  locallyCached(withCache(openSqlite)),
  traits,
  {
    skip: redis.skip,
  },
)
