import type { Scheduler } from './scheduler.ts'

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
