import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Redis } from 'ioredis'
import { jsonSerializer } from '../../src/sessions/caches/json-serializer.ts'
import { createRedisCache } from '../../src/sessions/caches/redis.ts'
import { openRedisNotices } from '../../src/sessions/caches/redis-notices.ts'
import type { RedisServers } from '../../src/sessions/caches/redis-servers.ts'
import { cacheKeyPrefix } from '../../src/sessions/caches/session-cache.ts'
import { openSqliteSessions } from '../../src/sessions/databases/sqlite.ts'
import type { SessionEngine } from '../../src/sessions/engine.ts'
import { createCacheSessions } from '../../src/sessions/engines/cache.ts'
import { createCachedDbSessions } from '../../src/sessions/engines/cached-db.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { scratchRoot } from '../support/scratch.ts'
import { breakTheLine, lineFaults } from './local-cache-faults.ts'
import { changeBehind, common, type Kept, keep, strangerOn, tellStaleness } from './local-cache-staleness.ts'

const { skip } = requireServer('redis')
const servers = new AsyncDisposableStack()
let redis: RedisServer
let client: Redis

before(async () => {
  if (skip !== false) return
  redis = servers.use(await startRedis())
  client = servers.adopt(new Redis(redis.port), (opened) => opened.disconnect())
})
after(() => servers.disposeAsync())

const LEASE_MS = 1000
const prefix = cacheKeyPrefix({ keyPrefix: '', version: 1 }, 'cache')
const cachedDbPrefix = cacheKeyPrefix({ keyPrefix: '', version: 1 }, 'cached_db')

function openEngine(onConnected = (): void => {}): SessionEngine {
  const cache = createRedisCache({ servers: redis.servers, timeoutMs: 5000, clock: common.clock, onConnected })
  return createCacheSessions(cache, { ...common, serializer: jsonSerializer, keyPrefix: prefix })
}

async function keepOnRedis(lineTo: RedisServers = redis.servers): Promise<Kept> {
  const notices = openRedisNotices({ servers: lineTo, prefix, leaseMs: LEASE_MS })
  return await keep(
    openEngine(() => notices.renew()),
    notices,
  )
}

test('of 10,000 changes in Redis none is missed for longer than the lease', { skip }, async (t) => {
  await using kept = await keepOnRedis()
  await using other = openEngine()
  const stranger = {
    ...strangerOn(other),
    // As anybody does who logs somebody out by hand.
    revoke: async (key: string) => assert.equal(await client.del(prefix + key), 1),
  }
  const staleness = await changeBehind(kept, stranger, { changes: 10_000, boundMs: LEASE_MS })
  t.diagnostic(tellStaleness(kept, staleness))
  assert.ok(kept.lookups.hit > 10_000, `${kept.lookups.hit} hits`)
})

test('of 5,000 changes through cached_db none is missed for longer than the lease', { skip }, async (t) => {
  const folder = await mkdtemp(join(scratchRoot(), 'sessiongate-stale-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(folder, { recursive: true }))
  const open = async (onConnected = (): void => {}): Promise<SessionEngine> => {
    const path = join(folder, 'sessions.sqlite3')
    const db = await openSqliteSessions({ ...common, path, create: 'ours', useTz: true, busyTimeoutMs: 5000 })
    const cache = createRedisCache({ servers: redis.servers, timeoutMs: 5000, clock: common.clock, onConnected })
    return createCachedDbSessions(db, cache, { ...common, serializer: jsonSerializer, keyPrefix: cachedDbPrefix })
  }
  const notices = openRedisNotices({ servers: redis.servers, prefix: cachedDbPrefix, leaseMs: LEASE_MS })
  const kept = stack.use(await keep(await open(() => notices.renew()), notices))
  const other = stack.use(await open())
  const staleness = await changeBehind(kept, strangerOn(other), { changes: 5000, boundMs: LEASE_MS })
  t.diagnostic(tellStaleness(kept, staleness))
  assert.ok(kept.lookups.hit > 5000, `${kept.lookups.hit} hits`)
})

for (const [name, fault] of lineFaults) {
  test(`when the line to Redis ${name}, nothing is served from memory until it is back`, { skip }, async () => {
    await using proxy = await startFaultProxy(redis.port)
    await using kept = await keepOnRedis({
      kind: 'redis',
      server: { kind: 'tcp', host: '127.0.0.1', port: proxy.port },
    })
    await using other = openEngine()
    await breakTheLine({ kept, stranger: strangerOn(other), proxy, fault, leaseMs: LEASE_MS })
  })
}
