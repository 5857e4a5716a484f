import { GatewayError } from '../errors.ts'
import { isPageNavigation } from '../http/navigation.ts'
import { isCrossSite } from '../http/same-site.ts'
import type { SessionCookie } from '../sessions/cookie.ts'
import type { SessionStore } from '../sessions/session-store.ts'
import { type Answer, localAnswer } from './answer.ts'
import { eraseCookie } from './descent.ts'
import type { Place, Visit } from './visit.ts'

export const JWKS_PATH = '/.well-known/sessiongate/jwks.json'
export const LOGOUT_PATH = '/.sessiongate/logout'

export interface LocalEndpointsParts {
  readonly jwks: string
  readonly sessions: SessionStore
  readonly cookie: SessionCookie
  readonly readCookie: (visit: Visit) => { readonly value: string | undefined; readonly count: number }
  /** Where a person goes after a log-out. */
  readonly afterLogout: string
}

/** The few addresses that the gateway answers itself, before all routes and on every served host. */
export interface LocalEndpoints {
  /** The answer, or undefined when the path is none of ours. */
  answer(visit: Visit, place: Place): Promise<Answer | undefined>
}

export function createLocalEndpoints(parts: LocalEndpointsParts): LocalEndpoints {
  return {
    async answer(visit, place) {
      if (place.target.path === JWKS_PATH) return jwks(visit)
      if (place.target.path === LOGOUT_PATH) return await logout(visit, place)
      return undefined
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
    visit.cookie = parts.readCookie(visit)
    const session = parts.sessions.open(visit.cookie.value)
    await session.flush()
    await session.save()
    const cookieLines = visit.cookie.value === undefined ? [] : ['Set-Cookie', eraseCookie(visit, parts.cookie)]
    if (!isPageNavigation(visit.method, visit.raw)) return localAnswer(204, ['Vary', 'Cookie', ...cookieLines])
    return localAnswer(303, ['Location', parts.afterLogout, 'Vary', 'Cookie', ...cookieLines])
  }
}

function allowOnly(visit: Visit, methods: readonly string[]): void {
  if (!methods.includes(visit.method)) {
    const facts = { allow: methods }
    throw new GatewayError('ERR_METHOD_NOT_ALLOWED', `${visit.method} is not for this address`, { facts })
  }
}
