import { Gauge, type Registry } from 'prom-client'
import type { Clock, EpochMs } from '../lib/clock.ts'
import { createCounter } from './series.ts'

/** The keys that sign, and those that may still be needed to read what they have signed. */
export interface KeyMetrics {
  /** A session was read with that key: `current`, or `fallback-` and its number. */
  sessionRead(key: string): void
  /** The signing keys in force whose age somebody has written down. */
  dated(keys: readonly { readonly id: string; readonly createdAt: EpochMs }[]): void
}

export function createKeyMetrics(registry: Registry, clock: Clock): KeyMetrics {
  let keys: Parameters<KeyMetrics['dated']>[0] = []
  new Gauge({
    name: 'sessiongate_signing_key_age_seconds',
    help: 'Age of the keys that sign assertions, where the configuration has their date.',
    labelNames: ['kid'],
    registers: [registry],
    aggregator: 'max',
    collect() {
      this.reset()
      for (const { id, createdAt } of keys) this.set({ kid: id }, Math.max(0, clock() - createdAt) / 1000)
    },
  })
  const reads = createCounter(registry, {
    name: 'sessiongate_session_key_reads_total',
    help: 'Sessions read with each key of secret_key and secret_key_fallbacks.',
    labelNames: ['key'],
  })
  return {
    sessionRead: (key) => reads.at(key).add(),
    dated(now) {
      keys = now
    },
  }
}
