import { GatewayError } from '../errors.ts'
import type { SessionEngine, TransitionResult } from './engine.ts'

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
  let isUp: boolean | undefined

  function noteState(now: boolean, cause: unknown): void {
    if (isUp === now) return
    const state = { store: engine.name, isUp: now, wasUp: isUp, cause }
    isUp = now
    observer.onState(state)
  }

  async function timed<T>(run: () => Promise<T>, opOf: (result: T | undefined) => EngineOperation['op']): Promise<T> {
    const startedMs = performance.now()
    const note = (result: 'ok' | 'error', value: T | undefined): void =>
      observer.onOperation({ store: engine.name, op: opOf(value), result, durationMs: performance.now() - startedMs })
    try {
      const value = await run()
      noteState(true, undefined)
      note('ok', value)
      return value
    } catch (error) {
      // A change that was refused is no failure of the store.
      const isFailure = error instanceof GatewayError && error.code === 'ERR_STORE_UNAVAILABLE'
      if (isFailure) noteState(false, error)
      note(isFailure ? 'error' : 'ok', undefined)
      throw error
    }
  }

  return {
    name: engine.name,
    isServerSide: engine.isServerSide,
    admits: (cookieValue) => engine.admits(cookieValue),
    load: (key) =>
      timed(
        () => engine.load(key),
        () => 'load',
      ),
    create: (data) =>
      timed(
        () => engine.create(data),
        () => 'save',
      ),
    transition: (key, decide) =>
      timed(
        () => engine.transition(key, decide),
        (result) => opOfTransition(key, result),
      ),
    delete: (key) =>
      timed(
        () => engine.delete(key),
        () => 'delete',
      ),
    clearExpired: (limit) =>
      timed(
        () => engine.clearExpired(limit),
        () => 'delete',
      ),
    entries: () => engine.entries(),
    async ping() {
      try {
        await engine.ping()
        noteState(true, undefined)
      } catch (error) {
        noteState(false, error)
        throw error
      }
    },
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  }
}

function opOfTransition(key: string, result: TransitionResult | undefined): EngineOperation['op'] {
  if (result?.kind === 'deleted') return 'delete'
  return result?.kind === 'stored' && result.key !== key ? 'cycle' : 'save'
}
