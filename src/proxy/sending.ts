import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { AnswerHead } from './answer-head.ts'
import type { Attempt, AttemptFailure } from './attempt.ts'
import { isServerFault } from './failure.ts'
import type { Member } from './member.ts'
import type { Roster } from './roster.ts'
import { ClientGoneError, type UpgradeAnswer, type UpstreamAnswer, type UpstreamRequest } from './upstream.ts'

/** RFC 9110, section 9.2.2: those that have the same effect when they arrive twice. */
const idempotentMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])

interface Settling<T> {
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

interface Ways {
  readonly roster: Roster
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
  #member: Member | undefined = undefined
  /** Only once an attempt has failed. */
  #tried: Member[] | undefined = undefined

  constructor(request: UpstreamRequest, ways: Ways, settling: Settling<T>) {
    this.request = request
    this.#ways = ways
    this.#settling = settling
  }

  begin(): void {
    this.#ways.roster.budget.earn()
    this.#attempt()
  }

  #attempt(): void {
    if (this.request.client.isGone) {
      this.#settling.reject(new ClientGoneError())
      return
    }
    try {
      const member = this.#ways.roster.next(this.request.affinity, this.#tried)
      this.#member = member
      this.#sendTo(member)
    } catch (error) {
      this.#settling.reject(error)
    }
  }

  #sendTo(member: Member): void {
    const server = this.isUpgrade ? member.upgrader : member.forwarder
    server.send(this)
  }

  abstract answered(head: AnswerHead, body: Readable | string): void

  abstract switched(headers: readonly string[], socket: Socket): void

  failed(failure: AttemptFailure): void {
    const { error, isUnused } = failure
    const member = this.#member
    if (member === undefined) return
    if (isUnused) {
      this.#again(member)
      return
    }
    if (!isServerFault(error)) {
      member.standing.onUndecided()
      this.#settling.reject(error)
      return
    }
    const nowMs = performance.now()
    member.standing.onFailure(error, nowMs)
    this.#tried ??= []
    this.#tried.push(member)
    const { recorder } = this.request
    if (!this.#mayGoOn(failure, this.#tried)) {
      this.#settling.reject(error)
    } else if (!this.#ways.roster.budget.spend(nowMs)) {
      recorder?.onBudgetSpent()
      this.#settling.reject(error)
    } else {
      recorder?.onRetry(member.address.label, error)
      this.#attempts += 1
      this.isFresh = true
      this.#attempt()
    }
  }

  /** A kept connection was none: the same server, on one that is made for it. */
  #again(member: Member): void {
    this.isFresh = true
    try {
      this.#sendTo(member)
    } catch (error) {
      this.#settling.reject(error)
    }
  }

  #mayGoOn({ isUnconnected, wasCutUnanswered }: AttemptFailure, tried: readonly Member[]): boolean {
    if (this.#attempts > this.#ways.retries) return false
    // Nothing has been sent to anybody, so nothing would be repeated.
    if (isUnconnected && this.#ways.roster.hasOther(tried)) return true
    return wasCutUnanswered && this.request.body === null && idempotentMethods.has(this.request.method)
  }

  get ownHost(): string | undefined {
    return this.#member?.ownHost
  }

  protected settle(value: T): void {
    this.#member?.standing.onAnswer()
    this.#settling.resolve(value)
  }

  protected fail(error: unknown): void {
    this.#settling.reject(error)
  }

  protected get server(): string {
    return this.#member?.address.label ?? ''
  }

  protected answerOf({ status, reason, headers, contentLength }: AnswerHead, body: Readable | string): UpstreamAnswer {
    const firstByteMs = performance.now() - this.#startedMs
    return { status, reason, headers, contentLength, body, server: this.server, attempts: this.#attempts, firstByteMs }
  }
}

/** A request on its way to an answer. */
export class Forwarding extends Sending<UpstreamAnswer> {
  readonly isUpgrade = false

  answered(head: AnswerHead, body: Readable | string): void {
    this.settle(this.answerOf(head, body))
  }

  switched(_headers: readonly string[], socket: Socket): void {
    // Only a request for an upgrade can end in one; any other 101 is an error.
    socket.destroy()
    this.fail(new TypeError('the upstream switched protocols unasked'))
  }
}

/** A handshake on its way to an answer. */
export class Upgrading extends Sending<UpgradeAnswer> {
  readonly isUpgrade = true
  override isFresh = true

  answered(head: AnswerHead, body: Readable | string): void {
    this.settle({ kind: 'answer', answer: this.answerOf(head, body) })
  }

  switched(headers: readonly string[], socket: Socket): void {
    this.settle({ kind: 'switched', headers, socket, server: this.server })
  }
}
