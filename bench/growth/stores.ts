import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sqliteDateText } from '../../src/django/dates.ts'
import { jsonText } from '../../src/django/json.ts'
import { createSessionCodec } from '../../src/django/session-data.ts'
import { DJANGO_SESSION_SQL } from '../../src/sessions/databases/postgres-schema.ts'
import { openSqliteTable } from '../../src/sessions/databases/sqlite.ts'
import { startMemcached } from '../../test/support/memcached.ts'
import { type PostgresDatabase, startPostgres } from '../../test/support/postgres.ts'
import { startRedis } from '../../test/support/redis.ts'
import { requireServer, type ServerName } from '../../test/support/requirement.ts'
import { sampleSession } from '../engines/sample-session.ts'

export const SECRET_KEY = 'a-secret-key-of-more-than-32-bytes-0123456789'

/** What is stored, so many times: of JSON. */
export const SESSION_BYTES = 300

/** Every other session ends so long after the filling began; the rest live for a day. */
export const SHORT_LIFE_MS = 3 * 3_600_000
const LONG_LIFE_MS = 24 * 3_600_000

/** The key of a session by its number, the same in JavaScript and in SQL. */
export function keyOf(number: number): string {
  return createHash('md5').update(`${number}`).digest('hex')
}

export function endOf(number: number, now: number): number {
  return now + (number % 2 === 0 ? LONG_LIFE_MS : SHORT_LIFE_MS)
}

/** One store with so many sessions to come. */
export interface GrowthPlace {
  /** Sections of the YAML, and lines under `session`. */
  readonly sections: string
  readonly session: readonly string[]
  /** Past the engine, as fast as the store can; undefined: the engine adopts them one by one. */
  readonly fill: ((count: number) => Promise<void>) | undefined
}

export interface GrowthStore {
  readonly name: string
  readonly needs: readonly ServerName[]
  /** What is over stays until somebody clears it. */
  readonly sweeps: boolean
  /** The sessions lie in the measured process itself, so its memory says nothing. */
  readonly isOwnMemory?: boolean
  /** `label` keeps the small and the large one apart on one server. */
  open(servers: Servers, folder: string, label: string): Promise<GrowthPlace>
}

/** The servers of a run: each is started when the first store asks for it. */
export interface Servers extends AsyncDisposable {
  postgres(): Promise<PostgresDatabase>
  redisPort(): Promise<number>
  memcachedPort(): Promise<number>
}

export function createServers(): Servers {
  const stack = new AsyncDisposableStack()
  const postgres = once(async () => stack.use(await startPostgres({ fsync: true, settings: { max_wal_size: '4GB' } })))
  const redis = once(async () => stack.use(await startRedis()))
  const memcached = once(async () => stack.use(await startMemcached(requireServer('memcached'), ['-m', '4096'])))
  return {
    postgres: async () => await (await postgres()).createDatabase(),
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

function textOf(expiresAt?: number): string {
  const data = new Map(sampleSession(SESSION_BYTES))
  if (expiresAt !== undefined) data.set('_session_expiry', jsonText(new Date(expiresAt).toISOString()))
  return createSessionCodec({ secretKey: SECRET_KEY }).encode(data, Date.now())
}

async function fillSqlite(path: string, count: number): Promise<void> {
  const table = await openSqliteTable({ path, create: 'always', useTz: true, busyTimeoutMs: 5000, clock: Date.now })
  await table[Symbol.asyncDispose]()
  using database = new DatabaseSync(path)
  const insert = database.prepare('INSERT INTO django_session VALUES (?, ?, ?)')
  const [text, now] = [textOf(), Date.now()]
  database.exec('BEGIN')
  for (let i = 0; i < count; i++) insert.run(keyOf(i), text, sqliteDateText(endOf(i, now), true))
  database.exec('COMMIT')
}

async function fillPostgres(database: PostgresDatabase, count: number): Promise<void> {
  await database.sql(DJANGO_SESSION_SQL.join('; '))
  await database.sql(
    `INSERT INTO django_session SELECT md5(i::text), '${textOf()}', now() + CASE WHEN i % 2 = 0 ` +
      `THEN interval '${LONG_LIFE_MS} milliseconds' ELSE interval '${SHORT_LIFE_MS} milliseconds' END ` +
      `FROM generate_series(0, ${count - 1}) AS i`,
  )
  await database.sql('ANALYZE django_session')
}

/** Nothing is synced: what is lost in a crash is a benchmark. */
function fillFolder(directory: string, count: number): void {
  const now = Date.now()
  const texts = [endOf(0, now), endOf(1, now)].map((expiresAt) => Buffer.from(textOf(expiresAt)))
  for (let i = 0; i < count; i++) {
    const file = openSync(join(directory, `sessionid${keyOf(i)}`), 'wx', 0o600)
    writeSync(file, texts[i % 2] ?? Buffer.alloc(0))
    closeSync(file)
  }
}

/** All the engines that keep something. */
export const growthStores: readonly GrowthStore[] = [
  {
    name: 'db on SQLite',
    needs: [],
    sweeps: true,
    async open(_, folder, label) {
      const path = join(folder, `${label}.sqlite3`)
      return {
        session: ['engine: db'],
        sections: `database: { url: "sqlite:${path}", create: true }`,
        fill: (count) => fillSqlite(path, count),
      }
    },
  },
  {
    name: 'db on PostgreSQL',
    needs: ['postgres'],
    sweeps: true,
    async open(servers) {
      const database = await servers.postgres()
      return {
        session: ['engine: db'],
        sections: `database: { url: "${database.url}" }`,
        fill: (count) => fillPostgres(database, count),
      }
    },
  },
  {
    name: 'cached_db on PostgreSQL and Redis',
    needs: ['postgres', 'redis'],
    sweeps: true,
    async open(servers, _, label) {
      const [database, port] = [await servers.postgres(), await servers.redisPort()]
      return {
        session: ['engine: cached_db'],
        sections:
          `database: { url: "${database.url}" }\n` +
          `caches: { default: { backend: redis, url: "redis://127.0.0.1:${port}", key_prefix: ${label} } }`,
        fill: (count) => fillPostgres(database, count),
      }
    },
  },
  {
    name: 'cache on Redis',
    needs: ['redis'],
    sweeps: false,
    async open(servers, _, label) {
      const port = await servers.redisPort()
      return {
        session: ['engine: cache'],
        sections: `caches: { default: { backend: redis, url: "redis://127.0.0.1:${port}", key_prefix: ${label} } }`,
        fill: undefined,
      }
    },
  },
  {
    name: 'cache on memcached',
    needs: ['memcached'],
    sweeps: false,
    async open(servers, _, label) {
      const port = await servers.memcachedPort()
      return {
        session: ['engine: cache'],
        sections: `caches: { default: { backend: memcached, url: "127.0.0.1:${port}", key_prefix: ${label} } }`,
        fill: undefined,
      }
    },
  },
  {
    name: 'file',
    needs: [],
    sweeps: true,
    async open(_, folder, label) {
      const path = join(folder, label)
      mkdirSync(path, { mode: 0o700 })
      return {
        session: ['engine: file', `file_path: ${path}`],
        sections: '',
        fill: async (count) => fillFolder(path, count),
      }
    },
  },
  {
    name: 'cache in memory',
    needs: [],
    sweeps: true,
    isOwnMemory: true,
    async open() {
      return {
        session: ['engine: cache'],
        sections: 'caches: { default: { backend: memory } }',
        fill: undefined,
      }
    },
  },
]
