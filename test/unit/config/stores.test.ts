// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CacheConfig, EngineConfig } from '../../../src/config/config.ts'
import { loadText, withSections } from '../../config/sample.ts'

const SECRET = 'k'.repeat(50)
const shared = [`keys: [{ id: a, secret: ${SECRET} }]`]

/** The engine of a file whose `session` holds these keys beside a secret. */
async function engineOf(session: string, ...sections: string[]): Promise<EngineConfig> {
  const text = withSections(`session: { secret_key: ${SECRET}, ${session} }`, ...shared, ...sections)
  return (await loadText(text)).config.session.engine
}

async function cacheOf(cache: string): Promise<CacheConfig> {
  const engine = await engineOf('engine: cache', `caches: { default: { ${cache} } }`)
  assert.equal(engine.kind, 'cache')
  return engine.kind === 'cache' ? engine.cache : assert.fail()
}

const layout = { alias: 'default', keyPrefix: '', version: 1, serializer: 'pickle' }
const noEntry = { username: undefined, password: undefined, database: 0, tls: undefined }

test('files are kept where the file says, or in the temporary directory', async () => {
  assert.deepEqual(await engineOf('engine: file, file_path: ./sessions'), { kind: 'file', directory: '/srv/sessions' })
  const { config } = await loadText(withSections('session: { engine: file }'), { env: { TMPDIR: '/var/tmp' } })
  assert.deepEqual(config.session.engine, { kind: 'file', directory: '/var/tmp' })
})

test('signed cookies stand on nothing', async () => {
  assert.deepEqual(await engineOf('engine: signed_cookies'), { kind: 'signed_cookies' })
})

test('a database of SQLite is a file', async () => {
  assert.deepEqual(
    await engineOf('engine: db', 'database: { url: "sqlite:/data/db.sqlite3", create: true, use_tz: false }'),
    {
      kind: 'db',
      database: { kind: 'sqlite', path: '/data/db.sqlite3', isOwn: false, useTz: false, create: true },
    },
  )
})

test('a database of PostgreSQL has a pool, and its URL is a secret', async () => {
  const engine = await engineOf(
    'engine: db',
    'database: { url: "postgres://u:hunter2@db.internal/shop", pool_size: 3, pgbouncer: true }',
  )
  assert.equal(engine.kind, 'db')
  if (engine.kind !== 'db' || engine.database.kind !== 'postgres') return assert.fail()
  const { url, ...rest } = engine.database
  assert.equal(url.reveal(), 'postgres://u:hunter2@db.internal/shop')
  assert.deepEqual(rest, {
    kind: 'postgres',
    place: 'db.internal:5432/shop',
    useTz: true,
    create: false,
    poolSize: 3,
    pgbouncer: true,
    createsTrigger: false,
  })
})

test('a database of PostgreSQL has ten connections unless the file says otherwise', async () => {
  const engine = await engineOf('engine: db', 'database: { url: "postgres://db/shop" }')
  if (engine.kind !== 'db' || engine.database.kind !== 'postgres') return assert.fail()
  assert.equal(engine.database.poolSize, 10)
  assert.equal(engine.database.pgbouncer, false)
})

test('a cache in memory has a layout like any other', async () => {
  assert.deepEqual(await cacheOf('backend: memory'), { ...layout, kind: 'memory' })
})

test('a cache in Redis is one server', async () => {
  assert.deepEqual(
    await cacheOf('backend: redis, url: "redis://127.0.0.1:6379/1", key_prefix: shop, version: 2, serializer: json'),
    {
      alias: 'default',
      keyPrefix: 'shop',
      version: 2,
      serializer: 'json',
      kind: 'redis',
      server: { kind: 'tcp', host: '127.0.0.1', port: 6379 },
      ...noEntry,
      database: 1,
    },
  )
  assert.deepEqual(await cacheOf('backend: redis, url: ["unix:./redis.sock?db=3"]'), {
    ...layout,
    kind: 'redis',
    server: { kind: 'unix', path: '/srv/redis.sock' },
    ...noEntry,
    database: 3,
  })
})

const entries: [why: string, cache: string][] = [
  ['in the URL', 'url: "redis://ann:hunter2@h/4"'],
  ['under keys', 'url: "redis://h", username: ann, password: hunter2, database: 4'],
  ['in the URL and under keys, each once', 'url: "redis://ann:hunter2@h", database: 4'],
]

for (const [why, cache] of entries) {
  test(`what lets one into Redis stands ${why}`, async () => {
    const config = await cacheOf(`backend: redis, ${cache}`)
    assert.equal(config.kind, 'redis')
    if (config.kind !== 'redis') return
    assert.deepEqual([config.username, config.password?.reveal(), config.database], ['ann', 'hunter2', 4])
  })
}

