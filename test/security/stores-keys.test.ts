import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createSessionKey } from '../../src/django/session-key.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { jsonSerializer } from '../../src/sessions/caches/json-serializer.ts'
import { createMemoryCache } from '../../src/sessions/caches/memory.ts'
import { createRedisCache } from '../../src/sessions/caches/redis.ts'
import { cacheKeyPrefix, type SessionCache } from '../../src/sessions/caches/session-cache.ts'
import type { SessionEngine } from '../../src/sessions/engine.ts'
import { createCacheSessions } from '../../src/sessions/engines/cache.ts'
import { compileUserId, storableUserId } from '../../src/sessions/user-index.ts'
import { sessionOf } from '../contract/session-engine-world.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'

const layout = { keyPrefix: '', version: 1 }
const keyPrefix = cacheKeyPrefix(layout, 'cache')

function sessionsIn(cache: SessionCache): SessionEngine {
  return createCacheSessions(cache, {
    serializer: jsonSerializer,
    keyPrefix,
    expiryRules: { cookieAgeSeconds: 1000, expireAtBrowserClose: false, dates: 'iso', useTz: true },
    clock: systemClock,
    newKey: () => createSessionKey(),
  })
}

describe('one name for each session', () => {
  test('what cached_db keeps in the same cache is no session of the engine cache', async () => {
    await using cache = createMemoryCache({ clock: systemClock })
    await using engine = sessionsIn(cache)
    const key = createSessionKey()
    await cache.put(cacheKeyPrefix(layout, 'cached_db') + key, Buffer.from('{"userInfo":{"id":1}}'), 1000)
    // `…sessions.cache` and this key are together the name that the other engine gives its session.
    const alias = `d_db${key}`
    assert.ok(await cache.get(keyPrefix + alias))
    assert.equal(engine.admits(alias), 'unknown')
    assert.deepEqual(await engine.load(alias), { found: false, reason: 'not_found' })
    assert.equal(await engine.delete(alias), false)
    await assert.rejects(engine.adopt({ key: alias, data: sessionOf('{}'), expiresAt: undefined }))
    const own = await engine.create(sessionOf('{"n":1}'))
    assert.deepEqual(
      (await Array.fromAsync(engine.entries())).map((entry) => entry.key),
      [own],
    )
    assert.ok(await cache.get(keyPrefix + alias), 'it was left alone')
  })

  test('nobody can choose a name that stands for the long name of another', () => {
    const userIdOf = compileUserId(['id'])
    const long = 'x'.repeat(201)
    const chosen = storableUserId(long)
    assert.notEqual(userIdOf(new Map([['id', JSON.stringify(chosen)]])), chosen)
    assert.equal(userIdOf(new Map([['id', JSON.stringify(long)]])), chosen)
    assert.equal(userIdOf(new Map([['id', JSON.stringify(chosen)]])), storableUserId(chosen))
  })
})

const { skip } = requireServer('redis')
describe('what somebody else wrote into Redis', { skip }, () => {
  let server: RedisServer
  before(async () => {
    server = await startRedis()
  })
  after(() => server[Symbol.asyncDispose]())

  test('an end beyond every calendar is the last moment that there is, and hides no other session', async () => {
    await using engine = sessionsIn(createRedisCache({ servers: server.servers, timeoutMs: 5000, clock: systemClock }))
    const key = createSessionKey()
    await server.command('SET', keyPrefix + key, '{"n":1}', 'PXAT', '9000000000000000')
    const [entry] = await Array.fromAsync(engine.entries())
    assert.equal(new Date(entry?.expiresAt ?? Number.NaN).toISOString(), '9999-12-31T23:59:59.999Z')
  })
})
