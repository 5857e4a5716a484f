import { JWKS_PATH } from '../assertion/jwks.ts'
import { GatewayError } from '../errors.ts'
import { isPageNavigation } from '../http/navigation.ts'
import { isCrossSite } from '../http/same-site.ts'
import type { SessionCookie } from '../sessions/cookie.ts'
import type { SessionStore } from '../sessions/session-store.ts'
import { type Answer, localAnswer } from './answer.ts'
import { eraseCookie } from './descent.ts'
import type { FormReturn } from './form-return.ts'
import { KEPT_FORM_PATH } from './kept-form-cookies.ts'
import { type CookieRules, readSessionCookie } from './session-lookup.ts'
import type { Place, Visit } from './visit.ts'

/** Where a log-out is asked for that needs nothing of an app. */
export const LOGOUT_PATH = '/.sessiongate/logout'

/** What the gateway's own addresses need of the house. */
export interface LocalEndpointsParts {
  readonly jwks: string
  readonly sessions: SessionStore
  readonly cookie: SessionCookie
  readonly cookieRules: CookieRules
  /** Where a person goes after a log-out. */
  readonly afterLogout: string
  /** Undefined where no route keeps forms. */
  readonly returnForm: FormReturn | undefined
}

/** One of our own addresses, asked by one request. */
export interface LocalEndpoint {
  readonly methods: readonly string[]
  /** What a person's request with one of the methods is answered with. */
  readonly status: number
  readonly location?: string
  /** @throws {GatewayError} `ERR_METHOD_NOT_ALLOWED`, `ERR_CROSS_SITE`, `ERR_STORE_UNAVAILABLE` */
  run(): Promise<Answer>
}

/** The few addresses that the gateway answers itself, before all routes and on every served host. */
export interface LocalEndpoints {
  /** What answers, or undefined when the path is none of ours. Nothing has happened until it is run. */
  find(visit: Visit, place: Place): LocalEndpoint | undefined
}

/** The document of the public keys, the log-out, and the way back for forms. */
export function createLocalEndpoints(parts: LocalEndpointsParts): LocalEndpoints {
  return {
    find(visit, place) {
      switch (place.target.path) {
        case JWKS_PATH:
          return { methods: ['GET', 'HEAD'], status: 200, run: async () => jwks(visit) }
        case LOGOUT_PATH:
          return { methods: ['POST'], status: 303, location: parts.afterLogout, run: () => logout(visit, place) }
        case KEPT_FORM_PATH:
          return parts.returnForm && keptForm(visit, place, parts.returnForm)
        default:
          return undefined
      }
    },
  }

  /** RFC 7517, section 5. Public keys only, so any cache may hold it for a while; a new key is published before it signs. */
  function jwks(visit: Visit): Answer {
    allowOnly(visit, ['GET', 'HEAD'])
    visit.exchange.localReason = 'well_known'
    return localAnswer(200, [], { type: 'application/jwk-set+json', text: parts.jwks })
  }

  /**
   * Logs out for apps that cannot send headers: a form or `fetch` posts here. Same-site only, or any page in the world
   * could log its visitors out.
   */
  async function logout(visit: Visit, place: Place): Promise<Answer> {
    allowOnly(visit, ['POST'])
    if (isCrossSite(visit.method, visit.raw, place.origin)) {
      throw new GatewayError('ERR_CROSS_SITE', 'a log-out was asked for by another site')
    }
    visit.exchange.localReason = 'well_known'
    visit.cookie = readSessionCookie(visit.raw, parts.cookieRules)
    const session = parts.sessions.open(visit.cookie.value)
    await session.flush()
    await session.save()
    // A key that was cycled a moment ago leads to nothing; whom it became is who wants to leave.
    const successor = session.isSuperseded ? parts.sessions.successorOf(visit.cookie.value) : undefined
    if (successor !== undefined) await parts.sessions.end(successor)
    const cookieLines = visit.cookie.value === undefined ? [] : ['Set-Cookie', eraseCookie(visit, parts.cookie)]
    if (!isPageNavigation(visit.method, visit.raw)) return localAnswer(204, ['Vary', 'Cookie', ...cookieLines])
    return localAnswer(303, ['Location', parts.afterLogout, 'Vary', 'Cookie', ...cookieLines])
  }
}

function keptForm(visit: Visit, place: Place, answer: FormReturn): LocalEndpoint {
  const methods = ['GET', 'HEAD', 'POST']
  async function run(): Promise<Answer> {
    allowOnly(visit, methods)
    return await answer(visit, place)
  }
  return { methods, status: visit.method === 'POST' ? 307 : 200, run }
}

function allowOnly(visit: Visit, methods: readonly string[]): void {
  if (!methods.includes(visit.method)) {
    const facts = { allow: methods }
    throw new GatewayError('ERR_METHOD_NOT_ALLOWED', `${visit.method} is not for this address`, { facts })
  }
}
