import type { Scheduler } from '../../../src/sessions/scheduler.ts'
import { turns } from '../../support/deadline.ts'

/** Monotonic time that stands still until a test moves it. */
export interface TestScheduler extends Scheduler {
  /** Lets so much time pass: what is due runs in its order, and what it sets off gets its turns. */
  pass(durationMs: number): Promise<void>
  /** How many tasks wait for their time. */
  readonly waiting: number
}

export function createTestScheduler(): TestScheduler {
  let nowMs = 0
  const tasks = new Set<{ readonly atMs: number; readonly task: () => void }>()
  return {
    nowMs: () => nowMs,
    after(delayMs, task) {
      const entry = { atMs: nowMs + delayMs, task }
      tasks.add(entry)
      return () => void tasks.delete(entry)
    },
    get waiting() {
      return tasks.size
    },
    async pass(durationMs) {
      const untilMs = nowMs + durationMs
      for (;;) {
        await turns(4)
        const [next] = [...tasks].filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)
        if (next === undefined) break
        tasks.delete(next)
        nowMs = Math.max(nowMs, next.atMs)
        next.task()
      }
      nowMs = untilMs
    },
  }
}
