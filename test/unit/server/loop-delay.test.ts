import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DelayControl } from '../../../src/server/loop-delay.ts'

/** The shares after each of these samples, 50 ms and the delay apart. */
function sharesOf(control: DelayControl, lateMs: readonly number[]): number[] {
  return lateMs.map((late) => control.next(late, late + 50))
}

test('a loop that is in time refuses nothing, however long', () => {
  const shares = sharesOf(
    new DelayControl(250),
    Array.from({ length: 1000 }, (_, i) => i % 40),
  )
  assert.ok(shares.every((share) => share === 0))
})

test('one stall refuses nothing, however long it was, and two in a row neither', () => {
  assert.deepEqual(sharesOf(new DelayControl(250), [0, 60_000, 1, 0, 900, 900, 0]), [0, 0, 0, 0, 0, 0, 0])
})

test('a loop that stays behind refuses more and more, and never more than half: refusing costs as well', () => {
  const shares = sharesOf(new DelayControl(250), new Array<number>(100).fill(2_000))
  assert.deepEqual(shares.slice(0, 2), [0, 0])
  assert.ok((shares[2] ?? 0) > 0)
  assert.equal(shares.at(-1), 0.5)
})

test('when it is in time again, all are let in within two seconds', () => {
  const control = new DelayControl(250)
  sharesOf(control, new Array<number>(100).fill(2_000))
  const shares = sharesOf(control, new Array<number>(40).fill(1))
  assert.equal(shares.at(-1), 0)
})

/**
 * A loop that does in one turn what came in the turn before. `load`: what comes, 1 = all that can be done; `cheap`: what a
 * refused request costs of one that is served.
 */
function simulate({ load, cheap, seconds }: { load: number; cheap: number; seconds: number }) {
  const control = new DelayControl(250)
  let share = 0
  let turnMs = 5
  let sinceMs = 0
  let served = 0
  const lates: number[] = []
  for (let nowMs = 0; nowMs < seconds * 1000; nowMs += turnMs) {
    // Below capacity the loop waits for work, in turns of some milliseconds.
    const work = load * (1 - share + share * cheap)
    if (nowMs > seconds * 500) served += load * (1 - share) * turnMs
    turnMs = Math.min(20_000, Math.max(5, turnMs * work))
    sinceMs += turnMs
    if (sinceMs < 50) continue
    const late = sinceMs - 50
    lates.push(late)
    share = control.next(late, sinceMs)
    sinceMs = 0
  }
  return { goodput: served / (seconds * 500), lates: lates.slice(lates.length / 2) }
}

for (const load of [1.1, 1.3, 1.6]) {
  test(`at ${load} times what it can do it stays near the bound, and does nearly as much as it can`, () => {
    const cheap = 0.1
    const { goodput, lates } = simulate({ load, cheap, seconds: 120 })
    const most = (1 - load * cheap) / (1 - cheap)
    assert.ok(goodput > 0.9 * most, `${goodput} of ${most}`)
    const worst = Math.max(...lates)
    assert.ok(worst < 2_500, `${worst} ms late`)
  })
}
