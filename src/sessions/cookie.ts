import { type ExpiryRules, expiresAtBrowserClose, expiryAgeSeconds } from '../django/expiry.ts'
import type { SessionData } from '../django/json.ts'
import type { EpochMs } from '../lib/clock.ts'

export interface SessionCookieOptions {
  /** Default `sessionid`. */
  readonly name: string
  /** Default `/`. */
  readonly path: string
  readonly domain: string | undefined
  /** `auto`: Secure when the browser's side is https. */
  readonly secure: 'auto' | boolean
  readonly httpOnly: boolean
  /** `false` leaves the attribute out. */
  readonly sameSite: 'Lax' | 'Strict' | 'None' | false
}

/** Writes the two forms of the session cookie's Set-Cookie line. */
export interface SessionCookie {
  readonly name: string
  readonly options: SessionCookieOptions
  /** The line that gives the browser this key. `isSecure`: the browser's side is https. */
  issue(key: string, data: SessionData, context: { readonly now: EpochMs; readonly isSecure: boolean }): string
  /** The line that takes the cookie away. */
  erase(context: { readonly isSecure: boolean }): string
}

/**
 * The session cookie as Django's middleware and Python's `http.cookies` write it: attributes in their alphabetical
 * order, `expires` and `Max-Age` both, neither when the session ends with the browser. Stricter than Django in one
 * point: the deleting line carries the same Secure and HttpOnly, or a browser keeps the cookie that it should drop.
 */
export function createSessionCookie(options: SessionCookieOptions, expiry: ExpiryRules): SessionCookie {
  const attributes = (isSecure: boolean, life: readonly string[]): string => {
    const secure = options.secure === 'auto' ? isSecure : options.secure
    return [
      ...(options.domain === undefined ? [] : [`Domain=${options.domain}`]),
      ...life.slice(0, 1),
      ...(options.httpOnly ? ['HttpOnly'] : []),
      ...life.slice(1),
      `Path=${options.path}`,
      ...(options.sameSite === false ? [] : [`SameSite=${options.sameSite}`]),
      ...(secure ? ['Secure'] : []),
    ].join('; ')
  }
  return {
    name: options.name,
    options,
    issue(key, data, { now, isSecure }) {
      if (expiresAtBrowserClose(data, expiry)) return `${options.name}=${key}; ${attributes(isSecure, [])}`
      const age = expiryAgeSeconds(data, expiry, now)
      const life = [`expires=${httpDate(now + age * 1000)}`, `Max-Age=${Math.trunc(age)}`]
      return `${options.name}=${key}; ${attributes(isSecure, life)}`
    },
    erase({ isSecure }) {
      return `${options.name}=""; ${attributes(isSecure, ['expires=Thu, 01 Jan 1970 00:00:00 GMT', 'Max-Age=0'])}`
    },
  }
}

/** The last second that an HTTP date can hold. */
const LAST_HTTP_DATE_MS = Date.UTC(9999, 11, 31, 23, 59, 59)

/** RFC 9110, section 5.6.7; times that the form cannot hold become the nearest that it can, where Django would fail. */
function httpDate(at: EpochMs): string {
  return new Date(Math.min(Math.max(at, 0), LAST_HTTP_DATE_MS)).toUTCString()
}
