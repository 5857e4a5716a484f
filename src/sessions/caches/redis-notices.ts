import { randomBytes } from 'node:crypto'
import type { ChangeListener, ChangeNotices, NoticesState } from '../change-notices.ts'
import { type Scheduler, systemScheduler } from '../scheduler.ts'
import { RedisFailure, redisFailure } from './redis-failure.ts'
import { createClusterSources } from './redis-notice-cluster.ts'
import { RedisNoticeLine } from './redis-notice-line.ts'
import { createSentinelSources } from './redis-notice-sentinels.ts'
import {
  createOneSource,
  type NoticeSource,
  type NoticeSources,
  type NoticeSourcesListener,
} from './redis-notice-sources.ts'
import { type RedisServers, redisServersName } from './redis-servers.ts'

export interface RedisNoticesOptions {
  /** The ones that sessions are read from. */
  readonly servers: RedisServers
  /** What stands in front of a session key in the cache (`cacheKeyPrefix`): what is told of begins with it. */
  readonly prefix: string
  /** For how long a heartbeat is believed, in milliseconds; there are three in that time. Default 1000. */
  readonly leaseMs?: number
  /** How long opening the line to one server may take, in milliseconds. Default 2000. */
  readonly connectTimeoutMs?: number
  /** 0 up to 1, exclusive. Default `Math.random`. */
  readonly random?: () => number
  readonly scheduler?: Scheduler
}

/** Changes of sessions in Redis. Its names are the keys of Redis. */
export interface RedisNotices extends ChangeNotices {
  /**
   * To be called whenever the connection that sessions are read on was opened anew, before anything is read on it: it may
   * lead to another server than before, which this line knows nothing of. All is forgotten and the line built anew.
   */
  renew(): void
}

/**
 * Opens nothing until there is a listener, and then in the background, again and again: it never fails because a server
 * is down. A change is told some tenths of a millisecond after the server made it.
 *
 * An ACL user needs, beside what reading and deleting sessions needs (`~prefix* +set +del +eval`), `+client|id
 * +client|tracking +subscribe +ping &__redis__:invalidate`; in a cluster also `+cluster|nodes +cluster|slots`. A user of
 * the sentinels needs `+sentinel|get-master-addr-by-name`. `+client|setname` is asked for and not needed.
 *
 * What remains:
 * - Redis tells nobody of SWAPDB.
 * - After a failover, what one master took and the other never heard of is gone, with or without memory. Sessions read
 *   from the old one are forgotten when the reader is connected to the new one (`renew`), or when a sentinel names it.
 * - In a cluster, a reader may hear of a failover from a replica before the masters hear of it from each other, some
 *   milliseconds later; what it reads on the new master in these is not told of until they do.
 */
export function openRedisNotices(options: RedisNoticesOptions): RedisNotices {
  return new Notices(options)
}

const DEFAULT_LEASE_MS = 1000
const DEFAULT_CONNECT_TIMEOUT_MS = 2000
const BEATS_PER_LEASE = 3
/** The first pause before the next attempt; each further one is twice as long. Half of it is drawn by chance. */
const MIN_PAUSE_MS = 200
const MAX_PAUSE_MS = 2000
/** The pause after a refusal that somebody has to do something about. */
const REFUSED_PAUSE_MS = 30_000
/** Notices that came for so long were good ones: what failed before is forgotten. */
const GOOD_AFTER_MS = 1000

class Notices implements RedisNotices {
  readonly #options: RedisNoticesOptions
  readonly #leaseMs: number
  readonly #connectTimeoutMs: number
  readonly #random: () => number
  readonly #scheduler: Scheduler
  readonly #sources: NoticeSources
  /** By the name of the source; those that are being opened too. */
  readonly #lines = new Map<string, RedisNoticeLine>()
  #listener: ChangeListener | undefined
  /** Goes up when whatever is being built is of no use any more. */
  #generation = 0
  /** All lines stood, and have to show that they do; undefined while there are some to be opened. */
  #builtAtMs: number | undefined
  #lastBuildAtMs = Number.NEGATIVE_INFINITY
  #upSinceMs: number | undefined
  /** By the scheduler's clock. The one thing that is looked at for each request. */
  #currentUntilMs = Number.NEGATIVE_INFINITY
  #failures = 0
  #endPause: (() => void) | undefined
  #endBeats: (() => void) | undefined
  #onState: ((state: NoticesState) => void) | undefined
  #state: NoticesState = { isUp: false, reason: 'it is being opened' }
  /** Reasons that were told since it was up: each of them once. */
  readonly #told = new Set<string>()
  #isClosed = false

