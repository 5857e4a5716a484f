import type { SessionData } from '../django/json.ts'
import { createSessionKey } from '../django/session-key.ts'
import { GatewayError } from '../errors.ts'
import { type BreakerOptions, CircuitBreaker, type StateChange } from './circuit-breaker.ts'
import { abandonable, BATCH_TIMEOUT_MS, Deadlines, withinDeadline } from './deadline.ts'
import type { KeyVerdict, LoadResult, SessionEngine, SessionEntry, Transition, TransitionResult } from './engine.ts'
import { type Scheduler, systemScheduler } from './scheduler.ts'
import { isStoreFailure, storeNotAsked, storeUnavailable } from './store-failure.ts'

export interface StoreState extends StateChange {
  readonly store: string
}

export interface GuardOptions {
  /** `session.store_timeout`: for the whole of one operation, tries again included, in milliseconds. */
  readonly timeoutMs: number
  /** For one batch of `clearExpired`, and for one step of a listing or a count. Default 30 s, or `timeoutMs` if that is longer. */
  readonly batchTimeoutMs?: number
  /**
   * So many operations may be under way, those that nobody waits for any more included; more are refused at once. Three
   * quarters of them may be changes. Default 1,000.
   */
  readonly maxUnderWay?: number
  /** So many changes of one session; they stand in line for it. Default 100. */
  readonly maxChangesOfOne?: number
  readonly breaker?: BreakerOptions
  /** Told at the first look, and then once per change. */
  readonly onState?: (state: StoreState) => void
  readonly scheduler?: Scheduler
}

/** An engine whose callers never wait longer than they were promised. */
export interface GuardedEngine extends SessionEngine {
  /** Looks at the store; `onState` is told. Resolves with what failed, undefined if the store is up. */
  look(): Promise<unknown>
}

/** The engine's own deadline is as long, and its error says more: it may come first. */
const GRACE_MS = 20

/** How long the end of the process waits for a store. */
const DISPOSAL_MS = 1000

/**
 * The same engine with a bound on everything: on the time of each operation, on their number, and on what a store that is
 * down costs (see {@link CircuitBreaker}).
 *
 * After its deadline an operation is abandoned, not undone. A `transition` that has not decided by then never does, so
 * nothing of it is written later; of everything else the outcome is unknown, and nothing is sent again. An error that is
 * no failure of the store (a change that was refused, a bug) comes out unchanged and counts for nothing.
 */
export function guardEngine(engine: SessionEngine, options: GuardOptions): GuardedEngine {
  return new Guard(engine, options)
}

/** Whoever has a session may send changes of it faster than any store makes them; all others must still be read. */
const CHANGES_SHARE = 3 / 4

/** A look is never refused: the store would count as down because many want something of it. One hangs at a time. */
const LOOKS_RESERVE = 10

interface Call<T> {
  readonly run: () => Promise<T>
  /** Reads tell whether the store works; see {@link CircuitBreaker}. */
  readonly isRead?: boolean
  /** Of how many operations under way this must be the last. */
  readonly limit?: number
  /** It may take as long as a batch. */
  readonly isBatch?: boolean
}

/** Told of the end of a call before its caller is. */
interface Ends {
  succeeded(): void
  failed(error: unknown, isRead: boolean): void
}

class Guard implements GuardedEngine {
  readonly #engine: SessionEngine
  readonly #timeoutMs: number
  readonly #batchTimeoutMs: number
  readonly #deadlines: Deadlines
  readonly #batchDeadlines: Deadlines
  readonly #maxUnderWay: number
  readonly #maxChangesOfOne: number
  readonly #scheduler: Scheduler
  readonly #breaker: CircuitBreaker
  #underWay = 0
  /** How many changes of a session are under way, of those that have some. */
  readonly #changes = new Map<string, number>()

