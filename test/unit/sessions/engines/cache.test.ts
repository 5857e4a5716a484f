import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { writeSessionData } from '../../../../src/django/json.ts'
import { jsonSerializer } from '../../../../src/sessions/caches/json-serializer.ts'
import { createMemoryCache } from '../../../../src/sessions/caches/memory.ts'
import { cacheKeyPrefix, type SessionCache } from '../../../../src/sessions/caches/session-cache.ts'
import type { SessionEngine } from '../../../../src/sessions/engine.ts'
import { createCacheSessions } from '../../../../src/sessions/engines/cache.ts'
import { changeCache } from '../../../contract/cache-double.ts'
import { EngineWorld, increment, sessionOf } from '../../../contract/session-engine-world.ts'

function openOn(world: EngineWorld, cache: SessionCache): SessionEngine {
  return createCacheSessions(cache, {
    ...world,
    keyPrefix: cacheKeyPrefix({ keyPrefix: '', version: 1 }, 'cache'),
    serializer: jsonSerializer,
  })
}

describe('the cache engine', () => {
  const layouts: [why: string, actual: string, expected: string][] = [
    ['by default', cacheKeyPrefix({ keyPrefix: '', version: 1 }, 'cache'), ':1:django.contrib.sessions.cache'],
    ['set', cacheKeyPrefix({ keyPrefix: 'app', version: 2 }, 'cache'), 'app:2:django.contrib.sessions.cache'],
    ['cached_db', cacheKeyPrefix({ keyPrefix: '', version: 1 }, 'cached_db'), ':1:django.contrib.sessions.cached_db'],
  ]
  for (const [why, actual, expected] of layouts) {
    test(`finds sessions where Django puts them: ${why}`, () => assert.equal(actual, expected))
  }

  test('stores under Django\u2019s key for exactly the age of the session', async () => {
    const world = new EngineWorld()
    const cache = createMemoryCache(world)
    const key = await openOn(world, cache).create(sessionOf('{"a":1,"_session_expiry":60}'))
    const value = await cache.get(`:1:django.contrib.sessions.cache${key}`)
    assert.equal(value?.expiresAt, world.now + 60_000)
    assert.equal(Buffer.from(value.bytes).toString(), '{"a":1,"_session_expiry":60}')
  })

  test('computes anew when another process was faster, and undoes the key that it had made', async () => {
    const world = new EngineWorld()
    const cache = createMemoryCache(world)
    const engine = openOn(world, cache)
    const other = openOn(world, cache)
    const key = await engine.create(sessionOf('{}'))
    let interruptions = 3
    const raced = changeCache(cache, {
      async get(it) {
        const value = await cache.get(it)
        if (it.endsWith(key) && interruptions-- > 0) await other.transition(key, increment)
        return value
      },
    })
    const racing = openOn(world, raced)
    let decisions = 0
    const result = await racing.transition(key, (data) => {
      decisions++
      return { kind: 'cycle', data: new Map(data).set('mine', '1') }
    })
    assert.equal(decisions, 4)
    assert.ok(result.kind === 'stored')
    assert.equal(writeSessionData(result.data), '{"n":3,"mine":1}')
    const keys = await Array.fromAsync(cache.keys(''))
    assert.deepEqual(keys, [`:1:django.contrib.sessions.cache${result.key}`])
  })

  test('a change that loses by chance, again and again, is not refused for it', async () => {
    const world = new EngineWorld()
    const cache = createMemoryCache(world)
    const key = await openOn(world, cache).create(sessionOf('{}'))
    let defeats = 150
    const losing = changeCache(cache, { replace: async (...it) => defeats-- <= 0 && (await cache.replace(...it)) })
    const { kind } = await openOn(world, losing).transition(key, increment)
    assert.equal(kind, 'stored')
  })

  test('gives up on a session that is rewritten without end', async () => {
    const world = new EngineWorld()
    const cache = createMemoryCache(world)
    const key = await openOn(world, cache).create(sessionOf('{}'))
    const losing = openOn(world, changeCache(cache, { replace: async () => false }))
    await assert.rejects(losing.transition(key, increment), { code: 'ERR_STORE_UNAVAILABLE' })
  })

  test('deletes what is stored with an age that is over', async () => {
    const world = new EngineWorld()
    const cache = createMemoryCache(world)
    const engine = openOn(world, cache)
    const key = await engine.create(sessionOf('{}'))
    await engine.transition(key, () => ({ kind: 'update', data: sessionOf('{"_session_expiry":-1}') }))
    assert.deepEqual(await Array.fromAsync(cache.keys('')), [])
  })
})