  constructor(options: RedisNoticesOptions) {
    this.#options = options
    this.#leaseMs = options.leaseMs ?? DEFAULT_LEASE_MS
    this.#connectTimeoutMs = options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS
    this.#random = options.random ?? Math.random
    this.#scheduler = options.scheduler ?? systemScheduler
    this.#sources = this.#createSources({
      onShown: () => this.#advance(),
      onOutdated: (reason) => this.#outdate(reason),
    })
  }

  nameOf(key: string): string {
    return this.#options.prefix + key
  }

  isCurrent(): boolean {
    return this.#scheduler.nowMs() < this.#currentUntilMs
  }

  listen(listener: ChangeListener): void {
    const isFirst = this.#listener === undefined
    this.#listener = listener
    if (!isFirst || this.#isClosed) return
    this.#build()
    this.#tick()
  }

  onState(listener: (state: NoticesState) => void): void {
    this.#onState = listener
    listener(this.#state)
  }

  renew(): void {
    if (this.#isClosed || this.#listener === undefined) return
    this.#forget()
    for (const [name, line] of this.#lines) {
      line.close()
      this.#lines.delete(name)
    }
    // A reader whose connections fail one after the other must not make us open ours at the same rate.
    const isRecent = this.#scheduler.nowMs() - this.#lastBuildAtMs < GOOD_AFTER_MS
    this.#buildAfter(isRecent ? this.#drawn(MIN_PAUSE_MS) : 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#generation++
    this.#currentUntilMs = Number.NEGATIVE_INFINITY
    this.#endPause?.()
    this.#endBeats?.()
    for (const line of this.#lines.values()) line.close()
    this.#sources.close()
  }

  #createSources(listener: NoticeSourcesListener): NoticeSources {
    const { servers } = this.#options
    const common = { scheduler: this.#scheduler, random: this.#random }
    switch (servers.kind) {
      case 'redis':
        return createOneSource(servers.server)
      case 'redis-sentinel':
        // Two that hang, one after the other, must leave the lease standing.
        return createSentinelSources({ ...common, servers, timeoutMs: this.#leaseMs / 2 }, listener)
      case 'redis-cluster':
        return createClusterSources({ ...common, servers, timeoutMs: this.#connectTimeoutMs / 2 })
    }
  }

  /** Finds the servers, and opens the lines that are missing. Lines that stand are kept. */
  async #build(): Promise<void> {
    const generation = this.#generation
    this.#lastBuildAtMs = this.#scheduler.nowMs()
    try {
      const sources = new Map((await this.#sources.find()).map((source) => [source.name, source]))
      if (generation !== this.#generation) return
      for (const [name, line] of this.#lines) {
        if (sources.has(name)) continue
        line.close()
        this.#lines.delete(name)
      }
      for (const [name, source] of sources) if (!this.#lines.has(name)) this.#lines.set(name, this.#lineOf(source))
      // One that fails breaks all, by its `onEnd`.
      await Promise.allSettled(Array.from(this.#lines.values(), ({ opened }) => opened))
      if (generation !== this.#generation) return
      this.#builtAtMs = this.#scheduler.nowMs()
      this.#beat()
    } catch (error) {
      if (generation === this.#generation) this.#break(redisFailure(error), undefined)
    }
  }

  #lineOf(source: NoticeSource): RedisNoticeLine {
    const options = {
      access: this.#options.servers,
      source,
      prefix: this.#options.prefix,
      nonce: randomBytes(12).toString('hex'),
      connectTimeoutMs: this.#connectTimeoutMs,
      silenceMs: this.#leaseMs,
      scheduler: this.#scheduler,
    }
    const line: RedisNoticeLine = new RedisNoticeLine(options, {
      onKeys: (keys) => this.#tell(keys),
      onShown: () => this.#advance(),
      onOutdated: () => this.#outdate(new RedisFailure('lost', 'its masters or their slots have changed')),
      onEnd: (failure) => {
        if (this.#lines.get(source.name) === line) this.#lines.delete(source.name)
        this.#break(failure, source)
      },
    })
    return line
  }

  #tell(keys: readonly Buffer[] | null): void {
    if (keys === null) this.#listener?.everythingChanged()
    else for (const key of keys) this.#listener?.changed(key.toString())
  }

  #tick(): void {
    this.#endBeats = this.#scheduler.after(this.#leaseMs / BEATS_PER_LEASE, () => {
      // One turn later: when the process itself was held up, the answers may lie in the sockets, not read yet.
      setImmediate(() => {
        if (this.#isClosed) return
        const nowMs = this.#scheduler.nowMs()
        for (const line of [...this.#lines.values()]) line.endIfSilent(nowMs)
        this.#beat()
        this.#tick()
      })
    })
  }

  #beat(): void {
    const nowMs = this.#scheduler.nowMs()
    for (const line of this.#lines.values()) line.beat(nowMs)
    this.#sources.beat(nowMs)
  }

  /** Something was shown: perhaps by now all is that has to be. */
  #advance(): void {
    if (this.#builtAtMs === undefined || this.#isClosed) return
    let shownAtMs = this.#sources.shownAtMs
    for (const line of this.#lines.values()) shownAtMs = Math.min(shownAtMs, line.shownAtMs)
    if (shownAtMs < this.#builtAtMs) return
    if (this.#upSinceMs === undefined) {
      this.#listener?.everythingChanged()
      this.#upSinceMs = this.#scheduler.nowMs()
    }
    this.#currentUntilMs = shownAtMs + this.#leaseMs
    this.#settle({ isUp: true })
  }

  /** Nothing is current any more, and all that was remembered is told to be gone. */
  #forget(): void {
    this.#generation++
    this.#builtAtMs = undefined
    this.#currentUntilMs = Number.NEGATIVE_INFINITY
    if (this.#upSinceMs === undefined) return
    if (this.#scheduler.nowMs() - this.#upSinceMs >= GOOD_AFTER_MS) this.#failures = 0
    this.#upSinceMs = undefined
    this.#listener?.everythingChanged()
  }

  #outdate(reason: RedisFailure): void {
    // While it is being built, it is compared with what was found before.
    if (this.#builtAtMs !== undefined) this.#break(reason, undefined)
  }

  #break(failure: RedisFailure, source: NoticeSource | undefined): void {
    if (this.#isClosed) return
    this.#forget()
    const { servers } = this.#options
    const name = redisServersName(source ? { kind: 'redis', server: source.socket } : servers)
    this.#settle({ isUp: false, reason: `${name}: ${failure.message}` })
    // Several lines may end at once.
    if (this.#endPause) return
    const pauseMs = isLasting(failure) ? REFUSED_PAUSE_MS : Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** this.#failures)
    this.#failures++
    this.#buildAfter(this.#drawn(pauseMs))
  }

  #buildAfter(delayMs: number): void {
    this.#endPause?.()
    this.#endPause = this.#scheduler.after(delayMs, () => {
      this.#endPause = undefined
      this.#build()
    })
  }

  #drawn(pauseMs: number): number {
    return (pauseMs * (1 + this.#random())) / 2
  }

  #settle(state: NoticesState): void {
    if (state.isUp) {
      if (this.#state.isUp) return
      this.#told.clear()
    } else {
      if (this.#told.has(state.reason)) return
      this.#told.add(state.reason)
    }
    this.#state = state
    this.#onState?.(state)
  }
}

/** Without somebody who changes a right, a password or the server, the answer stays what it is. */
function isLasting({ kind, code, message }: RedisFailure): boolean {
  if (message.includes('max number of clients')) return false
  return kind === 'auth' || code === 'NOPERM' || code === 'ERR'
}
