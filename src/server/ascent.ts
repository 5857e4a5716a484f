import type { SessionData } from '../django/json.ts'
import { compileCookieCut, withSingleCookie } from '../http/cookies.ts'
import { forwardedLines } from '../http/forwarded.ts'
import { headerKey, headerValues, type RawHeaders } from '../http/headers.ts'
import { nextTraceparent } from '../http/trace-context.ts'
import type { Clock } from '../lib/clock.ts'
import { createRandomDigits } from '../lib/random-digits.ts'
import type { Route } from './route.ts'
import type { Place, Visit } from './visit.ts'

export interface AscentParts {
  readonly cookieName: string
  readonly clock: Clock
}

/** What is known when the request has been admitted. */
export interface Admitted {
  readonly route: Route
  readonly place: Place
  /** The client's lines, less what no client may tell the app. */
  readonly cleaned: RawHeaders
  readonly data: SessionData
  readonly isLoggedIn: boolean
}

/**
 * Step 5: the lines that the app gets. The client's own come first, cut down; ours are added behind them, so nothing
 * that the client wrote, `Connection` least of all, can take one of ours away.
 */
export function createAscent(parts: AscentParts): (visit: Visit, admitted: Admitted) => RawHeaders {
  const digits = createRandomDigits()
  const withoutOwn = compileCookieCut(parts.cookieName)
  return function ascend(visit, { route, place, cleaned, data, isLoggedIn }) {
    let lines = ownedCookies(visit, route, cleaned)
    const trace = visit.trace === undefined ? nextTraceparent(visit.raw, digits) : visit.trace.ascend(visit.method)
    visit.exchange.traceId = trace.traceId
    lines.push('X-Request-Id', visit.exchange.requestId, 'traceparent', trace.text)
    lines.push(...forwardedLines(place.client))
    if (route.pathRewrite !== undefined) lines = withPrefix(lines, route.pathRewrite.stripped)
    if (visit.clientCertificate !== undefined) lines.push('Client-Cert', visit.clientCertificate)
    if (route.requestLines.length > 0) lines.push(...route.requestLines)
    if (route.issuer !== undefined) lines.push(...assertion(visit, { route, place, data, isLoggedIn }))
    return lines
  }

  /** One owner per name: the app never sees the session cookie, or sees exactly one that leads to a session. */
  function ownedCookies(visit: Visit, route: Route, cleaned: RawHeaders): string[] {
    const key = visit.session?.foundKey
    if (route.sessionCookie === 'pass' && key !== undefined) return withSingleCookie(cleaned, parts.cookieName, key)
    return withoutOwn(cleaned).headers
  }

  function assertion(visit: Visit, admitted: Omit<Admitted, 'cleaned'>): readonly string[] {
    const { route, place, data, isLoggedIn } = admitted
    if (route.issuer === undefined) return []
    const key = visit.session?.foundKey
    const publicId = visit.exchange.session?.idHash
    const { lines, reused } = route.issuer.issue({
      data,
      loggedIn: isLoggedIn,
      now: parts.clock(),
      request: { method: visit.method, url: `${place.origin}${(visit.upTarget ?? place.target).received}` },
      ...(key === undefined || publicId === undefined ? {} : { key, publicId }),
    })
    visit.exchange.assertion = { algorithm: route.issuer.algorithm, reused, bytes: lines[1]?.length ?? 0 }
    return lines
  }
}

const PREFIX_HEADER = 'X-Forwarded-Prefix'

/** What the app has to put before its own paths: what a trusted proxy has cut off in front of us, and what we do. */
function withPrefix(lines: string[], stripped: string): string[] {
  const [before = '', ...others] = headerValues(lines, PREFIX_HEADER.toLowerCase())
  const outer =
    others.length === 0 && /^(?:\/[A-Za-z0-9\-._~!$&'()*+,;=:@%]+)+\/?$/.test(before) ? before.replace(/\/$/, '') : ''
  const kept = lines.filter((_, i) => headerKey(lines[i - (i % 2)] ?? '') !== 'x-forwarded-prefix')
  if (outer + stripped !== '') kept.push(PREFIX_HEADER, outer + stripped)
  return kept
}
