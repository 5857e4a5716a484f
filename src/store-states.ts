import { failureFields } from './observe/failure.ts'
import type { Log } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import type { StoreState } from './sessions/guarded-engine.ts'

interface Parts {
  readonly log: Log
  readonly metrics: Pick<Metrics, 'stores'>
}

/** What becomes of the session store, for log and metrics. */
export interface StoreStates {
  readonly note: (state: StoreState) => void
  /** From now on states are logged, those noted before first. */
  tell(): void
}

/** The first look at the store comes before anything listens, and the line about it after the one that says so. */
export function createStoreStates({ log, metrics }: Parts): StoreStates {
  let held: StoreState[] | undefined = []
  function write({ store, isUp, wasUp, cause, lastedMs }: StoreState): void {
    if (isUp && wasUp === false) log.info('session store is up again', { store, down_ms: Math.round(lastedMs) })
    if (!isUp) log.error('session store is down', { store, ...failureFields(cause) })
  }
  return {
    note(state) {
      metrics.stores.up(state.store, state.isUp)
      if (held === undefined) write(state)
      else held.push(state)
    },
    tell() {
      for (const state of held ?? []) write(state)
      held = undefined
    },
  }
}

/** The cache of `cached_db`: the database has the sessions, so it is no error, and readiness does not depend on it. */
export function noteCache({ log, metrics }: Parts, isUp: boolean, cause: unknown): void {
  metrics.stores.up('cache', isUp)
  if (isUp) log.info('session cache is up again')
  else log.warn('session cache is down, the database answers', failureFields(cause))
}

/** The index of users: log-ins fail without it, and what they answer says why; of sessions that are only read nobody hears. */
export function noteIndex({ log, metrics }: Parts, isUp: boolean, cause: unknown): void {
  metrics.stores.up('user_index', isUp)
  if (isUp) log.info('index of users is up again')
  else log.error('index of users is down, it may lack sessions', failureFields(cause))
}
