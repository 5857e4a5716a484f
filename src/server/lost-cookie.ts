import { bareDomain } from '../http/cookies.ts'
import { headerValues, type RawHeaders } from '../http/headers.ts'
import type { SessionCookieOptions } from '../sessions/cookie.ts'
import type { Place } from './visit.ts'

/** What a browser says of a page that stands inside of another one (Fetch Metadata, section 2.1). */
const framed: ReadonlySet<string> = new Set(['iframe', 'frame', 'embed', 'object'])

/**
 * Why a browser may not have brought the session cookie back, as far as the request shows it, the surest first. Sentences
 * for a visitor to pass on; what they tell of the cookie stands in its Set-Cookie line.
 */
export function explainLostCookie(
  cookie: SessionCookieOptions,
  { host, target, isSecure }: Pick<Place, 'host' | 'target' | 'isSecure'>,
  headers: RawHeaders,
): string[] {
  const reasons: string[] = []
  const domain = cookie.domain === undefined ? undefined : bareDomain(cookie.domain)
  if (!isSecure && (cookie.secure === true || cookie.sameSite === 'None')) {
    reasons.push(
      'The cookie is kept on https only, and this page came by http. Open the address with https. If it began with https, the proxy in front does not say so.',
    )
  }
  if (domain !== undefined && host.name !== domain && !host.name.endsWith(`.${domain}`)) {
    reasons.push(`The cookie is for ${domain}, and this page is on ${host.name}. Open it under that name.`)
  }
  if (!isPathOf(cookie.path, target.path)) {
    reasons.push(`The cookie is for addresses below ${cookie.path}, and this page is not one of them.`)
  }
  if (cookie.sameSite !== 'None' && framed.has(headerValues(headers, 'sec-fetch-dest')[0] ?? '')) {
    reasons.push('This page stands inside of a page of another site, where the cookie is not sent. Open it by itself.')
  }
  if (cookie.sameSite === 'Strict') {
    reasons.push('The cookie is not sent when another site leads here. Type the address into the browser.')
  }
  reasons.push('The browser keeps no cookies for this site: its settings or an extension block them.')
  return reasons
}

/** RFC 6265, section 5.1.4. */
function isPathOf(cookiePath: string, path: string): boolean {
  if (!path.startsWith(cookiePath)) return false
  return path.length === cookiePath.length || cookiePath.endsWith('/') || path[cookiePath.length] === '/'
}
