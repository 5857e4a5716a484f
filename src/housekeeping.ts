import { setImmediate } from 'node:timers/promises'
import { failureFields } from './observe/failure.ts'
import type { Log } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import type { SessionEngine } from './sessions/engine.ts'

export interface HousekeepingParts {
  readonly engine: SessionEngine
  readonly log: Log
  readonly metrics: Metrics
}

/** Deletes expired sessions from time to time, batch by batch, with a breath between; undefined = never. */
export function openHousekeeping(
  schedule: { readonly everyMs: number; readonly batch: number } | undefined,
  parts: HousekeepingParts,
): AsyncDisposable {
  let isClosed = false
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
    let cleared = 0
    try {
      for (let count = batch; count === batch && !isClosed; ) {
        count = await parts.engine.clearExpired(batch)
        cleared += count
        await setImmediate()
      }
      if (cleared > 0) parts.log.info('expired sessions cleared', { cleared })
      parts.metrics.sessionsRevoked('expiry_sweep', cleared)
    } catch (error) {
      parts.log.warn('clearing expired sessions failed', { cleared, ...failureFields(error) })
    }
  }

  return {
    async [Symbol.asyncDispose]() {
      isClosed = true
      clearInterval(timer)
      await running
    },
  }
}
