import { GatewayError } from '../errors.ts'
import { type Host, parseHost } from './host.ts'
import { parsePath } from './path-readings.ts'

/** What a request asks for, read once; rules, log and upstream line all come from here. */
export interface Target {
  /** Path and query exactly as received (an absolute form is cut down to them). This goes up, unchanged. */
  readonly received: string
  /** What rules see: encoded unreserved characters decoded, the hex digits of other escapes in upper case; no query. */
  readonly path: string
  /** `''`, or from the `?` on, as received. */
  readonly query: string
  /** The path can be read in two ways. Refused, unless the route says `ambiguous_paths: allow`. */
  readonly ambiguous: boolean
  /** The other readings that an app may give the path, without duplicates and without `path`; see `parsePath`. */
  readonly readings: readonly string[]
}

/** Longer ones are nobody's bookmark, and everything below costs time in proportion to it. */
const MAX_TARGET_BYTES = 8192

/** RFC 3986, section 3.3: pchar and `/`. Brackets are in its alphabet, but not in a path. */
const pathCharacters = /^\/[A-Za-z0-9\-._~!$&'()*+,;=:@/%]*$/

/** RFC 3986, section 3.4, and the brackets that browsers leave as they are (`a[]=1`). */
const queryCharacters = /^[A-Za-z0-9\-._~!$&'()*+,;=:@/?%[\]]*$/

const badEscape = /%(?![0-9A-Fa-f]{2})/

/** An encoded NUL, however often the percent sign is encoded again. To a C program the path ends there, in every reading of it. */
const encodedNul = /%(?:25)*00/

/**
 * Reads the target of a request (RFC 9112, section 3.2) under the rule that what two programs could read differently is
 * refused and never repaired: a repaired target is one that the rules judged and the app did not get.
 *
 * Refused whatever the route says: `\` (a slash to browsers and to Windows), `#` (cut off by some, kept by others),
 * bytes outside RFC 3986, broken escapes, an encoded NUL, `*`, the authority form, and an absolute form for somebody
 * else than `Host` names. An absolute form for the same host is cut down to path and query (section 3.2.2: a server
 * must take it). What is merely ambiguous is marked, because an operator may vouch for an app that needs it.
 * The query is checked for its alphabet only: no rule sees it.
 *
 * @param host of the same request, by `readHost`
 * @throws {GatewayError} `ERR_TARGET_INVALID`, or over 8 KiB `ERR_TARGET_TOO_LONG`
 */
export function readTarget(requestTarget: string, host: Host): Target {
  if (requestTarget.length > MAX_TARGET_BYTES) {
    throw new GatewayError('ERR_TARGET_TOO_LONG', `a target of ${requestTarget.length} bytes`)
  }
  const received = originForm(requestTarget, host)
  const end = received.indexOf('?')
  const receivedPath = end < 0 ? received : received.slice(0, end)
  const query = end < 0 ? '' : received.slice(end)
  if (!pathCharacters.test(receivedPath)) throw invalid('the path holds a character that may not stand there')
  if (!queryCharacters.test(query)) throw invalid('the query holds a character that may not stand there')
  if (badEscape.test(received)) throw invalid('a percent sign is not followed by two hex digits')

  const reading = parsePath(receivedPath)
  if (reading === undefined) throw invalid('the path can be read in more ways than can be checked')
  const { path, ambiguous, others } = reading
  if (encodedNul.test(path) || others.some((other) => encodedNul.test(other))) {
    throw invalid('the path holds an encoded NUL')
  }
  return { received, path, query, ambiguous, readings: others }
}

/**
 * The absolute form is compared by name and effective port, since `http://a/` and `http://a:80/` are one authority. One
 * with userinfo or another scheme never matches: no host that we read holds an `@`.
 */
function originForm(requestTarget: string, host: Host): string {
  if (requestTarget.startsWith('/')) return requestTarget
  const parts = /^(https?):\/\/([^/?#]*)(.*)$/is.exec(requestTarget)
  if (parts === null) throw invalid('neither an origin form nor an absolute one')
  const [, scheme = '', authority = '', rest = ''] = parts
  const named = parseHost(authority)
  const defaultPort = scheme.toLowerCase() === 'https' ? 443 : 80
  if (named?.name !== host.name || (named.port ?? defaultPort) !== (host.port ?? defaultPort)) {
    throw invalid('the authority of the absolute form is not that of the Host line')
  }
  return rest.startsWith('/') ? rest : `/${rest}`
}

function invalid(message: string): GatewayError {
  return new GatewayError('ERR_TARGET_INVALID', message)
}
