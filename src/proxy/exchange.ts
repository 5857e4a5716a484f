import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { GatewayError } from '../errors.ts'
import type { RawHeaders } from '../http/headers.ts'
import { type AnswerHead, linesOf, readAnswerHead } from './answer-head.ts'
import type { Connection } from './connection.ts'
import { createDeadline } from './deadline.ts'
import { codeOf, exchangeFailure, unusableAnswer } from './failure.ts'
import { createRequestBody } from './request-body.ts'
import type { UpstreamRequest, UpstreamTimeouts } from './upstream.ts'

/** An app that sends more 1xx answers than this to one request is broken, or wants to keep us busy. */
const MAX_INFORMATIONAL = 16

/** How much of an answer waits for a slow reader, in bytes, beside what the socket holds. */
const BODY_BUFFER_BYTES = 64 * 1024

/** How one attempt went, when the head of an answer was there or could no longer come. */
export type Attempt =
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
  readonly timeouts: UpstreamTimeouts
  /** Asks for a change to the WebSocket protocol. */
  readonly isUpgrade: boolean
}

/** Runs one exchange on one connection and gives the connection back, or closes it, when it has ended. Never rejects. */
export function runExchange(options: ExchangeOptions): Promise<Attempt> {
  const exchange = new Exchange(options)
  return exchange.run()
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #connection: Connection
  readonly #request: UpstreamRequest
  readonly #timeouts: UpstreamTimeouts
  readonly #isUpgrade: boolean
  readonly #deadline = createDeadline()
  readonly #attempt = Promise.withResolvers<Attempt>()
  #controller: Dispatcher.DispatchController | undefined
  #requestBody: Readable | undefined
  #answerBody: Readable | undefined
  #informational = 0
  #isSent = false
  #hasByte = false
  #isEarly = false
  #isOver = false

  constructor({ connection, request, timeouts, isUpgrade }: ExchangeOptions) {
    this.#connection = connection
    this.#request = request
    this.#timeouts = timeouts
    this.#isUpgrade = isUpgrade
  }

  run(): Promise<Attempt> {
    const { method, target, body, contentLength, signal } = this.#request
    if (signal.aborted) {
      this.#cut(signal.reason)
      return this.#attempt.promise
    }
    signal.addEventListener('abort', this.#onAbort, { once: true })
    if (body !== null) {
      this.#requestBody = createRequestBody(body, {
        contentLength,
        onProgress: () => this.#deadline.refresh(),
        onFailure: (error) => this.#cut(error),
      })
      this.#deadline.set(this.#timeouts.idleMs, () => this.#cut(this.#stalledRequest()))
    }
    this.#connection.client.dispatch(
      {
        path: target,
        method,
        headers: linesToSend(this.#request),
        body: this.#requestBody ?? null,
        upgrade: this.#isUpgrade ? 'websocket' : null,
      },
      this,
    )
    return this.#attempt.promise
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
    this.#deadline.set(firstByteMs, () => {
      this.#cut(this.#timeout(`no answer within ${firstByteMs} ms`, 'http_response_timeout'))
    })
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
    if (this.#answerBody?.push(chunk) === false) controller.pause()
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
    this.#attempt.resolve({ kind: 'switched', headers, socket: this.#connection.socket })
  }

  #inform(status: number, lines: RawHeaders): void {
    const { facts } = this.#connection
    if (status < 100 || status === 101) throw unusableAnswer(`status ${status}, which nobody asked for`, facts)
    this.#informational += 1
    if (this.#informational > MAX_INFORMATIONAL) throw unusableAnswer('too many interim answers', facts)
    this.#request.onInformation?.(status, lines)
  }

  #answer(head: AnswerHead): void {
    // The app may never read what it did not wait for, and would then take the rest of the body for a request.
    this.#isEarly = !this.#isSent
    const body = new Readable({
      highWaterMark: BODY_BUFFER_BYTES,
      read: () => {
        this.#deadline.refresh()
        this.#controller?.resume()
      },
      destroy: (error, done) => {
        this.#cut(error)
        done(error)
      },
    })
    // Between this head and the first reader the gateway may write to a store; an error in that time must not be fatal.
    body.on('error', () => {})
    this.#answerBody = body
    this.#deadline.set(this.#timeouts.idleMs, () => this.#cut(this.#stalledAnswer()))
    this.#attempt.resolve({ kind: 'answer', head, body })
  }

  readonly #onAbort = (): void => this.#cut(this.#request.signal.reason)

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
    if (body === undefined) this.#attempt.resolve({ kind: 'failed', error, ...how })
    else if (!body.destroyed) body.destroy(error instanceof Error ? error : new Error('aborted', { cause: error }))
  }

  /** False if it had ended before; then nothing may happen any more. */
  #end(): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    this.#deadline.clear()
    this.#request.signal.removeEventListener('abort', this.#onAbort)
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

  #stalledRequest(): GatewayError {
    const { idleMs } = this.#timeouts
    if (this.#connection.socket.writableNeedDrain) {
      return this.#timeout(`the upstream took nothing of the body for ${idleMs} ms`, 'connection_write_timeout')
    }
    return new GatewayError('ERR_REQUEST_TIMEOUT', `nothing of the body came for ${idleMs} ms`)
  }

  #stalledAnswer(): GatewayError {
    const { idleMs } = this.#timeouts
    if (this.#controller?.paused) {
      return new GatewayError('ERR_REQUEST_TIMEOUT', `nothing of the answer was taken for ${idleMs} ms`)
    }
    return this.#timeout(`nothing of the answer came for ${idleMs} ms`, 'connection_read_timeout')
  }

  #timeout(
    message: string,
    proxyError: 'http_response_timeout' | 'connection_read_timeout' | 'connection_write_timeout',
  ) {
    return new GatewayError('ERR_UPSTREAM_TIMEOUT', message, { facts: this.#connection.facts, proxyError })
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

/** RFC 9110, section 7.6.1, and what frames a message: it is true of one connection only, so it is never passed on. */
const ownedByConnection: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

function linesToSend({ headers, contentLength, body }: UpstreamRequest): string[] {
  const lines: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? ''
    if (!ownedByConnection.has(name.toLowerCase())) lines.push(name, headers[i + 1] ?? '')
  }
  if (body !== null && contentLength !== undefined) lines.push('content-length', String(contentLength))
  return lines
}
