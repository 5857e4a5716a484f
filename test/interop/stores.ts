import { type MemcachedServer, startMemcached } from '../support/memcached.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { type Requirement, requireServer, type ServerName } from '../support/requirement.ts'
import type { DjangoSettings } from './django-project.ts'
import type { CacheClient, SharedCache } from './shared-caches.ts'
import type { StoreSettings } from './shared-store.ts'

/** The releases of Django that share sessions here, by the name of their Python (`requireServer`). */
export const releases = { django: 'Django 5.2', django32: 'Django 3.2' } as const

export type Release = keyof typeof releases

/** A place for sessions that a Django project and the gateway share. */
export interface SharedPlace {
  readonly release: Release
  /** `Django 5.2, db on SQLite`. */
  readonly title: string
  readonly skip: string | false
  /** False where the cookie is the session: nothing can be taken back. */
  readonly isServerSide: boolean
  /** The Python that has this release. */
  readonly python: string
  /** A new and empty one, on these servers: for the project, and for the gateway's configuration. */
  open(servers: StoreServers): Promise<DjangoSettings & StoreSettings>
}

interface Kind {
  readonly needs: readonly ServerName[]
  readonly releases: readonly Release[]
  readonly open: (servers: StoreServers) => Promise<DjangoSettings>
}

const both = ['django', 'django32'] as const

function onCache(client: CacheClient, ...releases: readonly Release[]): Kind {
  const needs: ServerName[] = [client === 'PyMemcacheCache' ? 'memcached' : 'redis']
  return { needs, releases, open: async (servers) => ({ engine: 'cache', cache: await servers.newCache(client) }) }
}

function onCachedDb(client: CacheClient, ...releases: readonly Release[]): Kind {
  return {
    needs: ['postgres', 'redis'],
    releases,
    async open(servers) {
      const [postgres, cache] = await Promise.all([servers.newDatabase(), servers.newCache(client)])
      return { engine: 'cached_db', postgres, cache }
    },
  }
}

const kinds = {
  'db on SQLite': { needs: [], releases: both, open: async () => ({ engine: 'db' }) },
  file: { needs: [], releases: both, open: async () => ({ engine: 'file' }) },
  signed_cookies: { needs: [], releases: both, open: async () => ({ engine: 'signed_cookies' }) },
  'db on PostgreSQL': {
    needs: ['postgres'],
    releases: both,
    open: async (servers) => ({ engine: 'db', postgres: await servers.newDatabase() }),
  },
  'cached_db on PostgreSQL and RedisCache': onCachedDb('RedisCache', 'django'),
  'cached_db on PostgreSQL and django-redis': onCachedDb('django-redis', 'django32'),
  'cache in RedisCache': onCache('RedisCache', 'django'),
  'cache in django-redis': onCache('django-redis', ...both),
  'cache in django-redis with JSON': onCache('django-redis with JSON', ...both),
  'cache in PyMemcacheCache': onCache('PyMemcacheCache', ...both),
} satisfies Readonly<Record<string, Kind>>

export type KindName = keyof typeof kinds

/** Those that need no server. */
export const localKinds = ['db on SQLite', 'file', 'signed_cookies'] as const satisfies KindName[]

export const databaseKinds = [
  'db on PostgreSQL',
  'cached_db on PostgreSQL and RedisCache',
  'cached_db on PostgreSQL and django-redis',
] as const satisfies KindName[]

export const cacheKinds = [
  'cache in RedisCache',
  'cache in django-redis',
  'cache in django-redis with JSON',
  'cache in PyMemcacheCache',
] as const satisfies KindName[]

/** Those of the kinds that the release has. */
export function sharedPlaces(release: Release, names: readonly KindName[]): SharedPlace[] {
  const python = requireServer(release)
  return names
    .filter((name) => (kinds[name] as Kind).releases.includes(release))
    .map((name) => placeOf({ release, name, python }))
}

function placeOf(it: { release: Release; name: KindName; python: Requirement }): SharedPlace {
  const { release, name, python } = it
  const kind: Kind = kinds[name]
  const skips = [python, ...kind.needs.map((server) => requireServer(server))].map(({ skip }) => skip)
  return {
    release,
    title: `${releases[release]}, ${name}`,
    skip: skips.find((skip) => skip !== false) ?? false,
    isServerSide: name !== 'signed_cookies',
    python: python.path,
    async open(servers) {
      const settings = await kind.open(servers)
      // Django 3.2 reads no date that stands in a session as a text.
      return release === 'django32' ? { ...settings, more: 'expiry_dates: seconds' } : settings
    },
  }
}

/** Servers of a test file, each started when it is first needed. */
export interface StoreServers extends AsyncDisposable {
  /** The URL of a new database of PostgreSQL. */
  newDatabase(): Promise<string>
  /** A prefix of its own, on the one server of that kind. */
  newCache(client: CacheClient): Promise<SharedCache>
}

export function createStoreServers(): StoreServers {
  const stack = new AsyncDisposableStack()
  const postgres = once(async (): Promise<PostgresServer> => stack.use(await startPostgres()))
  const redis = once(async (): Promise<RedisServer> => stack.use(await startRedis()))
  const memcached = once(
    async (): Promise<MemcachedServer> => stack.use(await startMemcached(requireServer('memcached'))),
  )
  let caches = 0
  return {
    newDatabase: async () => (await (await postgres()).createDatabase()).url,
    async newCache(client) {
      const keyPrefix = `place${++caches}`
      if (client !== 'PyMemcacheCache') {
        return { client, location: `redis://127.0.0.1:${(await redis()).port}/1`, keyPrefix }
      }
      const { host, port } = await memcached()
      return { client, location: `${host}:${port}`, keyPrefix }
    },
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
