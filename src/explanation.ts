import { Readable } from 'node:stream'
import type { Config } from './config/config.ts'
import { Secret } from './config/secret.ts'
import { GatewayError } from './errors.ts'
import { headerValues } from './http/headers.ts'
import { readHost } from './http/host.ts'
import { readTarget } from './http/target.ts'
import { systemClock } from './lib/clock.ts'
import { createExchange } from './observe/exchange.ts'
import { explainRoute } from './rules/explanation.ts'
import type { Route } from './server/route.ts'
import { Visit } from './server/visit.ts'
import { openSessionParts, readGeneratedSigningKey, type SessionParts } from './session-parts.ts'
import { findByPublicId } from './sessions/public-id.ts'
import { nameUpstreams } from './upstream-parts.ts'
import { wire } from './wiring.ts'

export interface Question {
  readonly method: string
  /** A path, or an absolute URL for a certain host. */
  readonly url: string
  /** A session's public id; undefined = a visitor without one. */
  readonly sessionId: string | undefined
}

export interface RuleVerdict {
  readonly id: string
  readonly hit: boolean
  readonly missedBy?: string
}

export interface Explanation {
  readonly target: string
  readonly route: string | undefined
  /** Path and query for the app, where the route changes them. */
  readonly goesUpAs?: string
  /** In file order, up to the first hit. */
  readonly rules: readonly RuleVerdict[]
  /** `forwarded`, `login`, `forbidden`, `answered` (by the gateway itself), or the code of a refusal. */
  readonly outcome: string
  readonly status: number | undefined
  readonly location: string | undefined
  readonly reason: string | undefined
  /** What the app would get beside the client's own lines; values masked. */
  readonly headersUp: readonly { readonly name: string; readonly value: string }[]
}

/**
 * What the gateway would do with a request: the same pipeline, up to the point where it would call the app. Without a
 * session to explain for, no store is opened and no secret is made.
 *
 * @throws {Error} when no session has that public id.
 */
export async function explainRequest(config: Config, question: Question): Promise<Explanation> {
  const isAnonymous = question.sessionId === undefined
  const sessions = await openSessionParts(isAnonymous ? withoutStore(config) : withoutIndex(config), {
    clock: systemClock,
  })
  await using _engine = sessions.engine
  return await explainWith(config, question, sessions)
}

/**
 * The same, with sessions that are open already.
 *
 * @throws {Error} when no session has that public id.
 */
export async function explainWith(config: Config, question: Question, sessions: SessionParts): Promise<Explanation> {
  const isAnonymous = question.sessionId === undefined
  const needsKey = config.signing.keys.generated
  const generatedKey = needsKey ? (isAnonymous ? 'x'.repeat(64) : await readGeneratedSigningKey()) : undefined
  const wired = wire(config, { sessions, generatedKey, upstreams: nameUpstreams(config), onRoute: () => undefined })
  const key = isAnonymous ? undefined : await keyOf(sessions, question.sessionId ?? '')
  const visit = visitOf(config, question, { cookieName: sessions.cookie.name, key })
  const rules = rulesFor(visit, wired.routes)
  try {
    const admission = await wired.pipeline.admit(visit)
    const outcome = visit.exchange.decision?.outcome
    if (admission.kind === 'local') {
      const { methods, status, location } = admission.endpoint
      const answer = methods.includes(visit.method) ? { status, location } : { status: 405, location: undefined }
      return { ...common(visit, rules), outcome: 'answered', ...answer, headersUp: [] }
    }
    if (admission.kind === 'answer') {
      const [location] = headerValues(admission.answer.headers, 'location')
      const { status } = admission.answer
      return { ...common(visit, rules), outcome: outcome ?? 'answered', status, location, headersUp: [] }
    }
    return {
      ...common(visit, rules),
      outcome: 'forwarded',
      status: undefined,
      location: undefined,
      headersUp: masked(admission.headers, visit),
    }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    const reason = error.code === 'ERR_FORBIDDEN' ? visit.exchange.decision?.reason : error.message
    return {
      ...common(visit, rules),
      outcome: error.code,
      status: error.status,
      location: undefined,
      reason,
      headersUp: [],
    }
  }
}

