import assert from 'node:assert/strict'
import { GatewayError } from '../../src/errors.ts'
import type { SessionCache } from '../../src/sessions/caches/session-cache.ts'

/** Sessions that are changed all the time, each by one writer who knows what it must find. */
export interface RedisLoad {
  /** Changes that were acknowledged. */
  readonly changes: number
  /** When calls failed, by the monotonic clock. */
  readonly failedAt: readonly number[]
  /** Messages of the errors, each once. */
  readonly messages: ReadonlySet<string>
  /** How long the longest call took, in milliseconds. */
  readonly longestMs: number
  /** What was found and should not have been, as sentences. */
  readonly wrong: readonly string[]
  /** Acknowledged changes that were gone later: what asynchronous replication loses in a failover. */
  readonly lost: number
  stop(): Promise<void>
}

interface Counts {
  changes: number
  readonly failedAt: number[]
  readonly messages: Set<string>
  longestMs: number
  readonly wrong: string[]
  lost: number
}

/**
 * One writer per key counts up by compare-and-set. It may find what it wrote last, or, after a call whose outcome is
 * unknown, what it tried to write; an older number of its own is a change that was lost; anything else is wrong.
 */
export function startLoad(cache: SessionCache, keys: readonly string[]): RedisLoad {
  const counts: Counts = { changes: 0, failedAt: [], messages: new Set(), longestMs: 0, wrong: [], lost: 0 }
  const state = { isRunning: true }
  const writers = Promise.all(keys.map((key) => count(cache, key, counts, state)))
  return Object.assign(counts, {
    async stop() {
      state.isRunning = false
      await writers
    },
  })
}

async function count(cache: SessionCache, key: string, counts: Counts, state: { readonly isRunning: boolean }) {
  /** The last number that was acknowledged, and the last that was tried. */
  let known = -1
  let tried = -1
  while (state.isRunning) {
    const since = performance.now()
    try {
      const value = await cache.get(key)
      const found = value === undefined ? -1 : Number(Buffer.from(value.bytes).toString().split(':').at(-1))
      if (value && Buffer.from(value.bytes).toString() !== `${key}:${found}`) counts.wrong.push(`${key} has a stranger`)
      if (found > tried) counts.wrong.push(`${key} is ${found}, of ${tried}`)
      if (found < known) counts.lost += known - found
      known = found
      tried = found + 1
      const next = { bytes: Buffer.from(`${key}:${tried}`), ttlSeconds: 1000 }
      const isStored = value
        ? await cache.replace(key, { stamp: value.stamp, ...next })
        : await cache.add(key, next.bytes, next.ttlSeconds)
      if (isStored) {
        known = tried
        counts.changes++
      }
    } catch (error) {
      assert.ok(error instanceof GatewayError && error.code === 'ERR_STORE_UNAVAILABLE', String(error))
      counts.failedAt.push(performance.now())
      counts.messages.add(error.message)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    counts.longestMs = Math.max(counts.longestMs, performance.now() - since)
  }
}
