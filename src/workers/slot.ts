import type { Ending, WorkerProcess } from './worker-process.ts'

/** The place of one worker after the other. */
export interface Slot {
  readonly number: number
  worker: WorkerProcess | undefined
  /** Until the replacement of one that has died. */
  timer: NodeJS.Timeout | undefined
}

/** A worker has ended that nobody has told to. */
export interface Lost extends Ending {
  readonly worker: WorkerProcess
}

export function newSlot(number: number): Slot {
  return { number, worker: undefined, timer: undefined }
}
