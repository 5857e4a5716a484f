import { headerValues, type RawHeaders } from './headers.ts'
import { parseOrigin } from './same-site.ts'
import type { Target } from './target.ts'

export interface ReturnRules {
  /** As `ForwardedFacts.origin`. */
  readonly ownOrigin: string
  /** `login.allowed_hosts`: host, or host and port, compared exactly and without letter case. */
  readonly allowedHosts: readonly string[]
}

/** Controls of ASCII and of Latin-1, and what Unicode takes for a line break. */
const control = /[\p{Cc}\u2028\u2029]/u

/**
 * True if a browser that is sent to `next` stays with us. A login app may decode the value once or twice before it
 * redirects, and browsers take tabs out, turn `\` into `/` and read two slashes as a new host; so all three readings must
 * be a path, begin with one slash, lead to the own origin by the URL standard, and hold no `\`, no control and, in the
 * path, no `//`. In the query two slashes lead nowhere: `/search?q=http://x` is a page like any other.
 *
 * Or it is an https address of a host in `allowedHosts`, written plainly: no userinfo, no percent sign in the host.
 */
export function isSafeReturn(next: string, { ownOrigin, allowedHosts }: ReturnRules): boolean {
  const once = leniently(next)
  const readings = [next, once, leniently(once)]
  if (readings.some((reading) => reading.includes('\\') || control.test(reading))) return false
  if (next.startsWith('/')) return readings.every((reading) => isOwnPath(reading, ownOrigin))
  return isAllowedAddress(next, allowedHosts)
}

export interface ReturnRequest {
  readonly method: string
  readonly target: Target
  readonly headers: RawHeaders
  /** As `ForwardedFacts.origin`. */
  readonly ownOrigin: string
  /** Default 2048. */
  readonly maxBytes?: number
}

/**
 * Where somebody who logs in now should come back to, not yet percent-encoded: the path and query of the request as
 * received; for methods other than GET and HEAD, which cannot be repeated by a link, those of a Referer of the own origin,
 * else `/`. A path that another reader would take for a foreign address gives `/` too. Undefined if it is over `maxBytes`:
 * a value cut off in the middle would be checked as one thing and used as another.
 */
export function returnFor(request: ReturnRequest): string | undefined {
  const { method, target, headers, ownOrigin, maxBytes = 2048 } = request
  const isRepeatable = method === 'GET' || method === 'HEAD'
  const place = isRepeatable ? target.received : refererPath(headers, ownOrigin)
  if (place === undefined) return '/'
  if (Buffer.byteLength(place) > maxBytes) return undefined
  const [path = ''] = place.split('?', 1)
  return isSafeReturn(path, { ownOrigin, allowedHosts: [] }) ? place : '/'
}

/** Path and query of a Referer of the own origin; undefined for none, several, or another origin's. */
export function refererPath(headers: RawHeaders, ownOrigin: string): string | undefined {
  const [referer, ...others] = headerValues(headers, 'referer')
  if (referer === undefined || others.length > 0 || !URL.canParse(referer)) return undefined
  const url = new URL(referer)
  return url.origin === parseOrigin(ownOrigin) ? url.pathname + url.search : undefined
}

function isOwnPath(text: string, ownOrigin: string): boolean {
  const path = /^[^?#]*/.exec(text)?.[0] ?? ''
  if (!path.startsWith('/') || path.includes('//')) return false
  return URL.canParse(text, ownOrigin) && new URL(text, ownOrigin).origin === parseOrigin(ownOrigin)
}

function isAllowedAddress(text: string, allowedHosts: readonly string[]): boolean {
  const host = /^https:\/\/([A-Za-z0-9.:[\]-]+)(?:[/?#]|$)/i.exec(text)?.[1]?.toLowerCase()
  if (host === undefined || !URL.canParse(text)) return false
  const seen = new URL(text).host
  return (
    allowedHosts.some((allowed) => allowed.toLowerCase().replace(/:443$/, '') === seen) &&
    (host === seen || host === `${seen}:443`)
  )
}

/** Decodes what is a well-formed escape and leaves the rest, as apps do. Bytes that are no UTF-8 become U+FFFD. */
function leniently(text: string): string {
  return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'))
}
