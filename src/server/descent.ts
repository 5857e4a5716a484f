import type { SessionData } from '../django/json.ts'
import { GatewayError } from '../errors.ts'
import { withPrivateCache, withVary } from '../http/cache-headers.ts'
import { readSetCookie, setCookieName, withoutSetCookie } from '../http/cookies.ts'
import { headerValues, type RawHeaders } from '../http/headers.ts'
import { withoutHopByHop } from '../http/hop-by-hop.ts'
import type { Clock } from '../lib/clock.ts'
import type { WritebackResult } from '../observe/exchange.ts'
import type { UpstreamAnswer } from '../proxy/upstream.ts'
import type { SessionCookie } from '../sessions/cookie.ts'
import type { SaveResult } from '../sessions/session.ts'
import type { SessionStore } from '../sessions/session-store.ts'
import { type Commands, obeyedCommands } from '../writeback/commands.ts'
import { withoutCommands } from '../writeback/cut.ts'
import { checkSize } from '../writeback/limits.ts'
import { type Answer, letGo } from './answer.ts'
import type { Route } from './route.ts'
import type { Visit } from './visit.ts'

export interface DescentParts {
  readonly sessions: SessionStore
  readonly cookie: SessionCookie
  readonly clock: Clock
  readonly saveEveryRequest: boolean
  /** `session.max_bytes`: of the JSON, before compression. */
  readonly maxSessionBytes: number
}

/** What an app did to the session cookie by itself, on a `pass` upstream; undefined where it did nothing. */
type AppCookie = { readonly key: string; readonly isDeletion: boolean } | undefined

/** What an answer asks of the session, and in which way. */
interface Applied {
  readonly visit: Visit
  readonly route: Route
  readonly commands: Commands | undefined
  readonly appCookie: AppCookie
  readonly status: number
}

/**
 * Step 7: what an app's answer becomes for the browser. Commands are taken out and applied before the head leaves, so
 * that a browser that has its answer can rely on the session being stored.
 */
export class Descent {
  readonly #parts: DescentParts

  constructor(parts: DescentParts) {
    this.#parts = parts
  }

  /** Most answers ask nothing of the session, and then there is nothing to wait for: no promise, but the answer itself. */
  descend(visit: Visit, route: Route, answer: UpstreamAnswer): Answer | Promise<Answer> {
    try {
      const { kept, commands } = this.#takeCommands(visit, route, answer)
      const { headers, appCookie } = this.#ownCookies(visit, route, rewritten(visit, kept, answer.server))
      const step = { visit, route, commands, appCookie, status: answer.status }
      if (!this.#asksNothing(step)) return this.#descendSaved(answer, headers, step)
      return answerOf(answer, this.#closeHeaders({ visit, route, headers, appCookie, saved: undefined }))
    } catch (error) {
      // Nothing of this answer goes out: its connection would wait for a reader that never comes.
      letGo(answer)
      throw error
    }
  }

  async #descendSaved(answer: UpstreamAnswer, headers: string[], step: Applied): Promise<Answer> {
    const { visit } = step
    const writing = visit.trace?.step('write-back')
    try {
      const saved = await this.#applyCommands(step)
      writing?.end({ 'sessiongate.writeback.result': visit.exchange.writeback })
      return answerOf(answer, this.#closeHeaders({ ...step, headers, saved }))
    } catch (error) {
      writing?.fail(error)
      letGo(answer)
      throw error
    }
  }

  #takeCommands(
    visit: Visit,
    route: Route,
    answer: UpstreamAnswer,
  ): { kept: RawHeaders; commands: Commands | undefined } {
    const { headers: kept, cut } = withoutCommands(answer.headers)
    const commands = route.usesSession ? obeyedCommands(answer.status, answer.headers) : undefined
    if (cut > 0 && commands === undefined) visit.exchange.writeback = 'cut'
    if (commands !== undefined) route.permission.check(commands)
    return { kept, commands }
  }

  /** One owner per name: lines that bear the session cookie's name are the gateway's alone, unless the app shares it. */
  #ownCookies(visit: Visit, route: Route, headers: string[]): { headers: string[]; appCookie: AppCookie } {
    const { name } = this.#parts.cookie
    if (route.sessionCookie === 'strip') {
      const stripped = withoutSetCookie(headers, name)
      visit.exchange.cookiesCut += stripped.cut
      return { headers: stripped.headers, appCookie: undefined }
    }
    // Of several the last counts, as it does in a browser.
    const [line] = headerValues(headers, 'set-cookie')
      .filter((value) => setCookieName(value) === name)
      .slice(-1)
    const read = line === undefined ? undefined : readSetCookie(line, this.#parts.clock())
    return { headers, appCookie: read && { key: read.value, isDeletion: read.isDeletion } }
  }

  #asksNothing({ route, commands, appCookie }: Applied): boolean {
    if (!route.usesSession) return true
    return commands === undefined && appCookie === undefined && !this.#parts.saveEveryRequest
  }

