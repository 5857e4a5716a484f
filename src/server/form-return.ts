import type { SessionData } from '../django/json.ts'
import { GatewayError } from '../errors.ts'
import { canonicalPath } from '../http/path-readings.ts'
import { isSafeReturn } from '../http/return-url.ts'
import { isFromOwnPage } from '../http/same-site.ts'
import { readTarget } from '../http/target.ts'
import type { Clock } from '../lib/clock.ts'
import type { RoutedRequest } from '../rules/route-table.ts'
import type { SessionCookieOptions } from '../sessions/cookie.ts'
import { createKeyMemory } from '../sessions/key-memory.ts'
import { type IdentityRules, isLoggedIn } from '../sessions/merge.ts'
import type { SessionStore } from '../sessions/session-store.ts'
import { type Answer, localAnswer } from './answer.ts'
import type { ErrorPages } from './error-pages.ts'
import { type FoundForm, KEPT_FORM_PATH, type KeptFormCookies } from './kept-form-cookies.ts'
import { keptFormPage } from './kept-form-page.ts'
import { refuse } from './refusing.ts'
import type { Route } from './route.ts'
import { type CookieRules, readSessionCookie } from './session-lookup.ts'
import type { Place, Visit } from './visit.ts'

export interface FormReturnParts {
  readonly cookies: KeptFormCookies
  readonly sessions: SessionStore
  readonly cookie: SessionCookieOptions
  readonly cookieRules: CookieRules
  readonly identity: IdentityRules
  readonly routes: { select(request: RoutedRequest): Route }
  readonly errorPages: ErrorPages
  readonly clock: Clock
}

/**
 * Answers GET, HEAD and POST at `KEPT_FORM_PATH`.
 *
 * @throws {GatewayError} `ERR_CROSS_SITE`, `ERR_LOGIN_LOOP`, `ERR_STORE_UNAVAILABLE`
 */
export type FormReturn = (visit: Visit, place: Place) => Promise<Answer>

/** Cookies are taken away by the answer, and a second request may come before it. */
const SPENT_REMEMBERED = 10_000

/**
 * The way back of a kept form, where the login leads: a page asks whether to send it, since what changes something is not
 * sent by following a link. Its button posts the form here, and from here the browser is sent on, form and all, by a 307
 * (RFC 9110, section 15.4.8) to where it was for. So it arrives there as a request of the browser's own and is judged as any
 * other: nothing gets past a rule by having been kept.
 */
export function createFormReturn(parts: FormReturnParts): FormReturn {
  const { cookies, clock } = parts
  const spent = createKeyMemory(SPENT_REMEMBERED)

  return async function answer(visit, place) {
    const isPost = visit.method === 'POST'
    if (isPost && !isFromOwnPage(visit.raw, place.origin)) {
      throw new GatewayError('ERR_CROSS_SITE', 'another site wanted a form sent again')
    }
    visit.exchange.localReason = 'well_known'
    const form = cookies.read(visit.raw, { origin: place.origin, now: clock() })
    const route = form && routeOf(form, place)
    if (form === undefined || route === undefined || spent.has(form.id)) {
      return goTo(303, wayBack(place.target.received, place.origin), { visit, place })
    }
    if (!isPost) return await ask(visit, { form, route, place })
    spent.add(form.id)
    return goTo(307, form.target, { visit, place })
  }

  /** And the form is gone from the browser. */
  function goTo(status: number, location: string, { visit, place }: { visit: Visit; place: Place }): Answer {
    return localAnswer(status, ['Location', location, ...cookies.erase(visit.raw, place)])
  }

  /** Only once somebody is logged in, since the form is in the page. */
  async function ask(visit: Visit, { form, route, place }: Asked): Promise<Answer> {
    visit.cookie = readSessionCookie(visit.raw, parts.cookieRules)
    const data: SessionData = await parts.sessions.open(visit.cookie.value).data()
    if (!isLoggedIn(data, parts.identity)) {
      const decision = { outcome: 'login', reason: 'no_session', loggedIn: false } as const
      const refusal = refuse(visit, { route, place, decision, cookie: parts.cookie, pages: parts.errorPages })
      if (refusal !== undefined) return refusal
    }
    const { received } = place.target
    return keptFormPage(form, { action: received, back: wayBack(received, place.origin), now: clock() })
  }

  /** The one that takes the form today; undefined if none does. */
  function routeOf({ target }: FoundForm, { host }: Place): Route | undefined {
    try {
      const route = parts.routes.select({ method: 'POST', host: host.name, target: readTarget(target, host) })
      return route.keepPost === undefined ? undefined : route
    } catch (error) {
      if (error instanceof GatewayError) return undefined
      throw error
    }
  }
}

interface Asked {
  readonly form: FoundForm
  readonly route: Route
  readonly place: Place
}

/**
 * The page that a form was on, also out of an address of ours that has it as `back`; `/` where it is no path of our own, or
 * where it is our address again, in whatever spelling: nobody is to be sent from there to there.
 */
export function wayBack(address: string | undefined, ownOrigin: string): string {
  if (address === undefined) return '/'
  const [path, query = ''] = address.split(/\?(.*)/s, 2)
  const back = canonicalPath(path ?? '') === KEPT_FORM_PATH ? (new URLSearchParams(query).get('back') ?? '/') : address
  const isCircle = canonicalPath(back).startsWith(KEPT_FORM_PATH)
  return !isCircle && back.startsWith('/') && isSafeReturn(back, { ownOrigin, allowedHosts: [] }) ? back : '/'
}
