import { setTimeout } from 'node:timers/promises'
import type { SessionEngine } from './engine.ts'

export interface SweepOptions {
  /** So many sessions in one step. */
  readonly batch: number
  /** How long to wait after a batch that took so long, both in milliseconds. */
  readonly pauseAfter: (tookMs: number) => number
  /** Told after each batch how many it cleared, and how long it took. */
  readonly onBatch?: (count: number, tookMs: number) => void
  /** Ends the sweep: after the batch that runs, or in the pause. */
  readonly signal?: AbortSignal
}

/**
 * Deletes what is over, batch by batch, until nothing is left, with a pause after each full one: whoever needs the store
 * meanwhile shall find it free most of the time.
 */
export async function sweepExpired(engine: Pick<SessionEngine, 'clearExpired'>, options: SweepOptions): Promise<void> {
  const { batch, pauseAfter, onBatch, signal } = options
  for (let count = batch; count >= batch && signal?.aborted !== true; ) {
    const startedMs = performance.now()
    count = await engine.clearExpired(batch)
    const tookMs = performance.now() - startedMs
    onBatch?.(count, tookMs)
    if (count >= batch) await pause(pauseAfter(tookMs), signal)
  }
}

async function pause(durationMs: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await setTimeout(durationMs, undefined, { ...(signal && { signal }) })
  } catch (error) {
    if (signal?.aborted !== true) throw error
  }
}
