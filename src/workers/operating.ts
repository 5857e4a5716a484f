import { OperationRefused, type Operations } from '../admin/operations.ts'
import { failureFields } from '../observe/failure.ts'
import type { Log } from '../observe/log.ts'
import type { Operated, Operation } from './operation-messages.ts'

/** What a worker does for the operator. The rest is its supervisor's: it has the file, and knows of all workers. */
export type WorkerOperations = Pick<Operations, Operation['name'] | 'watchRequests'>

/** Does what the operator asks, in a worker. A failure is told here, where its cause is known. */
export async function operate(
  operations: WorkerOperations,
  { operation, log }: { readonly operation: Operation; readonly log: Pick<Log, 'error'> },
): Promise<Operated> {
  try {
    return { kind: 'done', value: (await resultOf(operations, operation)) ?? null }
  } catch (error) {
    if (error instanceof OperationRefused) return { kind: 'refused', message: error.message }
    log.error('an operator’s request failed', failureFields(error))
    return { kind: 'failed' }
  }
}

function resultOf(operations: WorkerOperations, operation: Operation): unknown {
  switch (operation.name) {
    case 'overview':
      return operations.overview()
    case 'routes':
      return operations.routes()
    case 'explain': {
      const { method, url, session } = operation
      return operations.explain({ method, url, session })
    }
    case 'listSessions':
      return operations.listSessions(operation.query, operation.limit)
    case 'showSession':
      return operations.showSession(operation.id)
    case 'revokeSessions':
      return operations.revokeSessions(operation.which)
    case 'upstreams':
      return operations.upstreams()
    case 'setDrained':
      return operations.setDrained(operation.place, operation.isDrained)
    case 'keys':
      return operations.keys()
    case 'store':
      return operations.store({ isCounted: operation.isCounted })
    case 'clearExpired':
      return operations.clearExpired()
  }
}
