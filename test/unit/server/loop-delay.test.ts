import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DelayControl, mostRefused } from '../../../src/server/loop-delay.ts'

/** The shares after each of these looks, 250 ms or the delay apart; a request takes 0.12 ms. */
function sharesOf(control: DelayControl, lateMs: readonly number[]): number[] {
  return lateMs.map((late) => {
    const elapsedMs = Math.max(250, late)
    return control.next(late, { elapsedMs, served: Math.max(1, Math.round(elapsedMs / 0.12)), refused: 0 })
  })
}

for (const [servedMs, share] of [
  [0.12, 0.5],
  [0.3, 0.714],
  [1.2, 0.909],
  [50, 0.95],
  [0.001, 0.25],
] as const) {
  test(`of requests that take ${servedMs} ms no more is refused than can be refused in a quarter of the time`, () => {
    const most = mostRefused({ elapsedMs: 1000 * servedMs + 40, served: 1000, refused: 1000 })
    assert.ok(Math.abs(most - share) < 0.001, `${most}`)
  })
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

test('a loop that stays behind refuses more and more, and of small requests never more than half: refusing costs as well', () => {
  const shares = sharesOf(new DelayControl(250), new Array<number>(100).fill(2_000))
  assert.deepEqual(shares.slice(0, 2), [0, 0])
  assert.ok((shares[2] ?? 0) > 0)
  assert.ok(Math.abs((shares.at(-1) ?? 0) - 0.5) < 0.01, `${shares.at(-1)}`)
})

test('when it is in time again, all are let in within two seconds', () => {
  const control = new DelayControl(250)
  sharesOf(control, new Array<number>(100).fill(2_000))
  const shares = sharesOf(control, new Array<number>(8).fill(1))
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
  let latestMs = 0
  let served = 0
  const lates: number[] = []
  for (let nowMs = 0; nowMs < seconds * 1000; nowMs += turnMs) {
    // Below capacity the loop waits for work, in turns of some milliseconds.
    const work = load * (1 - share + share * cheap)
    if (nowMs > seconds * 500) served += load * (1 - share) * turnMs
    turnMs = Math.min(20_000, Math.max(5, turnMs * work))
    sinceMs += turnMs
    latestMs = Math.max(latestMs, turnMs - 50)
    if (sinceMs < 250) continue
    const late = Math.max(0, latestMs)
    latestMs = 0
    lates.push(late)
    const each = 0.04 / cheap
    const done = sinceMs / (each * (1 - share + share * cheap))
    share = control.next(late, { elapsedMs: sinceMs, served: done * (1 - share), refused: done * share })
    sinceMs = 0
  }
  return { goodput: served / (seconds * 500), lates: lates.slice(lates.length / 2) }
}

for (const load of [1.1, 1.3, 1.6, 2, 3]) {
  test(`at ${load} times what it can do it stays near the bound, and does nearly as much as it can`, () => {
    const cheap = 0.1
    const { goodput, lates } = simulate({ load, cheap, seconds: 120 })
    const most = (1 - load * cheap) / (1 - cheap)
    assert.ok(goodput > 0.9 * most, `${goodput} of ${most}`)
    const worst = Math.max(...lates)
    assert.ok(worst < 2_500, `${worst} ms late`)
  })
}
