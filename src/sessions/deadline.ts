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

/** A deadline that was set; of use to whoever set it only. */
export interface Deadline {
  readonly atMs: number
  readonly expire: () => void
}

/**
 * Deadlines that are all equally long, so that they end in the order in which they were set: one timer, for the first of
 * them, serves all. A timer for each would be set for every request and called off again a moment later.
 */
export class Deadlines {
  readonly #durationMs: number
  readonly #scheduler: Scheduler
  readonly #open = new Set<Deadline>()
  #callOff: (() => void) | undefined

  constructor(durationMs: number, scheduler: Scheduler) {
    this.#durationMs = durationMs
    this.#scheduler = scheduler
  }

  /** `expire` is called once, after so much time and never earlier, unless the deadline is cleared before. */
  set(expire: () => void): Deadline {
    const deadline = { atMs: this.#scheduler.nowMs() + this.#durationMs, expire }
    this.#open.add(deadline)
    if (this.#callOff === undefined) this.#wait(this.#durationMs)
    return deadline
  }

  /** False if it was over before. */
  clear(deadline: Deadline): boolean {
    if (!this.#open.delete(deadline)) return false
    if (this.#open.size === 0) this.#rest()
    return true
  }

  #wait(delayMs: number): void {
    this.#callOff?.()
    this.#callOff = this.#scheduler.after(delayMs, () => {
      const dueMs = this.#scheduler.nowMs()
      // One turn later: when the process itself was held up, answers may lie in the socket, not read yet.
      const turn = setImmediate(() => this.#expire(dueMs))
      this.#callOff = () => clearImmediate(turn)
    })
  }

  #expire(dueMs: number): void {
    for (const deadline of this.#open) {
      // A timer may also come a part of a millisecond too early.
      if (deadline.atMs > dueMs) {
        this.#wait(deadline.atMs - dueMs)
        return
      }
      this.#open.delete(deadline)
      deadline.expire()
    }
    this.#rest()
  }

  #rest(): void {
    this.#callOff?.()
    this.#callOff = undefined
  }
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
