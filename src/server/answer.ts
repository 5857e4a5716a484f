import type { Readable } from 'node:stream'
import { errorTable, type GatewayError } from '../errors.ts'
import type { RawHeaders } from '../http/headers.ts'
import { isPageNavigation } from '../http/navigation.ts'
import type { ErrorPages } from './error-pages.ts'
import type { Visit } from './visit.ts'

/** What goes back to the browser. */
export interface Answer {
  readonly status: number
  /** The reason phrase; absent = the standard one. */
  readonly reason?: string
  readonly headers: RawHeaders
  /**
   * A whole body is text, one character a byte (latin1); `''` = none. A stream must be consumed or destroyed by whoever
   * holds the answer.
   */
  readonly body: string | Readable
  /** The gateway's own, no app's. */
  readonly isOwn: boolean
}

/** What is not sent must not hold a connection to the app. */
export function letGo({ body }: Pick<Answer, 'body'>): void {
  if (typeof body !== 'string') body.destroy()
}

/** Who the gateway is in `Proxy-Status` (RFC 9209, section 2). */
const PROXY_NAME = 'sessiongate'

/** Own pages load nothing, run nothing and are framed by nobody. */
const PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** The operator's may show pictures, and use styles and fonts, of their own host. */
const WRITTEN_PAGE_POLICY =
  "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

/** An answer without a stream behind it, complete with its length; never stored by a cache. */
export function localAnswer(status: number, headers: RawHeaders, body?: { type: string; text: string }): Answer {
  const bytes = Buffer.from(body?.text ?? '')
  const lines = [...headers]
  if (body !== undefined) lines.push('Content-Type', body.type)
  if (status !== 204) lines.push('Content-Length', String(bytes.length))
  lines.push('Cache-Control', 'no-store')
  return { status, headers: lines, body: bytes.toString('latin1'), isOwn: true }
}

/** What some errors say beside their code. */
export interface ErrorExtra {
  /** Where a login is to be had: for scripts that cannot follow a redirect there, and as a link where there are `reasons`. */
  readonly login?: string
  /** For the page: what may be the cause, in sentences. */
  readonly reasons?: readonly string[]
  /** Those of the operator. */
  readonly pages?: ErrorPages
}

/**
 * The answer to a request that ended in an error: RFC 9457 `problem+json`, or a small page where the visitor is a
 * person. It says what happened and under which id the log has it; message, facts and cause stay in the log.
 */
export function errorAnswer(visit: Visit, error: GatewayError, extra: ErrorExtra = {}): Answer {
  const { status, title } = errorTable[error.code]
  const headers = errorHeaders(error, status)
  const isPage = isPageNavigation(visit.method, visit.raw)
  if (isPage) return pageAnswer(visit, error, { title, headers, ...extra })
  const { login } = extra
  const text = problemText(error, { requestId: visit.exchange.requestId, ...(login === undefined ? {} : { login }) })
  return localAnswer(status, headers, { type: PROBLEM_TYPE, text })
}

export const PROBLEM_TYPE = 'application/problem+json'

/** RFC 9457, section 3. `login`: where a login is to be had, for scripts that cannot follow a redirect there. */
export function problemText(
  error: GatewayError,
  about: { readonly requestId: string; readonly login?: string },
): string {
  const { status, title } = errorTable[error.code]
  const problem = {
    type: `urn:sessiongate:${error.code}`,
    title,
    status,
    code: error.code,
    instance: `urn:request:${about.requestId}`,
    ...(about.login === undefined ? {} : { login: about.login }),
  }
  return `${JSON.stringify(problem)}\n`
}

function pageAnswer(
  visit: Visit,
  error: GatewayError,
  { title, headers, login, reasons, pages }: ErrorExtra & { readonly title: string; readonly headers: RawHeaders },
): Answer {
  const written = pages?.(error.code, {
    status: String(error.status),
    title,
    code: error.code,
    request_id: visit.exchange.requestId,
    login: escaped(login ?? ''),
    reasons: (reasons ?? []).map(listItem).join(''),
  })
  const text = written ?? page(visit, error, { title, ...(login && { login }), ...(reasons && { reasons }) })
  const policy = written === undefined ? PAGE_POLICY : WRITTEN_PAGE_POLICY
  const lines = [...headers, 'Content-Security-Policy', policy, ...pageHeaders]
  return localAnswer(error.status, lines, { type: 'text/html; charset=utf-8', text })
}

const pageHeaders: RawHeaders = ['X-Content-Type-Options', 'nosniff', 'Referrer-Policy', 'no-referrer']

function errorHeaders(error: GatewayError, status: number): string[] {
  const headers: string[] = []
  if (status === 401) headers.push('WWW-Authenticate', 'Session realm="sessiongate"')
  if (status === 405) headers.push('Allow', allowed(error).join(', '))
  if (status === 503) headers.push('Retry-After', '5')
  if (status >= 500) headers.push('Proxy-Status', `${PROXY_NAME}; error=${error.proxyError}`)
  return headers
}

/** RFC 9110, section 15.5.6: what the address takes; where it takes what its app takes, everything that is forwarded. */
function allowed({ facts }: GatewayError): readonly string[] {
  return Array.isArray(facts.allow) ? facts.allow : ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
}

/** Everything in it is from closed sets but the request id, which is ours or checked where it was read, and what is escaped. */
function page(visit: Visit, error: GatewayError, { title, login, reasons }: ErrorExtra & { title: string }): string {
  const body = `<h1>${title}</h1>
<p>The request ended with status ${error.status}, <code>${error.code}</code>.</p>
${reasons === undefined ? '' : causes(reasons, login)}<p>If you ask for help, name this id: <code>${visit.exchange.requestId}</code></p>
`
  return ownPage(`${error.status} ${title}`, body)
}

/** A whole page in the gateway's own dress. Both are HTML. */
export function ownPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto; padding: 0 1rem; color: #1b1f24; background: #fff }
  h1 { font-size: 1.35rem } p { color: #57606a } code { font-size: .85rem }
  @media (prefers-color-scheme: dark) { body { color: #e6edf3; background: #0d1117 } p { color: #8b949e } }
</style>
${body}</html>
`
}

function causes(reasons: readonly string[], login: string | undefined): string {
  const list = reasons.map(listItem).join('')
  const link =
    login === undefined ? '' : `<p><a href="${escaped(login)}">Log in</a>, if you have not done so yet.</p>\n`
  return `<p>Each time after the login, the browser came back without its cookie. This may be why:</p>\n<ul>\n${list}</ul>\n${link}`
}

function listItem(text: string): string {
  return `  <li>${escaped(text)}</li>\n`
}

/** Text as it may stand in HTML, also within quotes. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
