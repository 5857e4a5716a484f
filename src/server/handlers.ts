import type { ServerResponse } from 'node:http'
import { GatewayError } from '../errors.ts'
import type { ChunkMeter } from '../lib/chunk-memory.ts'
import type { Clock } from '../lib/clock.ts'
import type { Exchange, WritebackResult } from '../observe/exchange.ts'
import type { SessionCookie } from '../sessions/cookie.ts'
import { type Answer, errorAnswer } from './answer.ts'
import { bringsDeadCookie, eraseCookie } from './descent.ts'
import type { Handlers } from './listener.ts'
import type { Pipeline } from './pipeline.ts'
import { sendAnswer } from './reply.ts'
import type { UpgradeConnection } from './upgrade.ts'
import { type Arrived, createVisit, type Visit } from './visit.ts'

export interface HandlersParts {
  readonly pipeline: Pipeline
  readonly upgrade: (visit: Visit, connection: UpgradeConnection) => Promise<Answer | undefined>
  readonly cookie: SessionCookie
  /** Takes the finished record of a request, for log and metrics. */
  readonly record: (exchange: Exchange) => void
  readonly clock: Clock
  readonly onChunk: ChunkMeter
  /** No connection outlives its answer any more. */
  readonly isDraining: () => boolean
}

/** Answers what arrives, whatever it ends in, and has it recorded once. The only place that turns an error into bytes. */
export class RequestHandlers implements Handlers {
  readonly #parts: HandlersParts
  readonly clock: Clock
  readonly onChunk: ChunkMeter

  constructor(parts: HandlersParts) {
    this.#parts = parts
    this.clock = parts.clock
    this.onChunk = parts.onChunk
  }

  readonly onRefused = (exchange: Exchange): void => this.#parts.record(exchange)

  async onRequest(arrived: Arrived, exchange: Exchange, response: ServerResponse): Promise<void> {
    await this.#handle(arrived, exchange, { response, run: (visit) => this.#parts.pipeline.serve(visit) })
  }

  async onUpgrade(arrived: Arrived, exchange: Exchange, connection: UpgradeConnection): Promise<void> {
    const run = (visit: Visit): Promise<Answer | undefined> => this.#parts.upgrade(visit, connection)
    await this.#handle(arrived, exchange, { response: connection.response, run })
  }

  async #handle(
    arrived: Arrived,
    exchange: Exchange,
    work: { response: ServerResponse; run: (visit: Visit) => Promise<Answer | undefined> },
  ): Promise<void> {
    const startedMs = performance.now()
    const visit = createVisit(arrived, exchange)
    try {
      const answer = await work.run(visit).catch((error: unknown) => this.#failed(visit, error))
      if (answer !== undefined) await this.#reply(visit, work.response, answer)
    } finally {
      exchange.durationMs = performance.now() - startedMs
      noteUpstreamEnd(visit)
      this.#parts.record(exchange)
    }
  }

  async #reply(visit: Visit, response: ServerResponse, answer: Answer): Promise<void> {
    // The end may have been called for since the request came.
    visit.mustClose ||= this.#parts.isDraining()
    try {
      await sendAnswer(response, this.#closeOwn(visit, answer), visit)
    } catch (error) {
      if (typeof answer.body === 'object') answer.body.destroy()
      if (visit.gone.aborted || response.headersSent) {
        // Half an answer must not end like a whole one.
        response.destroy()
        visit.exchange.outcome = 'aborted'
      } else {
        // node:http would not write the app's head: a bad status or a header that no browser may get.
        const refused = new GatewayError('ERR_UPSTREAM_PROTOCOL', 'the answer cannot be written', {
          cause: error,
          proxyError: 'http_protocol_error',
        })
        await sendAnswer(response, this.#closeOwn(visit, this.#failed(visit, refused)), visit).catch(() =>
          response.destroy(),
        )
      }
    }
  }

  #failed(visit: Visit, thrown: unknown): Answer {
    const error =
      thrown instanceof GatewayError
        ? thrown
        : new GatewayError('ERR_INTERNAL', 'an error of the gateway', { cause: thrown })
    const { code, message, proxyError, facts, cause } = error
    visit.exchange.outcome = visit.gone.aborted ? 'aborted' : 'local'
    visit.mustClose ||= visit.place === undefined
    // A browser that left is no failure of anybody; what its leaving tore down comes here as an error all the same.
    if (visit.gone.aborted && !(thrown instanceof GatewayError)) return errorAnswer(visit, error)
    visit.exchange.error = { code, message, proxyError, facts, cause }
    visit.exchange.writeback = writebackFailure(error) ?? visit.exchange.writeback
    return errorAnswer(visit, error)
  }

  /** Our own answers on a route with a session differ by cookie as the app's do, and take a dead cookie away as well. */
  #closeOwn(visit: Visit, answer: Answer): Answer {
    if (typeof answer.body === 'object' || visit.route?.usesSession !== true) return answer
    const erasing = bringsDeadCookie(visit) ? ['Set-Cookie', eraseCookie(visit, this.#parts.cookie)] : []
    const lines = ['Vary', 'Cookie', ...erasing]
    return { ...answer, headers: [...answer.headers, ...lines] }
  }
}

/** What a refused or failed write-back counts as; undefined for errors of another kind. */
function writebackFailure({ code, facts }: GatewayError): WritebackResult | undefined {
  if (code === 'ERR_SESSION_WRITE') return 'error'
  if (code !== 'ERR_WRITEBACK_REFUSED') return undefined
  if (facts.reason === 'not_allowed' || facts.reason === 'reserved') return 'forbidden_key'
  return facts.reason === 'malformed' ? 'invalid' : 'too_large'
}

/** The upstream's share of the time ends with the last byte of its answer, which is when ours ends. */
function noteUpstreamEnd({ exchange, upstreamStartedMs }: Visit): void {
  if (exchange.upstream === undefined || upstreamStartedMs === undefined) return
  exchange.upstream = { ...exchange.upstream, durationMs: performance.now() - upstreamStartedMs }
}
