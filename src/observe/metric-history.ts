import type { Clock } from '../lib/clock.ts'
import type { MetricFamily } from './metric-families.ts'
import { counterNames, type MetricTotals, readTotals, shareBelow } from './metric-totals.ts'

/** An hour, in points of ten seconds. */
const EVERY_MS = 10_000
const MAX_POINTS = 360

/** Numbers over time, a list for each thing that is measured, all as long as `at`. `null`: nothing to be said of it. */
export interface HistoryReport {
  readonly every_seconds: number
  readonly at: string[]
  readonly series: Record<keyof HistoryPoint, (number | null)[]>
}

/** What happened between two looks at the metrics; rates are per second. */
export interface HistoryPoint {
  readonly requests: number | null
  readonly with_session: number | null
  readonly errors: number | null
  readonly refused: number | null
  readonly overhead_p99_seconds: number | null
  readonly sent_to_login: number | null
  readonly sessions_begun: number | null
  readonly sessions_renewed: number | null
  readonly sessions_revoked: number | null
  readonly in_flight: number | null
  readonly web_sockets: number | null
}

export interface MetricHistoryOptions {
  /** What is counted, of all workers together. */
  readonly families: () => Promise<readonly MetricFamily[]>
  readonly clock: Clock
  /** Milliseconds from anywhere that never go back; default the process's. */
  readonly elapsedMs?: () => number
  /** Default ten seconds. */
  readonly everyMs?: number
  /** Default 360. */
  readonly maxPoints?: number
}

interface Sample {
  readonly elapsedMs: number
  readonly totals: MetricTotals
}

/**
 * The last hour of what is counted, for a page that has just been opened. It looks at the metrics every ten seconds while
 * it runs, and holds a fixed number of points; while it does not run it costs nothing and holds nothing.
 */
export class MetricHistory implements Disposable {
  readonly #options: MetricHistoryOptions
  readonly #everyMs: number
  #points: { readonly at: string; readonly point: HistoryPoint }[] = []
  #last: Sample | undefined
  #timer: NodeJS.Timeout | undefined
  #isSampling = false

  constructor(options: MetricHistoryOptions) {
    this.#options = options
    this.#everyMs = options.everyMs ?? EVERY_MS
  }

  /** Begins, or forgets everything. Saying the same twice changes nothing. */
  run(isWanted: boolean): void {
    if (isWanted === (this.#timer !== undefined)) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#points = []
    this.#last = undefined
    if (!isWanted) return
    this.#timer = setInterval(() => void this.sample(), this.#everyMs).unref()
    void this.sample()
  }

  /** One look, which the next is compared with. While one is under way, another is left out. */
  async sample(): Promise<void> {
    if (this.#isSampling) return
    this.#isSampling = true
    try {
      const families = await this.#options.families()
      const elapsedMs = (this.#options.elapsedMs ?? (() => performance.now()))()
      this.#add({ elapsedMs, totals: readTotals(families) })
    } catch {
      // A gap: what cannot be read now is no reason to end, and the next look begins anew.
      this.#last = undefined
    } finally {
      this.#isSampling = false
    }
  }

  report(): HistoryReport {
    const points = this.#points.map(({ point }) => point)
    const series = Object.fromEntries(seriesNames.map((name) => [name, points.map((point) => point[name])]))
    return {
      every_seconds: this.#everyMs / 1000,
      at: this.#points.map(({ at }) => at),
      series: series as HistoryReport['series'],
    }
  }

  [Symbol.dispose](): void {
    this.run(false)
  }

  #add(sample: Sample): void {
    const before = this.#last
    this.#last = sample
    if (before === undefined || sample.elapsedMs <= before.elapsedMs) return
    const at = new Date(this.#options.clock()).toISOString()
    this.#points.push({ at, point: pointBetween(before, sample) })
    if (this.#points.length > (this.#options.maxPoints ?? MAX_POINTS)) this.#points.shift()
  }
}

const seriesNames: readonly (keyof HistoryPoint)[] = [
  ...counterNames,
  'overhead_p99_seconds',
  'in_flight',
  'web_sockets',
]

function pointBetween(before: Sample, after: Sample): HistoryPoint {
  const seconds = (after.elapsedMs - before.elapsedMs) / 1000
  const rates = counterNames.map((name) => {
    const more = after.totals.counters[name] - before.totals.counters[name]
    // Less than before: something began to count anew, and how much it had is not known.
    return [name, more < 0 ? null : more / seconds] as const
  })
  const { overhead, gauges } = after.totals
  const fresh = overhead.counts.map((count, i) => count - (before.totals.overhead.counts[i] ?? 0))
  return {
    ...(Object.fromEntries(rates) as Record<(typeof counterNames)[number], number | null>),
    overhead_p99_seconds: shareBelow(0.99, { bounds: overhead.bounds, counts: fresh }),
    ...gauges,
  }
}
