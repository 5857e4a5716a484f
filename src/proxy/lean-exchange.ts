import { AnswerBody } from './answer-body.ts'
import { type AnswerHead, readAnswerHead } from './answer-head.ts'
import { AnswerPace } from './answer-pace.ts'
import type { Attempt, AttemptFailure } from './attempt.ts'
import {
  answerDrips,
  answerStalled,
  exchangeFailure,
  headersTooLarge,
  informationRefusal,
  isRefusal,
  malformedAnswer,
  requestStalled,
  unanswered,
} from './failure.ts'
import { type ConnectionUser, type LeanConnection, NEVER } from './lean-connection.ts'
import type { Startable } from './looked-at.ts'
import { noBody } from './request-head.ts'
import { ticksFor } from './ticker.ts'
import { Upload } from './upload.ts'
import { ClientGoneError, type DepartureWatcher, type UpstreamTimeouts } from './upstream.ts'

/**
 * How long an unused connection is kept, in milliseconds, where the server does not say (`Keep-Alive: timeout=`): less
 * than the 5 s after which most servers close theirs, since a request that crosses with a close is lost.
 */
const KEEP_ALIVE_MS = 4_000
/** How much sooner than the server says that it closes a connection, and the longest that it is kept in any case. */
const KEEP_ALIVE_MARGIN_MS = 2_000
const LONGEST_KEEP_ALIVE_MS = 600_000

/** For a slow reader the piece is held that is being written to him, up to 64 KiB, and no second one behind it. */
const AHEAD_BYTES = 0

/** The body is read by the parser, or there is none yet. */
const NOT_COUNTED = -1

/** The deadlines of an exchange, in milliseconds for words and in ticks for work. */
export interface ExchangeTimes extends UpstreamTimeouts {
  readonly firstByteTicks: number
  readonly idleTicks: number
}

export function createExchangeTimes(timeouts: UpstreamTimeouts): ExchangeTimes {
  return { ...timeouts, firstByteTicks: ticksFor(timeouts.firstByteMs), idleTicks: ticksFor(timeouts.idleMs) }
}

export interface LeanExchangeOptions {
  readonly attempt: Attempt
  /** Connecting, or kept and not written on before `start`. */
  readonly connection: LeanConnection
  /** As `requestHead` gives it. */
  readonly head: string
  readonly times: ExchangeTimes
}

/**
 * One request and its answer on one connection, which is given back when both have ended cleanly and in order, and
 * closed in every other case.
 */
export class LeanExchange implements ConnectionUser, DepartureWatcher, Startable {
  readonly #attempt: Attempt
  readonly #connection: LeanConnection
  readonly #head: string
  readonly #times: ExchangeTimes
  #upload: Upload | undefined = undefined
  #answer: AnswerHead | undefined = undefined
  /** What came of a chunked body in the same read as its head. */
  #text = ''
  #body: AnswerBody | undefined = undefined
  /** Where the upstream has to be of some speed. */
  #pace: AnswerPace | undefined = undefined
  /** Bytes of the body that are still to come, where it is not the parser that knows. */
  #bytesLeft = NOT_COUNTED
  #informational = 0
  /** At least one byte of the request was handed to the socket; then all of it. */
  #isBegun = false
  #isSent = false
  #hasByte = false
  #isEarly = false
  #isPaused = false
  #isOver = false

  constructor({ attempt, connection, head, times }: LeanExchangeOptions) {
    this.#attempt = attempt
    this.#connection = connection
    this.#head = head
    this.#times = times
    attempt.request.client.watcher = this
  }

  /** The browser has left. */
  onGone(): void {
    this.#cut(new ClientGoneError())
  }

  onConnected(): void {
    this.start()
  }

