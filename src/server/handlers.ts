import type { ServerResponse } from 'node:http'
import { GatewayError } from '../errors.ts'
import { readFraming } from '../http/framing.ts'
import type { ChunkMeter } from '../lib/chunk-memory.ts'
import type { Clock } from '../lib/clock.ts'
import type { Exchange, WritebackResult } from '../observe/exchange.ts'
import type { Tracing } from '../observe/tracing.ts'
import type { SessionCookie } from '../sessions/cookie.ts'
import { type Answer, errorAnswer, letGo } from './answer.ts'
import type { ClientPace } from './client-pace.ts'
import { bringsDeadCookie, eraseCookie } from './descent.ts'
import type { ErrorPages } from './error-pages.ts'
import { noteBrokenOff } from './forwarding.ts'
import type { Handlers } from './listener.ts'
import type { Load } from './load.ts'
import type { Occupancy } from './occupancy.ts'
import { Outbox } from './outbox.ts'
import type { Pipeline } from './pipeline.ts'
import { sendAnswer, written } from './reply.ts'
import type { UpgradeConnection } from './upgrade.ts'
import type { Visit } from './visit.ts'

export interface HandlersParts {
  readonly pipeline: Pick<Pipeline, 'serve'>
  readonly upgrade: (visit: Visit, connection: UpgradeConnection) => Promise<Answer | undefined>
  readonly cookie: SessionCookie
  readonly errorPages: ErrorPages
  /** Takes the finished record of a request, for log and metrics. */
  readonly record: (exchange: Exchange) => void
  /** The same for what the parser refused, which costs a stranger nothing to send. */
  readonly recordRefused: (exchange: Exchange) => void
  /** The same for what was refused because there is too much to do. */
  readonly recordShed: (exchange: Exchange) => void
  /** Undefined where no spans are recorded. */
  readonly tracing: Tracing | undefined
  readonly load: Load
  readonly pace: ClientPace
  readonly clock: Clock
  readonly onChunk: ChunkMeter
  /** Of the requests under way. */
  readonly occupancy: Pick<Occupancy, 'enter' | 'leave'>
  /** No connection outlives its answer any more. */
  readonly isDraining: () => boolean
}

interface BrokenOff {
  readonly answer: Answer
  readonly error: unknown
}

/** Answers what arrives, whatever it ends in, and has it recorded once. The only place that turns an error into bytes. */
export class RequestHandlers implements Handlers {
  readonly #parts: HandlersParts
  readonly #outbox = new Outbox()
  readonly clock: Clock
  readonly onChunk: ChunkMeter

  constructor(parts: HandlersParts) {
    this.#parts = parts
    this.clock = parts.clock
    this.onChunk = parts.onChunk
  }

  readonly onRefused = (exchange: Exchange): void => this.#parts.recordRefused(exchange)

  async onRequest(visit: Visit, response: ServerResponse): Promise<void> {
    this.#parts.occupancy.enter()
    try {
      let answer: Answer
      try {
        // Waited for in any case: that the request has no body, node:http says a moment after the head is there.
        answer = await (this.#shed(visit) ?? this.#parts.pipeline.serve(visit))
      } catch (error) {
        answer = this.#failed(visit, error)
      }
      const replied = this.#reply(visit, response, answer)
      if (replied !== undefined) await replied
    } finally {
      this.#halfway(visit)
    }
  }

  onAnswered(visit: Visit): void {
    this.#halfway(visit)
  }

  async onUpgrade(visit: Visit, connection: UpgradeConnection): Promise<void> {
    const { response } = connection
    this.#parts.occupancy.enter()
    try {
      const shed = this.#shed(visit)
      const upgrade = async () => shed ?? (await this.#parts.upgrade(visit, connection))
      const answer = await upgrade().catch((error: unknown) => this.#failed(visit, error))
      if (answer === undefined) return
      tellResponse(connection)
      await this.#reply(visit, response, answer)
      await written(response)
    } finally {
      this.#record(visit)
    }
  }

  /** The answer for a request that is one too many, before anything is asked for it; undefined: it is let in. */
  #shed(visit: Visit): Answer | undefined {
    const refusal = this.#parts.load.enter()
    if (refusal === undefined) {
      visit.isLetIn = true
      visit.pace = this.#parts.pace
      const { tracing } = this.#parts
      if (tracing !== undefined) beginTrace(visit, tracing)
      return undefined
    }
    const { mustClose } = visit
    const answer = this.#failed(visit, refusal)
    // Nobody has looked where the request ends. Where that is plain, the connection may go on: a new one costs more.
    visit.mustClose = mustClose || isDoubtful(visit)
    return answer
  }

  /** The work is done, or the answer is out: whichever comes second ends the request. */
  #halfway(visit: Visit): void {
    if (visit.isHalfDone) this.#record(visit)
    visit.isHalfDone = true
  }

  #record(visit: Visit): void {
    const { exchange } = visit
    if (visit.isGone && exchange.outcome === 'forwarded') exchange.outcome = 'aborted'
    exchange.durationMs = performance.now() - visit.startedMs
    noteUpstreamEnd(visit)
    visit.trace?.end(exchange, visit.upstreamStartedMs !== undefined)
    if (visit.isLetIn) {
      this.#parts.load.leave()
      this.#parts.record(exchange)
    } else this.#parts.recordShed(exchange)
    this.#parts.occupancy.leave()
  }

