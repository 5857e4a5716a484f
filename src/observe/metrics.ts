import { Registry } from 'prom-client'
import { type Clock, systemClock } from '../lib/clock.ts'
import type { Exchange } from './exchange.ts'
import { createKeyMetrics, type KeyMetrics } from './key-metrics.ts'
import { createLimitMetrics, type LimitMetrics } from './limit-metrics.ts'
import { type MetricFamily, readFamilies, readFamiliesOf } from './metric-families.ts'
import { type BuildInfo, type ConfigInfo, createProcessMetrics } from './process-metrics.ts'
import { createReloadMetrics, type ReloadMetrics } from './reload-metrics.ts'
import { createRequestMetrics } from './request-metrics.ts'
import { createSessionMetrics, type SessionMetrics } from './session-metrics.ts'
import { createStoreMetrics, type StoreMetrics } from './store-metrics.ts'
import { createTlsMetrics, type TlsMetrics } from './tls-metrics.ts'
import { createUpstreamMetrics, type UpstreamMetrics } from './upstream-metrics.ts'
import { createWebSocketMetrics, type WebSocketMetrics } from './websocket-metrics.ts'

export interface MetricsOptions {
  readonly build: BuildInfo
  readonly config: ConfigInfo
  /** Default: the system's. */
  readonly clock?: Clock
  /** One of several: what happens to all of them together is told by their supervisor. Default no. */
  readonly isWorker?: boolean
  /** Lines that the log has lost so far; read at every scrape. */
  readonly droppedLogLines: () => number
}

/**
 * What Prometheus is told. Every label value comes from the configuration or from a closed set, so what strangers send
 * does not add a series. One gateway has one of these, with a registry of its own.
 */
export interface Metrics {
  /** Call it once a request's route is known; `recordExchange` ends what it begins. */
  requestRouted(routeId: string): void
  recordExchange(exchange: Exchange): void
  readonly watchUpstreams: UpstreamMetrics['watch']
  readonly sessionsRevoked: SessionMetrics['revoked']
  readonly stores: StoreMetrics
  readonly webSockets: WebSocketMetrics
  readonly tls: TlsMetrics
  readonly keys: KeyMetrics
  readonly reloads: ReloadMetrics
  readonly limits: LimitMetrics
  /** The configuration in force is this one now. */
  configured(config: ConfigInfo): void
  /** Prometheus' text format. */
  text(): Promise<string>
  /** The same as values, to be summed up with those of other processes. */
  families(): Promise<MetricFamily[]>
  /** Of these only; what is told of the time since the last look at all is left as it is. */
  familiesOf(names: ReadonlySet<string>): Promise<MetricFamily[]>
}

export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry()
  const requests = createRequestMetrics(registry)
  const upstreams = createUpstreamMetrics(registry)
  const sessions = createSessionMetrics(registry)
  const runtime = createProcessMetrics(registry, options)
  runtime.configured(options.config)
  return {
    requestRouted: requests.enter,
    recordExchange(exchange) {
      requests.record(exchange)
      upstreams.record(exchange)
      sessions.record(exchange)
    },
    watchUpstreams: upstreams.watch,
    sessionsRevoked: sessions.revoked,
    stores: createStoreMetrics(registry),
    webSockets: createWebSocketMetrics(registry),
    tls: createTlsMetrics(registry),
    keys: createKeyMetrics(registry, options.clock ?? systemClock),
    reloads: createReloadMetrics(options.isWorker === true ? new Registry() : registry, options.clock ?? systemClock),
    limits: createLimitMetrics(registry),
    configured: runtime.configured,
    text: () => registry.metrics(),
    families: () => readFamilies(registry),
    familiesOf: (names) => readFamiliesOf(registry, names),
  }
}
