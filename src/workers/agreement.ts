import type { FileSnapshot } from '../config/snapshot.ts'
import { answers } from './messages.ts'
import type { WorkerProcess } from './worker-process.ts'

/** How long a configuration may take to be built, and to be put into force. */
const PREPARE_MS = 30_000

/** A configuration that all workers serve, or none. */
export interface Agreement {
  /** Gives back those that did not do what they had prepared, and would serve something else than the others. */
  commit(): Promise<readonly WorkerProcess[]>
}

/**
 * Has the workers build a configuration beside the one in force. Whoever ends meanwhile is no hindrance: its replacement
 * starts with what is in force by then.
 *
 * @throws {Error} with the reason of the first that cannot; then it is dropped everywhere.
 */
export async function agreeOn(
  workers: readonly WorkerProcess[],
  { path, files }: { readonly path: string; readonly files: FileSnapshot },
): Promise<Agreement> {
  const flaws = await Promise.all(
    workers.map(async (worker) => {
      const done = await worker.ask({ kind: 'prepare', path, files }, { as: answers.done, withinMs: PREPARE_MS })
      if (done?.ok === true || worker.hasEnded) return undefined
      return done === undefined ? `a worker did not answer within ${PREPARE_MS} ms` : done.reason
    }),
  )
  const reason = flaws.find((flaw) => flaw !== undefined)
  if (reason !== undefined) {
    for (const worker of workers) worker.send({ kind: 'abort' })
    throw new Error(reason)
  }
  return {
    async commit() {
      const all = await Promise.all(
        workers.map(async (worker) => {
          const done = await worker.ask({ kind: 'commit' }, { as: answers.done, withinMs: PREPARE_MS })
          return done?.ok === true || worker.hasEnded ? undefined : worker
        }),
      )
      return all.filter((worker) => worker !== undefined)
    },
  }
}
