import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { systemClock } from '../lib/clock.ts'
import { type MetricFamily, readFamilies } from './metric-families.ts'
import { createReloadMetrics, type ReloadMetrics } from './reload-metrics.ts'
import { createTlsMetrics, type TlsMetrics } from './tls-metrics.ts'

/** Why a worker was replaced; a closed set. */
export type RestartReason = 'crash' | 'stall' | 'roll'

/** What a supervisor of several workers tells beside their sums. */
export interface SupervisorMetrics {
  restarted(reason: RestartReason): void
  readonly reloads: ReloadMetrics
  /** Of the operator's listener. */
  readonly tls: TlsMetrics
  /** Its own share of `process_*` is among them. */
  families(): Promise<MetricFamily[]>
}

export interface WorkerCounts {
  readonly up: number
  readonly configured: number
}

/** `counts` is read at every scrape. */
export function createSupervisorMetrics(counts: () => WorkerCounts): SupervisorMetrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'sessiongate_workers_up',
    help: 'Workers that serve.',
    registers,
    collect() {
      this.set(counts().up)
    },
  })
  new Gauge({
    name: 'sessiongate_workers_configured',
    help: 'Workers that there should be.',
    registers,
    collect() {
      this.set(counts().configured)
    },
  })
  const restarts = new Counter({
    name: 'sessiongate_worker_restarts_total',
    help: 'Workers that were replaced, by reason.',
    labelNames: ['reason'],
    registers,
  })
  // There from the start, so that the first one is seen as a change.
  for (const reason of ['crash', 'stall', 'roll']) restarts.inc({ reason }, 0)
  return {
    restarted: (reason) => restarts.inc({ reason }),
    reloads: createReloadMetrics(registry, systemClock),
    tls: createTlsMetrics(registry),
    async families() {
      // Of nodejs_* only what the workers say is of use: this process has hardly anything to do.
      return (await readFamilies(registry)).filter(({ name }) => !name.startsWith('nodejs_'))
    },
  }
}