  async #applyCommands(step: Applied): Promise<SaveResult | undefined> {
    const { visit, route, commands, appCookie } = step
    if (appCookie?.isDeletion) {
      // The app ended the session itself; what it still wanted of it has nothing to be applied to.
      if (commands !== undefined) visit.exchange.writeback = 'cut'
      return undefined
    }
    if (commands === undefined) return await this.#touch(visit, step)
    const session = appCookie === undefined ? visit.session : this.#parts.sessions.openExisting(appCookie.key)
    if (session === undefined)
      throw new GatewayError('ERR_SESSION_WRITE', 'the store could not be read for this request')
    const check = (after: SessionData): void => this.#check(route, after, commands)
    const saved = await asWrite(async () => {
      await session.apply(commands)
      return await session.save({ beganAnonymous: visit.beganAnonymous, check })
    })
    visit.exchange.writeback = writebackResult(saved)
    return saved.kind === 'unchanged' ? ((await this.#touch(visit, step)) ?? saved) : saved
  }

  #check(route: Route, after: SessionData, commands: Commands): void {
    const fitsAssertion = (data: SessionData): boolean => route.issuer?.fits(data) ?? true
    checkSize(after, commands, { maxBytes: this.#parts.maxSessionBytes, fitsAssertion })
  }

  async #touch(visit: Visit, step: { status: number; appCookie: AppCookie }): Promise<SaveResult | undefined> {
    const isDue = this.#parts.saveEveryRequest && step.status < 500 && step.appCookie === undefined
    const key = visit.session?.foundKey
    if (!isDue || key === undefined) return undefined
    return await asWrite(() => this.#parts.sessions.touch(key))
  }

  #closeHeaders(step: {
    visit: Visit
    route: Route
    headers: string[]
    appCookie: AppCookie
    saved: SaveResult | undefined
  }): string[] {
    const { visit, route, appCookie, saved } = step
    const lines = withStaticLines(step.headers, route.responseLines)
    if (!route.usesSession) return lines
    const cookieLine = this.#cookieFor(visit, appCookie, saved)
    const replaced =
      cookieLine !== undefined && appCookie !== undefined
        ? withoutSetCookie(lines, this.#parts.cookie.name).headers
        : lines
    if (cookieLine !== undefined) replaced.push('Set-Cookie', cookieLine)
    const touches = cookieLine !== undefined || appCookie !== undefined || visit.session?.resolution === 'hit'
    const varied = withVary(replaced, 'Cookie')
    return touches ? withPrivateCache(varied) : varied
  }

  #cookieFor(visit: Visit, appCookie: AppCookie, saved: SaveResult | undefined): string | undefined {
    const isSecure = visit.place?.isSecure ?? false
    if (saved?.kind === 'stored') {
      if (saved.key === appCookie?.key) return undefined
      visit.exchange.cookieSet = saved.reason
      return this.#parts.cookie.issue(saved.key, saved.data, { now: this.#parts.clock(), isSecure })
    }
    const isDead = saved?.kind === 'deleted' || (appCookie === undefined && bringsDeadCookie(visit))
    return isDead && saved?.kind !== 'gone' ? eraseCookie(visit, this.#parts.cookie) : undefined
  }
}

function answerOf({ status, reason, body }: UpstreamAnswer, headers: RawHeaders): Answer {
  return { status, reason, headers, body, isOwn: false }
}

/** The lines that may go on, with the app's addresses as the browser knows them. */
function rewritten({ route, place }: Visit, received: RawHeaders, server: string): string[] {
  const lines = withoutHopByHop(received)
  if (route?.rewriteAnswer === undefined || place === undefined) return lines
  return route.rewriteAnswer(lines, { ownOrigin: place.origin, server })
}

/**
 * True if the request brought a cookie that leads to no session. Not when its key was cycled a moment ago: the browser
 * has, or is about to have, the successor, and an erasing line would take that away.
 */
export function bringsDeadCookie(visit: Visit): boolean {
  const { session, cookie } = visit
  if (session === undefined || cookie?.value === undefined) return false
  return session.resolution !== 'hit' && !session.isSuperseded
}

/** The Set-Cookie line that takes the cookie away, noted in the visit. */
export function eraseCookie(visit: Visit, cookie: SessionCookie): string {
  visit.exchange.cookieSet = 'deleted'
  return cookie.erase({ isSecure: visit.place?.isSecure ?? false })
}

function writebackResult(saved: SaveResult): WritebackResult {
  if (saved.kind === 'unchanged') return 'noop'
  return saved.kind === 'gone' ? 'gone' : 'applied'
}

/** The same failure, told as one of a write: what became of it is not known, and nothing is sent again. */
async function asWrite(save: () => Promise<SaveResult>): Promise<SaveResult> {
  try {
    return await save()
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'ERR_STORE_UNAVAILABLE') throw error
    throw new GatewayError('ERR_SESSION_WRITE', error.message, {
      cause: error,
      facts: { outcome: 'unknown', ...error.facts },
    })
  }
}

/** The operator's fixed lines replace the app's of the same name. */
function withStaticLines(headers: string[], lines: RawHeaders): string[] {
  if (lines.length === 0) return headers
  const names = new Set(lines.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase()))
  return [...headers.filter((_, i) => !names.has((headers[i - (i % 2)] ?? '').toLowerCase())), ...lines]
}
