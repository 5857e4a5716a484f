import { headerValues, type RawHeaders } from '../http/headers.ts'
import type { Host } from '../http/host.ts'
import { parsePath } from '../http/path-readings.ts'
import { isSafeReturn, refererPath, returnFor } from '../http/return-url.ts'
import type { Target } from '../http/target.ts'
import { compileNextGuard } from './next-guard.ts'

/** A return address longer than this is left out, in bytes before encoding. */
const MAX_NEXT_BYTES = 2048

/** Where the login is, and which return addresses it may be given. */
export interface LoginRules {
  /** A path of the own host, or an address of another one. */
  readonly url: string
  /** The query parameter that carries the return address. */
  readonly nextParam: string
  /** Hosts, with a port where it is not https's own, to which a login may lead back by an absolute https address. */
  readonly allowedHosts: readonly string[]
  /** Whether unsafe return addresses are replaced on their way to the login page. */
  readonly guard: boolean
}

/** A request that is sent to the login. */
export interface LoginSeeker {
  readonly method: string
  readonly target: Target
  readonly headers: RawHeaders
  /** Scheme, host and port that the browser used. */
  readonly ownOrigin: string
}

export interface Login {
  /**
   * The `Location` of the redirect to the login: `url` from the configuration, never built from the request, with the
   * return address in `nextParam`, percent-encoded whole. It is left out if it is over 2,048 bytes, and absolute only
   * if the login is on another host and the own host is one of `allowedHosts`. `attempts` is what `attemptsBefore` says.
   */
  locationFor(seeker: LoginSeeker, attempts?: number): string
  /**
   * How often this browser has come straight from the login page and was sent back to it, as far as its Referer tells; 0
   * for who comes from anywhere else. Nothing is kept of a visitor: from the second time on the count is a parameter of the
   * login page's address. It stands still where that page is on another host, sends no Referer, or redirects at once.
   */
  attemptsBefore(seeker: LoginSeeker, host: Host): number
  /** True for a request to the login's address, in any spelling that an app may take for it. */
  isLoginRequest(target: Target, host: Host): boolean
  /** What goes up for a request: the target as received, and to the login's address with unsafe return addresses as `/`. */
  guardedTarget(target: Target, host: Host): string
}

/**
 * Compiles the login of a route.
 *
 * @throws {TypeError} if `url` is neither a path nor an http address; the configuration is checked for it before.
 */
export function createLogin({ url, nextParam, allowedHosts, guard }: LoginRules): Login {
  const { host: loginHost, hostname, pathname } = readLoginUrl(url)
  const loginPaths = new Set(spellings(parsePath(pathname) ?? { path: pathname, others: [] }))
  const withNext = compileLocation(url, nextParam)
  const allowed = new Set(allowedHosts.map((host) => host.toLowerCase().replace(/:443$/, '')))
  const guardQuery = compileNextGuard({
    nextParam,
    // The own origin may be any: a path stays on every host, and an absolute address must be in the list anyway.
    isSafe: (value) => isSafeReturn(value, { ownOrigin: 'https://own.invalid', allowedHosts }),
  })

  function isLoginPath(reading: PathReadings, host: Host): boolean {
    if (hostname !== undefined && hostname !== host.name) return false
    return spellings(reading).some((path) => loginPaths.has(path))
  }

  function isLoginRequest(target: Target, host: Host): boolean {
    return isLoginPath({ path: target.path, others: target.readings }, host)
  }

  return {
    isLoginRequest,

    attemptsBefore({ headers, ownOrigin }, host) {
      const site = headerValues(headers, 'sec-fetch-site')[0] ?? 'same-origin'
      const [path = '', query = ''] =
        site === 'same-origin' ? (refererPath(headers, ownOrigin)?.split('?', 2) ?? []) : []
      const reading = path === '' ? undefined : parsePath(path)
      if (reading === undefined || !isLoginPath(reading, host)) return 0
      return parseAttempts(new URLSearchParams(query).get(ATTEMPT_PARAM) ?? '') ?? 1
    },

    locationFor(seeker, attempts = 0) {
      const place = returnFor({ ...seeker, maxBytes: MAX_NEXT_BYTES })
      if (place === undefined) return url
      const ownHost = new URL(seeker.ownOrigin).host
      const isElsewhere = loginHost !== undefined && loginHost !== ownHost
      const next = isElsewhere && allowed.has(ownHost) ? seeker.ownOrigin + place : place
      return Buffer.byteLength(next) > MAX_NEXT_BYTES ? url : withNext(next, attempts)
    },

    guardedTarget(target, host) {
      if (!guard || target.query === '' || !isLoginRequest(target, host)) return target.received
      return target.received.slice(0, -target.query.length) + guardQuery(target.query)
    },
  }
}

/**
 * The guard of all logins of a file. A request to one route's login page is itself a request of some other route, which
 * may have another login or none of its own; so whose address it is must be asked of all of them.
 */
export function compileLoginGuard(logins: readonly Login[]): (target: Target, host: Host) => string {
  return (target, host) => {
    // A return address stands in a query, and most requests have none.
    if (target.query === '') return target.received
    let guarded = target
    // All of them in turn, not the first that knows the page: two logins may share it and differ in the parameter.
    for (const login of logins) {
      const received = login.guardedTarget(guarded, host)
      if (received !== guarded.received)
        guarded = { ...guarded, received, query: received.slice(received.indexOf('?')) }
    }
    return guarded.received
  }
}

/** Host and hostname are those of an absolute address; a path has none, and holds on every host. */
function readLoginUrl(url: string): { host?: string; hostname?: string; pathname: string } {
  if (/^\/(?![/\\])/.test(url)) return { pathname: new URL(url, 'https://own.invalid').pathname }
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) throw new TypeError('login.url is a path or an http address')
  const { host, hostname, pathname } = new URL(url)
  return { host, hostname, pathname }
}

/** What the address may have already, a query and a fragment, stays where it is. */
function compileLocation(url: string, nextParam: string): (next: string, attempts: number) => string {
  const [base = '', ...fragments] = url.split('#')
  const fragment = fragments.length === 0 ? '' : `#${fragments.join('#')}`
  const separator = !base.includes('?') ? '?' : /[?&]$/.test(base) ? '' : '&'
  const before = `${base}${separator}${encodeURIComponent(nextParam)}=`
  return (next, attempts) => {
    const count = attempts === 0 ? '' : `&${ATTEMPT_PARAM}=${attempts + 1}`
    return before + encodeURIComponent(next) + count + fragment
  }
}

/** How often somebody was sent to the login page: in its address, from the second time on. */
const ATTEMPT_PARAM = 'sessiongate_attempt'

function parseAttempts(text: string): number | undefined {
  return /^[1-9]$/.test(text) ? Number(text) : undefined
}

interface PathReadings {
  readonly path: string
  readonly others: readonly string[]
}

/** Every reading of a path, in lower case and without a final slash: a guard too many costs nothing. */
function spellings({ path, others }: PathReadings): string[] {
  return [path, ...others].map((reading) => reading.toLowerCase().replace(/\/$/, ''))
}
