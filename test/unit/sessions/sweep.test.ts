import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sweepExpired } from '../../../src/sessions/sweep.ts'

function store(count: number): { clearExpired(limit: number): Promise<number>; readonly left: () => number } {
  let left = count
  return {
    async clearExpired(limit) {
      const cleared = Math.min(limit, left)
      left -= cleared
      return cleared
    },
    left: () => left,
  }
}

test('all that is over goes, in batches, with a pause after each full one', async () => {
  const sessions = store(25)
  const [batches, pauses]: number[][] = [[], []]
  await sweepExpired(sessions, {
    batch: 10,
    pauseAfter(tookMs) {
      pauses?.push(tookMs)
      return 0
    },
    onBatch: (count) => batches?.push(count),
  })
  assert.deepEqual(batches, [10, 10, 5])
  assert.equal(pauses?.length, 2)
  assert.ok(pauses.every((tookMs) => tookMs >= 0))
})

test('it ends at once when it is told to in a pause, and is no failure', async () => {
  const sessions = store(25)
  const ending = new AbortController()
  await sweepExpired(sessions, {
    batch: 10,
    pauseAfter() {
      ending.abort()
      return 3_600_000
    },
    signal: ending.signal,
  })
  assert.equal(sessions.left(), 15)
})

test('what the store says when it fails comes out, with what was done until then told', async () => {
  let batches = 0
  const failing = {
    async clearExpired(limit: number) {
      if (++batches === 3) throw new Error('away')
      return limit
    },
  }
  let cleared = 0
  const onBatch = (count: number): void => {
    cleared += count
  }
  await assert.rejects(sweepExpired(failing, { batch: 10, pauseAfter: () => 0, onBatch }), { message: 'away' })
  assert.equal(cleared, 20)
})
