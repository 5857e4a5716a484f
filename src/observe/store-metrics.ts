import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { fineSeconds } from './buckets.ts'

export interface StoreOperation {
  /** The store's name in the configuration's terms: `db`, `file`, `memory`. */
  readonly store: string
  readonly op: 'load' | 'save' | 'touch' | 'delete' | 'cycle'
  readonly result: 'ok' | 'error'
  readonly durationMs: number
}

export type CacheResult = 'hit' | 'miss' | 'coalesced' | 'stale'

/** The stores behind the sessions. */
export interface StoreMetrics {
  operation(operation: StoreOperation): void
  cacheRequest(result: CacheResult): void
  /** Set when a store's state changes. */
  up(store: string, isUp: boolean): void
}

export function createStoreMetrics(registry: Registry): StoreMetrics {
  const metrics = createAll([registry])
  return {
    operation({ store, op, result, durationMs }) {
      metrics.operations.inc({ store, op, result })
      metrics.duration.observe({ store, op, result }, durationMs / 1000)
    },
    cacheRequest: (result) => metrics.cacheRequests.inc({ result }),
    up: (store, isUp) => metrics.up.set({ store }, isUp ? 1 : 0),
  }
}

function createAll(registers: Registry[]) {
  return {
    operations: new Counter({
      name: 'sessiongate_session_store_operations_total',
      help: 'Operations on session stores.',
      labelNames: ['store', 'op', 'result'],
      registers,
    }),
    duration: new Histogram({
      name: 'sessiongate_session_store_operation_duration_seconds',
      help: 'How long operations on session stores took.',
      labelNames: ['store', 'op', 'result'],
      buckets: fineSeconds,
      registers,
    }),
    cacheRequests: new Counter({
      name: 'sessiongate_session_cache_requests_total',
      help: 'Looks for sessions in a cache before their store is asked.',
      labelNames: ['result'],
      registers,
    }),
    up: new Gauge({
      name: 'sessiongate_store_up',
      help: 'Whether a store answers (1) or not (0).',
      labelNames: ['store'],
      registers,
    }),
  }
}
