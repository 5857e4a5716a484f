import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CircuitBreaker, type StateChange } from '../../../src/sessions/circuit-breaker.ts'
import { storeNotAsked, storeUnavailable } from '../../../src/sessions/store-failure.ts'
import { turns } from '../../support/deadline.ts'
import { createTestScheduler } from './test-scheduler.ts'

const broken = storeUnavailable('broken')

/** A breaker before a store that is as `world.flaw` says; pauses of 200 ms. */
function start() {
  const scheduler = createTestScheduler()
  const changes: StateChange[] = []
  const world: { flaw: Error | undefined; looks: number; looksAtOnce: number; held: Promise<void> | undefined } = {
    flaw: undefined,
    looks: 0,
    looksAtOnce: 0,
    held: undefined,
  }
  let underWay = 0
  const breaker = new CircuitBreaker({
    failuresToOpen: 3,
    pauseMs: { min: 100, max: 300 },
    random: () => 0.5,
    scheduler,
    onState: (change) => changes.push(change),
    async look() {
      world.looks += 1
      underWay += 1
      world.looksAtOnce = Math.max(world.looksAtOnce, underWay)
      await world.held
      underWay -= 1
      if (world.flaw !== undefined) throw world.flaw
    },
  })
  const states = (): string[] => changes.map(({ isUp }) => (isUp ? 'up' : 'down'))
  return { scheduler, breaker, changes, states, world }
}

test('a failed call makes it look; a store that answers the look stays up, whatever writers meet', async () => {
  const { breaker, world, states } = start()
  await breaker.look()
  for (let i = 0; i < 10; i++) {
    breaker.failed(broken, false)
    await turns()
  }
  assert.deepEqual([world.looks, states(), breaker.isOpen], [11, ['up'], false])
})

test('a failed look is told once, and the store is looked at again without traffic until it is back', async () => {
  const { scheduler, breaker, world, changes } = start()
  await breaker.look()
  world.flaw = broken
  breaker.failed(broken, true)
  await scheduler.pass(10_000)
  assert.equal(world.looks, 2 + 50)
  world.flaw = undefined
  await scheduler.pass(200)
  assert.deepEqual(changes, [
    { isUp: true, wasUp: undefined, cause: undefined, lastedMs: 0 },
    { isUp: false, wasUp: true, cause: broken, lastedMs: 0 },
    { isUp: true, wasUp: false, cause: undefined, lastedMs: 10_200 },
  ])
  assert.equal(scheduler.waiting, 0, 'a store that is up is left to its traffic')
})

test('it opens at the third failed read in a row, and the first look that succeeds closes it', async () => {
  const { scheduler, breaker, world, states } = start()
  await breaker.look()
  world.flaw = broken
  world.held = new Promise(() => {})
  breaker.failed(broken, true)
  breaker.failed(broken, true)
  assert.equal(breaker.isOpen, false)
  breaker.failed(broken, true)
  assert.deepEqual([breaker.isOpen, states()], [true, ['up', 'down']], 'not even a look was needed')
  const other = start()
  other.world.flaw = broken
  await other.breaker.look().catch(() => {})
  assert.equal(other.breaker.isOpen, false)
  await other.scheduler.pass(400)
  assert.equal(other.breaker.isOpen, true, 'looks are reads too')
  other.world.flaw = undefined
  await other.scheduler.pass(200)
  assert.deepEqual([other.breaker.isOpen, other.states()], [false, ['down', 'up']])
  await scheduler.pass(0)
})

test('a success between failures begins the count anew', async () => {
  const { breaker, world } = start()
  world.held = new Promise(() => {})
  for (let i = 0; i < 20; i++) {
    breaker.failed(broken, true)
    breaker.failed(broken, true)
    breaker.succeeded()
  }
  assert.equal(breaker.isOpen, false)
})

test('calls that succeed while looks fail do not make the state flicker, and make it look soon, not often', async () => {
  const { scheduler, breaker, world, states } = start()
  world.flaw = broken
  await assert.rejects(breaker.look(), broken)
  for (let i = 0; i < 100; i++) {
    breaker.succeeded()
    await scheduler.pass(10)
  }
  assert.deepEqual(states(), ['down'])
  assert.ok(world.looks > 5 && world.looks <= 11, `${world.looks} looks in a second`)
})

test('everybody who asks at the same moment shares one look', async () => {
  const { breaker, world } = start()
  const { promise, resolve } = Promise.withResolvers<void>()
  world.held = promise
  const asked = Array.from({ length: 100 }, () => breaker.look())
  breaker.failed(broken, true)
  resolve()
  await Promise.all(asked)
  assert.deepEqual([world.looks, world.looksAtOnce], [1, 1])
})

test('whoever asks of a store that was just found down gets the same answer, without another look', async () => {
  const { scheduler, breaker, world } = start()
  world.flaw = broken
  for (let i = 0; i < 10; i++) await assert.rejects(breaker.look(), broken)
  assert.equal(world.looks, 1)
  await scheduler.pass(150)
  world.flaw = undefined
  await breaker.look()
  assert.equal(world.looks, 2)
})

test('a look that there was no room for says nothing', async () => {
  const { scheduler, breaker, world, states } = start()
  await breaker.look()
  world.flaw = storeNotAsked('full')
  for (let i = 0; i < 10; i++) {
    await assert.rejects(breaker.look())
    breaker.failed(world.flaw, true)
  }
  assert.deepEqual([states(), breaker.isOpen, scheduler.waiting], [['up'], false, 0])
})

test('calls that fail while there is no room for a look open it, and it is looked at when there is', async () => {
  const { scheduler, breaker, world, states } = start()
  world.flaw = storeNotAsked('full')
  await assert.rejects(breaker.look())
  for (let i = 0; i < 3; i++) breaker.failed(broken, true)
  await scheduler.pass(1000)
  assert.deepEqual([breaker.isOpen, states()], [true, ['down']])
  world.flaw = undefined
  await scheduler.pass(200)
  assert.deepEqual([breaker.isOpen, states()], [false, ['down', 'up']])
})

test('when it is stopped nothing more is looked at or told', async () => {
  const { scheduler, breaker, world, states } = start()
  world.flaw = broken
  await assert.rejects(breaker.look())
  const { promise, resolve } = Promise.withResolvers<void>()
  world.held = promise
  world.flaw = undefined
  await scheduler.pass(200)
  assert.equal(world.looks, 2)
  breaker.stop()
  resolve()
  await scheduler.pass(5000)
  breaker.failed(broken, true)
  assert.deepEqual([world.looks, states(), scheduler.waiting], [2, ['down'], 0])
})

test('pauses are drawn by chance between the two bounds', async () => {
  const scheduler = createTestScheduler()
  const drawn = [0, 1, 0.25]
  const lookedAtMs: number[] = []
  const breaker = new CircuitBreaker({
    pauseMs: { min: 100, max: 300 },
    random: () => drawn.shift() ?? 0,
    scheduler,
    onState: () => {},
    look() {
      lookedAtMs.push(scheduler.nowMs())
      return Promise.reject(broken)
    },
  })
  await assert.rejects(breaker.look())
  await scheduler.pass(549)
  assert.deepEqual(lookedAtMs, [0, 100, 400])
  await scheduler.pass(1)
  assert.deepEqual(lookedAtMs, [0, 100, 400, 550])
  breaker.stop()
})
