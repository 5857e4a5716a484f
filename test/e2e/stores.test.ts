import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { startExampleApp } from '../support/example-app.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { type MemcachedServer, startMemcached } from '../support/memcached.ts'
import { createPageVisitor } from '../support/page-visitor.ts'
import { type PostgresDatabase, type PostgresServer, startPostgres } from '../support/postgres.ts'
import {
  type RedisCluster,
  type RedisSentinels,
  type RedisServer,
  startCluster,
  startRedis,
  startSentinels,
} from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'

const checkout = resolve(import.meta.dirname, '../..')
const SECRET_KEY = 'a-secret-key-of-more-than-32-bytes-0123456789'

/** A store as the YAML names it, and what lies in it past any code of ours. */
interface Store {
  /** Sections at the top; what `session` holds comes over that of the demo. */
  readonly yaml: Readonly<Record<string, unknown>>
  /** Files beside the YAML, by name. */
  readonly files?: Readonly<Record<string, string>>
  /** Whether a session lies under that key. */
  has(key: string): Promise<boolean>
}

interface Stage extends AsyncDisposable {
  readonly gateway: TestGateway
  /** Ends the gateway politely and starts it again, on another store if one is given. */
  restart(other?: Store): Promise<void>
}

/** The demo on another store: `npm start` with a few lines changed. */
async function startOn(store: Store): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'sessiongate-store-'))
  stack.defer(() => rm(folder, { recursive: true }))
  mkdirSync(join(folder, 'var'))
  writeFileSync(join(folder, 'var/signing-key'), 'k'.repeat(43))
  const app = stack.use(await startExampleApp(folder))
  const demo = parse(readFileSync(join(checkout, 'config/sessiongate.yaml'), 'utf8'))
  const start = ({ yaml: { session, ...sections }, files = {} }: Store) =>
    startGateway({
      config: stringify({
        ...demo,
        keys: [{ id: 'generated', secret: `\${file:${folder}/var/signing-key}` }],
        session: { ...demo.session, secret_key: SECRET_KEY, ...(session as object) },
        ...sections,
      }),
      folder,
      files,
      env: { APP: app.origin, LISTEN: '127.0.0.1:0', ADMIN_LISTEN: '127.0.0.1:0' },
    })
  const running = { gateway: await start(store) }
  stack.defer(() => running.gateway[Symbol.asyncDispose]())
  const closing = stack.move()
  return {
    get gateway() {
      return running.gateway
    },
    async restart(other = store) {
      assert.equal(await running.gateway.stop(), 0)
      running.gateway = await start(other)
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** From the login to the log-out, and what is left for whoever kept the cookie. */
async function assertLife(store: Store): Promise<void> {
  await using stage = await startOn(store)
  const ready = await fetch(`${stage.gateway.operatorUrl}/readyz`)
  assert.equal(ready.status, 200, await ready.text())
  const visitor = await createPageVisitor(stage.gateway.url)
  const loggedIn = await visitor.submit('/login', { name: 'Zoë', password: 'any' })
  assert.deepEqual([loggedIn.status, loggedIn.location], [303, '/'], stage.gateway.stderr())
  const key = (await visitor.cookie('sessionid')) ?? ''
  assert.match(key, /^[a-z0-9]{32}$/)
  assert.equal(await store.has(key), true)
  await visitor.submit('/cart', { tea: 'sencha', step: '1' })
  assert.match((await visitor.open('/')).html, /Hello, Zoë/)
  const loggedOut = await visitor.submit('/logout', {})
  assert.deepEqual([loggedOut.status, loggedOut.location], [303, '/login'])
  assert.equal(await store.has(key), false)
  const thief = await createPageVisitor(stage.gateway.url, [`sessionid=${key}`])
  assert.equal((await thief.open('/')).location, '/login?next=%2F')
  assert.equal(await store.has(key), false)
  assert.deepEqual(
    stage.gateway.log.filter(({ level }) => level === 'error'),
    [],
  )
}

function onCache(cache: Readonly<Record<string, unknown>>): Store['yaml'] {
  return { session: { engine: 'cache' }, caches: { default: cache } }
}

const cacheKey = (key: string, prefix = ':1:') => `${prefix}django.contrib.sessions.cache${key}`

async function hasRow(database: PostgresDatabase, key: string): Promise<boolean> {
  return (await database.sql('SELECT 1 FROM django_session WHERE session_key = $1', [key])).length > 0
}

const postgres = requireServer('postgres')
const redis = requireServer('redis')
const memcached = requireServer('memcached')

describe('sessions in PostgreSQL', { skip: postgres.skip }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server[Symbol.asyncDispose]())

  for (const way of ['url', 'socketUrl'] as const) {
    test(`by ${way === 'url' ? 'a port' : 'its socket'}`, async () => {
      const database = await server.createDatabase()
      const url = database[way]
      await assertLife({
        yaml: { database: { url, create: true, pool_size: 2 } },
        has: (key) => hasRow(database, key),
      })
    })
  }

  test('with a cache in Redis before it', { skip: redis.skip }, async () => {
    const database = await server.createDatabase()
    await using cache = await startRedis()
    await assertLife({
      yaml: {
        session: { engine: 'cached_db' },
        database: { url: database.url, create: true },
        caches: { default: { backend: 'redis', url: `redis://127.0.0.1:${cache.port}` } },
      },
      has: (key) => hasRow(database, key),
    })
    const [slot] = (await cache.command('KEYS', '*')) as string[]
    assert.match(slot ?? '', /^:1:django\.contrib\.sessions\.cached_db[a-z0-9]{32}$/)
  })
})