test('TLS is that of the system, but for what the file says', async () => {
  const system = await cacheOf('backend: redis, url: "rediss://h"')
  const none = { caFile: undefined, certFile: undefined, keyFile: undefined, serverName: undefined }
  assert.deepEqual(system.kind === 'redis' && system.tls, none)
  const own = await cacheOf(
    'backend: redis, url: "rediss://h", tls: { ca: ca.crt, cert: /etc/c.crt, key: c.key, server_name: cache.internal }',
  )
  assert.deepEqual(own.kind === 'redis' && own.tls, {
    caFile: '/srv/ca.crt',
    certFile: '/etc/c.crt',
    keyFile: '/srv/c.key',
    serverName: 'cache.internal',
  })
})

test('sentinels are asked for a server by its name', async () => {
  const config = await cacheOf(
    'backend: redis-sentinel, url: [redis://s1, "redis://s2:26380"], master: mymaster, password: a, database: 2, sentinel_password: b',
  )
  assert.equal(config.kind, 'redis-sentinel')
  if (config.kind !== 'redis-sentinel') return
  assert.deepEqual(config.sentinels, [
    { kind: 'tcp', host: 's1', port: 26379 },
    { kind: 'tcp', host: 's2', port: 26380 },
  ])
  assert.equal(config.master, 'mymaster')
  assert.equal(config.database, 2)
  assert.deepEqual([config.password?.reveal(), config.sentinelPassword?.reveal()], ['a', 'b'])
  assert.equal(config.sentinelUsername, undefined)
})

test('a cluster is known by some of its nodes', async () => {
  const config = await cacheOf('backend: redis-cluster, url: ["rediss://n1", "rediss://n2:7000/0"]')
  assert.equal(config.kind, 'redis-cluster')
  if (config.kind !== 'redis-cluster') return
  assert.deepEqual(
    config.nodes.map(({ host, port }) => `${host}:${port}`),
    ['n1:6379', 'n2:7000'],
  )
  assert.equal(config.database, 0)
  assert.notEqual(config.tls, undefined)
})

test('memcached is one server', async () => {
  assert.deepEqual(await cacheOf('backend: memcached, url: "cache:11211"'), {
    ...layout,
    kind: 'memcached',
    server: { kind: 'tcp', host: 'cache', port: 11211 },
  })
  assert.deepEqual(await cacheOf('backend: memcached, url: unix:memcached.sock'.replace('unix:', 'unix:./')), {
    ...layout,
    kind: 'memcached',
    server: { kind: 'unix', path: '/srv/memcached.sock' },
  })
})

test('cached_db stands on a database and on a cache', async () => {
  const engine = await engineOf(
    'engine: cached_db, cache_alias: fast',
    'database: { url: "postgres://db/shop" }',
    'caches: { fast: { backend: redis, url: "redis://h" } }',
  )
  assert.equal(engine.kind, 'cached_db')
  if (engine.kind !== 'cached_db') return
  assert.equal(engine.database.kind, 'postgres')
  assert.deepEqual([engine.cache.alias, engine.cache.kind], ['fast', 'redis'])
})

test('a second engine is read where the file says so, from the database at the top or from one of its own', async () => {
  const fromRedis = await loadText(
    withSections(
      `session: { secret_key: ${SECRET}, read_also: { engine: cache } }`,
      ...shared,
      'caches: { default: { backend: redis, url: "redis://h" } }',
    ),
  )
  const { engine, readAlso } = fromRedis.config.session
  assert.deepEqual([engine.kind, readAlso?.engine.kind, readAlso?.moves], ['db', 'cache', true])
  const fromFile = await loadText(
    withSections(
      `session: { secret_key: ${SECRET}, read_also: { engine: db, move: false, database: { url: "sqlite:old.sqlite3", use_tz: false } } }`,
      ...shared,
      'database: { url: "postgres://db/shop" }',
    ),
  )
  assert.equal(fromFile.config.session.readAlso?.moves, false)
  assert.deepEqual(fromFile.config.session.readAlso?.engine, {
    kind: 'db',
    database: { kind: 'sqlite', path: '/srv/old.sqlite3', isOwn: false, useTz: false, create: false },
  })
  const fromTop = await loadText(
    withSections(
      `session: { secret_key: ${SECRET}, engine: cache, read_also: { engine: db } }`,
      ...shared,
      'database: { url: "sqlite:db.sqlite3" }',
      'caches: { default: { backend: redis, url: "redis://h" } }',
    ),
  )
  assert.deepEqual(fromTop.config.session.readAlso?.engine, {
    kind: 'db',
    database: { kind: 'sqlite', path: '/srv/db.sqlite3', isOwn: false, useTz: true, create: false },
  })
})

test('USE_TZ is that of the project, whatever its engine', async () => {
  const text = withSections('session: { engine: file, file_path: ./s }', 'database: { use_tz: false }')
  assert.equal((await loadText(text)).config.session.useTz, false)
})

test('a configuration with stores prints no password, but tells the servers apart', async () => {
  const engine = await engineOf(
    'engine: cached_db',
    'database: { url: "postgres://u:hunter2@db/shop?sslmode=require" }',
    'caches: { default: { backend: redis, url: "redis://:hunter2@h" } }',
  )
  const printed = JSON.stringify(engine)
  assert.ok(!printed.includes('hunter2'), printed)
  assert.ok(printed.includes('db:5432/shop') && printed.includes('"h"'), printed)
})
