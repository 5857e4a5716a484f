import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Deadlines } from '../../../src/sessions/deadline.ts'
import type { Scheduler } from '../../../src/sessions/scheduler.ts'
import { turns } from '../../support/deadline.ts'
import { createTestScheduler } from './test-scheduler.ts'

function start() {
  const scheduler = createTestScheduler()
  const deadlines = new Deadlines(100, scheduler)
  const expired: string[] = []
  const set = (name: string) => deadlines.set(() => expired.push(`${name} ${scheduler.nowMs()}`))
  return { scheduler, deadlines, expired, set }
}

/** Timers that fire when they are told to, whatever time it is then. */
function startByHand() {
  const tasks: (() => void)[] = []
  const delays: number[] = []
  let nowMs = 0
  const scheduler: Scheduler = {
    nowMs: () => nowMs,
    after(delayMs, task) {
      delays.push(delayMs)
      tasks.push(task)
      return () => {}
    },
  }
  const runNext = (atMs: number): void => {
    nowMs = atMs
    tasks.shift()?.()
  }
  return { scheduler, runNext, delays }
}

test('each ends at its own time, though one timer serves all', async () => {
  const { scheduler, expired, set } = start()
  for (const name of ['a', 'b', 'c']) {
    set(name)
    await scheduler.pass(30)
    assert.equal(scheduler.waiting, 1)
  }
  await scheduler.pass(200)
  assert.deepEqual(expired, ['a 100', 'b 130', 'c 160'])
  assert.equal(scheduler.waiting, 0)
})

test('one that was cleared never ends, and the others are not moved by it', async () => {
  const { scheduler, deadlines, expired, set } = start()
  const first = set('first')
  await scheduler.pass(10)
  set('second')
  assert.equal(deadlines.clear(first), true)
  await scheduler.pass(89)
  assert.deepEqual(expired, [])
  await scheduler.pass(200)
  assert.deepEqual(expired, ['second 110'])
  assert.equal(deadlines.clear(first), false)
})

test('when none is left there is no timer, and the next one starts another', async () => {
  const { scheduler, deadlines, expired, set } = start()
  const deadline = set('a')
  await scheduler.pass(60)
  deadlines.clear(deadline)
  assert.equal(scheduler.waiting, 0)
  set('b')
  await scheduler.pass(99)
  assert.deepEqual(expired, [])
  await scheduler.pass(50)
  assert.deepEqual(expired, ['b 160'])
})

test('an answer that is read in the turn of the deadline is in time', async () => {
  const { scheduler, runNext } = startByHand()
  const deadlines = new Deadlines(100, scheduler)
  let isOver = false
  const deadline = deadlines.set(() => {
    isOver = true
  })
  runNext(100)
  assert.equal(deadlines.clear(deadline), true)
  await turns()
  assert.equal(isOver, false)
})

test('one that is cleared by another that ends does not end', async () => {
  const { scheduler, deadlines, expired, set } = start()
  deadlines.set(() => deadlines.clear(second))
  const second = set('second')
  await scheduler.pass(200)
  assert.deepEqual(expired, [])
  assert.equal(scheduler.waiting, 0)
})

test('one that is set while others end has its whole time', async () => {
  const { scheduler, deadlines, expired, set } = start()
  deadlines.set(() => set('later'))
  await scheduler.pass(199)
  assert.deepEqual(expired, [])
  await scheduler.pass(1)
  await turns()
  await scheduler.pass(10)
  assert.equal(expired.length, 1)
})

test('a timer that comes too early ends nothing', async () => {
  const { scheduler, runNext, delays } = startByHand()
  let isOver = false
  new Deadlines(100, scheduler).set(() => {
    isOver = true
  })
  for (const nowMs of [99.5, 100]) {
    assert.equal(isOver, false)
    runNext(nowMs)
    await turns()
  }
  assert.equal(isOver, true)
  assert.deepEqual(delays, [100, 0.5])
})
