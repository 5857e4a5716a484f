import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { SessionCache } from '../../../../src/sessions/caches/session-cache.ts'
import { storeUnavailable } from '../../../../src/sessions/store-failure.ts'
import { changeCache } from '../../../contract/cache-double.ts'
import { sessionOf } from '../../../contract/session-engine-world.ts'
import { turns, until } from '../../../support/deadline.ts'
import { KEY, SteppedWorld } from './stepped-world.ts'

/** Decides for each call, by its number and name, whether the cache fails before it has done it, after, or not. */
type Fault = (number: number, name: string) => 'before' | 'after' | undefined

interface FaultyCache {
  readonly cache: SessionCache
  fault: Fault
  /** The calls that reached the cache. */
  readonly calls: string[]
}

function createFaultyCache(world: SteppedWorld, fault: Fault = () => undefined): FaultyCache {
  const calls: string[] = []
  const faulty: FaultyCache = { fault, calls, cache: changeCache(world.cache, {}) }
  const run = async <T>(name: string, call: () => Promise<T>): Promise<T> => {
    const failure = faulty.fault(calls.push(name), name)
    if (failure === 'before') throw storeUnavailable('the cache failed')
    const value = await call()
    if (failure === 'after') throw storeUnavailable('the cache failed')
    return value
  }
  const { cache } = world
  const changed: Partial<SessionCache> = {
    get: (key) => run('get', () => cache.get(key)),
    add: (key, bytes, ttlSeconds) => run('add', () => cache.add(key, bytes, ttlSeconds)),
    put: (key, bytes, ttlSeconds) => run('put', () => cache.put(key, bytes, ttlSeconds)),
    replace: (key, replacement) => run('replace', () => cache.replace(key, replacement)),
    remove: (key, stamp) => run('remove', () => cache.remove(key, stamp)),
  }
  return Object.assign(faulty, { cache: changeCache(cache, changed) })
}

function createWorld(): SteppedWorld {
  return new SteppedWorld(async (_name, effect) => effect(), 'bytes')
}

const always: Fault = () => 'before'
const never: Fault = () => undefined

