import type { GatewayError } from '../../errors.ts'
import { withinDeadline } from '../deadline.ts'
import { systemScheduler } from '../scheduler.ts'
import { storeUnavailable } from '../store-failure.ts'
import { createRedisClient, type RedisClient } from './redis-client.ts'
import { RedisFailure, type RedisFailureKind, redisFailure } from './redis-failure.ts'
import { type RedisServers, type RedisTls, redisServersName } from './redis-servers.ts'

export interface RedisLinkOptions {
  readonly servers: RedisServers
  /** For the whole of each call, connecting included. */
  readonly timeoutMs: number
  /** 0 up to 1, exclusive. Default `Math.random`. */
  readonly random?: () => number
  /** Milliseconds that only ever grow, whatever becomes of the wall clock. Default `performance.now`. */
  readonly monotonicMs?: () => number
  /** Told of each new connection before anything is asked on it: it may lead to another server than the one before. */
  readonly onConnected?: () => void
}

/** One call to the server. */
export interface RedisTask<T> {
  /** For the log: `reading a session`. */
  readonly what: string
  /** The key that it is about, if there is one; only to know which server of a cluster kept silent. */
  readonly key?: string
  /** It changes nothing, so it may be done once more on another connection when the first is lost in between. */
  readonly isRead: boolean
  perform(client: RedisClient): Promise<T>
}

/** A connection that lived so long was a good one: what failed before it is forgotten. */
const GOOD_AFTER_MS = 1000
/** So many connections may be lost in a row, all of them young, before there is a pause between them. */
const FREE_LOSSES = 3
const MIN_PAUSE_MS = 25
const MAX_PAUSE_MS = 250
const AUTH_PAUSE_MS = 1000

/** Failures after which nothing can have been done, so that also a write may be sent, once, on a new connection. */
const harmless: ReadonlySet<RedisFailureKind> = new Set(['unsent', 'readonly'])

/**
 * The way to the server: one client, opened when it is needed, given up when it fails, replaced by the next call. Every
 * call ends within `timeoutMs`; while there is no connection it waits for the one that is being opened, or fails at once.
 *
 * Between two attempts lie 25 to 250 ms, so that calls at any rate make a few attempts a second, and a server that came
 * back is noticed by the first call a quarter of a second later; 1 to 1.5 s after it did not let us in. Half of each
 * pause is random: the processes of a fleet must not all come at the same moment.
 */
export class RedisLink implements AsyncDisposable {
  readonly #options: RedisLinkOptions
  readonly #random: () => number
  readonly #now: () => number
  #client: RedisClient | undefined
  #opening: Promise<RedisClient> | undefined
  #openedAt = 0
  /** The first failure since the last answer. */
  #failingSince: number | undefined
  /** Attempts and young connections that failed in a row. */
  #failures = 0
  #notBefore = Number.NEGATIVE_INFINITY
  #lastFailure: RedisFailure | undefined
  #isClosed = false

  constructor(options: RedisLinkOptions) {
    this.#options = options
    this.#random = options.random ?? Math.random
    this.#now = options.monotonicMs ?? (() => performance.now())
  }

