import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { RawHeaders } from '../http/headers.ts'
import { AnswerBody } from './answer-body.ts'
import { type AnswerHead, linesOf, readAnswerHead } from './answer-head.ts'
import { AnswerPace } from './answer-pace.ts'
import { createDeadline } from './deadline.ts'
import {
  answerDrips,
  answerStalled,
  codeOf,
  exchangeFailure,
  informationRefusal,
  requestStalled,
  unanswered,
} from './failure.ts'
import { createRequestBody } from './request-body.ts'
import { isHost, isOwnedByConnection } from './request-head.ts'
import type { Connection } from './undici-connection.ts'
import { ClientGoneError, type UpstreamRequest, type UpstreamTimeouts } from './upstream.ts'

/** undici resumes from within `resume()`, so that a body which holds nothing would be halted by its own first piece. */
const AHEAD_BYTES = 16 * 1024

/** How one attempt went, when the head of an answer was there or could no longer come. */
export type Outcome =
  | { readonly kind: 'answer'; readonly head: AnswerHead; readonly body: Readable }
  | { readonly kind: 'switched'; readonly headers: RawHeaders; readonly socket: Socket }
  | {
      readonly kind: 'failed'
      readonly error: unknown
      /** False: not one byte of the request was written, so nobody can have acted on it. */
      readonly wasSent: boolean
      /** The connection was cut, and no byte of an answer had come. */
      readonly wasCutUnanswered: boolean
    }

export interface ExchangeOptions {
  readonly connection: Connection
  readonly request: UpstreamRequest
  /** The Host that goes up; undefined: the request's. */
  readonly ownHost: string | undefined
  readonly timeouts: UpstreamTimeouts
  /** Asks for a change to the WebSocket protocol. */
  readonly isUpgrade: boolean
}

