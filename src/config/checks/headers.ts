import { headerKey } from '../../http/headers.ts'
import { isOwnHeader } from '../../writeback/names.ts'
import type { Path } from '../path.ts'
import type { CheckContext } from './context.ts'

/** Framing and connection: what a proxy says about its own two sides. */
const CONNECTION_HEADERS = [
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

/** What the gateway writes itself, or cuts. A second writer would make one of the two a lie. */
const REQUEST_HEADERS: ReadonlySet<string> = new Set([
  ...CONNECTION_HEADERS,
  'cookie',
  'forwarded',
  'client-cert',
  'client-cert-chain',
  'proxy',
  'traceparent',
  'tracestate',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-real-ip',
  'x-request-id',
])
const REQUEST_PREFIXES = ['proxy-', 'x-forwarded-', 'x-original-', 'x-rewrite-', 'sec-websocket-']

const RESPONSE_HEADERS: ReadonlySet<string> = new Set([
  ...CONNECTION_HEADERS,
  'date',
  'proxy-status',
  'set-cookie',
  'vary',
  'www-authenticate',
])
const RESPONSE_PREFIXES = ['proxy-', 'sec-websocket-']

interface Entry {
  readonly name: string
  readonly path: Path
}

/** Header names that are taken, and two names that are one to an app. */
export function checkHeaders(context: CheckContext): void {
  const sent: Entry[] = []
  for (const [at, { headers }] of context.file.routes.entries()) {
    const entries = (kind: 'session' | 'request' | 'response'): Entry[] =>
      Object.keys(headers[kind]).map((name) => ({ name, path: ['routes', at, 'headers', kind, name] }))
    const up = [...entries('session'), ...entries('request')]
    for (const entry of up) refuseTaken(context, entry, isTaken(entry.name, REQUEST_HEADERS, REQUEST_PREFIXES))
    for (const entry of entries('response')) {
      refuseTaken(context, entry, isTaken(entry.name, RESPONSE_HEADERS, RESPONSE_PREFIXES))
    }
    refuseTwins(context, up)
    refuseTwins(context, entries('response'))
    sent.push(...up)
  }
  refuseSpellings(context, sent)
}

function isTaken(name: string, names: ReadonlySet<string>, prefixes: readonly string[]): boolean {
  const key = headerKey(name)
  return isOwnHeader(name) || names.has(key) || prefixes.some((prefix) => key.startsWith(prefix))
}

function refuseTaken(context: CheckContext, { name, path }: Entry, isRefused: boolean): void {
  if (!isRefused) return
  context.error(path, {
    message: `the header ${name} is the gateway’s own or belongs to the connection, and cannot be set here`,
    hint: 'choose another name, such as X-User-Name',
    atKey: true,
  })
}

/** CGI, WSGI and PHP hand `X-User`, `x-user` and `X_User` to the app under one name, and which of them wins is chance. */
function refuseTwins(context: CheckContext, entries: readonly Entry[]): void {
  const seen = new Map<string, string>()
  for (const { name, path } of entries) {
    const twin = seen.get(headerKey(name))
    if (twin !== undefined) {
      context.error(path, {
        message: `${name} and ${twin} are one header to the app, set twice in this route`,
        hint: 'remove one of the two',
        atKey: true,
      })
    }
    seen.set(headerKey(name), name)
  }
}

/** Across routes a name may come again, but in one spelling: an app reads one of them, and the other looks like a client’s. */
function refuseSpellings(context: CheckContext, entries: readonly Entry[]): void {
  const spellings = new Map<string, string>()
  for (const { name, path } of entries) {
    const first = spellings.get(headerKey(name)) ?? name
    spellings.set(headerKey(name), first)
    if (first.toLowerCase() === name.toLowerCase()) continue
    context.error(path, {
      message: `${name} is the header ${first} of another place in this file, spelled differently`,
      hint: `write ${first} here too`,
      atKey: true,
    })
  }
}