  /** Undefined when the answer is on its way whole, and there is nothing to wait for. */
  #reply(visit: Visit, response: ServerResponse, answer: Answer): Promise<void> | undefined {
    // The end may have been called for since the request came.
    visit.mustClose ||= this.#parts.isDraining()
    try {
      const sent = sendAnswer(response, this.#closeOwn(visit, answer), { visit, outbox: this.#outbox })
      return sent?.catch((error: unknown) => this.#brokeOff(visit, response, { answer, error }))
    } catch (error) {
      return this.#brokeOff(visit, response, { answer, error })
    }
  }

  async #brokeOff(visit: Visit, response: ServerResponse, { answer, error }: BrokenOff): Promise<void> {
    letGo(answer)
    if (visit.isGone || response.headersSent) {
      // Half an answer must not end like a whole one.
      noteBrokenOff(visit, error)
      response.destroy()
      visit.exchange.outcome = 'aborted'
    } else {
      const own = this.#closeOwn(visit, this.#failed(visit, unsendable(error)))
      await sendAnswer(response, own, { visit, outbox: this.#outbox })?.catch(() => response.destroy())
    }
  }

  #failed(visit: Visit, thrown: unknown): Answer {
    const error =
      thrown instanceof GatewayError
        ? thrown
        : new GatewayError('ERR_INTERNAL', 'an error of the gateway', { cause: thrown })
    const { code, message, proxyError, facts, cause } = error
    visit.exchange.outcome = visit.isGone ? 'aborted' : 'local'
    visit.mustClose ||= visit.place === undefined
    // A browser that left is no failure of anybody; what its leaving tore down comes here as an error all the same.
    if (visit.isGone && !(thrown instanceof GatewayError))
      return errorAnswer(visit, error, { pages: this.#parts.errorPages })
    visit.exchange.error = { code, message, proxyError, facts, cause }
    visit.exchange.writeback = writebackFailure(error) ?? visit.exchange.writeback
    return errorAnswer(visit, error, { pages: this.#parts.errorPages })
  }

  /** Our own answers on a route with a session differ by cookie as the app's do, and take a dead cookie away as well. */
  #closeOwn(visit: Visit, answer: Answer): Answer {
    if (!answer.isOwn || visit.route?.usesSession !== true) return answer
    const erasing = bringsDeadCookie(visit) ? ['Set-Cookie', eraseCookie(visit, this.#parts.cookie)] : []
    return { ...answer, headers: [...answer.headers, 'Vary', 'Cookie', ...erasing] }
  }
}

function beginTrace(visit: Visit, tracing: Tracing): void {
  visit.trace = tracing.begin(visit)
  visit.exchange.traceId = visit.trace.traceId
}

/**
 * `node:http` has let go of the connection of a handshake, and would tell the response nothing of it any more: neither that
 * its reader takes more, nor that it has taken nothing for too long.
 */
function tellResponse({ socket, response }: UpgradeConnection): void {
  for (const event of ['drain', 'timeout']) socket.on(event, () => void response.emit(event))
}

/** The app's body had broken off, or `node:http` would not write its head: a bad status, a header that no browser may get. */
function unsendable(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error
  return new GatewayError('ERR_UPSTREAM_PROTOCOL', 'the answer cannot be written', {
    cause: error,
    proxyError: 'http_protocol_error',
  })
}

function isDoubtful({ method, httpVersion, raw }: Visit): boolean {
  try {
    readFraming(method, httpVersion, raw)
    return false
  } catch {
    return true
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
  exchange.upstream.durationMs = performance.now() - upstreamStartedMs
}
