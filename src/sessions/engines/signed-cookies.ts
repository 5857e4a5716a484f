import type { SessionData } from '../../django/json.ts'
import type { SignedCookieCodec } from '../../django/session-data.ts'
import { GatewayError } from '../../errors.ts'
import type { Clock } from '../../lib/clock.ts'
import {
  type KeyVerdict,
  type LoadResult,
  NotAdoptableError,
  type SessionEngine,
  type Transition,
  type TransitionResult,
} from '../engine.ts'

/** Name and value together: what browsers keep of one cookie (RFC 6265, section 6.1); a longer one they drop silently. */
export const MAX_COOKIE_BYTES = 4096

export interface SignedCookieSessionsOptions {
  readonly codec: SignedCookieCodec
  /** The session cookie's name; it counts for the size. */
  readonly cookieName: string
  /** SESSION_COOKIE_AGE, in seconds: how long a cookie is good after its signing. The same as in the codec. */
  readonly cookieAgeSeconds: number
  readonly clock: Clock
}

/**
 * Django's `signed_cookies` engine: the key *is* the session. Nothing is kept on a server, so the promises of the others
 * cannot hold: of parallel answers the last wins, `delete` ends nothing (whoever kept the cookie's text keeps the
 * session until its age is over), and a cycled session is just signed anew. What cannot be stored is refused:
 * `ERR_WRITEBACK_REFUSED` over {@link MAX_COOKIE_BYTES}.
 */
export function createSignedCookieSessions(options: SignedCookieSessionsOptions): SessionEngine {
  const { codec, cookieName, cookieAgeSeconds, clock } = options

  function read(cookie: string): LoadResult {
    if (admitCookie(cookie) !== 'ask') return { found: false, reason: 'not_found' }
    const decoded = codec.decode(cookie, clock())
    if (!decoded.ok) return { found: false, reason: decoded.reason }
    return { found: true, data: decoded.data, expiresAt: decoded.signedAt + cookieAgeSeconds * 1000 }
  }

  function write(data: SessionData): string {
    const cookie = codec.encode(data, clock())
    const size = cookieName.length + 1 + cookie.length
    if (size <= MAX_COOKIE_BYTES) return cookie
    throw new GatewayError('ERR_WRITEBACK_REFUSED', `the session cookie would have ${size} bytes`, {
      facts: { reason: 'cookie_too_large', bytes: size, max_bytes: MAX_COOKIE_BYTES },
    })
  }

  function step(cookie: string, decide: (now: SessionData) => Transition): TransitionResult {
    const current = read(cookie)
    if (!current.found) return { kind: 'gone', reason: current.reason }
    const next = decide(current.data)
    switch (next.kind) {
      case 'keep':
        return { kind: 'kept', data: current.data }
      case 'update':
      case 'cycle':
        return { kind: 'stored', key: write(next.data), data: next.data }
      case 'delete':
        return { kind: 'deleted' }
    }
  }

  return {
    name: 'signed_cookies',
    isServerSide: false,
    lists: false,
    admits: admitCookie,
    load: async (key) => read(key),
    create: async (data) => write(data),
    adopt: async () => {
      throw new NotAdoptableError('signed_cookies keeps nothing under a key')
    },
    transition: async (key, decide) => step(key, decide),
    delete: async (key) => read(key).found,
    async *entries() {},
    clearExpired: async () => 0,
    countExpired: () => undefined,
    ping: async () => {},
    async [Symbol.asyncDispose]() {},
  }
}

/** Not Django's minimum of eight characters: a signed text is longer anyway, and an unreadable one is no session. */
function admitCookie(cookieValue: string): KeyVerdict {
  if (cookieValue === '') return 'none'
  return cookieValue.length <= MAX_COOKIE_BYTES ? 'ask' : 'unknown'
}
