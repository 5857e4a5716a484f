import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTicker, TICK_MS, ticksFor } from '../../../src/proxy/ticker.ts'

test('a ticker counts while it runs, and stands still when it is stopped', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let ticks = 0
  const ticker = createTicker(() => {
    ticks += 1
  })
  t.mock.timers.tick(10 * TICK_MS)
  assert.equal(ticker.count, 0)
  ticker.start()
  ticker.start()
  t.mock.timers.tick(TICK_MS)
  assert.equal(ticker.count, 0, 'a tick is never shorter than it says')
  t.mock.timers.tick(1)
  assert.deepEqual([ticker.count, ticks], [1, 1])
  ticker.stop()
  t.mock.timers.tick(10 * TICK_MS)
  assert.deepEqual([ticker.count, ticks], [1, 1])
  ticker.start()
  t.mock.timers.tick(TICK_MS + 1)
  assert.deepEqual([ticker.count, ticks], [2, 2])
  ticker.stop()
})

test('a ticker may be stopped from within a tick', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const ticker = createTicker(() => ticker.stop())
  ticker.start()
  t.mock.timers.tick(10 * TICK_MS)
  assert.equal(ticker.count, 1)
})

test('so many ticks are never shorter than the time, wherever in a tick they begin, and at most two longer', () => {
  for (const delayMs of [0, 1, TICK_MS - 1, TICK_MS, TICK_MS + 1, 10 * TICK_MS, 30_000]) {
    // The tick under way may be as good as over, or may just have begun.
    const shortestMs = (ticksFor(delayMs) - 1) * TICK_MS
    const longestMs = ticksFor(delayMs) * TICK_MS
    assert.ok(shortestMs >= delayMs, `${delayMs} ms, early`)
    assert.ok(longestMs <= delayMs + 2 * TICK_MS, `${delayMs} ms, late`)
  }
})
