import type { ChildProcess } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import type { z } from 'zod'
import type { MetricFamily } from '../observe/metric-families.ts'
import type { LineBatch } from './line-batches.ts'
import {
  answers,
  type Order,
  PROTOCOL,
  parseReport,
  type QuestionBody,
  type Report,
  type StartOrder,
  type WorkerListener,
} from './messages.ts'

/** How long a worker may take for things; in ms. */
export interface WorkerTimes {
  /** From its start until it listens. Default 60,000. */
  readonly startMs: number
  /** How often it is asked whether its event loop turns. Default 1,000. */
  readonly pingMs: number
  /** After so many of these without an answer it is killed. Default 10. */
  readonly pingsMissed: number
}

export const defaultWorkerTimes: WorkerTimes = { startMs: 60_000, pingMs: 1_000, pingsMissed: 10 }

/** How long a process that is gone is listened to. */
const LAST_WORDS_MS = 1_000

/** How a process ended. */
export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** Since it listened; 0 if it never did. */
  readonly servedMs: number
  readonly isStalled: boolean
}

/** A worker, as its supervisor sees it. */
export class WorkerProcess {
  readonly child: ChildProcess
  readonly ended: Promise<Ending>
  /** What it said last of what it has counted. */
  families: readonly MetricFamily[] = []
  version = ''
  readonly #times: WorkerTimes
  readonly #onRequests: (batch: LineBatch) => void
  /** All of its output has been read. */
  readonly #closed: Promise<unknown>
  readonly #started = Promise.withResolvers<readonly WorkerListener[]>()
  readonly #greeted = Promise.withResolvers<void>()
  readonly #questions = new Map<number, { settle(answer: unknown): void; onBegun(): void }>()
  readonly #ending = Promise.withResolvers<Ending>()
  #lastQuestion = 0
  #listensSinceMs: number | undefined
  #unanswered = 0
  #isStalled = false
  #pulse: NodeJS.Timeout | undefined

  /** @param onRequests Told of requests while it is asked for them (`watch`). */
  constructor(child: ChildProcess, times: WorkerTimes, onRequests: (batch: LineBatch) => void) {
    this.child = child
    this.#times = times
    this.#onRequests = onRequests
    this.ended = this.#ending.promise
    this.#closed = new Promise((resolve) => child.once('close', resolve))
    // What it said at the end may be read after it is gone.
    const silent = new Promise((resolve) => child.once('disconnect', resolve))
    const deadline = setTimeout(() => {
      this.#started.reject(new Error(`a worker did not listen within ${times.startMs} ms`))
      this.kill()
    }, times.startMs)
    child.on('message', (message) => this.#take(parseReport(message)))
    child.on('error', (error) => {
      this.#started.reject(error)
      // The system has not given us one; nothing more comes.
      if (child.pid === undefined) this.#close({ code: null, signal: null })
    })
    child.once('exit', async (code, signal) => {
      clearInterval(this.#pulse)
      if (child.connected) await Promise.race([silent, pause(LAST_WORDS_MS, undefined, { ref: false })])
      this.#close({ code, signal })
    })
    const forget = (): void => clearTimeout(deadline)
    void this.#started.promise.then(forget, forget)
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  get isListening(): boolean {
    return this.#listensSinceMs !== undefined
  }

  /** Since it listens; 0 before. */
  get servedMs(): number {
    return this.#listensSinceMs === undefined ? 0 : performance.now() - this.#listensSinceMs
  }

  /** It has not answered when it was asked last whether its event loop turns. */
  get isLate(): boolean {
    return this.#unanswered > 1
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  /** Resolves when it listens. @throws {Error} with its own words, if it cannot. */
  async start(order: StartOrder): Promise<readonly WorkerListener[]> {
    await Promise.race([this.#greeted.promise, this.#started.promise])
    this.send(order)
    return await this.#started.promise
  }

  send(order: Order): void {
    if (this.child.connected) this.child.send(order, () => undefined)
  }

  /**
   * Undefined if it does not answer in time, or with something else. Once it has said that it has begun there is time
   * until it ends.
   */
  ask<T>(question: QuestionBody, { as, withinMs }: { as: z.ZodType<T>; withinMs: number }): Promise<T | undefined> {
    if (this.hasEnded) return Promise.resolve(undefined)
    const id = ++this.#lastQuestion
    const { promise, resolve } = Promise.withResolvers<T | undefined>()
    const settle = (answer: unknown): void => {
      clearTimeout(deadline)
      this.#questions.delete(id)
      resolve(as.safeParse(answer).data)
    }
    const deadline = setTimeout(settle, withinMs)
    this.#questions.set(id, { settle, onBegun: () => clearTimeout(deadline) })
    this.send({ ...question, id })
    return promise
  }

  /** Has `families` brought up to date, if it answers in time. */
  async refresh(withinMs: number): Promise<void> {
    // At once, and not when the promise is awaited: what it says as it ends may come in the same bytes, and is later.
    const as = answers.metrics.transform((families) => {
      this.families = families
    })
    await this.ask({ kind: 'metrics' }, { as, withinMs })
  }

  /** What the history is made of, as it is now; as it was last, if it does not answer in time. */
  async totals(withinMs: number): Promise<readonly MetricFamily[]> {
    return (await this.ask({ kind: 'metrics', only: 'totals' }, { as: answers.metrics, withinMs })) ?? this.families
  }

  /** Resolves when it has ended and its output is read; kills it if that takes longer. */
  async endWithin(durationMs: number): Promise<void> {
    const killer = setTimeout(() => this.kill(), durationMs)
    await this.ended
    clearTimeout(killer)
    // Where nobody reads our own output, its last lines are not waited for.
    await Promise.race([this.#closed, pause(LAST_WORDS_MS, undefined, { ref: false })])
  }

  kill(): void {
    this.child.kill('SIGKILL')
  }

  #close(how: Pick<Ending, 'code' | 'signal'>): void {
    const why = how.signal === null ? `with ${how.code}` : `by ${how.signal}`
    this.#started.reject(new Error(`a worker ended ${why} before it listened`))
    this.#ending.resolve({ ...how, servedMs: this.servedMs, isStalled: this.#isStalled })
    for (const { settle } of this.#questions.values()) settle(undefined)
  }

  #take(report: Report | undefined): void {
    switch (report?.kind) {
      case 'hello':
        this.version = report.version
        if (report.protocol === PROTOCOL) this.#greeted.resolve()
        else {
          this.#started.reject(new Error(`a worker of version ${report.version} does not understand this supervisor`))
          this.kill()
        }
        break
      case 'listening':
        this.#listensSinceMs = performance.now()
        this.#pulse = setInterval(() => this.#feelPulse(), this.#times.pingMs)
        this.#started.resolve(report.listeners)
        break
      case 'failed':
        this.#started.reject(new Error(report.message))
        break
      case 'pong':
        this.#unanswered = 0
        break
      case 'answer':
        this.#questions.get(report.id)?.settle(report.answer)
        break
      case 'begun':
        this.#questions.get(report.id)?.onBegun()
        break
      case 'requests':
        this.#onRequests(report)
        break
      case 'last':
        this.families = report.families
        break
    }
  }

  /** Counts what is missed, and no time: after a machine has slept, nobody is late. */
  #feelPulse(): void {
    if (this.#unanswered >= this.#times.pingsMissed) {
      this.#isStalled = true
      clearInterval(this.#pulse)
      this.kill()
      return
    }
    this.#unanswered += 1
    this.send({ kind: 'ping' })
  }
}
