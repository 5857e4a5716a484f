import type { SessionData } from '../django/json.ts'
import { GatewayError } from '../errors.ts'
import type { KeyVerdict, LoadResult, SessionEngine, SessionEntry, Transition, TransitionResult } from './engine.ts'

export interface EngineOperation {
  readonly store: string
  readonly op: 'load' | 'save' | 'delete' | 'cycle'
  readonly result: 'ok' | 'error'
  readonly durationMs: number
}

export interface StoreState {
  readonly store: string
  readonly isUp: boolean
  readonly wasUp: boolean | undefined
  /** What failed, when it is down. */
  readonly cause: unknown
}

export interface EngineObserver {
  readonly onOperation: (operation: EngineOperation) => void
  /** Told at the first operation, and then once per change. `wasUp` is undefined the first time. */
  readonly onState: (state: StoreState) => void
}

/** The same engine, watched: how long its operations take, and whether it answers. */
export function observeEngine(engine: SessionEngine, observer: EngineObserver): SessionEngine {
  return new ObservedEngine(engine, observer)
}

class ObservedEngine implements SessionEngine {
  readonly #engine: SessionEngine
  readonly #observer: EngineObserver
  #isUp: boolean | undefined
  /** The last real operation failed. */
  #hasFailed = false

  constructor(engine: SessionEngine, observer: EngineObserver) {
    this.#engine = engine
    this.#observer = observer
  }

  get name(): string {
    return this.#engine.name
  }

  get isServerSide(): boolean {
    return this.#engine.isServerSide
  }

  admits(cookieValue: string): KeyVerdict {
    return this.#engine.admits(cookieValue)
  }

  async load(key: string): Promise<LoadResult> {
    return await this.#timed(
      () => this.#engine.load(key),
      () => 'load',
    )
  }

  async create(data: SessionData): Promise<string> {
    return await this.#timed(
      () => this.#engine.create(data),
      () => 'save',
    )
  }

  async transition(key: string, decide: (now: SessionData) => Transition): Promise<TransitionResult> {
    return await this.#timed(
      () => this.#engine.transition(key, decide),
      (result) => opOfTransition(key, result),
    )
  }

  async delete(key: string): Promise<boolean> {
    return await this.#timed(
      () => this.#engine.delete(key),
      () => 'delete',
    )
  }

  async clearExpired(limit: number): Promise<number> {
    return await this.#timed(
      () => this.#engine.clearExpired(limit),
      () => 'delete',
    )
  }

  entries(): AsyncIterable<SessionEntry> {
    return this.#engine.entries()
  }

  async ping(): Promise<void> {
    try {
      await this.#engine.ping()
      // A store that answers pings and fails at everything else is not up again.
      if (!this.#hasFailed) this.#noteState(true, undefined)
    } catch (error) {
      this.#noteState(false, error)
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine[Symbol.asyncDispose]()
  }

  async #timed<T>(run: () => Promise<T>, opOf: (result: T | undefined) => EngineOperation['op']): Promise<T> {
    const startedMs = performance.now()
    const note = (result: 'ok' | 'error', value: T | undefined): void =>
      this.#observer.onOperation({
        store: this.name,
        op: opOf(value),
        result,
        durationMs: performance.now() - startedMs,
      })
    try {
      const value = await run()
      this.#hasFailed = false
      this.#noteState(true, undefined)
      note('ok', value)
      return value
    } catch (error) {
      // A change that was refused is no failure of the store.
      const isFailure = error instanceof GatewayError && error.code === 'ERR_STORE_UNAVAILABLE'
      if (isFailure) this.#noteState(false, error)
      this.#hasFailed = isFailure
      note(isFailure ? 'error' : 'ok', undefined)
      throw error
    }
  }

  #noteState(isUp: boolean, cause: unknown): void {
    if (this.#isUp === isUp) return
    const state = { store: this.name, isUp, wasUp: this.#isUp, cause }
    this.#isUp = isUp
    this.#observer.onState(state)
  }
}

function opOfTransition(key: string, result: TransitionResult | undefined): EngineOperation['op'] {
  if (result?.kind === 'deleted') return 'delete'
  return result?.kind === 'stored' && result.key !== key ? 'cycle' : 'save'
}
