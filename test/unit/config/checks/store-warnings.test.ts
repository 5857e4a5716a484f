// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { problemsOf, withSections } from '../../../config/sample.ts'

const SECRET = 'k'.repeat(50)

/** A file with these keys under `session`, a secret beside them, and further sections. */
function file(session: string, ...sections: string[]): string {
  const keys = `keys: [{ id: a, secret: ${SECRET} }]`
  return withSections(`session: { cookie_secure: true, secret_key: ${SECRET}, ${session} }`, keys, ...sections)
}

function cache(entry: string, session = 'engine: cache'): string {
  return file(session, `caches: { default: { ${entry} } }`)
}

const warnings: [why: string, text: string, path: string, message: RegExp][] = [
  [
    'a database across the internet in plain text',
    file('engine: db', 'database: { url: "postgres://u:hunter2@db.example.com/shop" }'),
    'database.url',
    /travel in plain text/,
  ],
  [
    'the same, said',
    file('engine: db', 'database: { url: "postgres://u:hunter2@8.8.8.8/shop?sslmode=disable" }'),
    'database.url',
    /travel in plain text/,
  ],
  [
    'a database that may be another',
    file('engine: db', 'database: { url: "postgres://db.example.com/shop?sslmode=require" }'),
    'database.url',
    /takes whoever answers/,
  ],
  [
    'a database to move from across the internet',
    file('read_also: { engine: db, database: { url: "postgres://db.example.com/shop" } }'),
    'session.read_also.database.url',
    /travel in plain text/,
  ],
  [
    'a cache across the internet in plain text',
    cache('backend: redis, url: "redis://:hunter2@cache.example.com"'),
    'caches.default.url',
    /log in as anybody/,
  ],
  [
    'a node of a cluster across the internet',
    cache('backend: redis-cluster, url: ["redis://a", "redis://9.9.9.9"]'),
    'caches.default.url',
    /log in as anybody/,
  ],
  ['memcached', cache('backend: memcached, url: "127.0.0.1:11211"'), 'caches.default.backend', /drops sessions/],
  ['sessions in memory', cache('backend: memory'), 'caches.default.backend', /gone when the gateway restarts/],
  [
    'copies in memory',
    cache('backend: memory', 'engine: cached_db'),
    'caches.default.backend',
    /hears of nothing that Django/,
  ],
  ['a pool of SQLite', file('engine: db', 'database: { pool_size: 5 }'), 'database.pool_size', /is for PostgreSQL/],
  [
    'a PgBouncer before SQLite',
    file('engine: db', 'database: { pgbouncer: true }'),
    'database.pgbouncer',
    /for PostgreSQL/,
  ],
]

const postgres = 'url: "postgres://u:p@10.0.0.5/shop"'
const redis = 'caches: { default: { backend: redis, url: "redis://redis" } }'

