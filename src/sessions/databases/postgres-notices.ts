import { type Clock, systemClock } from '../../lib/clock.ts'
import type { ChangeListener, ChangeNotices, NoticesState } from '../change-notices.ts'
import { type Scheduler, systemScheduler } from '../scheduler.ts'
import { readPostgresAddress } from './postgres-address.ts'
import { NoticeLine, NoticeLineFailure } from './postgres-notice-line.ts'
import { isNoticeName, noticeName } from './postgres-notice-trigger.ts'

export interface PostgresNoticesOptions {
  /** The database of the sessions, as `readPostgresAddress` takes it: the server itself, or a pooler in session mode. */
  readonly url: string
  /** May the triggers be made where they are missing? */
  readonly create: boolean
  /** For so long one answer of the server is believed, in milliseconds; it is asked three times as often. Default 1000. */
  readonly leaseMs?: number
  readonly scheduler?: Scheduler
  readonly clock?: Clock
  /** From 0 to 1; default `Math.random`. */
  readonly random?: () => number
}

/** Between two attempts to connect, in milliseconds, doubled from one to the next; half of each pause is chance. */
const RETRY_MS = { min: 100, max: 2000 }
/** Where somebody has to do something first. */
const LASTING_RETRY_MS = 30_000
/** A line that stood for so long was a good one: what failed before is forgotten. */
const GOOD_AFTER_MS = 1000

/**
 * Tells of every change to a row of `django_session`, whoever makes it: a trigger (`postgres-notice-trigger.ts`) notifies
 * when the change is committed, and a connection of our own listens. Whoever reads after a notice finds the new row. New
 * rows, and those deleted long after their end, are not told.
 *
 * The connection is opened in the background as soon as somebody listens. A server that is down, a standby, a table
 * without triggers: all that shows in the state alone, and is tried again and again.
 *
 * An answer of the server makes the line current for `leaseMs` from the moment it was asked. Each time it is also asked
 * whether table and triggers are what they were; if not, everything may have changed. So what no trigger sees (one that
 * was switched off for a moment, a partition that was taken away) comes out within the lease as well.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` when the URL, or a certificate that it names, cannot be read.
 */
export function openPostgresNotices(options: PostgresNoticesOptions): ChangeNotices {
  return new PostgresNotices(options)
}

class PostgresNotices implements ChangeNotices {
  readonly #openLine: () => NoticeLine
  readonly #create: boolean
  readonly #leaseMs: number
  readonly #scheduler: Scheduler
  readonly #clock: Clock
  readonly #random: () => number
  readonly #stateListeners: ((state: NoticesState) => void)[] = []
  #listener: ChangeListener | undefined
  #state: NoticesState = { isUp: false, reason: 'the connection for notices is not open yet' }
  /** When the last question was sent that the server answered, by both clocks; undefined when there is no line. */
  #asked: { readonly atMs: number; readonly wallMs: number } | undefined
  #running: Promise<void> | undefined
  #line: NoticeLine | undefined
  /** Ends the pause at hand. */
  #wake: () => void = () => {}
  #isClosed = false

  constructor({ url, create, leaseMs = 1000, ...parts }: PostgresNoticesOptions) {
    const { scheduler = systemScheduler, clock = systemClock, random = Math.random } = parts
    const address = readPostgresAddress(url)
    this.#openLine = () => new NoticeLine({ address, scheduler, onNotice: (payload) => this.#hear(payload) })
    this.#create = create
    this.#leaseMs = leaseMs
    this.#scheduler = scheduler
    this.#clock = clock
    this.#random = random
  }

  nameOf(key: string): string {
    return noticeName(key)
  }

  isCurrent(): boolean {
    if (this.#asked === undefined) return false
    // The monotonic clock may stand still while a machine is suspended; the other one is set by anybody, also back.
    const { atMs, wallMs } = this.#asked
    return this.#scheduler.nowMs() - atMs < this.#leaseMs && this.#clock() - wallMs < this.#leaseMs
  }

  listen(listener: ChangeListener): void {
    this.#listener = listener
    if (!this.#isClosed) this.#running ??= this.#run()
  }

  onState(listener: (state: NoticesState) => void): void {
    this.#stateListeners.push(listener)
    listener(this.#state)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#asked = undefined
    this.#wake()
    await this.#line?.close()
    await this.#running
  }

  #hear(payload: string): void {
    if (this.#isClosed) return
    if (payload === '') this.#listener?.everythingChanged()
    else if (isNoticeName(payload)) this.#listener?.changed(payload)
  }

  async #run(): Promise<void> {
    for (let failures = 0; !this.#isClosed; failures++) {
      const line = this.#openLine()
      this.#line = line
      const startedAtMs = this.#scheduler.nowMs()
      const failure = await this.#follow(line)
      const hadStood = this.#state.isUp
      if (hadStood && this.#scheduler.nowMs() - startedAtMs > GOOD_AFTER_MS) failures = 0
      this.#fall(failure)
      this.#line = undefined
      await line.close()
      const retryMs = Math.min(RETRY_MS.max, RETRY_MS.min * 2 ** failures)
      // A line that fell is tried again soon, whatever the reason: triggers are dropped and made anew by a migration.
      const longestMs = failure.isLasting && !hadStood ? LASTING_RETRY_MS : retryMs
      await this.#pause(longestMs * (0.5 + 0.5 * this.#random()))
    }
  }

  /** From connecting to whatever ends the line. */
  async #follow(line: NoticeLine): Promise<NoticeLineFailure> {
    let lost: NoticeLineFailure | undefined
    line.ended.then((failure) => {
      lost = failure
      if (this.#line !== line) return
      this.#asked = undefined
      this.#wake()
    })
    try {
      await line.open({ create: this.#create })
      let print: string | undefined
      while (lost === undefined) {
        const asked = { atMs: this.#scheduler.nowMs(), wallMs: this.#clock() }
        const seen = await line.look(this.#leaseMs)
        if (lost !== undefined || this.#isClosed) break
        if (seen !== print) this.#listener?.everythingChanged()
        print = seen
        this.#asked = asked
        this.#tell({ isUp: true })
        await this.#pause(asked.atMs + this.#leaseMs / 3 - this.#scheduler.nowMs())
      }
    } catch (error) {
      if (!(error instanceof NoticeLineFailure)) throw error
      lost ??= error
    }
    return lost ?? new NoticeLineFailure('the connection for notices is closed')
  }

  #fall({ message }: NoticeLineFailure): void {
    this.#asked = undefined
    if (this.#isClosed) return
    if (this.#state.isUp) this.#listener?.everythingChanged()
    this.#tell({ isUp: false, reason: message })
  }

  #tell(state: NoticesState): void {
    const before = this.#state
    this.#state = state
    if (before.isUp === state.isUp && (before.isUp || state.isUp || before.reason === state.reason)) return
    for (const listener of this.#stateListeners) listener(state)
  }

  /** Also ends when the line does, and when all is closed. */
  #pause(delayMs: number): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    return new Promise((resolve) => {
      const callOff = this.#scheduler.after(Math.max(0, delayMs), resolve)
      this.#wake = () => {
        callOff()
        resolve()
      }
    })
  }
}
