import { Counter, Gauge, type Registry } from 'prom-client'
import { httpSeconds } from './buckets.ts'
import type { Exchange, UpstreamAttempt, UpstreamFacts } from './exchange.ts'
import { statusLabel } from './labels.ts'
import { createCounter, createHistogram } from './series.ts'

/** The back side: what apps were asked and how they did. */
export interface UpstreamMetrics {
  record(exchange: Exchange): void
  /** From now on the connections and the servers of these are read at every scrape, and of no others. */
  watch(upstreams: readonly WatchedUpstream[]): void
}

/** Connections to the servers of one upstream. */
export interface ConnectionCounts {
  readonly active: number
  readonly idle: number
  readonly pending: number
}

/** An upstream, as far as metrics look at it. */
export interface WatchedUpstream {
  readonly name: string
  stats(): ConnectionCounts
  servers(): readonly { readonly server: string; readonly isUp: boolean; readonly ejections: number }[]
}

export function createUpstreamMetrics(registry: Registry): UpstreamMetrics {
  const watched = new Map<string, WatchedUpstream>()
  addConnections(registry, watched)
  addServers(registry, watched)
  const metrics = createAll(registry)

  function recordAttempt(upstream: string, { status, firstByteMs, error }: UpstreamAttempt): void {
    metrics.requests.at(upstream, status === undefined ? 'error' : statusLabel(status)).add()
    if (firstByteMs !== undefined) metrics.duration.at(upstream).observe(firstByteMs / 1000)
    if (error !== undefined) metrics.errors.at(upstream, error).add()
  }

  return {
    watch(upstreams) {
      watched.clear()
      for (const upstream of upstreams) watched.set(upstream.name, upstream)
    },
    record({ upstream }) {
      if (upstream === undefined) return
      for (const attempt of upstream.attempts) recordAttempt(upstream.name, attempt)
      const outcome = retryOutcome(upstream)
      if (outcome !== undefined) metrics.retries.at(upstream.name, outcome).add()
    },
  }
}

/** One count per request that was, or should have been, tried again. */
function retryOutcome({ attempts, retryBudgetExhausted }: UpstreamFacts): string | undefined {
  if (retryBudgetExhausted === true) return 'budget_exhausted'
  if (attempts.length < 2) return undefined
  return attempts.at(-1)?.error === undefined ? 'success' : 'fail'
}

function addConnections(registry: Registry, watched: ReadonlyMap<string, WatchedUpstream>): void {
  new Gauge({
    name: 'sessiongate_upstream_connections',
    help: 'Connections to an upstream: with an exchange under way, kept for later, being opened.',
    labelNames: ['upstream', 'state'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [upstream, source] of watched) {
        for (const [state, count] of Object.entries(source.stats())) this.set({ upstream, state }, count)
      }
    },
  })
}

function addServers(registry: Registry, watched: ReadonlyMap<string, WatchedUpstream>): void {
  new Gauge({
    name: 'sessiongate_upstream_server_up',
    help: 'Whether a server takes part (1), or is left out (0) for failed requests or failed health checks.',
    labelNames: ['upstream', 'server'],
    registers: [registry],
    // A sum over workers would be no yes or no.
    aggregator: 'min',
    collect() {
      this.reset()
      for (const [upstream, source] of watched) {
        for (const { server, isUp } of source.servers()) this.set({ upstream, server }, isUp ? 1 : 0)
      }
    },
  })
  new Counter({
    name: 'sessiongate_upstream_server_ejected_total',
    help: 'How often a server was left out because requests to it failed.',
    labelNames: ['upstream', 'server'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [upstream, source] of watched) {
        for (const { server, ejections } of source.servers()) this.inc({ upstream, server }, ejections)
      }
    },
  })
}

function createAll(registry: Registry) {
  return {
    requests: createCounter(registry, {
      name: 'sessiongate_upstream_requests_total',
      help: 'Tries at an upstream, repeated ones included, by the status it answered; error = none came.',
      labelNames: ['upstream', 'code'],
    }),
    duration: createHistogram(registry, {
      name: 'sessiongate_upstream_request_duration_seconds',
      help: 'From handing over a request to the first byte of the answer.',
      labelNames: ['upstream'],
      buckets: httpSeconds,
    }),
    errors: createCounter(registry, {
      name: 'sessiongate_upstream_errors_total',
      help: 'Tries that failed, by reason (RFC 9209 tokens).',
      labelNames: ['upstream', 'reason'],
    }),
    retries: createCounter(registry, {
      name: 'sessiongate_upstream_retries_total',
      help: 'Requests that were tried again, or were not for want of budget.',
      labelNames: ['upstream', 'outcome'],
    }),
  }
}
