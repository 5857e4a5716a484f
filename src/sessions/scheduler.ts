/** Monotonic time and timers; an argument, so that tests own both. */
export interface Scheduler {
  /** Milliseconds since some moment; never goes back, whatever happens to the wall clock. */
  nowMs(): number
  /** Runs `task` once after so many milliseconds. Returns the way to call it off. */
  after(delayMs: number, task: () => void): () => void
}

export const systemScheduler: Scheduler = {
  nowMs: () => performance.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs)
    return () => clearTimeout(timer)
  },
}
