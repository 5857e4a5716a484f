import assert from 'node:assert/strict'
import { test } from 'node:test'
import { storeUnavailable } from '../../../../src/sessions/store-failure.ts'
import { changeCache } from '../../../contract/cache-double.ts'
import { KEY, type Step, SteppedWorld } from './stepped-world.ts'

const atOnce: Step = async (_name, effect) => effect()
const TRUST_MS = 60_000

/** For how long a process may keep what it is given now, in milliseconds; negative for not at all. */
async function keepsFor(world: SteppedWorld, engine = world.connect()): Promise<number> {
  const loaded = await engine.load(KEY)
  assert.ok(loaded.found)
  assert.ok(loaded.keepUntil !== undefined)
  return loaded.keepUntil - world.now
}

test('what was just filled into the cache may be kept for as long as it is believed there', async () => {
  const world = new SteppedWorld(atOnce, 'version')
  assert.equal(await keepsFor(world), TRUST_MS)
})

test('what was found in the cache may be kept for the rest of that time', async () => {
  const world = new SteppedWorld(atOnce, 'version')
  await keepsFor(world)
  world.now += 25_000
  assert.equal(await keepsFor(world), TRUST_MS - 25_000)
})

test('what was read while the cache failed is not kept: of a change nobody would be told', async () => {
  const world = new SteppedWorld(atOnce, 'version')
  const broken = changeCache(world.cache, { get: () => Promise.reject(storeUnavailable('gone')) })
  assert.ok((await keepsFor(world, world.connect({ cache: broken }))) < 0)
})

test('what a full cache did not take is not kept: a change would leave the slot empty, and nobody would be told', async () => {
  const world = new SteppedWorld(atOnce, 'version')
  const full = (): Promise<never> => Promise.reject(storeUnavailable('full'))
  const cache = changeCache(world.cache, { add: full, put: full, replace: full })
  assert.ok((await keepsFor(world, world.connect({ cache }))) < 0)
})

test('what somebody else has overwritten before it could be filled in is not kept', async () => {
  const world = new SteppedWorld(atOnce, 'version')
  const cache = changeCache(world.cache, { replace: async () => false })
  assert.ok((await keepsFor(world, world.connect({ cache }))) < 0)
})

test('a session whose change the cache could not be told of is not kept', async () => {
  const world = new SteppedWorld(atOnce, 'version')
  let isFull = false
  const cache = changeCache(world.cache, {
    put: (key, bytes, ttl) => (isFull ? Promise.reject(storeUnavailable('full')) : world.cache.put(key, bytes, ttl)),
    remove: (key, stamp) => (isFull ? Promise.reject(storeUnavailable('full')) : world.cache.remove(key, stamp)),
  })
  await using engine = world.connect({ cache, pauseMs: 60_000 })
  assert.ok((await keepsFor(world, engine)) > 0)
  isFull = true
  await engine.transition(KEY, (data) => ({ kind: 'update', data: new Map(data).set('n', '1') }))
  assert.ok((await keepsFor(world, engine)) < 0)
})