describe('sessions that move from Redis to PostgreSQL', { skip: postgres.skip || redis.skip }, () => {
  test('nobody is logged out, and a log-out ends the session in both', async () => {
    await using server = await startPostgres()
    const database = await server.createDatabase()
    await using cache = await startRedis()
    const caches = { old: { backend: 'redis', url: `redis://127.0.0.1:${cache.port}` } }
    const isInRedis = async (key: string) => (await cache.command('EXISTS', cacheKey(key))) === 1
    const before: Store = { yaml: { session: { engine: 'cache', cache_alias: 'old' }, caches }, has: isInRedis }
    const after: Store = {
      yaml: {
        session: { engine: 'db', read_also: { engine: 'cache', cache_alias: 'old' } },
        database: { url: database.url, create: true },
        caches,
      },
      has: (key) => hasRow(database, key),
    }
    await using stage = await startOn(before)
    const logIn = async (name: string) => {
      const visitor = await createPageVisitor(stage.gateway.url)
      await visitor.submit('/login', { name, password: 'any' })
      return (await visitor.cookie('sessionid')) ?? ''
    }
    const [ada, grace] = [await logIn('Ada'), await logIn('Grace')]
    assert.deepEqual([await isInRedis(ada), await isInRedis(grace)], [true, true])

    await stage.restart(after)
    const visitor = await createPageVisitor(stage.gateway.url, [`sessionid=${ada}`])
    assert.match((await visitor.open('/')).html, /Hello, Ada/)
    assert.deepEqual([await isInRedis(ada), await after.has(ada)], [true, false], 'reading moves nothing')
    await visitor.submit('/cart', { tea: 'sencha', step: '1' })
    assert.deepEqual([await isInRedis(ada), await after.has(ada)], [false, true], 'a change does')
    assert.match((await visitor.open('/')).html, /Hello, Ada/)
    const other = await createPageVisitor(stage.gateway.url, [`sessionid=${grace}`])
    assert.equal((await other.submit('/logout', {})).location, '/login')
    await visitor.submit('/logout', {})
    for (const key of [ada, grace]) {
      assert.deepEqual([await isInRedis(key), await after.has(key)], [false, false])
      const thief = await createPageVisitor(stage.gateway.url, [`sessionid=${key}`])
      assert.equal((await thief.open('/')).location, '/login?next=%2F')
    }
  })
})

