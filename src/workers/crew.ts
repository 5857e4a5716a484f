import type { ReadyReport } from '../admin/operator-listener.ts'
import { answers } from './messages.ts'
import type { WorkerProcess } from './worker-process.ts'

/** Who has not said by then whether it is ready, is not. */
const READY_MS = 3_000

/** A worker that serves, with the number that it has in the log. */
export interface CrewMember {
  readonly number: number
  readonly worker: WorkerProcess
}

/** The workers, as those see them who ask them something. */
export interface Crew {
  /** Those that serve, by their numbers. */
  readonly serving: () => readonly CrewMember[]
  /** Those that listen, those among them too that end politely. */
  readonly listening: () => readonly WorkerProcess[]
  /** How many there should be. */
  readonly configured: () => number
  readonly isDraining: () => boolean
}

export interface CrewReadiness extends ReadyReport {
  /** By number, those that are ready. */
  readonly ready: ReadonlySet<number>
}

/** One worker that is ready is enough: the others' connections come to it. */
export async function readinessOf({ serving, configured, isDraining }: Crew): Promise<CrewReadiness> {
  const all = await Promise.all(
    serving().map(async ({ number, worker }) => {
      const report = await worker.ask({ kind: 'readiness' }, { as: answers.readiness, withinMs: READY_MS })
      return report && { number, ...report }
    }),
  )
  const reports = all.filter((report) => report !== undefined)
  const ready = new Set(reports.filter(({ isReady }) => isReady).map(({ number }) => number))
  const best = reports.find(({ isReady }) => isReady) ?? reports[0]
  const listener = isDraining() ? 'draining' : best === undefined ? 'down' : 'up'
  return {
    isReady: ready.size > 0 && !isDraining(),
    checks: { ...best?.checks, listener, workers: `${ready.size}/${configured()}` },
    ready,
  }
}
