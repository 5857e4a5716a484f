import type { SessionData } from '../django/json.ts'
import { GatewayError } from '../errors.ts'
import { readForwarded } from '../http/forwarded.ts'
import { type Framing, readFraming } from '../http/framing.ts'
import { headerValues, type RawHeaders } from '../http/headers.ts'
import { parseHost, readHost } from '../http/host.ts'
import { isCrossSite } from '../http/same-site.ts'
import { readTarget } from '../http/target.ts'
import { memoize } from '../lib/memo.ts'
import type { UpstreamAnswer } from '../proxy/upstream.ts'
import type { AccessDecision, AccessSubject } from '../rules/access.ts'
import type { RoutedRequest } from '../rules/route-table.ts'
import type { Admission, Admitted, Readmission } from './admission.ts'
import type { Answer } from './answer.ts'
import { type AscentParts, createAscent } from './ascent.ts'
import { Descent, type DescentParts } from './descent.ts'
import type { ErrorPages } from './error-pages.ts'
import type { KeepForm } from './form-keeping.ts'
import { sendUp } from './forwarding.ts'
import type { LocalEndpoints } from './local-endpoints.ts'
import { createPreflightRoutes, type PreflightParts } from './preflight-routes.ts'
import { refuse } from './refusing.ts'
import { createRewriting, type Rewriting, type RewritingParts } from './rewriting.ts'
import type { Route } from './route.ts'
import { createSessionLookup, type SessionLookupParts } from './session-lookup.ts'
import type { Place, Visit } from './visit.ts'

/** Of spellings in Host lines; a gateway serves a handful of hosts, strangers may name any. */
const HOSTS_REMEMBERED = 1000

export interface PipelineParts extends DescentParts, SessionLookupParts, AscentParts, RewritingParts, PreflightParts {
  readonly routes: RewritingParts['routes'] &
    PreflightParts['routes'] & {
      requireHost(host: string): void
    }
  readonly isTrusted: (address: string | undefined) => boolean
  /** Told of every request whose route is known; its end is told by the record of the exchange. */
  readonly onRoute: (routeId: string) => void
  readonly localEndpoints: LocalEndpoints
  readonly errorPages: ErrorPages
  /** What a request that is refused ends in, where its form is worth keeping. */
  readonly keepForm: KeepForm
}

export interface Pipeline {
  /** Steps 1 to 5, the same for a request and for an upgrade. */
  admit(visit: Visit): Promise<Admission>
  /**
   * Whether a request that was admitted once would be again: by the route that would take it now, with the session as it
   * is now. For connections that outlive their request, and the configuration under which it was made.
   */
  readmit(admitted: Admitted): Promise<Readmission>
  /** The whole way of a request; throws what it ends in. */
  serve(visit: Visit): Promise<Answer>
  /** What an app's answer, to a request or to a refused upgrade, becomes for the browser. */
  descend(visit: Visit, route: Route, answer: UpstreamAnswer): Answer | Promise<Answer>
}

/** Steps 1 and 2: where a request has come to. */
type Entrance = Extract<Admission, { kind: 'local' }> | { readonly kind: 'route'; readonly step: Entered }

interface Entered {
  readonly route: Route
  readonly place: Place
  readonly framing: Framing
}

/**
 * The way of one request, top to bottom. A step throws or hands on; none of them logs, counts, retries or answers. What
 * they find out is written into the visit, from which the access log, the metrics and the error answer are made.
 */
