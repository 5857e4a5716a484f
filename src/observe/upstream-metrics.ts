import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { httpSeconds } from './buckets.ts'
import type { Exchange, UpstreamAttempt, UpstreamFacts } from './exchange.ts'
import { statusLabel } from './labels.ts'

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
  const metrics = createAll([registry], watched)

  function recordAttempt(upstream: string, attempt: UpstreamAttempt): void {
    metrics.requests.inc({ upstream, code: attempt.status === undefined ? 'error' : statusLabel(attempt.status) })
    if (attempt.firstByteMs !== undefined) metrics.duration.observe({ upstream }, attempt.firstByteMs / 1000)
    if (attempt.error !== undefined) metrics.errors.inc({ upstream, reason: attempt.error })
  }

  return {
    watch: (upstream, connections) => void watched.set(upstream, connections),
    record({ upstream }) {
      if (upstream === undefined) return
      for (const attempt of upstream.attempts) recordAttempt(upstream.name, attempt)
      const outcome = retryOutcome(upstream)
      if (outcome !== undefined) metrics.retries.inc({ upstream: upstream.name, outcome })
    },
  }
}

/** One count per request that was, or should have been, tried again. */
function retryOutcome({ attempts, retryBudgetExhausted }: UpstreamFacts): string | undefined {
  if (retryBudgetExhausted === true) return 'budget_exhausted'
  if (attempts.length < 2) return undefined
  return attempts.at(-1)?.error === undefined ? 'success' : 'fail'
}

function createAll(registers: Registry[], watched: ReadonlyMap<string, () => ConnectionCounts>) {
  return {
    connections: new Gauge({
      name: 'sessiongate_upstream_connections',
      help: 'Connections to an upstream: with an exchange under way, kept for later, being opened.',
      labelNames: ['upstream', 'state'],
      registers,
      collect() {
        for (const [upstream, connections] of watched) {
          for (const [state, count] of Object.entries(connections())) this.set({ upstream, state }, count)
        }
      },
    }),
    requests: new Counter({
      name: 'sessiongate_upstream_requests_total',
      help: 'Tries at an upstream, repeated ones included, by the status it answered; error = none came.',
      labelNames: ['upstream', 'code'],
      registers,
    }),
    duration: new Histogram({
      name: 'sessiongate_upstream_request_duration_seconds',
      help: 'From handing over a request to the first byte of the answer.',
      labelNames: ['upstream'],
      buckets: httpSeconds,
      registers,
    }),
    errors: new Counter({
      name: 'sessiongate_upstream_errors_total',
      help: 'Tries that failed, by reason (RFC 9209 tokens).',
      labelNames: ['upstream', 'reason'],
      registers,
    }),
    retries: new Counter({
      name: 'sessiongate_upstream_retries_total',
      help: 'Requests that were tried again, or were not for want of budget.',
      labelNames: ['upstream', 'outcome'],
      registers,
    }),
  }
}
