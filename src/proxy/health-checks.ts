import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { GatewayError } from '../errors.ts'
import type { AnswerHead } from './answer-head.ts'
import type { Attempt, AttemptFailure, Server } from './attempt.ts'
import type { DepartureWatcher, HealthOptions, UpstreamRequest } from './upstream.ts'

/** The first check comes soon, but not with those of all other servers and workers in one moment. */
const FIRST_WITHIN_MS = 1_000

/** The share of the interval by which checks come earlier or later: of many gateways some would stay in step for ever. */
const JITTER = 0.1

/**
 * Asks one server again and again, always on a new connection: whether it still takes any is part of the question. A
 * status from 200 to 399 is a good answer. `onCheck` gets why a check failed, or undefined. Returns the way to stop.
 */
export function startHealthChecks(
  server: Server,
  options: HealthOptions,
  onCheck: (cause: unknown) => void,
): () => void {
  let running: Check | undefined
  let timer = setTimeout(check, Math.random() * Math.min(FIRST_WITHIN_MS, options.intervalMs)).unref()
  function check(): void {
    running = new Check(server, options, (cause) => {
      running = undefined
      onCheck(cause)
      const share = 1 + JITTER * (2 * Math.random() - 1)
      timer = setTimeout(check, options.intervalMs * share).unref()
    })
    running.start()
  }
  return () => {
    clearTimeout(timer)
    running?.giveUp()
  }
}

/** One question to a server. */
class Check implements Attempt {
  readonly isFresh = true
  readonly isUpgrade = false
  readonly ownHost = undefined
  readonly request: UpstreamRequest
  readonly #server: Server
  readonly #client = { isGone: false, watcher: undefined as DepartureWatcher | undefined }
  readonly #timer: NodeJS.Timeout
  #onEnd: ((cause: unknown) => void) | undefined

  constructor(server: Server, { path, host, timeoutMs }: HealthOptions, onEnd: (cause: unknown) => void) {
    this.#server = server
    this.#onEnd = onEnd
    this.request = {
      method: 'GET',
      target: path,
      headers: ['Host', host ?? server.address.authority, 'User-Agent', 'sessiongate', 'Accept', '*/*'],
      body: null,
      client: this.#client,
    }
    this.#timer = setTimeout(() => this.#end(late(timeoutMs)), timeoutMs).unref()
  }

  start(): void {
    try {
      this.#server.send(this)
    } catch (error) {
      this.#end(error)
    }
  }

  /** Ends without a verdict. */
  giveUp(): void {
    this.#onEnd = undefined
    this.#end(undefined)
  }

  answered({ status }: AnswerHead, body: Readable | string): void {
    if (typeof body !== 'string') body.on('error', () => {}).destroy()
    this.#end(status < 400 ? undefined : bad(status))
  }

  switched(_headers: readonly string[], socket: Socket): void {
    socket.destroy()
    this.#end(bad(101))
  }

  failed({ error }: AttemptFailure): void {
    this.#end(error)
  }

  #end(cause: unknown): void {
    const onEnd = this.#onEnd
    this.#onEnd = undefined
    clearTimeout(this.#timer)
    // What is still under way is cut.
    this.#client.isGone = true
    this.#client.watcher?.onGone()
    onEnd?.(cause)
  }
}

function bad(status: number): GatewayError {
  return new GatewayError('ERR_UPSTREAM_UNREACHABLE', `the health check was answered with ${status}`, {
    proxyError: 'destination_unavailable',
  })
}

function late(timeoutMs: number): GatewayError {
  return new GatewayError('ERR_UPSTREAM_TIMEOUT', `no answer to the health check within ${timeoutMs} ms`, {
    proxyError: 'http_response_timeout',
  })
}
