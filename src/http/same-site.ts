import { headerValues, type RawHeaders } from './headers.ts'

/** RFC 9110, section 9.2.1, as far as browsers let a foreign page send them; they change nothing. */
const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/**
 * True if a request that may change something comes from the page of another site, by what the browser says of it and a
 * page cannot forge: `Sec-Fetch-Site`, else `Origin`. A request with neither is from no browser of today, so the cookie in
 * it was put there by whoever sent it. A value of `Sec-Fetch-Site` that nobody has defined counts as cross-site.
 *
 * `same-site` passes: a sibling host shares the site's cookies, so telling them apart is not this rule's promise.
 *
 * @param ownOrigin as `ForwardedFacts.origin`
 */
export function isCrossSite(method: string, raw: RawHeaders, ownOrigin: string): boolean {
  if (safeMethods.has(method)) return false
  const sites = headerValues(raw, 'sec-fetch-site')
  if (sites.length > 0) return sites.some((site) => site !== 'same-origin' && site !== 'same-site' && site !== 'none')
  const own = parseOrigin(ownOrigin)
  return headerValues(raw, 'origin').some((text) => {
    const origin = parseOrigin(text)
    return origin === undefined || origin !== own
  })
}

/**
 * True if a page of the own origin caused the request, by what the browser says of it and a page cannot forge:
 * `Sec-Fetch-Site`, else `Origin`. Where a browser says neither, nobody knows, and that is a no.
 *
 * @param ownOrigin as `ForwardedFacts.origin`
 */
export function isFromOwnPage(raw: RawHeaders, ownOrigin: string): boolean {
  const sites = headerValues(raw, 'sec-fetch-site')
  if (sites.length > 0) return sites.every((site) => site === 'same-origin')
  const [origin, ...others] = headerValues(raw, 'origin').map(parseOrigin)
  return origin !== undefined && others.length === 0 && origin === parseOrigin(ownOrigin)
}

/**
 * True if the `Origin` of a WebSocket handshake is ours or one that the operator allows. No CORS stands between a page
 * and a foreign WebSocket, and the browser sends its cookies along; this comparison is all there is. `null`, several
 * values and what is no origin are refused.
 *
 * @param origins the values of the request's Origin lines; none at all means that no page is behind it
 */
export function isSameOrigin(
  origins: readonly string[],
  { own, allowed }: { readonly own: string; readonly allowed: readonly string[] },
): boolean {
  if (origins.length === 0) return true
  const origin = origins.length === 1 ? parseOrigin(origins[0] ?? '') : undefined
  if (origin === undefined) return false
  return origin === parseOrigin(own) || allowed.some((entry) => parseOrigin(entry) === origin)
}

/**
 * An origin as browsers write it: scheme, host, and the port unless it is the default. `null` is none: sandboxed frames
 * and redirects of strangers have it in common. Schemes that the URL standard does not know (`capacitor://localhost`, which
 * apps on phones send) stand as they are, in lower case.
 */
export function parseOrigin(text: string): string | undefined {
  if (!/^[A-Za-z][A-Za-z0-9+.-]*:\/\/[A-Za-z0-9._:[\]-]+$/.test(text) || !URL.canParse(text)) return undefined
  const { origin } = new URL(text)
  return origin === 'null' ? text.toLowerCase() : origin
}
