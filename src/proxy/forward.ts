import { GatewayError } from '../errors.ts'
import { headerValues } from '../http/headers.ts'
import { type Connection, type ConnectionPool, createConnectionPool } from './connection.ts'
import { type Attempt, runExchange } from './exchange.ts'
import type { Upstream, UpstreamAnswer, UpstreamOptions, UpstreamRequest, UpstreamStats } from './upstream.ts'

const DEFAULT_MAX_HEADER_BYTES = 32 * 1024

/** RFC 9110, section 9.2.2: those that have the same effect when they arrive twice. */
const idempotentMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])

const method = /^(?!CONNECT$)[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const originForm = /^\/[\x21-\x7e]*$/

interface Server {
  readonly origin: string
  readonly pool: ConnectionPool
}

/** What the last attempt was, with the count of them. */
interface Outcome {
  readonly attempt: Exclude<Attempt, { kind: 'failed' }>
  readonly server: string
  readonly attempts: number
}

/** Opens an upstream; connections are made when they are needed. Disposing cuts all of them. */
export function openUpstream(options: UpstreamOptions): Upstream {
  const { name, timeouts } = options
  const servers = options.servers.map((origin) => createServer(origin, options))
  if (servers.length === 0) throw new TypeError(`upstream ${name} has no server`)
  let turn = 0
  let isClosed = false

  function nextServer(): Server {
    const server = servers[turn % servers.length]
    turn += 1
    if (server === undefined || isClosed) throw new GatewayError('ERR_SHUTTING_DOWN', `upstream ${name} is closed`)
    return server
  }

  async function send(request: UpstreamRequest, isUpgrade: boolean): Promise<Outcome> {
    requireSendable(request)
    const mayRepeat = request.body === null && idempotentMethods.has(request.method)
    let isFresh = isUpgrade
    for (let attempts = 1; ; ) {
      request.signal.throwIfAborted()
      const server = nextServer()
      const { attempt, isUnused } = await tryOnce(server, { request, isFresh, isUpgrade, timeouts })
      if (attempt.kind !== 'failed') return { attempt, server: server.origin, attempts }
      // A kept connection turned out to be closed before anything was written: that was no attempt.
      if (!isUnused) {
        if (!mayRepeat || !attempt.wasCutUnanswered || attempts > options.retries) throw attempt.error
        attempts += 1
      }
      isFresh = true
    }
  }

  return {
    name,
    async forward(request) {
      const startedAt = performance.now()
      return answerOf(await send(request, false), startedAt)
    },
    async upgrade(request) {
      const startedAt = performance.now()
      const outcome = await send({ ...request, method: 'GET', body: null }, true)
      const { attempt, server } = outcome
      if (attempt.kind === 'answer') return { kind: 'answer', answer: answerOf(outcome, startedAt) }
      return { ...attempt, server }
    },
    stats: () => sumOf(servers),
    async [Symbol.asyncDispose]() {
      isClosed = true
      await Promise.all(servers.map(({ pool }) => pool[Symbol.asyncDispose]()))
    },
  }
}

function createServer(origin: string, { name, timeouts, maxHeaderBytes }: UpstreamOptions): Server {
  const pool = createConnectionPool({
    server: origin,
    connectMs: timeouts.connectMs,
    maxHeaderBytes: maxHeaderBytes ?? DEFAULT_MAX_HEADER_BYTES,
    facts: { upstream: name, server: origin },
  })
  return { origin, pool }
}

interface Try {
  readonly request: UpstreamRequest
  readonly isFresh: boolean
  readonly isUpgrade: boolean
  readonly timeouts: UpstreamOptions['timeouts']
}

async function tryOnce(server: Server, { request, isFresh, isUpgrade, timeouts }: Try) {
  let connection: Connection
  try {
    connection = await server.pool.acquire({ isFresh, signal: request.signal })
  } catch (error) {
    const attempt: Attempt = { kind: 'failed', error, wasSent: false, wasCutUnanswered: isRefusal(error) }
    return { attempt, isUnused: false }
  }
  const attempt = await runExchange({ connection, request, timeouts, isUpgrade })
  return { attempt, isUnused: attempt.kind === 'failed' && !attempt.wasSent && connection.isReused }
}

function isRefusal(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return false
  return error.proxyError === 'connection_refused' || error.proxyError === 'connection_terminated'
}

function answerOf({ attempt, server, attempts }: Outcome, startedAt: number): UpstreamAnswer {
  // Only a request for an upgrade can end in one; undici treats any other 101 as an error.
  if (attempt.kind !== 'answer') throw new TypeError('the upstream switched protocols unasked')
  const { head, body } = attempt
  return { ...head, body, server, attempts, firstByteMs: performance.now() - startedAt }
}

/** What the floors above have made sure of long before; if not, the request must not leave the house. */
function requireSendable(request: UpstreamRequest): void {
  if (!method.test(request.method)) throw new TypeError('the method is not one that can be forwarded')
  if (!originForm.test(request.target)) throw new TypeError('the target is not in origin form')
  if (headerValues(request.headers, 'host').length !== 1) throw new TypeError('the request needs exactly one Host')
}

function sumOf(servers: readonly Server[]): UpstreamStats {
  const sum = { active: 0, idle: 0, pending: 0 }
  for (const { pool } of servers) {
    const { active, idle, pending } = pool.stats()
    sum.active += active
    sum.idle += idle
    sum.pending += pending
  }
  return sum
}
