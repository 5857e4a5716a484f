import type { z } from 'zod'
import { OperationFailed, OperationRefused } from '../admin/operations.ts'
import { type Operated, type Operation, operated } from './operation-messages.ts'
import type { WorkerProcess } from './worker-process.ts'

/** How soon a worker must have taken a question; the answer itself may take as long as it takes. */
const BEGIN_MS = 3_000

/** The part of a worker's process that is asked. */
export type Asked = Pick<WorkerProcess, 'ask' | 'isLate' | 'hasEnded' | 'pid'>

/** Undefined if it does not take the question in time, or ends over it. */
export function askWorker<T>(
  worker: Asked,
  operation: Operation,
  outcome: z.ZodType<T>,
): Promise<Operated<T> | undefined> {
  return worker.ask({ kind: 'operate', operation }, { as: operated(outcome), withinMs: BEGIN_MS })
}

/** Asks one of them, and the next one where there is no answer. @throws {OperationRefused} if none has one. */
export async function askOne<T, W extends Asked>(
  workers: readonly W[],
  operation: Operation,
  outcome: z.ZodType<T>,
): Promise<{ readonly worker: W; readonly value: T }> {
  // Who stands still is only asked when nobody else is there: it would be waited for.
  for (const worker of workers.toSorted((a, b) => Number(a.isLate) - Number(b.isLate))) {
    const answer = await askWorker(worker, operation, outcome)
    if (answer !== undefined) return { worker, value: outcomeOf(answer) }
  }
  throw noAnswer()
}

/** @throws {OperationRefused} in the worker's words. @throws {OperationFailed} */
export function outcomeOf<T>(answer: Operated<T>): T {
  if (answer.kind === 'refused') throw new OperationRefused(answer.message)
  if (answer.kind === 'failed') throw new OperationFailed('a worker has failed, and has told its log')
  return answer.value
}

/** What none of them has answered, or with something else: its version may be another than the supervisor's. */
export function noAnswer(): OperationRefused {
  return new OperationRefused('no worker has answered; after an update of the program its supervisor is restarted too')
}
