import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { writeSessionData } from '../../../../src/django/json.ts'
import { jsonSerializer } from '../../../../src/sessions/caches/json-serializer.ts'
import { createMemoryCache } from '../../../../src/sessions/caches/memory.ts'
import type { SessionCache } from '../../../../src/sessions/caches/session-cache.ts'
import type { SessionEngine } from '../../../../src/sessions/engine.ts'
import { type CachedDbSessionsOptions, createCachedDbSessions } from '../../../../src/sessions/engines/cached-db.ts'
import { storeUnavailable } from '../../../../src/sessions/store-failure.ts'
import { changeCache } from '../../../contract/cache-double.ts'
import { assertData, increment, sessionOf } from '../../../contract/session-engine-world.ts'
import { KEY, type Step, SteppedWorld } from './stepped-world.ts'

/** A world in which every step happens at once and is written down. */
function createWorld(): { readonly world: SteppedWorld; readonly steps: string[] } {
  const steps: string[] = []
  const step: Step = async (name, effect) => {
    steps.push(name)
    return effect()
  }
  return { world: new SteppedWorld(step, 'version'), steps }
}

describe('the cached_db engine', () => {
  test('asks the database once, and then the cache', async () => {
    const { world, steps } = createWorld()
    const lookups: string[] = []
    const engine = world.connect({ onCacheLookup: (lookup) => lookups.push(lookup) })
    assertData(await engine.load(KEY), sessionOf('{"n":0}'))
    assert.deepEqual(steps.splice(0), ['cache.get', 'cache.add', 'row.find', 'cache.get', 'cache.replace'])
    const loaded = await engine.load(KEY)
    assertData(loaded, sessionOf('{"n":0}'))
    assert.equal(loaded.found && loaded.expiresAt, 10_000_000, 'the end is the row\u2019s own')
    assert.deepEqual(steps, ['cache.get'])
    assert.deepEqual(lookups, ['miss', 'hit'])
  })

  test('puts values where Django finds them, for as long as the row lives', async () => {
    const { world } = createWorld()
    const cache = createMemoryCache({ clock: () => world.now })
    await world.connect({ cache }).load(KEY)
    const value = await cache.get(`p:${KEY}`)
    assert.equal(value?.expiresAt, 10_000_000)
    assert.deepEqual(JSON.parse(Buffer.from(value.bytes).toString()), { n: 0 })
  })

  test('leaves in the cache what Django takes for a miss when a session has changed', async () => {
    const { world } = createWorld()
    const cache = createMemoryCache({ clock: () => world.now })
    const engine = world.connect({ cache })
    await engine.load(KEY)
    await engine.transition(KEY, increment)
    const value = await cache.get(`p:${KEY}`)
    assert.equal(value && JSON.parse(Buffer.from(value.bytes).toString()), null)
  })

  test('reads the database once for a thousand requests that come at once', async () => {
    const { world, steps } = createWorld()
    const engine = world.connect()
    const loads = await Promise.all(Array.from({ length: 1000 }, () => engine.load(KEY)))
    for (const loaded of loads) assertData(loaded, sessionOf('{"n":0}'))
    assert.equal(steps.filter((name) => name === 'row.find').length, 1)
    assert.equal(steps.length, 6)
  })

  test('notices within a minute that a row was deleted past it, and tells the cache for Django as well', async () => {
    const { world } = createWorld()
    const engine = world.connect()
    await engine.load(KEY)
    world.row = undefined
    world.now += 59_999
    assert.ok((await engine.load(KEY)).found, 'as in Django, only not for long')
    world.now += 1
    assert.deepEqual(await engine.load(KEY), { found: false, reason: 'not_found' })
    assert.ok(!world.hasSession)
  })

  test('believes no value that claims to come from the future', async () => {
    const { world } = createWorld()
    const engine = world.connect()
    world.now += 60_000
    await engine.load(KEY)
    world.now -= 60_000
    world.row = undefined
    assert.equal((await engine.load(KEY)).found, false)
  })

  test('drops what is cached when a change finds that the row is gone', async () => {
    const { world } = createWorld()
    const engine = world.connect()
    await engine.load(KEY)
    world.row = undefined
    assert.deepEqual(await engine.transition(KEY, increment), { kind: 'gone', reason: 'not_found' })
    assert.ok(!world.hasSession)
    assert.equal((await engine.load(KEY)).found, false)
  })

  test('serves nothing beyond its end, however long the cache keeps it', async () => {
    const { world } = createWorld()
    world.now = 9_990_000
    const engine = world.connect()
    await engine.load(KEY)
    world.row = undefined
    world.now = 9_999_999
    assert.ok((await engine.load(KEY)).found)
    world.now = 10_000_000
    assert.equal((await engine.load(KEY)).found, false)
  })

  test('caches nothing that is over within a second', async () => {
    const { world } = createWorld()
    world.now = 9_999_001
    assert.ok((await world.connect().load(KEY)).found)
    assert.ok(!world.hasSession)
  })

  const uncacheable: [why: string, session: string, encode: typeof jsonSerializer.encode][] = [
    ['as large as memcached refuses', `{"n":0,"big":"${'x'.repeat(600_000)}"}`, jsonSerializer.encode],
    [
      'without a form in the cache',
      '{"n":0}',
      () => {
        throw new TypeError('no form')
      },
    ],
  ]
  for (const [why, session, encode] of uncacheable) {
    test(`serves a session from the database that is ${why}`, async () => {
      const { world } = createWorld()
      world.row = sessionOf(session)
      const engine = createOn(world, world.cache, { serializer: { ...jsonSerializer, encode } })
      assert.ok((await engine.load(KEY)).found)
      assert.ok((await engine.load(KEY)).found)
      assert.ok(!world.hasSession)
    })
  }

  test('asks neither store for what cannot be a key', async () => {
    const { world, steps } = createWorld()
    const engine = world.connect()
    for (const key of ['', 'short', 'with space', 'x'.repeat(129), 'line\nbreak', 'p:*\r\nSET x']) {
      assert.deepEqual(await engine.load(key), { found: false, reason: 'not_found' })
      assert.deepEqual(await engine.transition(key, increment), { kind: 'gone', reason: 'not_found' })
      assert.equal(await engine.delete(key), false)
    }
    assert.deepEqual(steps, [])
  })

  test('does not touch the cache for a decision that was refused, nor for one that keeps', async () => {
    const { world, steps } = createWorld()
    const engine = world.connect()
    const refusal = storeUnavailable('the decision itself says so')
    const refuse = () => {
      throw refusal
    }
    await assert.rejects(engine.transition(KEY, refuse), (error) => error === refusal)
    await engine.transition(KEY, () => ({ kind: 'keep' }))
    assert.deepEqual(steps, ['row.change', 'row.change'])
    await engine.load(KEY)
    assert.ok(world.hasSession, 'and the cache is used as before')
  })

  test('pings the database only, and closes both', async () => {
    const { world } = createWorld()
    const closed: string[] = []
    const fails = async () => assert.fail('the cache is down')
    const cache = changeCache(world.cache, {
      ping: fails,
      [Symbol.asyncDispose]: async () => void closed.push('cache'),
    })
    const engine = createOn(world, cache, {}, async () => void closed.push('database'))
    await engine.ping()
    await engine[Symbol.asyncDispose]()
    assert.deepEqual(closed.toSorted(), ['cache', 'database'])
  })

  test('agrees with what it stored, byte for byte, from the cache as from the database', async () => {
    const { world } = createWorld()
    const text = '{"b":1.0,"10":1152921504606846976,"2":-0.0,"a":1e5,"n":NaN,"":"Zo\\u00eb","\\ud800":null}'
    world.row = sessionOf(text)
    const engine = world.connect()
    await engine.load(KEY)
    const cached = await engine.load(KEY)
    assert.equal(cached.found && writeSessionData(cached.data), text)
  })
})

/** An engine on the world's database whose closing is told, and on any cache. */
function createOn(
  world: SteppedWorld,
  cache: SessionCache,
  options: Partial<CachedDbSessionsOptions> = {},
  close: () => Promise<void> = async () => {},
): SessionEngine {
  const db = { ...world.db, [Symbol.asyncDispose]: close }
  const clock = () => world.now
  return createCachedDbSessions(db, cache, { serializer: jsonSerializer, keyPrefix: 'p:', clock, ...options })
}