  /**
   * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` within the deadline; `RedisFailure` of the kind `wrong_type` as it is.
   */
  async run<T>(task: RedisTask<T>): Promise<T> {
    const endsAt = this.#now() + this.#options.timeoutMs
    for (let attempt = 1; ; attempt++) {
      let client: RedisClient | undefined
      try {
        client = this.#readyClient() ?? (await within(endsAt - this.#now(), this.#opened()))
        const result = await within(endsAt - this.#now(), task.perform(client))
        this.#failingSince = undefined
        return result
      } catch (error) {
        const failure = redisFailure(error)
        if (failure.kind === 'wrong_type') throw failure
        if (client) this.#judge(client, failure, task.key)
        const mayRepeat = client !== undefined && attempt === 1 && (task.isRead || harmless.has(failure.kind))
        const wouldHelp = harmless.has(failure.kind) || failure.kind === 'lost'
        if (!mayRepeat || !wouldHelp) throw this.#unavailable(task.what, failure)
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#client?.close()
    this.#client = undefined
  }

  #readyClient(): RedisClient | undefined {
    if (this.#client && !this.#client.isReady)
      this.#giveUp(this.#client, new RedisFailure('lost', 'the connection ended'))
    return this.#client
  }

  #opened(): Promise<RedisClient> {
    if (this.#isClosed) throw new RedisFailure('unsent', 'it was closed')
    if (this.#opening) return this.#opening
    if (this.#now() < this.#notBefore) throw this.#lastFailure ?? new RedisFailure('unsent', 'there is no connection')
    const opening = this.#open().finally(() => {
      this.#opening = undefined
    })
    // Those who wait for it may all have given up before it fails.
    opening.catch(() => {})
    this.#opening = opening
    return opening
  }

  async #open(): Promise<RedisClient> {
    const { servers, timeoutMs } = this.#options
    // An attempt that nobody answers must not hold up the next one for the whole of a long timeout.
    const connectTimeoutMs = Math.min(timeoutMs, Math.max(700, timeoutMs / 2))
    const client = createRedisClient({
      servers,
      connectTimeoutMs,
      // Calls end earlier. This is for what no call waits for, such as the answers of a server that a cluster sent us to.
      silenceMs: 2 * timeoutMs,
      random: this.#random,
      onEnd: (failure) => this.#giveUp(client, failure),
    })
    try {
      await within(connectTimeoutMs, client.connect())
      if (this.#isClosed) throw new RedisFailure('unsent', 'it was closed')
    } catch (error) {
      client.close()
      const failure = withHint(redisFailure(error), servers.tls)
      this.#failures++
      this.#pause(failure, this.#failures)
      throw failure
    }
    this.#options.onConnected?.()
    this.#client = client
    this.#openedAt = this.#now()
    return client
  }

  /** What a failed call says of the connection that it was made on. */
  #judge(client: RedisClient, failure: RedisFailure, key: string | undefined): void {
    const now = this.#now()
    this.#failingSince ??= now
    // Of a cluster only one server may be at fault. But when none of them has answered for so long, all addresses that we
    // know may be of yesterday, and it is better to begin with those of the configuration.
    const isHopeless = now - this.#failingSince >= this.#options.timeoutMs
    switch (failure.kind) {
      case 'timeout':
        // Its answer may still come, so the connection must go.
        if (!client.cutOff(key) || isHopeless) this.#giveUp(client, failure)
        return
      case 'readonly':
        // Whoever is the master now is found by connecting anew. Not again at once: a server that was made a replica, and
        // stays the only one that we know, can still be read.
        if (now - this.#openedAt >= GOOD_AFTER_MS) this.#giveUp(client, failure)
        return
      case 'auth':
      case 'garbled':
      case 'unsent':
        this.#giveUp(client, failure)
        return
      case 'lost':
        if (!client.isReady || isHopeless) this.#giveUp(client, failure)
        return
      default:
        return
    }
  }

  #giveUp(client: RedisClient, failure: RedisFailure): void {
    client.close()
    if (this.#client !== client) return
    this.#client = undefined
    const isGood = this.#now() - this.#openedAt >= GOOD_AFTER_MS
    this.#failures = isGood ? 0 : this.#failures + 1
    this.#pause(failure, this.#failures - FREE_LOSSES)
  }

  /** No attempt for a while: not at all for a step of 0 or less, and twice as long with each further one. */
  #pause(failure: RedisFailure, step: number): void {
    this.#lastFailure = failure
    const pauseMs = step <= 0 ? 0 : Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** step)
    const [least, spread] = failure.kind === 'auth' ? [AUTH_PAUSE_MS, AUTH_PAUSE_MS / 2] : [pauseMs / 2, pauseMs / 2]
    this.#notBefore = this.#now() + least + spread * this.#random()
  }

  #unavailable(what: string, failure: RedisFailure): GatewayError {
    const name = redisServersName(this.#options.servers)
    return storeUnavailable(`${what} failed, ${name}: ${failure.message}`, failure)
  }
}

/** A server that wants TLS, or a client's certificate, does not say so: it hangs up. One that knows no TLS waits for more. */
function withHint(failure: RedisFailure, tls: RedisTls | undefined): RedisFailure {
  const { kind, code, message, cause } = failure
  const hasHungUp = kind === 'lost' && ['ECONNRESET', 'EPIPE'].includes(code)
  let hint: string | undefined
  if (hasHungUp)
    hint = tls === undefined ? 'TLS (rediss://)' : tls.cert === undefined ? 'a certificate of ours' : undefined
  if (hint !== undefined) return new RedisFailure(kind, `${message} (does it want ${hint}?)`, { code, cause })
  if (kind === 'timeout' && tls !== undefined) return new RedisFailure(kind, `${message} (does it know TLS?)`, { code })
  return failure
}

/** The promise's result, if it comes in time. */
function within<T>(leftMs: number, promise: Promise<T>): Promise<T> {
  return withinDeadline(promise, {
    timeoutMs: Math.max(0, leftMs),
    scheduler: systemScheduler,
    onExpire: () => new RedisFailure('timeout', 'it gave no answer in time'),
  })
}