describe('the cached_db engine on a cache that fails', () => {
  for (const how of ['before', 'after'] as const) {
    test(`answers as ever, whichever single call fails ${how} it was done, and tells the cache later`, async () => {
      // Enough for every call of the history to have its turn.
      for (let failing = 1; failing <= 40; failing++) {
        const world = createWorld()
        const { cache } = createFaultyCache(world, (number) => (number === failing ? how : undefined))
        await using engine = world.connect({ cache, pauseMs: 0 })
        await world.load('the first', engine)
        await world.load('the second', engine)
        await world.change(engine)
        await world.load('who comes after the change', engine)
        await world.load('who comes after him', engine)
        await world.change(engine)
        await world.delete(engine)
        await world.load('who comes after the deletion', engine)
        world.assertNothingStale()
        await until('the cache knows', () => !world.hasSession)
        await world.load('another process', world.connect())
        world.assertNothingStale()
      }
    })
  }

  test('is survived without a single call getting through, and nothing but time is lost', async () => {
    const world = createWorld()
    const faulty = createFaultyCache(world, always)
    await using engine = world.connect({ cache: faulty.cache })
    await world.load('the first', engine)
    await world.change(engine)
    await world.load('the second', engine)
    assert.deepEqual(world.row, sessionOf('{"n":1}'))
    await world.delete(engine)
    await world.load('the third', engine)
    world.assertNothingStale()
    assert.equal(world.readings.length, 3)
  })

  test('is left alone after a failure, instead of costing every request a timeout', async () => {
    const world = createWorld()
    const faulty = createFaultyCache(world, always)
    await using engine = world.connect({ cache: faulty.cache, pauseMs: 3_600_000 })
    for (let i = 0; i < 50; i++) await world.load('a reader', engine)
    for (let i = 0; i < 50; i++) await world.change(engine)
    assert.deepEqual(faulty.calls, ['get'])
  })

  test('is tried by one request at a time until it answers', async () => {
    const world = createWorld()
    const faulty = createFaultyCache(world, always)
    await using engine = world.connect({ cache: faulty.cache, pauseMs: 20 })
    await world.load('a reader', engine)
    const hanging = Promise.withResolvers<undefined>()
    let probes = 0
    const cache = faulty.cache
    faulty.fault = never
    cache.get = () => {
      probes++
      return hanging.promise
    }
    await until('the pause is over', () => {
      void engine.load(KEY)
      void engine.load('another-session')
      return probes > 0
    })
    await turns(1)
    assert.equal(probes, 1)
    hanging.resolve(undefined)
  })

  test('is told of once per change of state', async () => {
    const world = createWorld()
    const faulty = createFaultyCache(world, always)
    const states: [isUp: boolean, cause: string | undefined][] = []
    const onCacheState = (isUp: boolean, cause: unknown) =>
      void states.push([isUp, cause instanceof Error ? cause.message : undefined])
    await using engine = world.connect({ cache: faulty.cache, pauseMs: 0, onCacheState })
    for (let i = 0; i < 5; i++) await world.load('a reader', engine)
    assert.deepEqual(states, [[false, 'the cache failed']])
    faulty.fault = never
    for (let i = 0; i < 5; i++) await world.load('a reader', engine)
    assert.deepEqual(states, [
      [false, 'the cache failed'],
      [true, undefined],
    ])
  })

  test('that takes nothing more in is still read, and rid of what has changed', async () => {
    const world = createWorld()
    const faulty = createFaultyCache(world)
    const states: boolean[] = []
    const onCacheState = (isUp: boolean) => void states.push(isUp)
    await using engine = world.connect({ cache: faulty.cache, pauseMs: 0, onCacheState })
    await world.load('the first', engine)
    faulty.fault = (_number, name) => (name === 'get' || name === 'remove' ? undefined : 'before')
    await world.change(engine)
    assert.ok(!world.hasSession, 'removed, since no marker could be put')
    for (let i = 0; i < 5; i++) await world.load('a reader', engine)
    world.assertNothingStale()
    assert.deepEqual(states, [false], 'reading does not make it whole')
    faulty.fault = never
    await world.load('a reader', engine)
    assert.deepEqual(states, [false, true])
  })

  test('gets to know every change when it is back, and until then nothing of it is served', async () => {
    const world = createWorld()
    const faulty = createFaultyCache(world)
    await using engine = world.connect({ cache: faulty.cache, pauseMs: 1 })
    await world.load('the first', engine)
    assert.ok(world.hasSession)
    faulty.fault = (_number, name) => (name === 'get' ? undefined : 'before')
    await world.delete(engine)
    assert.ok(world.hasSession, 'the cache could not be told')
    await world.load('who comes after the deletion', engine)
    world.assertNothingStale()
    faulty.fault = never
    await until('the cache knows', () => !world.hasSession)
  })

  test('is told what is left when the engine closes', async () => {
    const world = createWorld()
    const faulty = createFaultyCache(world)
    const engine = world.connect({ cache: faulty.cache, pauseMs: 0 })
    await world.load('the first', engine)
    faulty.fault = (_number, name) => (name === 'get' ? undefined : 'before')
    await world.delete(engine)
    faulty.fault = never
    await engine[Symbol.asyncDispose]()
    assert.ok(!world.hasSession)
  })

  test('is not believed in anything when more has changed than can be remembered, for as long as it may be wrong', async () => {
    const world = createWorld()
    const faulty = createFaultyCache(world)
    const lookups: string[] = []
    const onCacheLookup = (lookup: string) => void lookups.push(lookup)
    await using engine = world.connect({ cache: faulty.cache, pauseMs: 0, maxUntoldKeys: 2, onCacheLookup })
    await world.load('the first', engine)
    faulty.fault = always
    await world.delete(engine)
    for (const key of ['another-session-1', 'another-session-2']) await engine.delete(key)
    faulty.fault = never
    await world.load('who comes after the deletion', engine)
    world.now += 59_999
    await world.load('who comes within the minute', engine)
    world.now += 1
    await world.load('who comes a minute later', engine)
    world.assertNothingStale()
    assert.deepEqual(lookups, ['miss', 'bypass', 'bypass', 'miss'])
  })

  test('is told again of a change whose outcome nobody knows, and is not believed before', async () => {
    const world = createWorld()
    const lost = Promise.withResolvers<void>()
    await using engine = world.connect({
      pauseMs: 1,
      db: {
        ...world.db,
        // The answer is lost, the change happens a little later.
        transition: async (key, decide) => {
          void lost.promise.then(() => world.db.transition(key, decide))
          throw storeUnavailable('the database did not answer in time')
        },
      },
    })
    await world.load('the first', engine)
    await assert.rejects(engine.delete(KEY), { code: 'ERR_STORE_UNAVAILABLE' })
    lost.resolve()
    await until('the cache knows', () => !world.hasSession)
    await world.load('a reader', engine)
    assert.equal(world.readings.at(-1)?.seen, undefined)
  })
})
