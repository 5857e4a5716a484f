import { familiesText, lastingFamilies, type MetricFamily, sumFamilies } from '../observe/metric-families.ts'
import type { WorkerProcess } from './worker-process.ts'

/** Who does not answer by then stands in the sums with what it said last. */
const ANSWER_MS = 1_000

/** What all workers count together, those that are gone included: a counter never goes back. */
export interface MetricSums {
  /** That process is one more to be asked. */
  add(worker: WorkerProcess): void
  /** What the history is made of, of each process; readings of the time since the last look are left as they are. */
  totals(): Promise<readonly MetricFamily[]>
  /** Prometheus' text format. Scrapes at the same time share one answer. */
  text(): Promise<string>
}

/** `own`: what the supervisor itself has to tell. */
export function createMetricSums(own: () => Promise<readonly MetricFamily[]>): MetricSums {
  const living = new Set<WorkerProcess>()
  let gone: readonly (readonly MetricFamily[])[] = []
  let running: Promise<string> | undefined

  /** As long as there are supervisors that live for months, the list of those that are gone must not grow. */
  async function shorten(): Promise<void> {
    if (gone.length < 2) return
    const before = gone
    const together = await sumFamilies(before)
    gone = [together, ...gone.slice(before.length)]
  }

  async function scrape(): Promise<string> {
    await Promise.all([...living].map((worker) => worker.refresh(ANSWER_MS)))
    await shorten()
    const supervisor = await own()
    // From here on without a break: a worker that ends in between would stand in both lists, or in none.
    return await familiesText([supervisor, ...[...living].map(({ families }) => families), ...gone])
  }

  return {
    add(worker) {
      living.add(worker)
      void worker.ended.then(() => {
        living.delete(worker)
        gone = [...gone, lastingFamilies(worker.families)]
      })
    },
    async totals() {
      const told = new Map<WorkerProcess, readonly MetricFamily[]>()
      await Promise.all([...living].map(async (worker) => told.set(worker, await worker.totals(ANSWER_MS))))
      // Who has ended meanwhile is among those that are gone.
      return [...[...living].map((worker) => told.get(worker) ?? worker.families), ...gone].flat()
    },
    text() {
      running ??= scrape().finally(() => {
        running = undefined
      })
      return running
    },
  }
}