/** Runs one exchange on one connection and gives the connection back, or closes it, when it has ended. Never rejects. */
export function runExchange(options: ExchangeOptions): Promise<Outcome> {
  const exchange = new Exchange(options)
  return exchange.run()
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #connection: Connection
  readonly #request: UpstreamRequest
  readonly #ownHost: string | undefined
  readonly #timeouts: UpstreamTimeouts
  readonly #isUpgrade: boolean
  readonly #deadline = createDeadline()
  readonly #outcome = Promise.withResolvers<Outcome>()
  #controller: Dispatcher.DispatchController | undefined
  #requestBody: Readable | undefined
  #answerBody: Readable | undefined
  #pace: AnswerPace | undefined
  #informational = 0
  #isSent = false
  #hasByte = false
  #isEarly = false
  #isOver = false

  constructor({ connection, request, ownHost, timeouts, isUpgrade }: ExchangeOptions) {
    this.#connection = connection
    this.#request = request
    this.#ownHost = ownHost
    this.#timeouts = timeouts
    this.#isUpgrade = isUpgrade
  }

  run(): Promise<Outcome> {
    const { method, target, body, contentLength, client } = this.#request
    if (client.isGone) {
      this.#cut(new ClientGoneError())
      return this.#outcome.promise
    }
    client.watcher = { onGone: () => this.#cut(new ClientGoneError()) }
    if (body !== null) {
      this.#requestBody = createRequestBody(body, {
        contentLength,
        onProgress: () => this.#deadline.refresh(),
        onFailure: (error) => this.#cut(error),
      })
      const { idleMs } = this.#timeouts
      const { facts, socket } = this.#connection
      this.#deadline.set(idleMs, () => this.#cut(requestStalled(idleMs, socket.writableNeedDrain, facts)))
    }
    this.#connection.client.dispatch(
      {
        path: target,
        method,
        headers: linesToSend(this.#request, this.#ownHost),
        body: this.#requestBody ?? null,
        upgrade: this.#isUpgrade ? 'websocket' : null,
      },
      this,
    )
    return this.#outcome.promise
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#isOver) controller.abort(new Error('the exchange is over'))
  }

  onBodySent(): void {
    this.#deadline.refresh()
  }

  onRequestSent(): void {
    this.#isSent = true
    if (this.#isOver || this.#answerBody !== undefined) return
    const { firstByteMs } = this.#timeouts
    this.#deadline.set(firstByteMs, () => this.#cut(unanswered(firstByteMs, this.#connection.facts)))
  }

  onResponseStarted(): void {
    this.#hasByte = true
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, _headers: unknown, reason = ''): void {
    if (this.#isOver) return
    const { facts } = this.#connection
    const { method } = this.#request
    const lines = Array.isArray(controller.rawHeaders) ? linesOf(controller.rawHeaders) : []
    try {
      if (status < 200) this.#inform(status, lines)
      else this.#answer(readAnswerHead({ method, status, reason, lines }, facts))
    } catch (error) {
      this.#cut(error)
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#deadline.refresh()
    if (this.#pace?.onBytes(chunk.length, performance.now()) === false) {
      this.#cut(answerDrips(this.#timeouts.minBytesPerSecond ?? 0, this.#connection.facts))
      return
    }
    if (this.#answerBody?.push(chunk) !== false) return
    controller.pause()
    this.#pace?.onPaused()
  }

  onResponseEnd(): void {
    if (!this.#end()) return
    const { socket } = this.#connection
    // undici takes a reset for the regular end of a body that has no length: a torn answer would pass for a whole one.
    if (isBroken(socket)) {
      this.#answerBody?.destroy(exchangeFailure(socket.errored, this.#state(), this.#connection.facts))
      return
    }
    this.#answerBody?.push(null)
    if (this.#isEarly || this.#isUpgrade) this.#connection.discard()
    else this.#connection.release()
  }

  onResponseError(_controller: unknown, error: Error): void {
    const state = this.#state()
    if (!this.#end()) return
    this.#fail(isMisuse(error) ? error : exchangeFailure(error, state, this.#connection.facts), {
      wasSent: this.#controller !== undefined,
      wasCutUnanswered: state.isConnectionLost && !this.#hasByte,
    })
  }

  onRequestUpgrade(controller: Dispatcher.DispatchController): void {
    if (!this.#end()) return
    const headers = Array.isArray(controller.rawHeaders) ? linesOf(controller.rawHeaders) : []
    this.#outcome.resolve({ kind: 'switched', headers, socket: this.#connection.socket })
  }

  #inform(status: number, lines: RawHeaders): void {
    const { facts } = this.#connection
    this.#informational += 1
    const refusal = informationRefusal(status, this.#informational, facts)
    if (refusal !== undefined) throw refusal
    this.#request.onInformation?.(status, lines)
  }

  #answer(head: AnswerHead): void {
    // The app may never read what it did not wait for, and would then take the rest of the body for a request.
    this.#isEarly = !this.#isSent
    const body = new AnswerBody({
      aheadBytes: AHEAD_BYTES,
      onWanted: () => {
        this.#deadline.refresh()
        this.#controller?.resume()
      },
      onDropped: (error) => this.#cut(error),
    })
    this.#answerBody = body
    const { idleMs, minBytesPerSecond } = this.#timeouts
    if (minBytesPerSecond !== undefined) this.#pace = new AnswerPace(minBytesPerSecond, idleMs, performance.now())
    const { facts } = this.#connection
    this.#deadline.set(idleMs, () => this.#cut(answerStalled(idleMs, this.#controller?.paused ?? false, facts)))
    this.#outcome.resolve({ kind: 'answer', head, body })
  }

  /** Ends the exchange from our side. */
  #cut(error: unknown): void {
    if (!this.#end()) return
    this.#controller?.abort(error instanceof Error ? error : new Error('aborted', { cause: error }))
    this.#connection.discard()
    this.#fail(error, { wasSent: true, wasCutUnanswered: false })
  }

  #fail(error: unknown, how: { wasSent: boolean; wasCutUnanswered: boolean }): void {
    this.#connection.discard()
    const body = this.#answerBody
    if (body === undefined) this.#outcome.resolve({ kind: 'failed', error, ...how })
    else if (!body.destroyed) body.destroy(error instanceof Error ? error : new Error('aborted', { cause: error }))
  }

  /** False if it had ended before; then nothing may happen any more. */
  #end(): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    this.#deadline.clear()
    this.#request.client.watcher = undefined
    this.#requestBody?.destroy()
    return true
  }

  #state() {
    const { socket } = this.#connection
    return {
      hasAnswered: this.#answerBody !== undefined,
      isConnectionLost: socket.readableEnded || isBroken(socket) || this.#controller === undefined,
    }
  }
}

/** The kernel reported an error. undici destroys sockets with errors of its own, which name no system call. */
function isBroken({ errored }: Socket): boolean {
  return errored !== null && 'syscall' in errored
}

/** A request that undici refuses to write is a fault of the gateway, not of the upstream: it ends as a bug does. */
function isMisuse(error: unknown): boolean {
  return codeOf(error) === 'UND_ERR_INVALID_ARG' || codeOf(error) === 'UND_ERR_NOT_SUPPORTED'
}

function linesToSend({ headers, contentLength, body }: UpstreamRequest, ownHost: string | undefined): string[] {
  const lines: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? ''
    if (isOwnedByConnection(name)) continue
    lines.push(name, ownHost !== undefined && isHost(name) ? ownHost : (headers[i + 1] ?? ''))
  }
  if (body !== null && contentLength !== undefined) lines.push('content-length', String(contentLength))
  return lines
}
