import type { SessionData } from '../django/json.ts'
import type { KeyVerdict, LoadResult, SessionEngine, SessionEntry, Transition, TransitionResult } from './engine.ts'
import { isStoreFailure, wasNotAsked } from './store-failure.ts'

export interface EngineOperation {
  readonly store: string
  readonly op: 'load' | 'save' | 'delete' | 'cycle'
  readonly result: 'ok' | 'error'
  readonly durationMs: number
}

/**
 * The same engine, watched: how long its operations take, and how they end. It stands outside the guard, so an operation
 * that was given up counts with the time that its caller waited; one that the store was never asked for is none. A load
 * that waits for another's read of the same session is one.
 */
export function observeEngine(engine: SessionEngine, onOperation: (operation: EngineOperation) => void): SessionEngine {
  return new ObservedEngine(engine, onOperation)
}

class ObservedEngine implements SessionEngine {
  readonly #engine: SessionEngine
  readonly #onOperation: (operation: EngineOperation) => void

  constructor(engine: SessionEngine, onOperation: (operation: EngineOperation) => void) {
    this.#engine = engine
    this.#onOperation = onOperation
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
    const now = this.loadNow(key)
    if (now !== undefined) return Promise.resolve(now)
    const startedMs = performance.now()
    return this.#engine.load(key).then(
      (loaded) => {
        this.#note('load', 'ok', startedMs)
        return loaded
      },
      (error: unknown) => this.#fail(error, 'load', startedMs),
    )
  }

  loadNow(key: string): LoadResult | undefined {
    return this.#engine.loadNow?.(key)
  }

  async create(data: SessionData): Promise<string> {
    return await this.#timed(
      () => this.#engine.create(data),
      () => 'save',
    )
  }

  async adopt(entry: SessionEntry): Promise<boolean> {
    return await this.#timed(
      () => this.#engine.adopt(entry),
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

  countExpired(limit: number): AsyncIterable<number> | undefined {
    return this.#engine.countExpired(limit)
  }

  entries(onUnreadable?: (key: string) => void): AsyncIterable<SessionEntry> {
    return this.#engine.entries(onUnreadable)
  }

  ping(): Promise<void> {
    return this.#engine.ping()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine[Symbol.asyncDispose]()
  }

  async #timed<T>(run: () => Promise<T>, opOf: (result: T | undefined) => EngineOperation['op']): Promise<T> {
    const startedMs = performance.now()
    try {
      const value = await run()
      this.#note(opOf(value), 'ok', startedMs)
      return value
    } catch (error) {
      return this.#fail(error, opOf(undefined), startedMs)
    }
  }

  #fail(error: unknown, op: EngineOperation['op'], startedMs: number): never {
    // A change that was refused is no failure of the store.
    if (!wasNotAsked(error)) this.#note(op, isStoreFailure(error) ? 'error' : 'ok', startedMs)
    throw error
  }

  #note(op: EngineOperation['op'], result: EngineOperation['result'], startedMs: number): void {
    this.#onOperation({ store: this.name, op, result, durationMs: performance.now() - startedMs })
  }
}

function opOfTransition(key: string, result: TransitionResult | undefined): EngineOperation['op'] {
  if (result?.kind === 'deleted') return 'delete'
  return result?.kind === 'stored' && result.key !== key ? 'cycle' : 'save'
}