  /** Writes the request, or as much of it as there is. */
  start(): void {
    if (this.#isOver) return
    const { method, body, contentLength } = this.#attempt.request
    this.#connection.parser.expect(method === 'HEAD')
    if (body === null) {
      this.#isBegun = true
      this.#connection.socket.write(this.#head + noBody(method), 'latin1')
      this.#onSent()
      return
    }
    this.#connection.due(this.#times.idleTicks)
    this.#upload = new Upload({
      socket: this.#connection.socket,
      body,
      contentLength,
      head: this.#head,
      onProgress: () => this.#connection.due(this.#times.idleTicks),
      onFirst: () => {
        this.#isBegun = true
      },
      onSent: () => this.#onSent(),
      onFailure: (error) => this.#cut(error),
    })
  }

  #onSent(): void {
    this.#isSent = true
    if (this.#body === undefined) this.#connection.due(this.#times.firstByteTicks)
  }

  onRead(byteCount: number): boolean {
    // An answer to nothing. A kept connection may have it left over from somebody else's request.
    if (!this.#isBegun) {
      this.#fail({ error: malformedAnswer(this.#connection.facts), isUnused: this.#connection.isReused })
      return false
    }
    this.#hasByte = true
    if (this.#body !== undefined) this.#connection.due(this.#times.idleTicks)
    if (this.#pace?.onBytes(byteCount, performance.now()) === false) {
      this.#cut(answerDrips(this.#times.minBytesPerSecond ?? 0, this.#connection.facts))
      return false
    }
    if (this.#bytesLeft === NOT_COUNTED) this.#parse(byteCount)
    else this.#takeCounted(0, byteCount)
    return !this.#isPaused
  }

  #parse(byteCount: number): void {
    const { parser, facts, buffer } = this.#connection
    for (let at = 0; at < byteCount && !this.#isOver; at = parser.position) {
      const result = parser.parse(buffer, at, byteCount)
      if (this.#isOver) return
      if (result === 'malformed') this.#cut(malformedAnswer(facts))
      else if (result === 'too-large') this.#cut(headersTooLarge(facts))
      else if (parser.hasHead && parser.status >= 200) this.#takeAnswer(byteCount, result === 'message')
      else if (result === 'message') this.#inform(parser.status)
      // Only after an interim answer there may be another one behind it.
      if (result !== 'message' || parser.status >= 200) return
    }
  }

  #inform(status: number): void {
    this.#informational += 1
    const refusal = informationRefusal(status, this.#informational, this.#connection.facts)
    try {
      if (refusal !== undefined) throw refusal
      this.#attempt.request.onInformation?.(status, this.#connection.parser.lines)
    } catch (error) {
      this.#cut(error)
    }
  }

  /** The parser has read a final head just now, or more of the chunks that follow it. */
  #takeAnswer(byteCount: number, isMessageOver: boolean): void {
    const { parser } = this.#connection
    const answer = this.#answer ?? this.#readHead()
    if (answer === undefined) return
    if (!isMessageOver) this.#stream(answer)
    else if (answer.framing === 'chunked') this.#complete(answer, parser.position === byteCount)
    else {
      this.#bytesLeft = answer.contentLength ?? Number.POSITIVE_INFINITY
      this.#takeCounted(parser.position, byteCount)
    }
  }

  #readHead(): AnswerHead | undefined {
    const { parser, facts, socket } = this.#connection
    const { method } = this.#attempt.request
    // The app may never read what it did not wait for, and would then take the rest of the body for a request.
    this.#isEarly = !this.#isSent || socket.writableLength > 0
    try {
      this.#answer = readAnswerHead(
        { method, status: parser.status, reason: parser.reason, lines: parser.lines },
        facts,
      )
    } catch (error) {
      this.#cut(error)
    }
    return this.#answer
  }

  #takeCounted(from: number, to: number): void {
    const answer = this.#answer
    if (answer === undefined) return
    const end = Math.min(to, from + this.#bytesLeft)
    this.#bytesLeft -= end - from
    if (this.#bytesLeft > 0) this.#stream(answer)
    if (this.#body === undefined) this.#text = this.#connection.buffer.toString('latin1', from, end)
    else this.#push(from, end)
    if (this.#bytesLeft === 0) this.#complete(answer, end === to)
  }

  onChunkData(from: number, to: number): void {
    if (this.#body === undefined) this.#text += this.#connection.buffer.toString('latin1', from, to)
    else this.#push(from, to)
  }

  #push(from: number, to: number): void {
    if (this.#isOver || from === to) return
    const body = this.#body
    // With a reader that has halted upon this very piece, `push` still says yes: nothing waits in the body itself.
    if (body === undefined || (body.push(this.#connection.take(from, to)) && !body.isPaused())) return
    this.#isPaused = true
    this.#pace?.onPaused()
  }

  /** The answer does not come in one piece: hands on what is there. */
  #stream(answer: AnswerHead): void {
    if (this.#body !== undefined) return
    this.#connection.due(this.#times.idleTicks)
    const { minBytesPerSecond, idleMs } = this.#times
    if (minBytesPerSecond !== undefined) this.#pace = new AnswerPace(minBytesPerSecond, idleMs, performance.now())
    this.#body = new AnswerBody({
      aheadBytes: AHEAD_BYTES,
      onWanted: () => this.#onWanted(),
      onDropped: (error) => this.#cut(error ?? new Error('the answer is not wanted any more')),
    })
    if (this.#text !== '') this.#body.push(Buffer.from(this.#text, 'latin1'))
    this.#text = ''
    this.#attempt.answered(answer, this.#body)
  }

  #onWanted(): void {
    if (this.#isOver) return
    this.#connection.due(this.#times.idleTicks)
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#connection.socket.resume()
  }

  /** All of the answer is there; `isExact`: and nothing else. */
  #complete(answer: AnswerHead, isExact: boolean): void {
    // The reader may have dropped it within the last piece.
    if (this.#isOver) return
    const mayPersist = this.#connection.parser.mayPersist && !answer.mustClose && answer.framing !== 'until-close'
    const isClean = isExact && mayPersist && !this.#isEarly && !answer.isLengthDoubtful
    const keepMs = isClean ? keepTime(answer.keepAliveSeconds) : 0
    const body = this.#body
    this.#end()
    this.#isPaused = false
    if (keepMs > 0) this.#connection.release(keepMs)
    else this.#connection.discard()
    if (body === undefined) this.#attempt.answered(answer, this.#text)
    else body.push(null)
  }

  onDrain(): void {
    this.#upload?.resume()
  }

  onEnd(): void {
    const answer = this.#answer
    if (answer?.framing === 'until-close') this.#complete(answer, true)
    else this.onLost(undefined)
  }

  onLost(cause: unknown): void {
    const state = { hasAnswered: this.#body !== undefined, isConnectionLost: true }
    this.#fail({
      error: exchangeFailure(cause, state, this.#connection.facts),
      isUnused: !this.#isBegun && this.#connection.isReused,
      wasCutUnanswered: !this.#hasByte,
    })
  }

  onUnreachable(error: unknown): void {
    this.#fail({ error, isUnconnected: true, wasCutUnanswered: isRefusal(error) })
  }

  onDue(): void {
    const { facts, socket } = this.#connection
    if (this.#body !== undefined) this.#cut(answerStalled(this.#times.idleMs, this.#isPaused, facts))
    else if (this.#isSent) this.#cut(unanswered(this.#times.firstByteMs, facts))
    else this.#cut(requestStalled(this.#times.idleMs, socket.writableNeedDrain, facts))
  }

  /** Ends the exchange from our side. */
  #cut(error: unknown): void {
    this.#fail({ error })
  }

  #fail({ error, isUnused = false, isUnconnected = false, wasCutUnanswered = false }: Failing): void {
    if (this.#isOver) return
    const body = this.#body
    this.#end()
    this.#connection.discard()
    if (body === undefined) this.#attempt.failed({ error, isUnused, isUnconnected, wasCutUnanswered })
    else body.destroy(error instanceof Error ? error : new Error('aborted', { cause: error }))
  }

  #end(): void {
    this.#isOver = true
    this.#connection.dueTick = NEVER
    this.#attempt.request.client.watcher = undefined
    this.#upload?.letGo()
  }
}

type Failing = Pick<AttemptFailure, 'error'> & Partial<AttemptFailure>

/** How long the connection may be kept, 0 for not at all. */
function keepTime(saidSeconds: number | undefined): number {
  if (saidSeconds === undefined) return KEEP_ALIVE_MS
  return Math.min(LONGEST_KEEP_ALIVE_MS, Math.max(0, saidSeconds * 1000 - KEEP_ALIVE_MARGIN_MS))
}
