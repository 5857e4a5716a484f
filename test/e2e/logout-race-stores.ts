import { mkdtempSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { startMemcached } from '../support/memcached.ts'
import { type PostgresDatabase, startPostgres } from '../support/postgres.ts'
import { type RedisServer, startCluster, startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'

/** A store that several gateways share, and what lies in it past any code of ours. */
export interface RaceStore extends AsyncDisposable {
  /** Lines under `session`. */
  readonly session: readonly string[]
  /** Further sections of the YAML. */
  readonly sections: string
  /** The sessions that are in it; where nothing can be listed, those of the keys given. */
  remains(keys: readonly string[]): Promise<readonly string[]>
}

export interface RaceStoreKind {
  readonly skip: string | false
  open(): Promise<RaceStore>
}

const postgresSkip = requireServer('postgres').skip
const redisSkip = requireServer('redis').skip

/** Every engine that keeps data on a server, and can be shared by two processes. */
export const raceStores: Readonly<Record<string, RaceStoreKind>> = {
  SQLite: { skip: false, open: openSqlite },
  PostgreSQL: { skip: postgresSkip, open: openPostgres },
  Redis: { skip: redisSkip, open: openRedis },
  'a cluster of Redis': { skip: redisSkip, open: openCluster },
  memcached: { skip: requireServer('memcached').skip, open: openMemcached },
  'PostgreSQL behind Redis': { skip: postgresSkip || redisSkip, open: openCachedDb },
  files: { skip: false, open: openFiles },
}

async function openSqlite(): Promise<RaceStore> {
  const folder = mkdtempSync(join(tmpdir(), 'sessiongate-races-'))
  const path = join(folder, 'sessions.sqlite3')
  return {
    session: ['engine: db'],
    sections: `database: { url: "sqlite:${path}", create: true }`,
    async remains() {
      using database = new DatabaseSync(path, { readOnly: true, timeout: 5000 })
      return database
        .prepare('SELECT session_key AS key FROM django_session')
        .all()
        .map(({ key }) => String(key))
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}

async function openFiles(): Promise<RaceStore> {
  const folder = mkdtempSync(join(tmpdir(), 'sessiongate-races-'))
  return {
    session: ['engine: file', `file_path: ${folder}`],
    sections: '',
    remains: async () => readdirSync(folder).filter((name) => name.startsWith('sessionid')),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}

const poolOf = (url: string) => `database: { url: "${url}", create: true, pool_size: 4 }`
const redisAt = (ports: readonly number[]) => JSON.stringify(ports.map((port) => `redis://127.0.0.1:${port}`))

async function rowsIn(database: PostgresDatabase): Promise<string[]> {
  return (await database.sql('SELECT session_key FROM django_session')).map((row) => String(row.session_key))
}

async function openPostgres(): Promise<RaceStore> {
  const server = await startPostgres()
  const database = await server.createDatabase()
  return {
    session: ['engine: db'],
    sections: poolOf(database.url),
    remains: () => rowsIn(database),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

async function keysOf(servers: readonly RedisServer[]): Promise<string[]> {
  const lists = await Promise.all(servers.map((server) => server.command('KEYS', '*')))
  return lists.flat().map(String)
}

async function openRedis(): Promise<RaceStore> {
  const server = await startRedis()
  return {
    session: ['engine: cache'],
    sections: `caches: { default: { backend: redis, url: "redis://127.0.0.1:${server.port}" } }`,
    remains: () => keysOf([server]),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

async function openCluster(): Promise<RaceStore> {
  const cluster = await startCluster()
  const url = redisAt(cluster.masters.map(({ port }) => port))
  return {
    session: ['engine: cache'],
    sections: `caches: { default: { backend: redis-cluster, url: ${url} } }`,
    remains: () => keysOf(cluster.masters),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  }
}

async function openMemcached(): Promise<RaceStore> {
  const server = await startMemcached(requireServer('memcached'))
  return {
    session: ['engine: cache'],
    sections: `caches: { default: { backend: memcached, url: "127.0.0.1:${server.port}" } }`,
    async remains(keys) {
      const names = keys.map((key) => `:1:django.contrib.sessions.cache${key}`)
      return [...(await server.ask(`get ${names.join(' ')}\r\n`)).matchAll(/^VALUE (\S+)/gm)].map(
        ([, key]) => key ?? '',
      )
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

async function openCachedDb(): Promise<RaceStore> {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await startPostgres())
  const database = await server.createDatabase()
  const cache = stack.use(await startRedis())
  const closing = stack.move()
  return {
    session: ['engine: cached_db'],
    sections: `${poolOf(database.url)}
caches: { default: { backend: redis, url: "redis://127.0.0.1:${cache.port}", serializer: json } }`,
    async remains() {
      const keys = await keysOf([cache])
      const values = keys.length === 0 ? [] : ((await cache.command('MGET', ...keys)) as string[])
      // What stays there for a while is the mark that there is nothing: null, for Django and for us.
      const sessions = keys.filter((_, i) => !/^null\s*$/.test(values[i] ?? 'null'))
      return [...sessions, ...(await rowsIn(database))]
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}
