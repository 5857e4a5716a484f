import { GatewayError } from '../errors.ts'
import { watchLoopDelay } from './loop-delay.ts'

export interface LoadLimits {
  /** Requests under way at once; undefined = any number. */
  readonly requests: number | undefined
  /** How far behind the event loop may be; undefined = it does not matter. */
  readonly eventLoopDelayMs: number | undefined
}

/** Made once: where there is too much to do, not even a stack trace is written. */
const TOO_MANY = refusal('as many requests are under way as limits.requests allows')
const TOO_LATE = refusal('the process is further behind than limits.event_loop_delay allows')

function refusal(message: string): GatewayError {
  return new GatewayError('ERR_OVERLOADED', message, { proxyError: 'proxy_internal_response' })
}

/**
 * How much the process has to do, and whether it can take a further request. One that it cannot take is refused before
 * anything is looked up for it: then it costs a fraction of one that is served, and those that are served have answers
 * while there are still readers for them.
 */
export class Load implements Disposable {
  #limit = Number.POSITIVE_INFINITY
  /** Of new requests, for the event loop's delay. */
  #refusedShare = 0
  /** Whole ones of it are due. */
  #owed = 0
  #underWay = 0
  #served = 0
  #refused = 0
  #stopWatching: () => void = () => undefined

  constructor(limits: LoadLimits) {
    this.apply(limits)
  }

  /** Other limits from now on. */
  apply({ requests, eventLoopDelayMs }: LoadLimits): void {
    this.#stopWatching()
    this.#refusedShare = 0
    this.#limit = requests ?? Number.POSITIVE_INFINITY
    this.#stopWatching =
      eventLoopDelayMs === undefined
        ? () => undefined
        : watchLoopDelay(eventLoopDelayMs, {
            counts: () => ({ served: this.#served, refused: this.#refused }),
            onShare: (share) => {
              this.#refusedShare = share
            },
          })
  }

  /** Requests that were let in and have not left. */
  get underWay(): number {
    return this.#underWay
  }

  /** Lets a request in, which then has to `leave`; or says why not. */
  enter(): GatewayError | undefined {
    if (this.#underWay >= this.#limit) return this.#refuse(TOO_MANY)
    if (this.#refusedShare !== 0 && this.#isRefused()) return this.#refuse(TOO_LATE)
    this.#underWay += 1
    this.#served += 1
    return undefined
  }

  leave(): void {
    this.#underWay -= 1
  }

  [Symbol.dispose](): void {
    this.#stopWatching()
  }

  #refuse(why: GatewayError): GatewayError {
    this.#refused += 1
    return why
  }

  /** Evenly, and not by chance: of three requests at a share of a third it is one. */
  #isRefused(): boolean {
    this.#owed += this.#refusedShare
    if (this.#owed < 1) return false
    this.#owed -= 1
    return true
  }
}