describe('sessions in Redis', { skip: redis.skip }, () => {
  let server: RedisServer
  before(async () => {
    server = await startRedis()
  })
  after(() => server[Symbol.asyncDispose]())

  test('by a port, in a database of their own', async () => {
    await assertLife({
      yaml: onCache({ backend: 'redis', url: `redis://127.0.0.1:${server.port}/3` }),
      has: async (key) => {
        const replies = await server.command(
          'EVAL',
          `redis.call('SELECT', 3) return redis.call('EXISTS', KEYS[1])`,
          1,
          cacheKey(key),
        )
        return replies === 1
      },
    })
  })

  test('by a socket, as JSON, behind a prefix and a version', async () => {
    await assertLife({
      yaml: onCache({
        backend: 'redis',
        url: `unix://${server.socketPath}`,
        key_prefix: 'shop',
        version: 7,
        serializer: 'json',
      }),
      has: async (key) => /^\{"userInfo":/.test(String(await server.command('GET', cacheKey(key, 'shop:7:')))),
    })
  })

  test('in TLS on both sides, as a user of the access list', async () => {
    // As docs/stores.md has it.
    const acl = [
      'user gate on >hunter2 ~:1:django* resetchannels +@connection +get +strlen +pttl +set +del +eval +evalsha +scan',
    ]
    await using tls = await startRedis({ tls: true, acl })
    const { ca = '', cert = '', key = '' } = tls.servers.tls ?? {}
    await assertLife({
      yaml: onCache({
        backend: 'redis',
        url: `rediss://gate:hunter2@127.0.0.1:${tls.port}`,
        tls: { ca: 'ca.crt', cert: 'client.crt', key: 'client.key', server_name: 'localhost' },
      }),
      files: { 'ca.crt': ca, 'client.crt': cert, 'client.key': key },
      has: async (id) => (await tls.command('EXISTS', cacheKey(id))) === 1,
    })
  })
})

describe('sessions in Redis of several servers', { skip: redis.skip }, () => {
  let sentinels: RedisSentinels
  let cluster: RedisCluster
  before(async () => {
    ;[sentinels, cluster] = await Promise.all([startSentinels(), startCluster()])
  })
  after(async () => {
    await Promise.all([sentinels[Symbol.asyncDispose](), cluster[Symbol.asyncDispose]()])
  })

  test('that sentinels watch over', async () => {
    const url = sentinels.servers.sentinels.map(({ host, port }) => `redis://${host}:${port}`)
    await assertLife({
      yaml: onCache({ backend: 'redis-sentinel', url, master: sentinels.servers.master }),
      has: async (key) => (await (await sentinels.master()).command('EXISTS', cacheKey(key))) === 1,
    })
  })

  test('that are a cluster', async () => {
    const url = cluster.servers.nodes.map(({ host, port }) => `redis://${host}:${port}`)
    await assertLife({
      yaml: onCache({ backend: 'redis-cluster', url }),
      has: async (key) => {
        const owner = await cluster.ownerOf(await cluster.slotOf(cacheKey(key)))
        return (await owner.command('EXISTS', cacheKey(key))) === 1
      },
    })
  })
})

describe('sessions in memcached', { skip: memcached.skip }, () => {
  let server: MemcachedServer
  before(async () => {
    server = await startMemcached(memcached)
  })
  after(() => server[Symbol.asyncDispose]())

  test('by a port', async () => {
    await assertLife({
      yaml: onCache({ backend: 'memcached', url: `127.0.0.1:${server.port}` }),
      has: async (key) => (await server.peek(cacheKey(key)))?.flags === 1,
    })
  })
})

describe('passwords of stores that do not let us in', { skip: redis.skip }, () => {
  test('stand in no line of the log, and nobody is logged out', async () => {
    await using server = await startRedis({ acl: ['user default on >right ~* +@all', 'user gate on >right ~* +@all'] })
    const stores: Store['yaml'][] = [
      onCache({ backend: 'redis', url: `redis://gate:hunter2@127.0.0.1:${server.port}` }),
      {
        session: { engine: 'cached_db' },
        database: { url: 'postgres://gate:hunter2@127.0.0.1:1/shop?sslmode=verify-full' },
        caches: { default: { backend: 'redis', url: `redis://127.0.0.1:${server.port}`, password: 'hunter2' } },
      },
    ]
    for (const yaml of stores) {
      await using stage = await startOn({ yaml, has: () => Promise.resolve(false) })
      const { gateway } = stage
      await gateway.logged('the store to be down', ({ msg }) => msg === 'session store is down')
      const visitor = await createPageVisitor(gateway.url, [`sessionid=${'k'.repeat(32)}`])
      assert.deepEqual([(await visitor.open('/')).status, await visitor.cookie('sessionid')], [503, 'k'.repeat(32)])
      assert.equal((await fetch(`${gateway.operatorUrl}/readyz`)).status, 503)
      await gateway.stop()
      assert.doesNotMatch(JSON.stringify(gateway.log) + gateway.stderr(), /hunter2/)
    }
  })
})
