import type { SessionData } from '../django/json.ts'
import type { Transition } from './engine.ts'
import type { Scheduler } from './scheduler.ts'
import { storeUnavailable } from './store-failure.ts'

/** What one batch of a sweep or one page of a listing may take, in milliseconds, where nobody waits for an answer. */
export const BATCH_TIMEOUT_MS = 30_000

export interface DeadlineOptions {
  readonly timeoutMs: number
  readonly scheduler: Scheduler
  /** Makes the error for the caller; called once, at the deadline. */
  readonly onExpire: () => Error
}

/**
 * What `running` comes to, if it does so in time. Otherwise the caller gets the error at once, and what `running` comes to
 * later reaches nobody: no value, and no rejection without a handler, which would end the process.
 */
export function withinDeadline<T>(running: Promise<T>, options: DeadlineOptions): Promise<T> {
  const { timeoutMs, scheduler, onExpire } = options
  return new Promise((resolve, reject) => {
    let isOver = false
    const expire = (): void => {
      if (isOver) return
      isOver = true
      reject(onExpire())
    }
    // One turn later: when the process itself was held up, the answer may lie in the socket, not read yet.
    const callOff = scheduler.after(timeoutMs, () => setImmediate(expire))
    const settle = (done: () => void): void => {
      if (isOver) return
      isOver = true
      callOff()
      done()
    }
    running.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    )
  })
}

/** A decision that can be called off: asked after `abandon`, it throws, so nothing is written for a caller who has gone. */
export function abandonable(decide: (now: SessionData) => Transition): {
  readonly decide: (now: SessionData) => Transition
  abandon(): void
} {
  let isAbandoned = false
  return {
    decide(now) {
      if (isAbandoned) throw storeUnavailable('nobody waits for this change any more')
      return decide(now)
    },
    abandon() {
      isAbandoned = true
    },
  }
}
