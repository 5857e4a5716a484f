import { type OperatorListener, openOperatorListener, type ReadyReport } from '../admin/operator-listener.ts'
import type { Config } from '../config/config.ts'
import { answers } from './messages.ts'
import type { WorkerProcess } from './worker-process.ts'

/** Who has not said by then whether it is ready, is not. */
const ANSWER_MS = 3_000

/** What the operator's listeners ask of a supervisor. */
export interface Operated {
  readonly metrics: () => Promise<string>
  /** Those that serve. */
  readonly workers: () => readonly WorkerProcess[]
  /** How many there should be. */
  readonly configured: () => number
  readonly isDraining: () => boolean
}

/** `admin.listen` and `probes.listen`, in the supervisor: one address for all workers. @throws {Error} the system's. */
export async function openOperators(
  { admin, probes }: Pick<Config, 'admin' | 'probes'>,
  { stack, operated }: { stack: AsyncDisposableStack; operated: Operated },
): Promise<readonly OperatorListener[]> {
  const opened: OperatorListener[] = []
  for (const listen of [admin?.listen, probes?.listen]) {
    if (listen === undefined) continue
    const listener = await openOperatorListener({
      address: listen.address,
      metrics: operated.metrics,
      isReady: () => readinessOf(operated),
      isLive: () => true,
    })
    opened.push(stack.use(listener))
  }
  return opened
}

/** One worker that is ready is enough: the others' connections come to it. */
async function readinessOf({ workers, configured, isDraining }: Operated): Promise<ReadyReport> {
  const all = await Promise.all(
    workers().map((worker) => worker.ask({ kind: 'readiness' }, { as: answers.readiness, withinMs: ANSWER_MS })),
  )
  const reports = all.filter((report) => report !== undefined)
  const best = reports.find(({ isReady }) => isReady) ?? reports[0]
  const count = `${reports.filter(({ isReady }) => isReady).length}/${configured()}`
  const listener = isDraining() ? 'draining' : best === undefined ? 'down' : 'up'
  return { isReady: best?.isReady === true && !isDraining(), checks: { ...best?.checks, listener, workers: count } }
}
