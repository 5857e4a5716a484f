import { Gauge, type Registry } from 'prom-client'
import { httpSeconds } from './buckets.ts'
import type { Exchange, UpstreamAttempt, UpstreamFacts } from './exchange.ts'
import { statusLabel } from './labels.ts'
import { createCounter, createHistogram } from './series.ts'

/** The back side: what apps were asked and how they did. */
export interface UpstreamMetrics {
  record(exchange: Exchange): void
  /** Reads the connections of that upstream at every scrape. */
  watch(upstream: string, connections: () => ConnectionCounts): void
}

/** Connections to the servers of one upstream. */
export interface ConnectionCounts {
  readonly active: number
  readonly idle: number
  readonly pending: number
}

export function createUpstreamMetrics(registry: Registry): UpstreamMetrics {
  const watched = new Map<string, () => ConnectionCounts>()
  addConnections(registry, watched)
  const metrics = createAll(registry)

  function recordAttempt(upstream: string, { status, firstByteMs, error }: UpstreamAttempt): void {
    metrics.requests.at(upstream, status === undefined ? 'error' : statusLabel(status)).add()
    if (firstByteMs !== undefined) metrics.duration.at(upstream).observe(firstByteMs / 1000)
    if (error !== undefined) metrics.errors.at(upstream, error).add()
  }

  return {
    watch: (upstream, connections) => void watched.set(upstream, connections),
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

function addConnections(registry: Registry, watched: ReadonlyMap<string, () => ConnectionCounts>): void {
  new Gauge({
    name: 'sessiongate_upstream_connections',
    help: 'Connections to an upstream: with an exchange under way, kept for later, being opened.',
    labelNames: ['upstream', 'state'],
    registers: [registry],
    collect() {
      for (const [upstream, connections] of watched) {
        for (const [state, count] of Object.entries(connections())) this.set({ upstream, state }, count)
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
