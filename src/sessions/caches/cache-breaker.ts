import type { Scheduler } from '../scheduler.ts'

/** What a call came to that was made; undefined where the cache was not asked, or failed. */
export type Attempt<T> = { readonly value: T } | undefined

export interface CacheBreakerOptions {
  /** For how long the cache is left alone after a failure, in milliseconds; then one call tries. */
  readonly pauseMs: number
  /** Told once per change; the cache counts as up until it first fails. `cause` is what failed, when it is down. */
  readonly onState: (isUp: boolean, cause: unknown) => void
  readonly scheduler: Scheduler
}

/** Calls to a cache whose failures are survived: they come to nothing instead of an error. */
export interface CacheBreaker {
  readonly isUp: boolean
  reading<T>(call: () => Promise<T>): Promise<Attempt<T>>
  writing<T>(call: () => Promise<T>): Promise<Attempt<T>>
}

/**
 * Leaves a cache alone that failed, so that a dead one does not cost every request a timeout: for `pauseMs`, and then one
 * call at a time, until one succeeds. A failed read means that nothing works. A failed write leaves the reading as it is
 * (a Redis at its memory limit still reads), and only a write that succeeds ends that: the state does not flicker.
 */
export function createCacheBreaker({ pauseMs, onState, scheduler }: CacheBreakerOptions): CacheBreaker {
  const reads = { pausedUntilMs: Number.NEGATIVE_INFINITY, hasFailed: false }
  const writes = { ...reads }
  let isUp = true

  function note(cause: unknown): void {
    const isUpNow = !reads.hasFailed && !writes.hasFailed
    if (isUpNow === isUp) return
    isUp = isUpNow
    onState(isUp, cause)
  }

  function fail(side: typeof reads, cause: unknown): void {
    side.hasFailed = true
    side.pausedUntilMs = scheduler.nowMs() + pauseMs
    if (side === reads) writes.pausedUntilMs = side.pausedUntilMs
    note(cause)
  }

  async function attempt<T>(side: typeof reads, call: () => Promise<T>): Promise<Attempt<T>> {
    const nowMs = scheduler.nowMs()
    if (nowMs < side.pausedUntilMs) return undefined
    // One tries for all: until it is back, the others stay away as before.
    if (side.hasFailed) side.pausedUntilMs = nowMs + pauseMs
    try {
      const value = await call()
      side.hasFailed = false
      side.pausedUntilMs = Number.NEGATIVE_INFINITY
      note(undefined)
      return { value }
    } catch (error) {
      fail(side, error)
      return undefined
    }
  }

  return {
    get isUp() {
      return isUp
    },
    reading: (call) => attempt(reads, call),
    writing: (call) => attempt(writes, call),
  }
}
