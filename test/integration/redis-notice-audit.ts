import {
  openRedisNotices,
  type RedisNotices,
  type RedisNoticesOptions,
} from '../../src/sessions/caches/redis-notices.ts'
import type { NoticesState } from '../../src/sessions/change-notices.ts'
import { until } from '../support/deadline.ts'

export const LEASE_MS = 1000

export interface NoticeAudit extends AsyncDisposable {
  readonly notices: RedisNotices
  /** Names that were told of, in order; `*` for everything. */
  readonly told: readonly string[]
  readonly states: readonly NoticesState[]
  /** Changes that were answered longer than the lease ago, and not told of, while the line said that it was current. */
  readonly stale: readonly string[]
  /** How long changes took from being sent until they were told, in milliseconds. */
  readonly delaysMs: readonly number[]
  /** Makes a change under a key that no other one has, and keeps an eye on it. Rejects if the change fails. */
  change(key: string, perform: () => Promise<unknown>): Promise<void>
  current(deadlineMs?: number): Promise<void>
  /** Resolves when that name, or everything, was told after the first `from` notices. */
  heard(name: string, from?: number): Promise<void>
  /** Resolves when the state at hand is that it is down, for such a reason. */
  down(reason?: RegExp, deadlineMs?: number): Promise<void>
}

interface Change {
  readonly sentAtMs: number
  answeredAtMs: number | undefined
}

/**
 * Opens notices, and holds them to their word all the time: whatever happens, while they say that they are current no
 * change may be older than the lease and not told.
 */
export function auditNotices(options: RedisNoticesOptions): NoticeAudit {
  const notices = openRedisNotices({ leaseMs: LEASE_MS, ...options })
  const told: string[] = []
  const states: NoticesState[] = []
  const stale: string[] = []
  const delaysMs: number[] = []
  const untold = new Map<string, Change>()
  notices.onState((state) => states.push(state))
  notices.listen({
    changed(name) {
      told.push(name)
      const change = untold.get(name)
      if (change) delaysMs.push(performance.now() - change.sentAtMs)
      untold.delete(name)
    },
    everythingChanged() {
      told.push('*')
      untold.clear()
    },
  })
  const look = (): void => {
    const nowMs = performance.now()
    if (!notices.isCurrent()) return
    for (const [name, { answeredAtMs }] of untold)
      if (answeredAtMs !== undefined && nowMs - answeredAtMs > LEASE_MS && !stale.includes(name)) stale.push(name)
  }
  const timer = setInterval(look, 2)
  return {
    notices,
    told,
    states,
    stale,
    delaysMs,
    async change(key, perform) {
      const change: Change = { sentAtMs: performance.now(), answeredAtMs: undefined }
      untold.set(key, change)
      await perform().catch((error: unknown) => {
        untold.delete(key)
        throw error
      })
      change.answeredAtMs = performance.now()
    },
    current: (deadlineMs = 20_000) => until('notices are current', () => notices.isCurrent(), deadlineMs),
    heard: (name, from = 0) =>
      until(`${name} was told`, () => told.slice(from).some((one) => [name, '*'].includes(one))),
    down(reason = /./, deadlineMs) {
      const isDown = (): boolean => {
        const state = states.at(-1)
        return state?.isUp === false && reason.test(state.reason)
      }
      return until(`the line is down: ${reason}`, isDown, deadlineMs)
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await notices[Symbol.asyncDispose]()
    },
  }
}

/** Changes sessions, one after the other and each under a key of its own; what fails is left out. */
export function changing(
  audit: NoticeAudit,
  perform: (key: string) => Promise<unknown>,
): { readonly count: number /** Gives how many were made. */; stop(): Promise<number> } {
  const state = { isOver: false, count: 0 }
  const running = (async () => {
    for (let i = 0; !state.isOver; i++) {
      const key = `p:change:${i}`
      const isMade = await audit
        .change(key, () => perform(key))
        .then(
          () => true,
          () => false,
        )
      if (isMade) state.count++
      // What fails may do so at once.
      else await new Promise((resolve) => setTimeout(resolve, 5))
    }
  })()
  return {
    get count() {
      return state.count
    },
    async stop() {
      state.isOver = true
      await running
      return state.count
    },
  }
}

/** Resolves when so much time has passed on the clock that leases are counted by, whatever else the machine does. */
export async function passed(sinceMs: number, spanMs: number): Promise<void> {
  await until(`${spanMs} ms have passed`, () => performance.now() > sinceMs + spanMs, spanMs + 20_000)
}
