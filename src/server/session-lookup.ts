import type { SessionData } from '../django/json.ts'
import { GatewayError } from '../errors.ts'
import { readCookie } from '../http/cookies.ts'
import { headerValues, type RawHeaders } from '../http/headers.ts'
import { memoize } from '../lib/memo.ts'
import type { SessionResult } from '../observe/exchange.ts'
import { type IdentityRules, isLoggedIn } from '../sessions/merge.ts'
import type { Session } from '../sessions/session.ts'
import type { SessionStore } from '../sessions/session-store.ts'
import type { Route } from './route.ts'
import type { BroughtCookie, Visit } from './visit.ts'

/** What the look-up needs of the house. */
export interface SessionLookupParts extends CookieRules {
  readonly sessions: SessionStore
  readonly identity: IdentityRules
  readonly publicId: (key: string) => string
  readonly engineName: string
}

/** What several cookies of the session's name mean. */
export interface CookieRules {
  readonly cookieName: string
  readonly duplicateCookies: 'last' | 'refuse'
}

const nobody: SessionData = new Map()

/** The session cookie of a request. With `refuse`, several are none: one of them was planted, and nobody knows which. */
export function readSessionCookie(raw: RawHeaders, rules: CookieRules): BroughtCookie {
  const { value, count } = readCookie(raw, rules.cookieName)
  const isAmbiguous = count > 1 && rules.duplicateCookies === 'refuse'
  return { value: isAmbiguous ? undefined : value, count, isAmbiguous }
}

/** A browser sends the same line with every request; a longer one is read anew, so that what is kept stays small. */
const COOKIE_LINES_REMEMBERED = 1000
const LONGEST_COOKIE_LINE = 1024

/** As `readSessionCookie`; remembers what single lines said. */
function createCookieReader(rules: CookieRules): (raw: RawHeaders) => BroughtCookie {
  const readLine = memoize((line: string) => readSessionCookie(['Cookie', line], rules), COOKIE_LINES_REMEMBERED)
  return function read(raw) {
    const [line, ...others] = headerValues(raw, 'cookie')
    if (line === undefined) return noCookie
    return others.length > 0 || line.length > LONGEST_COOKIE_LINE ? readSessionCookie(raw, rules) : readLine(line)
  }
}

const noCookie: BroughtCookie = { value: undefined, count: 0, isAmbiguous: false }

/** Step 3: the session of a request. Without a cookie the store is not asked. */
export interface SessionLookup {
  /** What can be had without waiting: nobody's data, or a session that is in memory. Undefined: the store has to be asked. */
  now(visit: Visit, route: Route): SessionData | undefined
  /**
   * Asks the store. One that fails ends the request, unless the operator said on this route that it may go on as nobody.
   *
   * @throws {GatewayError} `ERR_STORE_UNAVAILABLE`; the cookie is kept, and nobody is sent to a login for it.
   */
  ask(visit: Visit, route: Route): Promise<SessionData>
}

export function createSessionLookup(parts: SessionLookupParts): SessionLookup {
  const readCookies = createCookieReader(parts)
  return {
    now(visit, route) {
      if (!route.usesSession) return nobody
      const cookie = readCookies(visit.raw)
      visit.cookie = cookie
      const session = parts.sessions.open(cookie.value)
      const startedMs = performance.now()
      if (!session.loadNow()) return undefined
      visit.session = session
      return note(visit, session, performance.now() - startedMs)
    },

    async ask(visit, route) {
      const session = parts.sessions.open(visit.cookie?.value)
      const startedMs = performance.now()
      const loading = visit.trace?.step('session')
      try {
        await session.data()
        loading?.end({
          'sessiongate.session.engine': parts.engineName,
          'sessiongate.session.state': session.resolution,
        })
      } catch (error) {
        loading?.fail(error)
        if (!(error instanceof GatewayError) || error.code !== 'ERR_STORE_UNAVAILABLE') throw error
        visit.exchange.session = { result: 'store_error', engine: parts.engineName }
        if (route.onStoreError === 'unavailable') throw error
        return nobody
      }
      visit.session = session
      return note(visit, session, performance.now() - startedMs)
    },
  }

  function note(visit: Visit, session: Session, resolveMs: number): SessionData {
    const data = session.loaded
    const { cookie } = visit
    const result: SessionResult = cookie?.isAmbiguous === true ? 'ambiguous_cookie' : session.resolution
    const key = session.foundKey
    visit.exchange.session = {
      result,
      idHash: key === undefined ? undefined : parts.publicId(key),
      engine: cookie?.value === undefined ? undefined : parts.engineName,
      resolveMs: cookie?.value === undefined ? undefined : resolveMs,
      storedBytes: key === undefined ? undefined : sizeOf(data),
      duplicateCookie: (cookie?.count ?? 0) > 1,
    }
    visit.beganAnonymous = !isLoggedIn(data, parts.identity)
    return data
  }
}

/** The length of the JSON, but for escapes in names: near enough for a histogram, and nothing is written for it. */
function sizeOf(data: SessionData): number {
  let length = 1
  for (const [name, text] of data) length += name.length + text.length + 4
  return length
}