/** Settings about sessions in the process, where none can be kept. */
warnings.push(
  [
    'a local cache over files',
    file('engine: file, file_path: ./var, local_cache: {}'),
    'session.local_cache',
    /local_cache is without effect, since files tell of no changes/,
  ],
  [
    'a local cache over memcached',
    cache('backend: memcached, url: "127.0.0.1:11211"', 'engine: cache, local_cache: {}'),
    'session.local_cache',
    /memcached tells of no changes/,
  ],
  [
    'a local cache over cached_db on memory',
    cache('backend: memory', 'engine: cached_db, local_cache: {}'),
    'session.local_cache',
    /memory is this process already/,
  ],
  [
    'a local cache behind PgBouncer',
    file('engine: db, local_cache: {}', `database: { ${postgres}, pgbouncer: true }`),
    'session.local_cache',
    /PgBouncer in transaction mode hands on no notices/,
  ],
  [
    'a local cache over two stores',
    file('local_cache: {}, read_also: { engine: cache }', redis),
    'session.local_cache',
    /sessions are in two stores/,
  ],
  [
    'a local cache over cookies',
    file('engine: signed_cookies, local_cache: {}'),
    'session.local_cache',
    /sessions in cookies are in no store/,
  ],
  [
    'a trigger on SQLite',
    file('engine: db', 'database: { notify: create }'),
    'database.notify',
    /notify is for PostgreSQL/,
  ],
  [
    'a trigger behind PgBouncer',
    file('engine: db', `database: { ${postgres}, pgbouncer: true, notify: create }`),
    'database.notify',
    /notify is without effect, since a PgBouncer/,
  ],
  [
    'a trigger that nobody listens to',
    file('engine: db, local_cache: null', `database: { ${postgres}, notify: create }`),
    'database.notify',
    /since local_cache is null/,
  ],
  [
    'a trigger beside a cache that tells of changes',
    file('engine: cached_db', `database: { ${postgres}, notify: create }`, redis),
    'database.notify',
    /the cache of cached_db tells of changes/,
  ],
  [
    'a trigger in a database to move from',
    file(`engine: cache, read_also: { engine: db, database: { ${postgres}, notify: create } }`, redis),
    'session.read_also.database.notify',
    /sessions are in two stores/,
  ],
)

for (const [why, text, path, message] of warnings) {
  test(`a warning and no error: ${why}`, async () => {
    const found = await problemsOf(text)
    assert.deepEqual(
      found.filter(({ severity }) => severity === 'error'),
      [],
    )
    const problem = found.find((candidate) => message.test(candidate.message))
    assert.ok(problem, JSON.stringify(found, undefined, 2))
    assert.equal(problem.path, path)
    assert.ok(problem.hint, 'the way out')
    assert.ok(!JSON.stringify(found).includes('hunt'), JSON.stringify(found))
  })
}

const fine: [why: string, text: string][] = [
  ['PostgreSQL in the own network', file('engine: db', 'database: { url: "postgres://u:p@10.0.0.5/shop" }')],
  ['PostgreSQL by its socket', file('engine: db', 'database: { url: "postgres:///shop?host=/var/run/postgresql" }')],
  [
    'PostgreSQL across the internet, verified',
    file('engine: db', 'database: { url: "postgres://u:p@db.example.com/shop?sslmode=verify-full", pool_size: 4 }'),
  ],
  ['a trigger in PostgreSQL', file('engine: db, local_cache: {}', `database: { ${postgres}, notify: create }`)],
  ['a local cache over Redis', cache('backend: redis, url: "redis://redis"', 'engine: cache, local_cache: {}')],
  ['a local cache over both', cache('backend: redis, url: "redis://redis"', 'engine: cached_db, local_cache: {}')],
  ['no local cache over files', file('engine: file, file_path: ./var, local_cache: null')],
  ['Redis beside it', cache('backend: redis, url: "redis://127.0.0.1:6379/1"')],
  ['Redis across the internet, in TLS', cache('backend: redis, url: "rediss://cache.example.com"')],
  ['Sentinel', cache('backend: redis-sentinel, url: [redis://s1, redis://s2, redis://s3], master: mymaster')],
  ['a cluster', cache('backend: redis-cluster, url: [redis://n1, redis://n2]')],
  ['cached_db', cache('backend: redis, url: "redis://redis"', 'engine: cached_db')],
  [
    'another engine to read',
    file('read_also: { engine: cache }', 'caches: { default: { backend: redis, url: "redis://redis" } }'),
  ],
  [
    'cached_db, and before it the cache alone',
    cache('backend: redis, url: "redis://redis"', 'engine: cached_db, read_also: { engine: cache }'),
  ],
]

for (const [why, text] of fine) {
  test(`nothing to say but that the login is open: ${why}`, async () => {
    const found = await problemsOf(text)
    assert.deepEqual(
      found.filter(({ message }) => !message.includes('is open to strangers (auth: public)')),
      [],
    )
  })
}
