import { type Clock, systemClock } from '../lib/clock.ts'
import type { Tunnel } from '../proxy/tunnel.ts'
import { type Scheduler, systemScheduler } from '../sessions/scheduler.ts'
import type { SessionNotice } from '../sessions/watched-notices.ts'
import type { Readmission } from './admission.ts'
import { type Looker, LookQueue } from './look-queue.ts'

/** While a WebSocket is open, its session is looked at again at least this often. */
const RECHECK_MS = 60_000
/** A look comes earlier than it must by up to this share, so that sockets opened together do not ask together for ever. */
const RECHECK_SPREAD = 0.2
/** After a look that failed, the next one. */
const RETRY_MS = 5_000
/**
 * From one look at a socket to the next, at least. A session that changes all the time is not looked at each time; and
 * where the store tells only that something has changed, each change of anybody would have every socket looked at.
 */
const GAP_MS: Readonly<Record<SessionNotice, number>> = { changed: 200, perhaps: 2_000 }
/** After the end of a session, the look that finds it over; timers may fire a little early. */
const AFTER_END_MS = 10
/** The store says that a session stands whose end is past: its clock is another one. */
const OVERDUE_MS = 1_000
/** RFC 6455, section 7.4.1. */
const POLICY_VIOLATION = 1008
const GOING_AWAY = 1001
const END_WORDS = 'the gateway is shutting down'

export interface GuardedTunnel {
  readonly tunnel: Tunnel
  /** What the route would say now to the one who opened it; throws when that cannot be told. */
  readonly readmit: () => Promise<Readmission>
  /** Calls back at each notice that the session changed, or may have; returns the way to stop. */
  readonly watch: (onNotice: (notice: SessionNotice) => void) => () => void
}

/** Every open WebSocket: `node:http` has let go of their sockets and cannot close them, so somebody must. */
export interface Tunnels {
  add(guarded: GuardedTunnel): void
  /** The rules may be others now, and the sessions kept elsewhere: each is watched anew and looked at. */
  renew(): void
  /** Ends all of them politely (1001). */
  endAll(): void
}

export interface TunnelsOptions {
  /** The wall clock: sessions end by it. */
  readonly clock?: Clock
  readonly scheduler?: Scheduler
}

/**
 * Holds the open WebSockets to the rule under which they were opened: at each notice of change, when the session is over by
 * its date, and at least once a minute, the route is asked again, and a socket that it would no longer admit ends with 1008.
 * When the store cannot be asked for another whole minute, it ends as well: what nobody can vouch for is not admitted.
 */
export function createTunnels({ clock = systemClock, scheduler = systemScheduler }: TunnelsOptions = {}): Tunnels {
  const open = new Map<Tunnel, Guard>()
  const queue = new LookQueue()
  let isEnding = false
  return {
    add(guarded) {
      const { tunnel } = guarded
      if (isEnding) tunnel.end(GOING_AWAY, END_WORDS)
      const guard = new Guard(guarded, { clock, scheduler, queue })
      open.set(tunnel, guard)
      void tunnel.closed.then(() => {
        open.delete(tunnel)
        guard.close()
      })
    },
    renew() {
      for (const guard of open.values()) guard.renew()
    },
    endAll() {
      isEnding = true
      for (const tunnel of open.keys()) tunnel.end(GOING_AWAY, END_WORDS)
    },
  }
}

interface GuardParts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly queue: LookQueue
}

/** Looks after one tunnel. */
class Guard implements Looker {
  readonly #parts: GuardParts
  readonly #tunnel: Tunnel
  readonly #readmit: GuardedTunnel['readmit']
  readonly #watch: GuardedTunnel['watch']
  #stopWatching: () => void
  #stopTimer: (() => void) | undefined
  /** When the timer goes off, by the monotonic clock. */
  #dueMs = Number.POSITIVE_INFINITY
  #beganMs = Number.NEGATIVE_INFINITY
  /** The last look that ended with a yes began then. */
  #vouchedMs: number
  #isLooking = false
  /** What was told during a look: that one may have seen what was before. */
  #heard: SessionNotice | undefined
  #isClosed = false

  constructor({ tunnel, readmit, watch }: GuardedTunnel, parts: GuardParts) {
    this.#parts = parts
    this.#tunnel = tunnel
    this.#readmit = readmit
    this.#vouchedMs = parts.scheduler.nowMs()
    this.#watch = watch
    this.#stopWatching = watch((notice) => this.#hear(notice))
    // What happened to the session while the app took its time to agree has been told to nobody.
    parts.queue.add(this, true)
  }

  renew(): void {
    this.#stopWatching()
    this.#stopWatching = this.#watch((notice) => this.#hear(notice))
    if (this.#isLooking) this.#heard = 'changed'
    else this.#parts.queue.add(this, true)
  }

  close(): void {
    this.#isClosed = true
    this.#stopTimer?.()
    this.#stopWatching()
    this.#parts.queue.delete(this)
  }

  async look(): Promise<void> {
    this.#stopTimer?.()
    this.#dueMs = Number.POSITIVE_INFINITY
    this.#isLooking = true
    this.#heard = undefined
    this.#beganMs = this.#parts.scheduler.nowMs()
    const pauseMs = await this.#judge()
    this.#isLooking = false
    if (this.#isClosed) return
    this.#lookIn(pauseMs, false)
    if (this.#heard !== undefined) this.#hear(this.#heard)
  }

  /** Ends the tunnel, if it must end, and gives the time until the next look. */
  async #judge(): Promise<number> {
    try {
      const { isAdmitted, until } = await this.#readmit()
      if (isAdmitted) this.#vouchedMs = this.#beganMs
      else this.#tunnel.end(POLICY_VIOLATION, 'the session has ended')
      const recheckMs = RECHECK_MS * (1 - RECHECK_SPREAD * Math.random())
      const leftMs = until === undefined ? Number.POSITIVE_INFINITY : until - this.#parts.clock()
      return Math.min(recheckMs, leftMs > 0 ? leftMs + AFTER_END_MS : OVERDUE_MS)
    } catch {
      if (this.#beganMs - this.#vouchedMs >= 2 * RECHECK_MS)
        this.#tunnel.end(POLICY_VIOLATION, 'the session cannot be checked')
      return RETRY_MS * (1 - RECHECK_SPREAD * Math.random())
    }
  }

  #hear(notice: SessionNotice): void {
    if (this.#isLooking) {
      if (this.#heard !== 'changed') this.#heard = notice
      return
    }
    this.#lookIn(this.#beganMs + GAP_MS[notice] - this.#parts.scheduler.nowMs(), notice === 'changed')
  }

  /** Unless a look is due earlier. */
  #lookIn(pauseMs: number, isUrgent: boolean): void {
    const { scheduler, queue } = this.#parts
    const dueMs = scheduler.nowMs() + pauseMs
    if (dueMs >= this.#dueMs) return
    this.#stopTimer?.()
    this.#dueMs = Number.POSITIVE_INFINITY
    if (pauseMs <= 0) {
      queue.add(this, isUrgent)
      return
    }
    this.#dueMs = dueMs
    this.#stopTimer = scheduler.after(pauseMs, () => {
      this.#dueMs = Number.POSITIVE_INFINITY
      queue.add(this, isUrgent)
    })
  }
}
