import { Redis } from 'ioredis'
import { withinDeadline } from '../deadline.ts'
import type { Scheduler } from '../scheduler.ts'
import { type ConnectionParts, commonOptions } from './redis-client.ts'
import { RedisFailure, redisFailure } from './redis-failure.ts'
import type { RedisArgument } from './redis-scripts.ts'
import type { RedisSocket } from './redis-servers.ts'

/** What came in for a channel: the keys of an `invalidate`, null for "all of them", or what somebody has published. */
export type NoticePayload = Buffer | readonly Buffer[] | null

export interface NoticeConnectionParts extends ConnectionParts {
  readonly socket: RedisSocket
  readonly scheduler: Scheduler
  /** It is of no use any more. Called once, and not after `close`. */
  readonly onEnd: (failure: RedisFailure) => void
}

/**
 * One connection of a line of notices to one server, which is never opened again. It speaks RESP2: there the
 * invalidations come as messages of a channel, while ioredis drops the pushes of RESP3.
 */
export class NoticeConnection {
  readonly #redis: Redis
  readonly #parts: NoticeConnectionParts
  /** When each call was sent that has no answer yet, oldest first: a server answers in order. */
  readonly #sentAtMs: number[] = []
  #failure: RedisFailure | undefined
  #isOver = false

  constructor(parts: NoticeConnectionParts) {
    this.#parts = parts
    const { socket } = parts
    this.#redis = new Redis({
      ...commonOptions(parts),
      ...(socket.kind === 'unix' ? { path: socket.path } : { host: socket.host, port: socket.port }),
      connectionName: 'sessiongate-notices',
      protocol: 2,
      // A connection that is lost takes its subscriptions with it: nothing of a line is ever mended.
      autoResubscribe: false,
    })
    this.#redis.on('error', (error: Error) => {
      this.#failure ??= redisFailure(error)
      this.#end(this.#failure)
    })
    this.#redis.on('end', () => this.#end(this.#failure ?? new RedisFailure('lost', 'the connection ended')))
  }

  /**
   * Resolves when calls can be made. Called once.
   *
   * @throws {RedisFailure} also when it takes too long.
   */
  async connect(): Promise<void> {
    const { connectTimeoutMs: timeoutMs, scheduler } = this.#parts
    const connected = this.#redis.connect().catch((error: unknown) => {
      throw this.#failure ?? redisFailure(error)
    })
    await withinDeadline(connected, { timeoutMs, scheduler, onExpire: noAnswer })
  }

  /** @throws {RedisFailure} when the server refuses, or the connection ends before the answer. */
  async call(command: string, ...args: readonly RedisArgument[]): Promise<unknown> {
    const what = containers.has(command) ? `${command} ${args[0]}` : command
    return await this.#answered(what.toUpperCase(), this.#redis.callBuffer(command, ...args))
  }

  /**
   * Subscribes; what comes in is told in the order of the server. Called once.
   *
   * @throws {RedisFailure} as `call`.
   */
  async subscribe(channel: string, onMessage: (payload: NoticePayload) => void): Promise<void> {
    this.#redis.on('messageBuffer', (_channel: Buffer, payload: NoticePayload) => {
      if (!this.#isOver) onMessage(payload)
    })
    await this.#answered(`SUBSCRIBE to ${channel}`, this.#redis.subscribe(channel))
  }

  /** Since when an answer is due, by the scheduler's clock. */
  get waitingSinceMs(): number | undefined {
    return this.#sentAtMs[0]
  }

  /** At once: calls under way fail. */
  close(): void {
    this.#isOver = true
    this.#redis.disconnect()
    // `disconnect()` leaves a socket that is still connecting to do so.
    this.#redis.stream?.destroy()
  }

  async #answered<T>(what: string, call: Promise<T>): Promise<T> {
    this.#sentAtMs.push(this.#parts.scheduler.nowMs())
    try {
      return await call
    } catch (error) {
      throw this.#failure ?? named(what, redisFailure(error))
    } finally {
      this.#sentAtMs.shift()
    }
  }

  #end(failure: RedisFailure): void {
    if (this.#isOver) return
    this.close()
    this.#parts.onEnd(failure)
  }
}

/** Commands of which a right can be had for each of their parts. */
const containers: ReadonlySet<string> = new Set(['client', 'cluster', 'sentinel'])

/** Names what the user may not do, or the server does not know. */
function named(what: string, failure: RedisFailure): RedisFailure {
  const { kind, code, message } = failure
  if (code === 'NOPERM') return new RedisFailure(kind, `the user's ACL does not permit ${what}`, { code })
  if (code === 'ERR') return new RedisFailure(kind, `it refuses ${what}: ${message}`, { code })
  return failure
}

/** For what nobody has answered. */
export function noAnswer(): RedisFailure {
  return new RedisFailure('timeout', 'it gave no answer in time')
}
