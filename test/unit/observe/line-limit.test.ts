import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLineLimit } from '../../../src/observe/line-limit.ts'

test('the first lines of each stretch are written, the others counted and told once', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const leftOut: number[] = []
  const mayWrite = createLineLimit({ lines: 2, everyMs: 1000, onLeftOut: (count) => leftOut.push(count) })
  const tries = (count: number): boolean[] => Array.from({ length: count }, () => mayWrite())
  assert.deepEqual(tries(4), [true, true, false, false])
  context.mock.timers.tick(999)
  assert.deepEqual([tries(1), leftOut], [[false], []])
  context.mock.timers.tick(1)
  assert.deepEqual(leftOut, [3])
  assert.deepEqual(tries(1), [true])
  context.mock.timers.tick(5000)
  assert.deepEqual(leftOut, [3], 'a stretch without loss tells nothing')
  assert.deepEqual(tries(3), [true, true, false])
})
