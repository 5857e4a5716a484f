import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'

/** `npm run test:soak` keeps the promises in full; every other run a tenth of them. */
const isWhole = process.env.SESSIONGATE_FAULTS === 'whole'

/** How many of what is promised this run brings. */
export function share(whole: number): number {
  return isWhole ? whole : Math.ceil(whole / 10)
}

/** The same for what is promised of each of several: the short run divides its tenth among them. */
export function shareOfEach(whole: number, count: number): number {
  return isWhole ? whole : Math.ceil(whole / 10 / count)
}

/**
 * Where chance begins: `SESSIONGATE_SEED`, to repeat a run; else in the full run somewhere new each time, and in the short
 * one always at the same place, so that it fails for nobody who has changed nothing.
 */
export function chosenSeed(): number {
  const told = process.env.SESSIONGATE_SEED
  if (told !== undefined) return Number(told)
  return isWhole ? Date.now() % 2 ** 31 : 1
}

/** Of so many looks, those that broke one promise. The number stands beside each zero. */
export interface Tally {
  looks: number
  /** Another look; `example` is made only if it breaks the promise. */
  look(isKept: boolean, example: () => string): void
  broken(example: string): void
}

/**
 * Counts for one promise while the test runs; then prints the count, in a form that `scripts/test.ts` reads, and fails
 * the test if the promise was broken, with some of the cases.
 *
 * @param promise what must be zero: "protected hits without a session"
 * @param unit what is looked at: "targets"
 */
export async function counted(
  t: TestContext,
  { promise, unit, seed }: { readonly promise: string; readonly unit: string; readonly seed?: number },
  run: (tally: Tally) => Promise<void>,
): Promise<void> {
  const examples: string[] = []
  let failures = 0
  const tally: Tally = {
    looks: 0,
    look(isKept, example) {
      tally.looks += 1
      if (!isKept) tally.broken(example())
    },
    broken(example) {
      failures += 1
      if (examples.length < 10) examples.push(example)
    },
  }
  const from = seed === undefined ? '' : `, seed ${seed}`
  try {
    await run(tally)
  } finally {
    // Also where another promise, counted within, was broken.
    t.diagnostic(`counted: ${promise}: ${failures} of ${tally.looks} ${unit}${from}`)
  }
  assert.ok(tally.looks > 0, `${promise}: nothing was looked at`)
  assert.equal(failures, 0, `${promise}: ${failures} of ${tally.looks} ${unit}${from}\n${examples.join('\n')}`)
}