  constructor(engine: SessionEngine, options: GuardOptions) {
    const { timeoutMs, maxUnderWay = 1000, maxChangesOfOne = 100, onState } = options
    const { scheduler = systemScheduler } = options
    this.#engine = engine
    this.#timeoutMs = timeoutMs
    this.#batchTimeoutMs = options.batchTimeoutMs ?? Math.max(BATCH_TIMEOUT_MS, this.#timeoutMs)
    this.#deadlines = new Deadlines(timeoutMs + GRACE_MS, scheduler)
    this.#batchDeadlines = new Deadlines(this.#batchTimeoutMs + GRACE_MS, scheduler)
    this.#maxUnderWay = maxUnderWay
    this.#maxChangesOfOne = maxChangesOfOne
    this.#scheduler = scheduler
    this.#breaker = new CircuitBreaker({
      ...options.breaker,
      scheduler,
      look: () => this.#bounded({ run: () => this.#ask(), limit: maxUnderWay + LOOKS_RESERVE }),
      onState: (change) => onState?.({ store: engine.name, ...change }),
    })
  }

  get name(): string {
    return this.#engine.name
  }

  get isServerSide(): boolean {
    return this.#engine.isServerSide
  }

  get lists(): boolean {
    return this.#engine.lists
  }

  admits(cookieValue: string): KeyVerdict {
    return this.#engine.admits(cookieValue)
  }

  load(key: string): Promise<LoadResult> {
    return this.#call({ run: () => this.#engine.load(key), isRead: true })
  }

  /** Whatever becomes of the store: nobody asks it, and nobody waits. */
  loadNow(key: string): LoadResult | undefined {
    return this.#engine.loadNow?.(key)
  }

  create(data: SessionData): Promise<string> {
    return this.#call({ run: () => this.#engine.create(data), limit: this.#maxUnderWay * CHANGES_SHARE })
  }

  adopt(entry: SessionEntry): Promise<boolean> {
    return this.#change(entry.key, () => this.#engine.adopt(entry))
  }

  async transition(key: string, decide: (now: SessionData) => Transition): Promise<TransitionResult> {
    let hasDecided = false
    const inTime = abandonable((now) => {
      hasDecided = true
      return decide(now)
    })
    try {
      return await this.#change(key, () => this.#engine.transition(key, inTime.decide))
    } catch (error) {
      inTime.abandon()
      throw !hasDecided && isStoreFailure(error) ? asFailed(error) : error
    }
  }

  delete(key: string): Promise<boolean> {
    return this.#change(key, () => this.#engine.delete(key))
  }

  entries(onUnreadable?: (key: string) => void): AsyncIterable<SessionEntry> {
    return this.#stepwise(this.#engine.entries(onUnreadable))
  }

  clearExpired(limit: number): Promise<number> {
    return this.#call({ run: () => this.#engine.clearExpired(limit), isBatch: true })
  }

  countExpired(limit: number): AsyncIterable<number> | undefined {
    const parts = this.#engine.countExpired(limit)
    return parts && this.#stepwise(parts)
  }

  /** A look: more than the engine's own ping, since a store that answers pings and fails at everything else is not up. */
  ping(): Promise<void> {
    return this.#breaker.look()
  }

  look(): Promise<unknown> {
    return this.#breaker.look().catch((error: unknown) => error)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#breaker.stop()
    const closing = Promise.resolve(this.#engine[Symbol.asyncDispose]())
    let callOff = (): void => {}
    const enough = new Promise<void>((resolve) => {
      callOff = this.#scheduler.after(DISPOSAL_MS, resolve)
    })
    await Promise.race([closing, enough]).finally(callOff)
  }

  /**
   * For a session that does not exist: the way of every read, and nobody's data. Both at once: a store that is slow, but
   * in time, must not count as down because it was asked twice in a row.
   */
  async #ask(): Promise<void> {
    await Promise.all([this.#engine.ping(), this.#engine.load(createSessionKey())])
  }

  /** However long the whole takes, each step is bounded. */
  async *#stepwise<T>(whole: AsyncIterable<T>): AsyncIterable<T> {
    const steps = whole[Symbol.asyncIterator]()
    let isAtRest = true
    try {
      for (;;) {
        isAtRest = false
        const step = await this.#call({ run: () => steps.next(), isBatch: true })
        isAtRest = true
        if (step.done === true) return
        yield step.value
      }
    } finally {
      const ended = Promise.resolve(steps.return?.())
      // Behind a step that hangs, the end hangs as well.
      if (isAtRest) await this.#ended(ended)
      else ended.catch(() => {})
    }
  }

  async #change<T>(key: string, run: () => Promise<T>): Promise<T> {
    const count = this.#changes.get(key) ?? 0
    if (count >= this.#maxChangesOfOne) throw storeNotAsked(`${count} changes of one session are under way already`)
    const counted = async (): Promise<T> => {
      this.#changes.set(key, (this.#changes.get(key) ?? 0) + 1)
      return await settled(run, () => this.#leave(key))
    }
    return await this.#call({ run: counted, limit: this.#maxUnderWay * CHANGES_SHARE })
  }

  #leave(key: string): void {
    const count = (this.#changes.get(key) ?? 0) - 1
    if (count > 0) this.#changes.set(key, count)
    else this.#changes.delete(key)
  }

  #call<T>(call: Call<T>): Promise<T> {
    const breaker = this.#breaker
    if (!breaker.isOpen) return this.#bounded(call, breaker)
    return Promise.reject(storeNotAsked('the session store is down, and was not asked', breaker.lastFailure))
  }

  /** One promise for all that is promised here: most requests come by. */
  #bounded<T>(call: Call<T>, ends?: Ends): Promise<T> {
    const { run, isRead = false, isBatch = false, limit = this.#maxUnderWay } = call
    if (this.#underWay >= limit) {
      return Promise.reject(storeNotAsked(`${this.#underWay} operations wait for the session store already`))
    }
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        if (isStoreFailure(error)) ends?.failed(error, isRead)
        reject(error)
      }
      const deadlines = isBatch ? this.#batchDeadlines : this.#deadlines
      const deadline = deadlines.set(() => fail(this.#late(isBatch)))
      this.#underWay += 1
      // Not at the deadline but when it is really over: what hangs in the driver takes memory for as long as it hangs.
      started(run).then(
        (value) => {
          this.#underWay -= 1
          if (!deadlines.clear(deadline)) return
          ends?.succeeded()
          resolve(value)
        },
        (error: unknown) => {
          this.#underWay -= 1
          if (deadlines.clear(deadline)) fail(error)
        },
      )
    })
  }

  #ended(ending: Promise<unknown>): Promise<unknown> {
    return withinDeadline(ending, {
      timeoutMs: this.#batchTimeoutMs + GRACE_MS,
      scheduler: this.#scheduler,
      onExpire: () => this.#late(true),
    })
  }

  #late(isBatch: boolean): GatewayError {
    const timeoutMs = isBatch ? this.#batchTimeoutMs : this.#timeoutMs
    return storeUnavailable(`the session store did not answer within ${timeoutMs} ms`)
  }
}

/** What throws at once fails like everything else. */
function started<T>(run: () => Promise<T>): Promise<T> {
  try {
    return run()
  } catch (error) {
    return Promise.reject(error)
  }
}

async function settled<T>(run: () => Promise<T>, whenOver: () => void): Promise<T> {
  try {
    return await run()
  } finally {
    whenOver()
  }
}

/** The same error, saying that nothing was written: the session was not even read, or the change never computed. */
function asFailed(error: GatewayError): GatewayError {
  const { code, message, cause, proxyError, facts } = error
  return new GatewayError(code, message, { cause, proxyError, facts: { ...facts, outcome: 'failed' } })
}
