import { withinDeadline } from '../deadline.ts'
import type { Scheduler } from '../scheduler.ts'
import { type RedisFailure, redisFailure } from './redis-failure.ts'
import { NoticeConnection, type NoticePayload, noAnswer } from './redis-notice-connection.ts'
import type { NoticeSource } from './redis-notice-sources.ts'
import type { RedisAccess } from './redis-servers.ts'

export interface RedisNoticeLineOptions {
  readonly access: RedisAccess
  readonly source: NoticeSource
  /** What the keys begin with that are told of. */
  readonly prefix: string
  /** A name that no other line has, and nobody can guess. */
  readonly nonce: string
  /** How long opening may take. */
  readonly connectTimeoutMs: number
  /** A server that leaves a call without an answer for so long is given up. */
  readonly silenceMs: number
  readonly scheduler: Scheduler
}

export interface RedisNoticeLineListener {
  /** These keys were changed or are gone; null: anything may be. */
  readonly onKeys: (keys: readonly Buffer[] | null) => void
  /** `shownAtMs` has grown. */
  readonly onShown: () => void
  /** The server knows of other servers than we do. */
  readonly onOutdated: () => void
  /** The line is of no use any more. Called once, and not after `close`. */
  readonly onEnd: (failure: RedisFailure) => void
}

/** Where Redis puts the invalidations for a connection that takes them by RESP2. */
const CHANNEL = '__redis__:invalidate'

/** A key comes and goes in one step: nobody ever sees it, and everybody who is told of changes is told of it. */
const TRIAL = "redis.call('SET', KEYS[1], '', 'PX', 1000) redis.call('DEL', KEYS[1]) return 1"

/** Refusals of a master that can or may not write at the moment. It is the master nevertheless, and in order. */
const mastersRefusals: ReadonlySet<string> = new Set(['MISCONF', 'NOREPLICAS'])

/**
 * The notices of one server, by its "server-assisted client-side caching" in broadcasting mode. They come on one
 * connection (*ears*), which is all that it does; they are asked for, and the server is watched, on another (*hand*). The
 * line is never mended: it stands until one of the two ends.
 *
 * A heartbeat that begins at T asks on both connections, and then once more on the ears. When all three answers are
 * there, every change that was answered before T has been told:
 *
 * - The answer on the hand shows that the server still had its end of the hand after T; with it goes what was asked for.
 * - The changes before T are in front of the second answer on the ears. Not always in front of the first: Redis gathers
 *   notices and sends them before it waits for what comes next, and from version 8 on, with `io-threads`, after it has
 *   answered those who made the changes. But the first answer left after them.
 *
 * Before it counts, it is tried out: two addresses that are the same need not lead to the same server (DNS, a proxy), and
 * a number that is one of ours here may be a stranger's there.
 */
export class RedisNoticeLine {
  readonly source: NoticeSource
  /** Resolves when it stands. */
  readonly opened: Promise<void>
  /** The beginning of the last heartbeat that came to its end. */
  shownAtMs = Number.NEGATIVE_INFINITY
  readonly #options: RedisNoticeLineOptions
  readonly #listener: RedisNoticeLineListener
  readonly #ears: NoticeConnection
  readonly #hand: NoticeConnection
  /** Nothing lies under it. It begins as the others do, so that a change of it is told. */
  readonly #trialKey: string
  #onTrial: (() => void) | undefined
  #isOpen = false
  #isOver = false

  constructor(options: RedisNoticeLineOptions, listener: RedisNoticeLineListener) {
    this.#options = options
    this.#listener = listener
    this.source = options.source
    this.#trialKey = `${options.prefix}line:${options.nonce}`
    this.#ears = this.#connection()
    this.#hand = this.#connection()
    const { connectTimeoutMs: timeoutMs, scheduler } = options
    this.opened = withinDeadline(this.#open(), { timeoutMs, scheduler, onExpire: noAnswer }).catch((error: unknown) => {
      this.#fail(redisFailure(error))
      throw error
    })
    // Whoever does not wait for it hears of it by `onEnd`.
    this.opened.catch(() => {})
  }

  /** Sends a heartbeat; nothing while the line is being opened. */
  beat(atMs: number): void {
    if (!this.#isOpen || this.#isOver) return
    this.#prove().then(
      (isUpToDate) => {
        if (this.#isOver) return
        if (!isUpToDate) return this.#listener.onOutdated()
        this.shownAtMs = Math.max(this.shownAtMs, atMs)
        this.#listener.onShown()
      },
      (error: unknown) => this.#fail(redisFailure(error)),
    )
  }

  /** Gives it up if the server has kept silent for too long. */
  endIfSilent(nowMs: number): void {
    const sinceMs = Math.min(...[this.#ears, this.#hand].map((end) => end.waitingSinceMs ?? nowMs))
    if (this.#isOpen && nowMs - sinceMs >= this.#options.silenceMs) this.#fail(noAnswer())
  }

  close(): void {
    this.#isOver = true
    this.#ears.close()
    this.#hand.close()
    // Whoever waits for the trial goes on, to find a closed connection.
    this.#onTrial?.()
  }

  #connection(): NoticeConnection {
    const { access, source, connectTimeoutMs, scheduler } = this.#options
    return new NoticeConnection({
      servers: access,
      socket: source.socket,
      connectTimeoutMs,
      // What is watched here is watched by `endIfSilent`, which does not blame the server when this process was held up.
      silenceMs: 10 * this.#options.silenceMs,
      scheduler,
      onEnd: (failure) => this.#fail(failure),
    })
  }

  async #open(): Promise<void> {
    await Promise.all([this.#ears.connect(), this.#hand.connect()])
    await Promise.all([this.#ears, this.#hand].map((end) => this.source.check(end, this.#trialKey)))
    const id = await this.#ears.call('client', 'id')
    await this.#ears.subscribe(CHANNEL, (payload) => this.#hear(payload))
    const tracking = ['tracking', 'on', 'redirect', String(id), 'bcast', 'prefix', this.#options.prefix]
    await this.#hand.call('client', ...tracking)
    if (this.source.takesAnyKey) await this.#tryOut()
    await this.#ping()
    this.#isOpen = true
  }

  async #tryOut(): Promise<void> {
    const heard = new Promise<void>((resolve) => {
      this.#onTrial = resolve
    })
    await this.#hand.call('eval', TRIAL, 1, this.#trialKey)
    await heard
    this.#onTrial = undefined
  }

  async #prove(): Promise<boolean> {
    const [isUpToDate] = await Promise.all([this.#check(), this.#ping()])
    await this.#ping()
    return isUpToDate
  }

  async #check(): Promise<boolean> {
    try {
      return await this.source.check(this.#hand, this.#trialKey)
    } catch (error) {
      if (isMastersRefusal(error)) return true
      throw error
    }
  }

  async #ping(): Promise<void> {
    try {
      await this.#ears.call('ping')
    } catch (error) {
      // An error is an answer, and as much in order as any other.
      if (!isMastersRefusal(error)) throw error
    }
  }

  #hear(payload: NoticePayload): void {
    // Bytes are what somebody published there, and mean nothing that we know: the worst is assumed.
    const keys = Buffer.isBuffer(payload) ? null : payload
    if (this.#onTrial && keys?.some((key) => key.toString() === this.#trialKey)) this.#onTrial()
    this.#listener.onKeys(keys)
  }

  #fail(failure: RedisFailure): void {
    if (this.#isOver) return
    this.close()
    this.#listener.onEnd(failure)
  }
}

function isMastersRefusal(error: unknown): boolean {
  return mastersRefusals.has(redisFailure(error).code)
}
