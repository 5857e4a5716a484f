/** Median, lowest and highest of the rounds. */
export interface Spread {
  readonly median: number
  readonly low: number
  readonly high: number
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number): number => sorted.at(index) ?? Number.NaN
  const half = sorted.length / 2
  return { median: (at(Math.ceil(half) - 1) + at(Math.floor(half))) / 2, low: at(0), high: at(-1) }
}

/** `2.13 (2.08–2.31)`. */
export function spreadText({ median, low, high }: Spread): string {
  return `${digits(median)} (${digits(low)}–${digits(high)})`
}

/** As many digits as mean something. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (value >= 100) return Math.round(value).toLocaleString('en')
  return value.toFixed(value >= 10 ? 1 : 2)
}
