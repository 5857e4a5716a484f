import type { Task } from './contest.ts'
import type { Sample } from './measure.ts'

/** What one side did in one kind of slot, round by round. */
export interface Series {
  readonly operation: Task['operation']
  readonly side: 'gateway' | 'Django'
  readonly inFlight: number
  readonly samples: readonly Sample[]
}

export interface StoreResult {
  readonly store: string
  /** Of each side, in `merge`. */
  readonly processes: number
  readonly series: readonly Series[]
}

/** Median, lowest and highest of the rounds. */
export interface Spread {
  readonly median: number
  readonly low: number
  readonly high: number
}

export interface Summary {
  readonly operation: Task['operation']
  readonly side: Series['side']
  readonly inFlight: number
  /** Of the operations per second, round by round, over Django's in the same round. Not for `merge`, which Django has not. */
  readonly ratioToDjango?: Spread
  /** Of the gateway's CPU time for one operation over Django's. */
  readonly cpuRatioToDjango?: Spread
  readonly perSecond: Spread
  readonly p50Ms: Spread
  readonly p99Ms: Spread
  readonly cpuMicrosPerOperation: Spread
  /** Over all rounds. Only for `merge`. */
  readonly merges?: { readonly updates: number; readonly lost: number; readonly failed: number }
}

export function summarize({ series }: StoreResult): readonly Summary[] {
  return series.map((one) => {
    const rival = series.find(({ operation, side }) => side === 'Django' && operation === one.operation)
    const isCompared = one.side === 'gateway' && one.operation !== 'merge' && rival !== undefined
    const against = (ratio: (ours: Sample, theirs: Sample) => number): Spread =>
      spread(one.samples.map((sample, round) => ratio(sample, rival?.samples[round] ?? sample)))
    return {
      operation: one.operation,
      side: one.side,
      inFlight: one.inFlight,
      ...(isCompared && {
        ratioToDjango: against((ours, theirs) => ours.perSecond / theirs.perSecond),
        cpuRatioToDjango: against((ours, theirs) => ours.cpuMicrosPerOperation / theirs.cpuMicrosPerOperation),
      }),
      perSecond: spread(one.samples.map(({ perSecond }) => perSecond)),
      p50Ms: spread(one.samples.map(({ p50Ms }) => p50Ms)),
      p99Ms: spread(one.samples.map(({ p99Ms }) => p99Ms)),
      cpuMicrosPerOperation: spread(one.samples.map(({ cpuMicrosPerOperation }) => cpuMicrosPerOperation)),
      ...(one.operation === 'merge' && { merges: mergesOf(one.samples) }),
    }
  })
}

function mergesOf(samples: readonly Sample[]): { updates: number; lost: number; failed: number } {
  const sum = (of: (sample: Sample) => number): number => samples.reduce((total, sample) => total + of(sample), 0)
  return { updates: sum((one) => one.operations), lost: sum((one) => one.lost), failed: sum((one) => one.failed) }
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number): number => sorted.at(index) ?? Number.NaN
  return { median: at(Math.floor(sorted.length / 2)), low: at(0), high: at(-1) }
}

const columns = ['', 'rate / Django', 'per second', 'p99 ms', 'CPU µs', 'CPU / Django', '']
const widths = [31, 18, 24, 20, 8, 12, 0]

/** The heads of {@link tableOf}'s columns. */
export const tableHead = line(columns)

/** The store's name, and a line for each kind of slot. */
export function tableOf(result: StoreResult): string {
  const rows = summarize(result).map((summary) =>
    line([
      `  ${summary.operation.padEnd(6)}${nameOf(summary, result)}`,
      summary.ratioToDjango === undefined ? '' : text(summary.ratioToDjango),
      text(summary.perSecond),
      text(summary.p99Ms),
      digits(summary.cpuMicrosPerOperation.median),
      summary.cpuRatioToDjango === undefined ? '' : digits(summary.cpuRatioToDjango.median),
      summary.merges === undefined ? '' : lostText(summary.merges),
    ]),
  )
  return [result.store, ...rows].join('\n')
}

function nameOf({ operation, side, inFlight }: Summary, { processes }: StoreResult): string {
  if (operation === 'merge') return `${side}, ${inFlight} at once${processes > 1 ? ` from ${processes}` : ''}`
  return side === 'gateway' ? `gateway, ${inFlight} in flight` : 'Django, one by one'
}

function lostText({ updates, lost, failed }: NonNullable<Summary['merges']>): string {
  return `lost ${lost} of ${updates} updates${failed > 0 ? `, ${failed} more failed` : ''}`
}

function line(cells: readonly string[]): string {
  return cells
    .map((cell, i) =>
      i === 0 || i === cells.length - 1 ? cell.padEnd(widths[i] ?? 0) : `${cell.padStart(widths[i] ?? 0)}  `,
    )
    .join('')
    .trimEnd()
}

/** `2.1 (2.0–2.3)`, with as many digits as mean something. */
function text({ median, low, high }: Spread): string {
  return `${digits(median)} (${digits(low)}–${digits(high)})`
}

function digits(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (value >= 100) return Math.round(value).toLocaleString('en')
  return value.toFixed(value >= 10 ? 1 : 2)
}
