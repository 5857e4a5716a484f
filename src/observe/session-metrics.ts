import type { Registry } from 'prom-client'
import { fineSeconds, payloadBytes } from './buckets.ts'
import type { Exchange } from './exchange.ts'
import { NO_ROUTE } from './labels.ts'
import { createCounter, createHistogram } from './series.ts'

/** Sessions, decisions, what the app was told and what it answered. */
export interface SessionMetrics {
  record(exchange: Exchange): void
  /** Sessions ended by somebody else than their own browser. */
  revoked(source: RevocationSource, count: number): void
}

export type RevocationSource = 'admin' | 'upstream' | 'backchannel' | 'expiry_sweep'

export function createSessionMetrics(registry: Registry): SessionMetrics {
  const metrics = { ...createSessions(registry), ...createDecisions(registry) }

  function recordSession({ session, cookieSet }: Exchange): void {
    if (cookieSet !== undefined) metrics.cookiesSet.at(cookieSet).add()
    if (session === undefined) return
    const { result, engine, resolveMs, storedBytes } = session
    metrics.resolutions.at(result).add()
    if (session.duplicateCookie === true) metrics.duplicateCookies.at().add()
    if (engine !== undefined && resolveMs !== undefined) metrics.resolve.at(engine, result).observe(resolveMs / 1000)
    if (storedBytes !== undefined) metrics.payload.at('stored').observe(storedBytes)
  }

  return {
    record(exchange) {
      const { decision, assertion, writeback } = exchange
      const route = exchange.routeId ?? NO_ROUTE
      recordSession(exchange)
      if (decision !== undefined) {
        const verdict = decision.outcome === 'allow' ? 'allow' : 'deny'
        metrics.decisions.at(route, verdict, decision.reason, decision.mode).add()
      }
      if (assertion !== undefined) {
        metrics.assertions.at(assertion.algorithm, assertion.reused ? 'reused' : 'signed').add()
        metrics.payload.at('injected').observe(assertion.bytes)
      }
      if (writeback !== undefined) metrics.writeback.at(route, writeback).add()
      if (exchange.cookiesCut > 0) metrics.cookiesCut.at(route).add(exchange.cookiesCut)
    },
    revoked: (source, count) => metrics.revoked.at(source).add(count),
  }
}

function createSessions(registry: Registry) {
  return {
    resolutions: createCounter(registry, {
      name: 'sessiongate_session_resolutions_total',
      help: 'What looking for the session came to.',
      labelNames: ['result'],
    }),
    resolve: createHistogram(registry, {
      name: 'sessiongate_session_resolve_duration_seconds',
      help: 'How long the look for the session took, where the engine was asked.',
      labelNames: ['engine', 'result'],
      buckets: fineSeconds,
    }),
    cookiesSet: createCounter(registry, {
      name: 'sessiongate_session_cookies_set_total',
      help: 'Session cookies sent to browsers.',
      labelNames: ['reason'],
    }),
    duplicateCookies: createCounter(registry, {
      name: 'sessiongate_session_duplicate_cookies_total',
      help: 'Requests that brought the session cookie more than once.',
      labelNames: [],
    }),
    cookiesCut: createCounter(registry, {
      name: 'sessiongate_session_cookies_cut_total',
      help: "Set-Cookie lines of apps that were cut because they bear the session cookie's name.",
      labelNames: ['route'],
    }),
    payload: createHistogram(registry, {
      name: 'sessiongate_session_payload_bytes',
      help: 'Size of sessions as stored and of assertions as sent to apps.',
      labelNames: ['direction'],
      buckets: payloadBytes,
    }),
    revoked: createCounter(registry, {
      name: 'sessiongate_sessions_revoked_total',
      help: 'Sessions ended by somebody else than their own browser.',
      labelNames: ['source'],
    }),
  }
}

function createDecisions(registry: Registry) {
  return {
    decisions: createCounter(registry, {
      name: 'sessiongate_auth_decisions_total',
      help: 'Decisions of the access rules; with mode=observe, what enforce would have done.',
      labelNames: ['route', 'decision', 'reason', 'mode'],
    }),
    assertions: createCounter(registry, {
      name: 'sessiongate_assertions_total',
      help: 'Assertions sent to apps, newly signed or sent again.',
      labelNames: ['alg', 'cache'],
    }),
    writeback: createCounter(registry, {
      name: 'sessiongate_session_writeback_total',
      help: 'What became of the session commands in the answers of apps.',
      labelNames: ['route', 'result'],
    }),
  }
}