export function createPipeline(parts: PipelineParts): Pipeline {
  const rewriting = createRewriting(parts)
  const enter = createEntrance(parts, rewriting)
  const lookUp = createSessionLookup(parts)
  const ascend = createAscent(parts)
  const descent = new Descent(parts)

  function judge(visit: Visit, { route, place, framing }: Entered, data: SessionData): Admission {
    const cleaned = route.cleanRequest(visit.raw, { trusted: place.isTrusted })
    const subject = subjectOf(visit, { place, cleaned, data })
    const judging = visit.trace?.step('rules')
    const decision = visit.announcedMethod !== undefined ? unasked : route.decide(subject)
    judging?.end({ 'sessiongate.auth.decision': decision.outcome, 'sessiongate.auth.reason': decision.reason })
    const refusal = refuse(visit, { route, place, decision, cookie: parts.cookie.options, pages: parts.errorPages })
    if (refusal !== undefined) return { kind: 'answer', answer: refusal }
    const headers = ascend(visit, { route, place, cleaned, data, isLoggedIn: decision.loggedIn })
    const target = rewriting.targetFor(visit, place)
    return { kind: 'forward', route, place, framing, target, headers, subject }
  }

  /** Most sessions are in memory, and then there is nothing to wait for: no promise, but the admission itself. */
  function admit(visit: Visit): Admission | Promise<Admission> {
    const entrance = enter(visit)
    if (entrance.kind === 'local') return entrance
    const { step } = entrance
    const data = lookUp.now(visit, step.route)
    return data === undefined ? admitAsked(visit, step) : judge(visit, step, data)
  }

  async function admitAsked(visit: Visit, step: Entered): Promise<Admission> {
    return judge(visit, step, await lookUp.ask(visit, step.route))
  }

  return {
    admit: async (visit) => admit(visit),
    async readmit({ asked, subject, cookieValue }) {
      const route = selectAgain(parts.routes, asked)
      if (route?.websocket === undefined) return { isAdmitted: false, until: undefined }
      const found = route.usesSession ? await parts.sessions.find(cookieValue) : undefined
      const { outcome } = route.decide(found === undefined ? subject : { ...subject, data: found.data })
      const isAdmitted = route.access.mode === 'observe' || outcome === 'allow'
      return { isAdmitted, until: found && parts.sessions.endOf(found) }
    },
    async serve(visit) {
      // Only what has to be waited for is: each wait costs a turn of the queue, and most requests need but one.
      const admitted = admit(visit)
      const admission = admitted instanceof Promise ? await admitted : admitted
      if (admission.kind === 'local') return await admission.endpoint.run()
      if (admission.kind === 'answer') return parts.keepForm(visit, admission.answer)
      const answer = await sendUp(visit, admission)
      return descent.descend(visit, admission.route, answer)
    },
    descend: (visit, route, answer) => descent.descend(visit, route, answer),
  }
}

/** The route that would take the request by these rules; undefined if none would. */
function selectAgain(routes: PipelineParts['routes'], asked: RoutedRequest): Route | undefined {
  try {
    routes.requireHost(asked.host)
    return routes.select(asked)
  } catch (error) {
    if (error instanceof GatewayError) return undefined
    throw error
  }
}

/** Steps 1 and 2. */
function createEntrance(parts: PipelineParts, rewriting: Rewriting): (visit: Visit) => Entrance {
  const readPlace = createPlaceReader(parts.isTrusted)
  const preflightRoute = createPreflightRoutes(parts)
  return function enter(visit: Visit): Entrance {
    const framing = readFraming(visit.method, visit.httpVersion, visit.raw)
    const place = readPlace(visit)
    parts.routes.requireHost(place.host.name)
    const local = parts.localEndpoints.find(visit, place)
    if (local !== undefined) return { kind: 'local', endpoint: local }
    const request = { method: visit.method, host: place.host.name, target: place.target }
    const route = preflightRoute(visit, request, framing) ?? parts.routes.select(request)
    parts.onRoute(route.id)
    const step = { route, place, framing }
    checkDemands(visit, step)
    rewriting.apply(visit, step)
    return { kind: 'route', step }
  }
}

const unasked: AccessDecision = { outcome: 'allow', reason: 'public', loggedIn: false }

/** Step 1: method, host and path, read once. What is said here is what rules, app, log and redirects see. */
export function createPlaceReader(isTrusted: (address: string | undefined) => boolean): (visit: Visit) => Place {
  const parse = memoize(parseHost, HOSTS_REMEMBERED)
  return function readPlace(visit) {
    const host = readHost(visit.raw, visit.httpVersion, parse)
    const target = readTarget(visit.requestTarget, host)
    const client = readForwarded(visit.raw, { peer: visit.peer, isTrusted, isTls: visit.isTls, host })
    const isSecure = client.scheme === 'https'
    const place = { host, target, client, isTrusted: isTrusted(visit.peer), isSecure, origin: client.origin }
    visit.place = place
    const { exchange } = visit
    exchange.host = host.name
    exchange.userAgent = headerValues(visit.raw, 'user-agent')[0]
    exchange.path = target.path
    exchange.clientAddress = client.clientIp
    exchange.scheme = client.scheme
    if (client.requestId !== undefined) exchange.requestId = client.requestId
    return place
  }
}

/** The route is known: what it demands of every request, whoever sends it. */
function checkDemands(visit: Visit, { route, place, framing }: Entered): void {
  visit.route = route
  visit.exchange.routeId = route.id
  if (framing.contentLength !== undefined && framing.contentLength > (route.maxBodyBytes ?? Infinity)) {
    throw new GatewayError('ERR_BODY_TOO_LARGE', `a body of ${framing.contentLength} bytes is over the route's limit`)
  }
  if (route.access.crossSite === 'same-site' && isCrossSite(visit.method, visit.raw, place.origin)) {
    throw new GatewayError('ERR_CROSS_SITE', 'the page of another site asked for a change')
  }
}

function subjectOf(visit: Visit, known: { place: Place; cleaned: RawHeaders; data: SessionData }): AccessSubject {
  return {
    data: known.data,
    method: visit.method,
    path: known.place.target.path,
    host: known.place.host.name,
    clientIp: known.place.client.clientIp,
    headers: known.cleaned,
  }
}
