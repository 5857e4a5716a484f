import { headerKey, headerValues, type RawHeaders, rememberNames } from './headers.ts'
import { connectionNames, isHopByHop } from './hop-by-hop.ts'
import { parseTraceparent } from './trace-context.ts'

export interface ClientHeaderRules {
  /** The names under `headers.session` and `headers.request` of the whole file, in any spelling. */
  readonly ownNames: readonly string[]
  /** The route's app wants `X-HTTP-Method-Override` and its like. */
  readonly keepMethodOverrides: boolean
}

/** Cuts a request's lines down to those that a client may send to an app. `trusted`: the peer is a trusted proxy. */
export type ClientHeaderFilter = (raw: RawHeaders, peer: { readonly trusted: boolean }) => string[]

const forwardedNames: ReadonlySet<string> = new Set([
  'forwarded',
  'x-forwarded',
  'x-real-ip',
  'x-rewrite-url',
  'x-request-id',
  'true-client-ip',
])

const forwardedPrefixes = ['x-forwarded-', 'x-original-', 'cf-']

const methodOverrides: ReadonlySet<string> = new Set(['x-http-method', 'x-http-method-override', 'x-method-override'])

/**
 * What the gateway writes itself on every request, from what it has read and checked (`forwardedLines`, the request id,
 * the trace context, the client's certificate by RFC 9440), and what the forwarding side writes from the framing. A
 * second line, or one under another spelling, would leave the app to choose.
 */
const rewritten: ReadonlySet<string> = new Set([
  'content-length',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-request-id',
  'traceparent',
  'client-cert',
  'client-cert-chain',
])

/**
 * Step 5 of a request, its cutting half, the same on every route, upgrade and local answer. Names are compared by
 * `headerKey`, since apps behind CGI, WSGI or PHP see `X_Session_Assertion` and `X-Session-Assertion` as one.
 *
 * - What begins with `X-Session-`, and every name that this configuration gives to the app on any route: an app must be
 *   able to take such a line for the gateway's word, also where the gateway has nothing to say and sends none.
 * - What `Connection` names, and hop-by-hop lines.
 * - `Proxy`, which CGI turns into HTTP_PROXY, and method overrides: the rules judged the method in the request line.
 * - From peers that are not trusted, all that tells of earlier hops.
 * - `tracestate` where no well-formed `traceparent` stands beside it (W3C Trace Context, section 3.3).
 *
 * Host stays, Content-Length does not: `readFraming` has read it, and whoever forwards writes it.
 */
export function compileClientHeaderFilter(rules: ClientHeaderRules): ClientHeaderFilter {
  const alwaysCut = new Set([...rewritten, 'proxy', ...rules.ownNames.map(headerKey)])
  if (!rules.keepMethodOverrides) for (const name of methodOverrides) alwaysCut.add(name)
  // An operator may name a header that the gateway needs; cutting Host would leave the app without one.
  alwaysCut.delete('host')

  function classify(name: string): HeaderClass {
    const key = headerKey(name)
    const isCut = alwaysCut.has(key) || isSessionHeader(key) || isHopByHop(key, nothingNamed)
    return { key, isCut, isForwarded: isForwardedHeader(key) }
  }
  const classOf = rememberNames(classify)

  return function filterClientHeaders(raw, { trusted }) {
    const named = connectionNames(raw)
    const kept: string[] = []
    for (let i = 0; i < raw.length; i += 2) {
      const name = raw[i] ?? ''
      const { key, isCut, isForwarded } = classOf(name)
      if (isCut || named.has(key) || (isForwarded && !trusted)) continue
      if (key === 'tracestate' && !hasTraceparent(raw)) continue
      kept.push(name, raw[i + 1] ?? '')
    }
    return kept
  }
}

/** What there is to know of a header before its request comes. */
interface HeaderClass {
  readonly key: string
  readonly isCut: boolean
  /** Cut unless the peer is a trusted proxy. */
  readonly isForwarded: boolean
}

const nothingNamed: ReadonlySet<string> = new Set()

/** Whether a header of that key (`headerKey`) gives a request another method than its first line, to some framework. */
export function isMethodOverride(key: string): boolean {
  return methodOverrides.has(key)
}

function isSessionHeader(key: string): boolean {
  return key.startsWith('x-session-')
}

function isForwardedHeader(key: string): boolean {
  return forwardedNames.has(key) || forwardedPrefixes.some((prefix) => key.startsWith(prefix))
}

function hasTraceparent(raw: RawHeaders): boolean {
  const lines = headerValues(raw, 'traceparent')
  return lines.length === 1 && parseTraceparent(lines[0] ?? '') !== undefined
}
