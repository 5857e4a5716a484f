import { GatewayError } from '../errors.ts'
import { isPageNavigation } from '../http/navigation.ts'
import type { AccessDecision } from '../rules/access.ts'
import { refusalFor } from '../rules/refusal.ts'
import type { SessionCookieOptions } from '../sessions/cookie.ts'
import { type Answer, type ErrorExtra, errorAnswer, localAnswer } from './answer.ts'
import type { ErrorPages } from './error-pages.ts'
import { explainLostCookie } from './lost-cookie.ts'
import type { Route } from './route.ts'
import type { Place, Visit } from './visit.ts'

/** So often somebody who comes from the login page without a cookie is sent back to it; then a page says why. */
const MAX_LOGIN_REDIRECTS = 3

interface Judged {
  readonly route: Route
  readonly place: Place
  readonly decision: AccessDecision
  readonly cookie: SessionCookieOptions
  readonly pages: ErrorPages
}

/**
 * Step 4's other end: a login, a 401 or a 403; undefined when the request may go on, or the route only observes.
 *
 * @throws {GatewayError} `ERR_FORBIDDEN`
 */
export function refuse(visit: Visit, step: Judged): Answer | undefined {
  const { route, place, decision, pages } = step
  visit.exchange.decision = { outcome: decision.outcome, reason: decision.reason, mode: route.access.mode }
  if (decision.outcome === 'allow' || route.access.mode === 'observe') return undefined
  const isNavigation = isPageNavigation(visit.method, visit.raw)
  const refusal = refusalFor({ outcome: decision.outcome, onDeny: route.onDeny, isNavigation, method: visit.method })
  if (decision.outcome === 'forbidden')
    throw new GatewayError('ERR_FORBIDDEN', `the rule of the route says no: ${decision.reason}`)
  const seeker = { method: visit.method, target: place.target, headers: visit.raw, ownOrigin: place.origin }
  if (refusal.kind === 'status') {
    const login = route.login.locationFor(seeker)
    return refused(visit, new GatewayError('ERR_SESSION_REQUIRED', 'nobody is logged in'), { login, pages })
  }
  // Whoever brings a cookie has no trouble with cookies; what it leads to is another matter.
  const attempts =
    refusal.status === 302 && visit.cookie?.count === 0 ? route.login.attemptsBefore(seeker, place.host) : 0
  if (attempts >= MAX_LOGIN_REDIRECTS) {
    const reasons = explainLostCookie(step.cookie, place, visit.raw)
    const error = new GatewayError('ERR_LOGIN_LOOP', `after ${attempts} logins the browser came without a cookie`)
    return refused(visit, error, { login: route.login.locationFor(seeker), reasons, pages })
  }
  visit.exchange.localReason = 'login_redirect'
  return localAnswer(refusal.status, ['Location', route.login.locationFor(seeker, attempts)])
}

function refused(visit: Visit, error: GatewayError, extra: ErrorExtra): Answer {
  visit.exchange.error = { code: error.code, message: error.message, proxyError: error.proxyError, facts: {} }
  return errorAnswer(visit, error, extra)
}
