import { setTimeout } from 'node:timers/promises'
import { failureFields } from './observe/failure.ts'
import type { Log } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import type { SessionEngine } from './sessions/engine.ts'
import { sweepExpired } from './sessions/sweep.ts'

export interface HousekeepingParts {
  readonly engine: Pick<SessionEngine, 'clearExpired'>
  readonly log: Log
  readonly metrics: Pick<Metrics, 'sessionsRevoked'>
}

/** Nobody waits for the sweep: the store has at least four times as long for everybody else as a batch took. */
const REST_PER_WORK = 4
const MIN_PAUSE_MS = 20
const MAX_PAUSE_MS = 10_000

/** A batch that hangs in the store must not hold up the end of the process. */
const END_MS = 1000

/** Deletes expired sessions from time to time, batch by batch, with a rest between; undefined = never. */
export function openHousekeeping(
  schedule: { readonly everyMs: number; readonly batch: number } | undefined,
  parts: HousekeepingParts,
): AsyncDisposable {
  const closing = new AbortController()
  let running: Promise<void> | undefined
  const timer =
    schedule &&
    setInterval(() => {
      // One that takes longer than the interval is not joined by the next.
      running ??= sweep(schedule.batch).finally(() => {
        running = undefined
      })
    }, schedule.everyMs).unref()

  async function sweep(batch: number): Promise<void> {
    const startedMs = performance.now()
    let cleared = 0
    const onBatch = (count: number): void => {
      cleared += count
      parts.metrics.sessionsRevoked('expiry_sweep', count)
    }
    const pauseAfter = (tookMs: number): number =>
      Math.min(Math.max(tookMs * REST_PER_WORK, MIN_PAUSE_MS), MAX_PAUSE_MS)
    try {
      await sweepExpired(parts.engine, { batch, pauseAfter, onBatch, signal: closing.signal })
      const duration_ms = Math.round(performance.now() - startedMs)
      if (cleared > 0) parts.log.info('expired sessions cleared', { cleared, duration_ms })
    } catch (error) {
      parts.log.warn('clearing expired sessions failed', { cleared, ...failureFields(error) })
    }
  }

  return {
    async [Symbol.asyncDispose]() {
      closing.abort()
      clearInterval(timer)
      await Promise.race([running, setTimeout(END_MS, undefined, { ref: false })])
    },
  }
}
