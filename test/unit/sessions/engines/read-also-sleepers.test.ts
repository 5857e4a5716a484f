import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createSessionKey } from '../../../../src/django/session-key.ts'
import { createReadAlsoEngine } from '../../../../src/sessions/engines/read-also.ts'
import { increment, listKeys, sessionOf } from '../../../contract/session-engine-world.ts'
import { createTestScheduler } from '../test-scheduler.ts'
import { atOnce, dyingAfter, KEY, loaded, sleepingBefore, TwoStores } from '../two-stores.ts'

/** The steps of a change that moves a session, counted: what a mover can fall asleep before. */
const PLACING = 4
const CLAIMING = 5
const CONFIRMING = 6
const ALL = [1, 2, 3, PLACING, CLAIMING, CONFIRMING, 7, 8] as const

describe('while a mover sleeps', () => {
  for (const stop of ALL) {
    test(`everybody finds the session: before step ${stop}`, async () => {
      const world = new TwoStores()
      const sleeper = sleepingBefore(stop)
      const change = world.change(world.connect(sleeper.step))
      await sleeper.asleep()
      for (const moves of ['to main', 'never'] as const) {
        const engine = world.connect(atOnce, moves)
        assert.equal(await loaded(engine), '{"n":0}')
        assert.deepEqual(await listKeys(engine), [KEY])
      }
      sleeper.wakeUp()
      await change
      await world.assertSound()
    })

    for (const end of ['delete', 'cycle'] as const) {
      test(`the session can be ended, and he does not bring it back: ${end} before step ${stop}`, async () => {
        for (const moves of ['to main', 'never'] as const) {
          const world = new TwoStores()
          const sleeper = sleepingBefore(stop)
          const change = world.change(world.connect(sleeper.step))
          await sleeper.asleep()
          await world[end](world.connect(atOnce, moves))
          assert.equal(await loaded(world.connect(atOnce)), undefined)
          sleeper.wakeUp()
          await change
          await world.load(world.connect(atOnce))
          await world.assertSound()
          assert.equal(world.answers.find(({ op }) => op === 'change')?.outcome, 'not_found')
          assert.ok(!world.new.rows.has(KEY), 'he has taken his placeholder away')
        }
      })
    }

    test(`another changes the session, and both changes are kept: before step ${stop}`, async () => {
      for (const moves of ['to main', 'never'] as const) {
        const world = new TwoStores()
        const sleeper = sleepingBefore(stop)
        const change = world.change(world.connect(sleeper.step))
        await sleeper.asleep()
        await world.change(world.connect(atOnce, moves))
        sleeper.wakeUp()
        await change
        await world.assertSound()
        assert.equal(await loaded(world.connect(atOnce)), '{"n":2}')
      }
    })
  }

  test('he confirms his own placeholder and no later one', async () => {
    const world = new TwoStores()
    const late = sleepingBefore(PLACING, CLAIMING)
    const lateChange = world.change(world.connect(late.step))
    await late.asleep()
    const first = sleepingBefore(CONFIRMING)
    const firstChange = world.change(world.connect(first.step))
    await first.asleep()
    await world.change(world.connect(atOnce))
    await world.delete(world.connect(atOnce))
    late.wakeUp()
    await late.asleep()
    assert.ok(world.new.rows.has(KEY), 'a placeholder stands where the session was')
    first.wakeUp()
    await firstChange
    assert.equal(await loaded(world.connect(atOnce)), undefined)
    late.wakeUp()
    await lateChange
    await world.assertSound()
    assert.equal(world.new.rows.size, 0)
  })

  test('nobody takes a claim for his that was made for another placeholder', async () => {
    const world = new TwoStores()
    world.old.put(KEY, '{"n":0}', world.now + 100_000_000)
    const late = sleepingBefore(PLACING)
    const lateChange = world.change(world.connect(late.step))
    await late.asleep()
    // One dies between confirming and cleaning up; then the session ends in the new store, by its own end.
    void world.change(world.connect(dyingAfter(CONFIRMING, atOnce)))
    await new Promise((resolve) => setImmediate(resolve))
    const row = world.new.rows.get(KEY)
    assert.ok(row && world.old.rows.has(KEY))
    world.new.rows.set(KEY, { ...row, expiresAt: world.now })
    await world.new.connect(atOnce).clearExpired(10)
    late.wakeUp()
    await lateChange
    assert.equal(await loaded(world.connect(atOnce)), undefined)
  })

  test('what he leaves behind gives nobody a session who knows only the main store', async () => {
    for (const stop of [CLAIMING, CONFIRMING]) {
      const world = new TwoStores()
      world.old.put(KEY, '{"userInfo":{"name":"Ada"},"n":0}')
      const sleeper = sleepingBefore(stop)
      void world.change(world.connect(sleeper.step))
      await sleeper.asleep()
      const left = await world.new.connect(atOnce).load(KEY)
      assert.ok(left.found)
      assert.deepEqual([...left.data.keys()], ['_gw'])
      assert.equal(left.expiresAt, world.now + 3_600_000)
    }
  })

  test('his placeholder goes with the session', async () => {
    for (const moves of ['to main', 'never'] as const) {
      const world = new TwoStores()
      void world.change(world.connect(dyingAfter(PLACING, atOnce)))
      await new Promise((resolve) => setImmediate(resolve))
      assert.ok(world.new.rows.has(KEY))
      assert.equal(await world.connect(atOnce, moves).delete(KEY), true)
      assert.equal(world.new.rows.size, 0)
    }
  })
})

