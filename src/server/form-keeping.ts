import { isFormPost, parseFormBody } from '../http/form-body.ts'
import { headerValues } from '../http/headers.ts'
import { isPageNavigation } from '../http/navigation.ts'
import { returnFor } from '../http/return-url.ts'
import { isFromOwnPage } from '../http/same-site.ts'
import { readTarget } from '../http/target.ts'
import type { Clock } from '../lib/clock.ts'
import { BodySource } from '../proxy/body-source.ts'
import { type Answer, localAnswer } from './answer.ts'
import { wayBack } from './form-return.ts'
import { KEPT_FORM_PATH, type KeptFormCookies, MAX_FORM_BYTES } from './kept-form-cookies.ts'
import type { Route } from './route.ts'
import type { Place, Visit } from './visit.ts'

export interface FormKeepingParts {
  readonly cookies: KeptFormCookies
  readonly clock: Clock
  /** A browser that has begun to send its form must have ended by then. Default 10,000. */
  readonly bodyDeadlineMs?: number
}

/** What a refused request is answered with; the same answer, unless it leads to the login and the request is a form worth keeping. */
export type KeepForm = (visit: Visit, answer: Answer) => Answer | Promise<Answer>

const BODY_DEADLINE_MS = 10_000

/** What is longer does not fit, compressed, but for the odd page of spaces; and it costs strangers nothing to send. */
const BEST_COMPRESSION = 8

/**
 * Keeps forms that were sent when the session had ended, in the browser that sent them, and leads it to the login as ever; from
 * there the way back is by `form-return.ts`.
 *
 * Only a form that a page of the own origin sent is kept: the forged form of another site must not come to life by a login.
 * What cannot be kept is lost as it always was.
 */
export function createFormKeeping({ cookies, clock, bodyDeadlineMs = BODY_DEADLINE_MS }: FormKeepingParts): KeepForm {
  return function keep(visit, answer) {
    const { route, place } = visit
    if (route?.keepPost === undefined || place === undefined) return answer
    const limits = route.keepPost
    const maxBytes = Math.min(MAX_FORM_BYTES, route.maxBodyBytes ?? MAX_FORM_BYTES, limits.maxBytes * BEST_COMPRESSION)
    if (visit.exchange.localReason !== 'login_redirect' || !isWorthKeeping(visit, place, maxBytes)) return answer
    return keepForm(visit, { route, place, answer, limits, maxBytes })
  }

  async function keepForm(visit: Visit, { route, place, answer, limits, maxBytes }: Keeping): Promise<Answer> {
    const body = await readBody(visit, { maxBytes, deadlineMs: bodyDeadlineMs })
    if (body === undefined || parseFormBody(body) === undefined) return answer
    const keptAt = clock()
    const { origin, target: sentTo } = place
    const form = { origin, target: sentTo.received, body, keptAt, until: keptAt + limits.lifetimeMs }
    const lines = await cookies.write(form, limits)
    if (lines === undefined) return answer
    const seeker = seekerOf(visit, place)
    const back = wayBack(returnFor(seeker), origin)
    const target = readTarget(`${KEPT_FORM_PATH}?back=${encodeURIComponent(back)}`, place.host)
    const location = route.login.locationFor({ ...seeker, method: 'GET', target })
    return localAnswer(answer.status, ['Location', location, ...lines])
  }
}

interface Keeping {
  readonly route: Route
  readonly place: Place
  readonly answer: Answer
  readonly limits: NonNullable<Route['keepPost']>
  /** Of the body as it comes. */
  readonly maxBytes: number
}

function seekerOf(visit: Visit, place: Place) {
  return { method: visit.method, target: place.target, headers: visit.raw, ownOrigin: place.origin }
}

/** From its own page, not too long as announced, and to an address that a `Location` may name. */
function isWorthKeeping(visit: Visit, place: Place, maxBytes: number): boolean {
  const { method, raw } = visit
  if (!isFormPost(method, raw) || !isPageNavigation(method, raw) || !isFromOwnPage(raw, place.origin)) return false
  if (Number(headerValues(raw, 'content-length')[0] ?? 0) > maxBytes) return false
  const { ambiguous, received } = place.target
  return !ambiguous && returnFor({ ...seekerOf(visit, place), method: 'GET' }) === received
}

interface BodyLimits {
  readonly maxBytes: number
  readonly deadlineMs: number
}

/** One character a byte; undefined if it is over the limit, too slow, or broken off. What is not read then is left unread. */
async function readBody(visit: Visit, { maxBytes, deadlineMs }: BodyLimits): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const { exchange } = visit
  const startedMs = performance.now()
  const pieces: string[] = []
  const source = new BodySource(visit.body, undefined, {
    onChunk(chunk) {
      exchange.requestBodyBytes += chunk.length
      visit.onChunk(chunk.length)
      if (exchange.requestBodyBytes > maxBytes) resolve(undefined)
      else pieces.push(chunk.toString('latin1'))
    },
    onEnd: () => resolve(pieces.join('')),
    onFailure: () => resolve(undefined),
  })
  const timer = setTimeout(() => resolve(undefined), deadlineMs)
  visit.door.wantBody()
  source.resume()
  const body = await promise
  clearTimeout(timer)
  source.letGo()
  exchange.clientWaitMs += performance.now() - startedMs
  return body
}