function common(
  visit: Visit,
  rules: readonly RuleVerdict[],
): Pick<Explanation, 'target' | 'route' | 'goesUpAs' | 'rules' | 'reason'> {
  const host = visit.place?.host.received ?? headerValues(visit.raw, 'host')[0]
  const { decision } = visit.exchange
  const observed =
    decision?.mode === 'observe' && decision.outcome !== 'allow' ? `; observe mode: would be ${decision.outcome}` : ''
  return {
    target: `${visit.method} ${visit.exchange.scheme}://${host}${visit.requestTarget}`,
    route: visit.route?.id,
    ...(visit.upTarget === undefined ? {} : { goesUpAs: visit.upTarget.received }),
    rules,
    reason: decision === undefined ? undefined : `${decision.reason}${observed}`,
  }
}

/** The same configuration with sessions that live nowhere: nothing on disk is touched for a visitor without a session. */
function withoutStore(config: Config): Config {
  const session: Config['session'] = {
    ...config.session,
    engine: { kind: 'cache', cache: { kind: 'memory', alias: 'none', keyPrefix: '', version: 1, serializer: 'json' } },
    readAlso: undefined,
    userIndex: false,
    secretKey: { generated: false, value: new Secret('no session is read with it') },
  }
  return { ...config, session }
}

/** Reading a session would note it as its user's, and to explain shall change nothing. */
function withoutIndex(config: Config): Config {
  return { ...config, session: { ...config.session, userIndex: false } }
}

async function keyOf(sessions: SessionParts, id: string): Promise<string> {
  const entry = await findByPublicId({ engine: sessions, publicId: sessions.publicId }, id)
  if (entry !== undefined) return entry.key
  const half = sessions.engine.lists ? '' : ', as far as the store can say what it holds'
  throw new Error(`no session has the public id ${id}${half}`)
}

/** A browser's navigation, as bare as one can be. */
function visitOf(config: Config, question: Question, cookie: { cookieName: string; key: string | undefined }): Visit {
  const absolute = /^(https?):\/\/([^/?#]+)(\/.*)?$/.exec(question.url)
  const isTls = absolute?.[1] === 'https'
  const host = absolute?.[2] ?? config.hosts.find((name) => !name.startsWith('*')) ?? 'localhost'
  const requestTarget = absolute === null ? question.url : (absolute[3] ?? '/')
  const raw = ['Host', host, 'Accept', 'text/html']
  if (cookie.key !== undefined) raw.push('Cookie', `${cookie.cookieName}=${cookie.key}`)
  const exchange = createExchange({
    requestId: 'explain',
    startedAt: systemClock(),
    peerAddress: '127.0.0.1',
    method: question.method,
    scheme: isTls ? 'https' : 'http',
  })
  const arrived = {
    method: question.method,
    requestTarget,
    httpVersion: '1.1',
    raw,
    peer: '127.0.0.1',
    isTls,
    body: Readable.from([]),
    onChunk: () => undefined,
  }
  const door = { isBodyRead: () => true, wantBody: () => undefined, inform: () => undefined }
  return new Visit(arrived, door, exchange)
}

function rulesFor(visit: Visit, routes: readonly Route[]): RuleVerdict[] {
  const verdicts: RuleVerdict[] = []
  try {
    const host = readHost(visit.raw, visit.httpVersion)
    const target = readTarget(visit.requestTarget, host)
    for (const route of routes) {
      const verdict = explainRoute(route, { method: visit.method, host: host.name, path: target.path })
      verdicts.push({ id: route.id, ...verdict })
      if (verdict.hit) break
    }
  } catch (error) {
    // The pipeline says the same in a moment, with its code.
    if (!(error instanceof GatewayError)) throw error
  }
  return verdicts
}

/** What went up came from us, less what the imagined browser sent. */
function masked(headers: readonly string[], visit: Visit): { name: string; value: string }[] {
  const sent = new Set(visit.raw.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase()))
  const lines: { name: string; value: string }[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? ''
    const value = headers[i + 1] ?? ''
    if (!sent.has(name.toLowerCase())) lines.push({ name, value: `(${value.length} characters)` })
  }
  return lines
}
