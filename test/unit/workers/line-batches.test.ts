import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LineBatch, LineBatches } from '../../../src/workers/line-batches.ts'
import { turns } from '../../support/deadline.ts'

/** Takes a batch when it is told to. */
function createReader() {
  const taken: LineBatch[] = []
  let next = Promise.withResolvers<void>()
  const batches = new LineBatches(async (batch) => {
    taken.push(batch)
    await next.promise
  })
  return {
    batches,
    taken,
    async go(): Promise<void> {
      next.resolve()
      next = Promise.withResolvers<void>()
      await turns()
    },
  }
}

test('lines of one turn go together, and those that come while they are under way wait for the next batch', async () => {
  const { batches, taken, go } = createReader()
  for (const line of ['a', 'b']) batches.add(line)
  await turns()
  for (const line of ['c', 'd']) batches.add(line)
  await turns()
  assert.deepEqual(taken, [{ lines: ['a', 'b'], leftOut: 0 }])
  await go()
  assert.deepEqual(taken.slice(1), [{ lines: ['c', 'd'], leftOut: 0 }])
  await go()
  batches.add('e')
  await turns()
  assert.deepEqual(taken.slice(2), [{ lines: ['e'], leftOut: 0 }])
})

test('where nobody takes them, what has no room is left out and counted', async () => {
  const { batches, taken, go } = createReader()
  batches.add('first')
  await turns()
  const line = 'x'.repeat(64 * 1024)
  for (let i = 0; i < 10; i++) batches.add(line)
  batches.add('y'.repeat(300 * 1024))
  await go()
  assert.deepEqual([taken[1]?.lines.length, taken[1]?.leftOut], [4, 7])
  let isFlushed = false
  void batches.flushed().then(() => {
    isFlushed = true
  })
  await turns()
  assert.equal(isFlushed, false)
  await go()
  assert.equal(isFlushed, true)
})
