import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { createMemcachedCache, memcachedFlags } from '../../src/sessions/caches/memcached.ts'
import { createMemoryCache } from '../../src/sessions/caches/memory.ts'
import type { UserIndex } from '../../src/sessions/user-index.ts'
import { createCacheListIndex, userIndexKeyPrefix } from '../../src/sessions/user-indexes/cache-list.ts'
import { createFileUserIndex } from '../../src/sessions/user-indexes/files.ts'
import { createMemoryUserIndex } from '../../src/sessions/user-indexes/memory.ts'
import { createPostgresUserIndex } from '../../src/sessions/user-indexes/postgres.ts'
import { createRedisUserIndex } from '../../src/sessions/user-indexes/redis.ts'
import { createSqliteUserIndex } from '../../src/sessions/user-indexes/sqlite.ts'
import { type MemcachedServer, startMemcached } from '../support/memcached.ts'
import { type Pgbouncer, startPgbouncer } from '../support/pgbouncer.ts'
import { type PostgresDatabase, startPostgres } from '../support/postgres.ts'
import { type RedisCluster, type RedisServer, startCluster, startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { scratchRoot } from '../support/scratch.ts'
import { changeCache } from './cache-double.ts'
import { describeUserIndex } from './user-index.ts'

const [postgres, pgbouncer] = [requireServer('postgres'), requireServer('pgbouncer')]
const [redis, memcached] = [requireServer('redis'), requireServer('memcached')]
const servers = new AsyncDisposableStack()
let database: PostgresDatabase
let bouncer: Pgbouncer
let redisServer: RedisServer
let cluster: RedisCluster
let memcachedServer: MemcachedServer

before(async () => {
  if (postgres.skip === false) {
    const server = servers.use(await startPostgres())
    database = await server.createDatabase()
    if (pgbouncer.skip === false) bouncer = servers.use(await startPgbouncer(server))
  }
  if (redis.skip === false) {
    redisServer = servers.use(await startRedis())
    cluster = servers.use(await startCluster())
  }
  if (memcached.skip === false) memcachedServer = servers.use(await startMemcached(memcached))
})
after(() => servers.disposeAsync())

/** A prefix of its own for each store, so that one server does for all. */
const freshPrefix = () => userIndexKeyPrefix({ keyPrefix: randomUUID(), version: 1 })

/** As two processes, of which closing one closes nothing for the other. */
function shared(index: UserIndex): UserIndex {
  return { ...index, async [Symbol.asyncDispose]() {} }
}

describeUserIndex('in memory', async ({ clock }) => {
  const index = createMemoryUserIndex(clock)
  return { connect: async () => shared(index), [Symbol.asyncDispose]: () => index[Symbol.asyncDispose]() }
})

describeUserIndex('in files', async ({ clock }) => {
  const directory = await mkdtemp(join(scratchRoot(), 'sessiongate-users-'))
  return {
    connect: async () => createFileUserIndex({ directory, clock }),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  }
})

describeUserIndex('on SQLite', async ({ clock }) => {
  const folder = await mkdtemp(join(scratchRoot(), 'sessiongate-users-'))
  const path = join(folder, 'sessions.sqlite3')
  return {
    connect: async () => createSqliteUserIndex({ path, create: 'ours', busyTimeoutMs: 5000, clock }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
})

for (const isBehindPgbouncer of [false, true]) {
  describeUserIndex(
    isBehindPgbouncer ? 'on PostgreSQL behind pgbouncer' : 'on PostgreSQL',
    async ({ clock }) => {
      await database.sql('DROP TABLE IF EXISTS sessiongate_user_session')
      const url = isBehindPgbouncer ? bouncer.urlOf(database) : database.url
      const options = { url, create: true, pgbouncer: isBehindPgbouncer, timeoutMs: 10_000, clock }
      return { connect: async () => createPostgresUserIndex(options), async [Symbol.asyncDispose]() {} }
    },
    { skip: postgres.skip || (isBehindPgbouncer && pgbouncer.skip) },
  )
}

for (const isCluster of [false, true]) {
  describeUserIndex(
    isCluster ? 'on a cluster of Redis' : 'on Redis',
    async ({ clock }) => {
      const { servers } = isCluster ? cluster : redisServer
      const options = { servers, timeoutMs: 5000, keyPrefix: freshPrefix(), clock }
      return { connect: async () => createRedisUserIndex(options), async [Symbol.asyncDispose]() {} }
    },
    { skip: redis.skip, sweeps: false },
  )
}

describeUserIndex(
  'in lists in memory',
  async ({ clock }) => {
    const [cache, keyPrefix] = [createMemoryCache({ clock }), freshPrefix()]
    return {
      connect: async () => createCacheListIndex(changeCache(cache), { keyPrefix, clock }),
      [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose](),
    }
  },
  { sweeps: false },
)

describeUserIndex(
  'in lists on memcached',
  async ({ clock }) => {
    const keyPrefix = freshPrefix()
    const options = { server: memcachedServer, keyPrefix, flags: memcachedFlags.json, timeoutMs: 5000, clock }
    return {
      connect: async () => createCacheListIndex(createMemcachedCache(options), { keyPrefix, clock }),
      async [Symbol.asyncDispose]() {},
    }
  },
  { skip: memcached.skip, sweeps: false },
)
