import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { GatewayError } from '../errors.ts'
import type { AnswerHead } from './answer-head.ts'
import { type Attempt, type AttemptFailure, type Server, type ServerOptions, serverOptions } from './attempt.ts'
import { LeanServer } from './lean-server.ts'
import { createUndiciServer } from './undici-server.ts'
import {
  ClientGoneError,
  type UpgradeAnswer,
  type Upstream,
  type UpstreamAnswer,
  type UpstreamOptions,
  type UpstreamRequest,
  type UpstreamStats,
} from './upstream.ts'

/** RFC 9110, section 9.2.2: those that have the same effect when they arrive twice. */
const idempotentMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])

/** Opens an upstream; connections are made when they are needed. Disposing cuts all of them. */
export function openUpstream(options: UpstreamOptions): Upstream {
  const { name, retries } = options
  if (options.servers.length === 0) throw new TypeError(`upstream ${name} has no server`)
  const createServer = options.implementation === 'undici' ? createUndiciServer : createFittingServer
  const forwarders = createRing(name, options, createServer)
  const upgraders = createRing(name, options, createUndiciServer)

  return {
    name,
    forward(request) {
      return new Promise((resolve, reject) =>
        new Forwarding(request, { ring: forwarders, retries }, { resolve, reject }).begin(),
      )
    },
    upgrade(request) {
      const asGet: UpstreamRequest = { ...request, method: 'GET', body: null }
      return new Promise((resolve, reject) =>
        new Upgrading(asGet, { ring: upgraders, retries }, { resolve, reject }).begin(),
      )
    },
    stats: () => sumOf([...forwarders.servers, ...upgraders.servers]),
    async [Symbol.asyncDispose]() {
      await Promise.all([forwarders.close(), upgraders.close()])
    },
  }
}

function createFittingServer(options: ServerOptions): Server {
  return options.origin.startsWith('http://') ? new LeanServer(options) : createUndiciServer(options)
}

/** Servers, taken in turn. */
interface Ring {
  readonly servers: readonly Server[]
  next(): Server
  close(): Promise<void>
}

function createRing(name: string, options: UpstreamOptions, createServer: (options: ServerOptions) => Server): Ring {
  const servers = options.servers.map((origin) => createServer(serverOptions(origin, options)))
  let turn = 0
  let isClosed = false
  return {
    servers,
    next() {
      const server = servers[turn % servers.length]
      turn += 1
      if (server === undefined || isClosed) throw new GatewayError('ERR_SHUTTING_DOWN', `upstream ${name} is closed`)
      return server
    },
    async close() {
      isClosed = true
      await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
    },
  }
}

interface Settling<T> {
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

interface Ways {
  readonly ring: Ring
  readonly retries: number
}

/** A request and its attempts, one after the other. */
abstract class Sending<T> implements Attempt {
  readonly request: UpstreamRequest
  abstract readonly isUpgrade: boolean
  isFresh = false
  readonly #ways: Ways
  readonly #settling: Settling<T>
  readonly #startedMs = performance.now()
  #attempts = 1
  #server = ''

  constructor(request: UpstreamRequest, ways: Ways, settling: Settling<T>) {
    this.request = request
    this.#ways = ways
    this.#settling = settling
  }

  begin(): void {
    if (this.request.client.isGone) {
      this.#settling.reject(new ClientGoneError())
      return
    }
    try {
      const server = this.#ways.ring.next()
      this.#server = server.origin
      server.send(this)
    } catch (error) {
      this.#settling.reject(error)
    }
  }

  abstract answered(head: AnswerHead, body: Readable | string): void

  abstract switched(headers: readonly string[], socket: Socket): void

  failed({ error, isUnused, wasCutUnanswered }: AttemptFailure): void {
    if (!isUnused) {
      const { method, body } = this.request
      const mayRepeat = body === null && idempotentMethods.has(method)
      if (!mayRepeat || !wasCutUnanswered || this.#attempts > this.#ways.retries) {
        this.#settling.reject(error)
        return
      }
      this.#attempts += 1
    }
    this.isFresh = true
    this.begin()
  }

  protected settle(value: T): void {
    this.#settling.resolve(value)
  }

  protected get server(): string {
    return this.#server
  }

  protected answerOf({ status, reason, headers, contentLength }: AnswerHead, body: Readable | string): UpstreamAnswer {
    const firstByteMs = performance.now() - this.#startedMs
    return { status, reason, headers, contentLength, body, server: this.#server, attempts: this.#attempts, firstByteMs }
  }
}

class Forwarding extends Sending<UpstreamAnswer> {
  readonly isUpgrade = false

  answered(head: AnswerHead, body: Readable | string): void {
    this.settle(this.answerOf(head, body))
  }

  switched(_headers: readonly string[], socket: Socket): void {
    // Only a request for an upgrade can end in one; any other 101 is an error.
    socket.destroy()
    this.failed({
      error: new TypeError('the upstream switched protocols unasked'),
      isUnused: false,
      wasCutUnanswered: false,
    })
  }
}

class Upgrading extends Sending<UpgradeAnswer> {
  readonly isUpgrade = true
  override isFresh = true

  answered(head: AnswerHead, body: Readable | string): void {
    this.settle({ kind: 'answer', answer: this.answerOf(head, body) })
  }

  switched(headers: readonly string[], socket: Socket): void {
    this.settle({ kind: 'switched', headers, socket, server: this.server })
  }
}

function sumOf(servers: readonly Server[]): UpstreamStats {
  const sum = { active: 0, idle: 0, pending: 0 }
  for (const server of servers) {
    const { active, idle, pending } = server.stats()
    sum.active += active
    sum.idle += idle
    sum.pending += pending
  }
  return sum
}
