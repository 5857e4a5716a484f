import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Transition } from '../../../src/sessions/engine.ts'
import { storeUnavailable } from '../../../src/sessions/store-failure.ts'
import { sessionOf } from '../../contract/session-engine-world.ts'
import { becoming, IndexedWorld, keysOf, of } from './indexed-world.ts'

describe('an engine whose index of users fails', () => {
  const failing = async (call: string): Promise<void> => {
    if (call.startsWith('note')) throw storeUnavailable('the index failed')
  }
  const failure = { code: 'ERR_STORE_UNAVAILABLE', message: 'the index failed' }

  test('stores no change that could not be found', async () => {
    const world = new IndexedWorld()
    const engine = world.connect()
    const key = await engine.create(sessionOf('{"a":1}'))
    world.before = failing
    await assert.rejects(engine.transition(key, becoming(7)), failure)
    assert.deepEqual((await world.bare.load(key)).found && (await world.bare.load(key)), {
      found: true,
      data: sessionOf('{"a":1}'),
      expiresAt: world.now + 1_000_000,
    })
    assert.equal((await engine.transition(key, () => ({ kind: 'update', data: sessionOf('{"b":2}') }))).kind, 'stored')
  })

  test('ends a session that is new, or new under its key', async () => {
    const world = new IndexedWorld()
    const engine = world.connect()
    const key = await engine.create(of(7))
    world.before = failing
    await assert.rejects(engine.create(of(7)), failure)
    await assert.rejects(
      engine.transition(key, (data) => ({ kind: 'cycle', data })),
      failure,
    )
    assert.deepEqual(await Array.fromAsync(engine.entries()), [])
  })

  test('goes on reading, and tries again a second later', async () => {
    const world = new IndexedWorld()
    const engine = world.connect()
    const key = await world.bare.create(of(7))
    world.before = failing
    for (let i = 0; i < 5; i++) assert.ok((await engine.load(key)).found)
    assert.deepEqual(world.calls, ['note 7'])
    world.before = async () => {}
    world.nowMs += 1000
    await engine.load(key)
    assert.deepEqual(await keysOf(engine, '7'), [key])
  })

  test('says so once, and once that it is back', async () => {
    const world = new IndexedWorld()
    const engine = world.connect()
    await engine.create(of(7))
    world.before = failing
    await assert.rejects(engine.create(of(7)), failure)
    await assert.rejects(engine.create(of(7)), failure)
    world.before = async () => {}
    await engine.create(of(7))
    await engine.create(of(7))
    assert.deepEqual(world.states, [storeUnavailable('the index failed'), 'up'])
  })

  test('is not ready until it has found its index, and then no less without it', async () => {
    const world = new IndexedWorld()
    const engine = world.connect()
    world.beforeLooking = async () => {
      throw storeUnavailable('there is no table')
    }
    await assert.rejects(engine.ping(), { message: 'there is no table' })
    world.beforeLooking = async () => {}
    await engine.ping()
    world.beforeLooking = async () => {
      throw storeUnavailable('the index failed')
    }
    await engine.ping()
  })

  test('deletes all the same, and never minds what is left in the index', async () => {
    const world = new IndexedWorld()
    const engine = world.connect()
    const key = await engine.create(of(7))
    world.before = async () => {
      throw storeUnavailable('the index failed')
    }
    assert.equal(await engine.delete(key), true)
    assert.deepEqual(await keysOf(engine, '7'), [])
  })

  test('lets the refusal of a change out as it is', async () => {
    const engine = new IndexedWorld().connect()
    const key = await engine.create(of(7))
    const refusal = new Error('refused')
    const refuse = (): Transition => {
      throw refusal
    }
    await assert.rejects(engine.transition(key, refuse), (error) => error === refusal)
  })
})
