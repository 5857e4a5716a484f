import type { Registry } from 'prom-client'
import { fineSeconds } from './buckets.ts'
import { createCounter, createGauge, createHistogram } from './series.ts'

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
  const metrics = createAll(registry)
  return {
    operation({ store, op, result, durationMs }) {
      metrics.operations.at(store, op, result).add()
      metrics.duration.at(store, op, result).observe(durationMs / 1000)
    },
    cacheRequest: (result) => metrics.cacheRequests.at(result).add(),
    up(store, isUp) {
      metrics.up.at(store).value = isUp ? 1 : 0
    },
  }
}

function createAll(registry: Registry) {
  return {
    operations: createCounter(registry, {
      name: 'sessiongate_session_store_operations_total',
      help: 'Operations on session stores.',
      labelNames: ['store', 'op', 'result'],
    }),
    duration: createHistogram(registry, {
      name: 'sessiongate_session_store_operation_duration_seconds',
      help: 'How long operations on session stores took.',
      labelNames: ['store', 'op', 'result'],
      buckets: fineSeconds,
    }),
    cacheRequests: createCounter(registry, {
      name: 'sessiongate_session_cache_requests_total',
      help: 'Looks for sessions in a cache before their store is asked.',
      labelNames: ['result'],
    }),
    up: createGauge(registry, {
      name: 'sessiongate_store_up',
      help: 'Whether a store answers (1) or not (0).',
      labelNames: ['store'],
      // One worker that cannot reach it is worth to be told.
      aggregator: 'min',
    }),
  }
}