describe('when a store is down', () => {
  const unavailable = { code: 'ERR_STORE_UNAVAILABLE' }

  test('the old one: what has not moved is no session that is not there', async () => {
    const world = new TwoStores()
    const engine = world.connect(atOnce)
    const moved = await engine.create(sessionOf('{"n":5}'))
    await engine.transition(moved, increment)
    world.old.isDown = true
    await assert.rejects(engine.load(KEY), unavailable)
    await assert.rejects(engine.load('unknownkey'), unavailable)
    await assert.rejects(engine.transition(KEY, increment), unavailable)
    await assert.rejects(engine.delete(KEY), unavailable)
    await assert.rejects(listKeys(engine), unavailable)
    assert.equal(await loaded(engine, moved), '{"n":6}', 'what is in the main store is served')
    assert.equal((await engine.transition(moved, increment)).kind, 'stored', 'and changed')
    await assert.rejects(engine.delete(moved), unavailable, 'but it cannot be said to be gone from both')
    await engine.ping()
    world.old.isDown = false
    assert.equal(await loaded(engine), '{"n":0}')
    assert.equal(await engine.delete(moved), true)
  })

  test('the main one: nothing is served and nothing moves', async () => {
    const world = new TwoStores()
    const engine = world.connect(atOnce)
    world.new.isDown = true
    await assert.rejects(engine.load(KEY), unavailable)
    await assert.rejects(engine.transition(KEY, increment), unavailable)
    await assert.rejects(engine.ping(), unavailable)
    world.new.isDown = false
    assert.equal(await loaded(engine), '{"n":0}')
  })

  test('and silent, or slow: each operation ends in time, and what is left of it changes nothing', async () => {
    const world = new TwoStores()
    const scheduler = createTestScheduler()
    const sleeper = sleepingBefore(CONFIRMING)
    const options = { moves: 'to main', clock: () => world.now, newKey: () => createSessionKey(), scheduler } as const
    const engine = createReadAlsoEngine(world.new.connect(sleeper.step), world.old.connect(sleeper.step), {
      ...options,
      timeoutMs: 250,
    })
    const change = assert.rejects(engine.transition(KEY, increment), unavailable)
    await scheduler.pass(249)
    assert.equal(scheduler.waiting, 1)
    await scheduler.pass(1)
    await change
    sleeper.wakeUp()
    await scheduler.pass(1)
    assert.equal(await loaded(world.connect(atOnce)), '{"n":0}')
    const silent = createReadAlsoEngine(
      world.new.connect(() => new Promise(() => {})),
      world.old.connect(atOnce),
      {
        ...options,
        timeoutMs: 250,
      },
    )
    const load = assert.rejects(silent.load(KEY), unavailable)
    await scheduler.pass(250)
    await load
  })

  for (const stop of ALL) {
    for (const which of ['old', 'new'] as const) {
      test(`in the middle of a move, nobody is logged out: ${which}, before step ${stop}`, async () => {
        const world = new TwoStores()
        const sleeper = sleepingBefore(stop)
        const change = world.connect(sleeper.step).transition(KEY, increment)
        await sleeper.asleep()
        world[which].isDown = true
        sleeper.wakeUp()
        const outcome = await change.catch((error: unknown) => error)
        world[which].isDown = false
        const engine = world.connect(atOnce)
        const before = outcome instanceof Error ? 0 : 1
        assert.equal(await loaded(engine), `{"n":${before}}`)
        await engine.transition(KEY, increment)
        assert.equal(await loaded(world.new.connect(atOnce)), `{"n":${before + 1}}`)
        assert.equal(world.old.rows.size, 0)
      })
    }
  }
})
