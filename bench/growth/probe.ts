/**
 * One process of `bench/growth.ts`: opens the engine of a configuration as `serve` does, guarded and observed, and does
 * what each line of JSON on stdin says. A line of JSON answers.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { loadConfig } from '../../src/config/loading.ts'
import { forEachParallel } from '../../src/lib/parallel.ts'
import { openSessionParts } from '../../src/session-parts.ts'
import { sweepExpired } from '../../src/sessions/sweep.ts'
import { sampleSession } from '../engines/sample-session.ts'
import { endOf, keyOf, SESSION_BYTES } from './stores.ts'

const ADOPTED_AT_ONCE = 64

let aheadMs = 0
const { config } = await loadConfig({ path: process.argv[2] ?? '', env: {} })
const nothing = (): void => {}
const { engine } = await openSessionParts(config, {
  clock: () => Date.now() + aheadMs,
  observer: {
    onOperation: nothing,
    onState: nothing,
    onCacheState: nothing,
    onCacheLookup: nothing,
    onIndexState: nothing,
  },
})

async function* numbers(count: number): AsyncIterable<number> {
  for (let i = 0; i < count; i++) yield i
}

export interface Memory {
  readonly residentMiB: number
  readonly usedMiB: number
}

export interface Sweep {
  readonly cleared: number
  readonly seconds: number
  readonly batchP50Ms: number
  readonly batchP99Ms: number
  /** For how long the process could not turn to anybody else. */
  readonly delayP99Ms: number
  readonly delayMaxMs: number
}

const commands = {
  async fill({ count }: { count: number }): Promise<void> {
    const [data, now] = [sampleSession(SESSION_BYTES), Date.now()]
    await forEachParallel(numbers(count), ADOPTED_AT_ONCE, async (i) => {
      const isNew = await engine.adopt({ key: keyOf(i), data, expiresAt: endOf(i, now) })
      if (!isNew) throw new Error('a key was taken')
    })
  },

  /**
   * Microseconds for one lookup, one after the other. As many sessions are in use whatever the count is, spread over all of
   * them: what a cache has of these does not depend on the count.
   */
  async look({ count, inUse, lookups }: { count: number; inUse: number; lookups: number }): Promise<number> {
    const apart = Math.floor(count / inUse)
    const keys = Array.from({ length: lookups }, (_, i) => keyOf(((i * 7919) % inUse) * apart))
    const startedMs = performance.now()
    for (const key of keys) {
      const { found } = await engine.load(key)
      if (!found) throw new Error('a session was not found')
    }
    return ((performance.now() - startedMs) * 1000) / lookups
  },

  /** MiB that the process has in memory, and what of it is still in use after a collection of garbage. */
  async memory(): Promise<Memory> {
    globalThis.gc?.()
    const { rss, heapUsed, external } = process.memoryUsage()
    return { residentMiB: rss / 1024 ** 2, usedMiB: (heapUsed + external) / 1024 ** 2 }
  },

  /** So much later, clears in batches for as long as it takes, or so many seconds. */
  async clear({ laterMs, batch, seconds }: { laterMs: number; batch: number; seconds: number }): Promise<Sweep> {
    aheadMs = laterMs
    const ending = new AbortController()
    const batches: number[] = []
    let cleared = 0
    const delay = monitorEventLoopDelay({ resolution: 1 })
    const startedMs = performance.now()
    delay.enable()
    await sweepExpired(engine, {
      batch,
      pauseAfter: () => 0,
      onBatch(count, tookMs) {
        cleared += count
        batches.push(tookMs)
        if (performance.now() - startedMs > seconds * 1000) ending.abort()
      },
      signal: ending.signal,
    })
    delay.disable()
    const sorted = batches.toSorted((a, b) => a - b)
    const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
    return {
      cleared,
      seconds: (performance.now() - startedMs) / 1000,
      batchP50Ms: at(0.5),
      batchP99Ms: at(0.99),
      delayP99Ms: delay.percentile(99) / 1e6,
      delayMaxMs: delay.max / 1e6,
    }
  },
}

async function answer(line: string): Promise<unknown> {
  const [name, given] = JSON.parse(line) as [keyof typeof commands, never]
  return await commands[name](given)
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(line).then(
    (value) => ({ value: value ?? null }),
    (error: unknown) => ({ error: String(error) }),
  )
  process.stdout.write(`${JSON.stringify(reply)}\n`)
}
await engine[Symbol.asyncDispose]()
