/** What one look at something came to, in words for its operator. */
export interface Diagnosis {
  /** `warning`: it works, and something may hurt later. `fault`: it does not work, or strangers may do what they must not. */
  readonly verdict: 'good' | 'warning' | 'fault'
  /** One sentence without a full stop. It never holds a secret; text of others in it may hold anything else. */
  readonly text: string
  /** What to do, one sentence without a full stop. */
  readonly advice?: string
}

/** It is as it should be. */
export function good(text: string, advice?: string): Diagnosis {
  return diagnosis('good', text, advice)
}

/** It works, and something may hurt later. */
export function warning(text: string, advice?: string): Diagnosis {
  return diagnosis('warning', text, advice)
}

/** It does not work, or strangers may do what they must not. */
export function fault(text: string, advice?: string): Diagnosis {
  return diagnosis('fault', text, advice)
}

function diagnosis(verdict: Diagnosis['verdict'], text: string, advice: string | undefined): Diagnosis {
  return { verdict, text, ...(advice === undefined ? {} : { advice }) }
}

/** Assertions live for a minute at most, and clocks that differ by more than this eat into it. */
const GREATEST_DRIFT_MS = 2000

/**
 * What a server's clock says about ours. Its answer was made somewhere between asking and getting it.
 *
 * @param span When it was asked and when it answered, by our clock.
 */
export function diagnoseClock(name: string, serverMs: number, span: readonly [from: number, to: number]): Diagnosis {
  const [from, to] = span
  const driftMs = serverMs < from ? from - serverMs : serverMs > to ? serverMs - to : 0
  const drift = `${(driftMs / 1000).toFixed(driftMs < 10_000 ? 1 : 0)} s`
  if (driftMs <= GREATEST_DRIFT_MS) return good(`the clock of ${name} and this one agree`)
  return warning(
    `the clock of ${name} and this one differ by ${drift}`,
    'let both follow a time server (timedatectl, chrony): assertions and sessions end by the clock',
  )
}
