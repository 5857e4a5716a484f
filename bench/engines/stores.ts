import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { startMemcached } from '../../test/support/memcached.ts'
import { startPostgres } from '../../test/support/postgres.ts'
import { startRedis } from '../../test/support/redis.ts'
import { requireServer, type ServerName } from '../../test/support/requirement.ts'

export const SECRET_KEY = 'a-secret-key-of-more-than-32-bytes-0123456789'

/** Where sessions live, as either side is told. */
export interface Place {
  /** Sections of the YAML, and lines under `session`. */
  readonly sections: string
  readonly session: readonly string[]
  /** Django's settings of the same meaning, as a stock project has them. */
  readonly django: Readonly<Record<string, unknown>>
}

export interface BenchStore {
  readonly name: string
  readonly needs: readonly ServerName[]
  /** Both sides have the same sessions; false for a memory that belongs to one process. */
  readonly isShared: boolean
  /** Parallel changes can be counted; false where nothing is kept on a server. */
  readonly merges: boolean
  open(servers: Servers, folder: string): Promise<Place>
}

/** The servers of a run: each is started when the first store asks for it. */
export interface Servers extends AsyncDisposable {
  readonly versions: Readonly<Record<string, string>>
  /** The URL of a new, empty database. */
  postgresUrl(): Promise<string>
  redisPort(): Promise<number>
  memcachedPort(): Promise<number>
}

export function createServers(): Servers {
  const stack = new AsyncDisposableStack()
  const versions: Record<string, string> = {}
  const postgres = once(async () => {
    // As it runs outside of tests: what was acknowledged is on the disk.
    const server = stack.use(await startPostgres({ fsync: true }))
    const [row] = await server.sql('SHOW server_version')
    versions.PostgreSQL = String(row?.server_version)
    return server
  })
  const redis = once(async () => {
    const server = stack.use(await startRedis())
    versions.Redis = /redis_version:(\S+)/.exec(String(await server.command('INFO', 'server')))?.[1] ?? ''
    return server
  })
  const memcached = once(async () => {
    const server = stack.use(await startMemcached(requireServer('memcached')))
    versions.memcached = /VERSION (\S+)/.exec(await server.ask('version\r\n'))?.[1] ?? ''
    return server
  })
  return {
    versions,
    postgresUrl: async () => (await (await postgres()).createDatabase()).url,
    redisPort: async () => (await redis()).port,
    memcachedPort: async () => (await memcached()).port,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

function once<T>(start: () => Promise<T>): () => Promise<T> {
  let started: Promise<T> | undefined
  return () => {
    started ??= start()
    return started
  }
}

const backends = 'django.contrib.sessions.backends'
const djangoCaches = {
  redis: (port: number) => ({
    default: { BACKEND: 'django.core.cache.backends.redis.RedisCache', LOCATION: `redis://127.0.0.1:${port}` },
  }),
  memcached: (port: number) => ({
    default: { BACKEND: 'django.core.cache.backends.memcached.PyMemcacheCache', LOCATION: `127.0.0.1:${port}` },
  }),
  // Its default of 300 entries would throw sessions away.
  memory: { default: { BACKEND: 'django.core.cache.backends.locmem.LocMemCache', OPTIONS: { MAX_ENTRIES: 10_000 } } },
}

function djangoPostgres(url: string): object {
  const { hostname: HOST, port: PORT, username: USER, pathname } = new URL(url)
  return { default: { ENGINE: 'django.db.backends.postgresql', HOST, PORT, USER, NAME: pathname.slice(1) } }
}

const redisYaml = (port: number) => `caches: { default: { backend: redis, url: "redis://127.0.0.1:${port}" } }`

/** All the engines, on all that they stand on. */
export const benchStores: readonly BenchStore[] = [
  {
    name: 'db on SQLite',
    needs: [],
    isShared: true,
    merges: true,
    async open(_, folder) {
      const path = join(folder, 'sessions.sqlite3')
      return {
        session: ['engine: db'],
        sections: `database: { url: "sqlite:${path}", create: true }`,
        django: {
          SESSION_ENGINE: `${backends}.db`,
          DATABASES: { default: { ENGINE: 'django.db.backends.sqlite3', NAME: path } },
        },
      }
    },
  },
  {
    name: 'db on PostgreSQL',
    needs: ['postgres'],
    isShared: true,
    merges: true,
    async open(servers) {
      const url = await servers.postgresUrl()
      return {
        session: ['engine: db'],
        sections: `database: { url: "${url}", create: true }`,
        django: { SESSION_ENGINE: `${backends}.db`, DATABASES: djangoPostgres(url) },
      }
    },
  },
  {
    name: 'cache on Redis',
    needs: ['redis'],
    isShared: true,
    merges: true,
    async open(servers) {
      const port = await servers.redisPort()
      return {
        session: ['engine: cache'],
        sections: redisYaml(port),
        django: { SESSION_ENGINE: `${backends}.cache`, CACHES: djangoCaches.redis(port) },
      }
    },
  },
  {
    name: 'cache on memcached',
    needs: ['memcached'],
    isShared: true,
    merges: true,
    async open(servers) {
      const port = await servers.memcachedPort()
      return {
        session: ['engine: cache'],
        sections: `caches: { default: { backend: memcached, url: "127.0.0.1:${port}" } }`,
        django: { SESSION_ENGINE: `${backends}.cache`, CACHES: djangoCaches.memcached(port) },
      }
    },
  },
  {
    name: 'cached_db on PostgreSQL and Redis',
    needs: ['postgres', 'redis'],
    isShared: true,
    merges: true,
    async open(servers) {
      const [url, port] = [await servers.postgresUrl(), await servers.redisPort()]
      return {
        session: ['engine: cached_db'],
        sections: `database: { url: "${url}", create: true }\n${redisYaml(port)}`,
        django: {
          SESSION_ENGINE: `${backends}.cached_db`,
          DATABASES: djangoPostgres(url),
          CACHES: djangoCaches.redis(port),
        },
      }
    },
  },
  {
    name: 'file',
    needs: [],
    isShared: true,
    merges: true,
    async open(_, folder) {
      const path = join(folder, 'sessions')
      await mkdir(path, { mode: 0o700 })
      return {
        session: ['engine: file', `file_path: ${path}`],
        sections: '',
        django: { SESSION_ENGINE: `${backends}.file`, SESSION_FILE_PATH: path },
      }
    },
  },
  {
    name: 'signed_cookies',
    needs: [],
    isShared: true,
    merges: false,
    async open() {
      return {
        session: ['engine: signed_cookies'],
        sections: '',
        django: { SESSION_ENGINE: `${backends}.signed_cookies` },
      }
    },
  },
  {
    name: 'cache in memory',
    needs: [],
    isShared: false,
    merges: true,
    async open() {
      return {
        session: ['engine: cache'],
        sections: 'caches: { default: { backend: memory } }',
        django: { SESSION_ENGINE: `${backends}.cache`, CACHES: djangoCaches.memory },
      }
    },
  },
]
