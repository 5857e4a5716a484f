import type { MetricFamily, MetricSample } from './metric-families.ts'

/** The sums over all series that the history is made of. */
export interface MetricTotals {
  readonly counters: Readonly<Record<(typeof counterNames)[number], number>>
  readonly gauges: { readonly in_flight: number; readonly web_sockets: number }
  readonly overhead: Buckets
}

/** Upper bounds, rising, the last infinite; and how many observations lie at or below each, as Prometheus counts. */
export interface Buckets {
  readonly bounds: readonly number[]
  readonly counts: readonly number[]
}

export const counterNames = [
  'requests',
  'with_session',
  'errors',
  'refused',
  'sent_to_login',
  'sessions_begun',
  'sessions_renewed',
  'sessions_revoked',
] as const

const REQUESTS = 'sessiongate_http_requests_total'
const RESOLUTIONS = 'sessiongate_session_resolutions_total'
const DECISIONS = 'sessiongate_auth_decisions_total'
const ANSWERS = 'sessiongate_local_responses_total'
const COOKIES = 'sessiongate_session_cookies_set_total'
const REVOKED = 'sessiongate_sessions_revoked_total'
const OVERHEAD = 'sessiongate_gateway_overhead_seconds'
const IN_FLIGHT = 'sessiongate_http_requests_in_flight'
const WEB_SOCKETS = 'sessiongate_websocket_connections'

/** The metrics that are read for it: to read all would reset those of Node that tell of the time since the last look. */
export const totalledMetrics: ReadonlySet<string> = new Set([
  ...[REQUESTS, RESOLUTIONS, DECISIONS, ANSWERS, COOKIES, REVOKED, OVERHEAD, IN_FLIGHT, WEB_SOCKETS],
])

/** Families of several processes are added up; what is not there counts as nothing. */
export function readTotals(families: readonly MetricFamily[]): MetricTotals {
  const byName = new Map<string, readonly MetricSample[]>()
  for (const { name, values } of families) byName.set(name, [...(byName.get(name) ?? []), ...values])
  const sum = (name: string, isMeant: (labels: MetricSample['labels']) => boolean = () => true): number =>
    (byName.get(name) ?? []).reduce((total, { labels, value }) => total + (isMeant(labels) ? (value ?? 0) : 0), 0)
  return {
    counters: {
      requests: sum(REQUESTS),
      with_session: sum(RESOLUTIONS, ({ result }) => result === 'hit'),
      errors: sum(REQUESTS, ({ code }) => Number(code) >= 500),
      refused: sum(DECISIONS, ({ decision, mode }) => decision === 'deny' && mode === 'enforce'),
      sent_to_login: sum(ANSWERS, ({ reason }) => reason === 'login_redirect'),
      sessions_begun: sum(COOKIES, ({ reason }) => reason === 'new'),
      sessions_renewed: sum(COOKIES, ({ reason }) => reason === 'rotated'),
      sessions_revoked: sum(REVOKED, ({ source }) => source !== 'expiry_sweep'),
    },
    gauges: { in_flight: sum(IN_FLIGHT), web_sockets: sum(WEB_SOCKETS) },
    overhead: bucketsOf(byName.get(OVERHEAD) ?? []),
  }
}

function bucketsOf(samples: readonly MetricSample[]): Buckets {
  const counts = new Map<number, number>()
  for (const { labels, value } of samples) {
    if (labels.le === undefined) continue
    const bound = labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le)
    counts.set(bound, (counts.get(bound) ?? 0) + (value ?? 0))
  }
  const rising = [...counts].toSorted(([a], [b]) => a - b)
  return { bounds: rising.map(([bound]) => bound), counts: rising.map(([, count]) => count) }
}

/**
 * The value that such a share of the observations does not exceed, as Prometheus' `histogram_quantile` has it: even within
 * a bucket, and the highest finite bound where it lies above that. `null` where nothing was observed.
 */
export function shareBelow(share: number, { bounds, counts }: Buckets): number | null {
  const all = counts.at(-1) ?? 0
  if (!(all > 0)) return null
  const rank = share * all
  const at = counts.findIndex((count) => count >= rank)
  const below = at > 0 ? (counts[at - 1] ?? 0) : 0
  const lower = at > 0 ? (bounds[at - 1] ?? 0) : 0
  const upper = bounds[at] ?? Number.POSITIVE_INFINITY
  if (!Number.isFinite(upper)) return lower
  const within = (counts[at] ?? 0) - below
  return within > 0 ? lower + ((upper - lower) * (rank - below)) / within : upper
}
