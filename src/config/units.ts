const MS_PER_UNIT: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

const BYTES_PER_UNIT: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
}

/** A whole number and its unit, nothing between them: `300ms`, `30s`, `15m`, `1h`, `14d`. */
export const DURATION = /^(\d{1,15})(ms|s|m|h|d)$/

/** A whole number and its unit: `512B`, `16KiB` (1024 each), `10MB` (1000 each). */
export const SIZE = /^(\d{1,15})(B|KB|MB|GB|KiB|MiB|GiB)$/

/**
 * `timers` of Node hold 2^31-1 ms; a longer one fires at once, so that a limit of 30 days would be a limit of nothing.
 */
export const LONGEST_TIMER_MS = 24 * 86_400_000

/** Milliseconds of `30s` and its like; `undefined` for anything else, also for what a number cannot hold exactly. */
export function parseDuration(text: string): number | undefined {
  return measure(DURATION.exec(text), MS_PER_UNIT)
}

/** Bytes of `16KiB` and its like; `undefined` for anything else. */
export function parseSize(text: string): number | undefined {
  return measure(SIZE.exec(text), BYTES_PER_UNIT)
}

function measure(match: RegExpExecArray | null, perUnit: Readonly<Record<string, number>>): number | undefined {
  const factor = perUnit[match?.[2] ?? '']
  if (match === null || factor === undefined) return undefined
  const value = Number(match[1]) * factor
  return Number.isSafeInteger(value) ? value : undefined
}
