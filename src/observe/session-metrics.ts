import { Counter, Histogram, type Registry } from 'prom-client'
import { fineSeconds, payloadBytes } from './buckets.ts'
import type { Exchange } from './exchange.ts'
import { NO_ROUTE } from './labels.ts'

/** Sessions, decisions, what the app was told and what it answered. */
export interface SessionMetrics {
  record(exchange: Exchange): void
  /** Sessions ended by somebody else than their own browser. */
  revoked(source: RevocationSource, count: number): void
}

export type RevocationSource = 'admin' | 'upstream' | 'backchannel' | 'expiry_sweep'

export function createSessionMetrics(registry: Registry): SessionMetrics {
  const metrics = { ...createSessions([registry]), ...createDecisions([registry]) }

  function recordSession({ session, cookieSet }: Exchange): void {
    if (cookieSet !== undefined) metrics.cookiesSet.inc({ reason: cookieSet })
    if (session === undefined) return
    const { result, engine, resolveMs, storedBytes } = session
    metrics.resolutions.inc({ result })
    if (session.duplicateCookie === true) metrics.duplicateCookies.inc()
    if (engine !== undefined && resolveMs !== undefined) metrics.resolve.observe({ engine, result }, resolveMs / 1000)
    if (storedBytes !== undefined) metrics.payload.observe({ direction: 'stored' }, storedBytes)
  }

  return {
    record(exchange) {
      const { decision, assertion, writeback } = exchange
      const route = exchange.routeId ?? NO_ROUTE
      recordSession(exchange)
      if (decision !== undefined) {
        const verdict = decision.outcome === 'allow' ? 'allow' : 'deny'
        metrics.decisions.inc({ route, decision: verdict, reason: decision.reason, mode: decision.mode })
      }
      if (assertion !== undefined) {
        metrics.assertions.inc({ alg: assertion.algorithm, cache: assertion.reused ? 'reused' : 'signed' })
        metrics.payload.observe({ direction: 'injected' }, assertion.bytes)
      }
      if (writeback !== undefined) metrics.writeback.inc({ route, result: writeback })
      if (exchange.cookiesCut > 0) metrics.cookiesCut.inc({ route }, exchange.cookiesCut)
    },
    revoked: (source, count) => metrics.revoked.inc({ source }, count),
  }
}

function createSessions(registers: Registry[]) {
  return {
    resolutions: new Counter({
      name: 'sessiongate_session_resolutions_total',
      help: 'What looking for the session came to.',
      labelNames: ['result'],
      registers,
    }),
    resolve: new Histogram({
      name: 'sessiongate_session_resolve_duration_seconds',
      help: 'How long the look for the session took, where the engine was asked.',
      labelNames: ['engine', 'result'],
      buckets: fineSeconds,
      registers,
    }),
    cookiesSet: new Counter({
      name: 'sessiongate_session_cookies_set_total',
      help: 'Session cookies sent to browsers.',
      labelNames: ['reason'],
      registers,
    }),
    duplicateCookies: new Counter({
      name: 'sessiongate_session_duplicate_cookies_total',
      help: 'Requests that brought the session cookie more than once.',
      registers,
    }),
    cookiesCut: new Counter({
      name: 'sessiongate_session_cookies_cut_total',
      help: "Set-Cookie lines of apps that were cut because they bear the session cookie's name.",
      labelNames: ['route'],
      registers,
    }),
    payload: new Histogram({
      name: 'sessiongate_session_payload_bytes',
      help: 'Size of sessions as stored and of assertions as sent to apps.',
      labelNames: ['direction'],
      buckets: payloadBytes,
      registers,
    }),
    revoked: new Counter({
      name: 'sessiongate_sessions_revoked_total',
      help: 'Sessions ended by somebody else than their own browser.',
      labelNames: ['source'],
      registers,
    }),
  }
}

function createDecisions(registers: Registry[]) {
  return {
    decisions: new Counter({
      name: 'sessiongate_auth_decisions_total',
      help: 'Decisions of the access rules; with mode=observe, what enforce would have done.',
      labelNames: ['route', 'decision', 'reason', 'mode'],
      registers,
    }),
    assertions: new Counter({
      name: 'sessiongate_assertions_total',
      help: 'Assertions sent to apps, newly signed or sent again.',
      labelNames: ['alg', 'cache'],
      registers,
    }),
    writeback: new Counter({
      name: 'sessiongate_session_writeback_total',
      help: 'What became of the session commands in the answers of apps.',
      labelNames: ['route', 'result'],
      registers,
    }),
  }
}
