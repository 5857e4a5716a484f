import { headerKey, headerValues, type RawHeaders, rememberNames } from './headers.ts'

/** RFC 9110, section 7.6.1, and what older texts and programs use on one connection only. All of `Proxy-*` joins them. */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'http2-settings',
])

/**
 * What `Connection` may name without effect. Without these two the message would be delimited or addressed otherwise than
 * the gateway read it; nothing else that a peer names is ours to defend, since it could have left the line out.
 */
const fixed: ReadonlySet<string> = new Set(['host', 'content-length'])

const noNames: ReadonlySet<string> = new Set()

/**
 * The keys (`headerKey`) of the headers that `Connection` lines name. They belong to the connection, so they end here
 * (RFC 9110, section 7.6.1). Keys and not names, or `connection: x_session_data` would go around the comparison.
 *
 * A client can have its own lines cut this way, and no others: ours are added after the cutting, and what the gateway
 * reads for itself, cookie and X-Forwarded-For included, it reads from the lines as received.
 */
export function connectionNames(raw: RawHeaders): ReadonlySet<string> {
  return namesIn(headerValues(raw, 'connection').join())
}

/** Nearly everybody says `keep-alive`, `close`, or nothing. */
const namesIn: (list: string) => ReadonlySet<string> = rememberNames((list) => {
  const keys = list.split(',').map((member) => headerKey(member.trim()))
  return new Set(keys.filter((key) => key !== '' && !fixed.has(key)))
})

/** True if a line of this key (`headerKey`) stays on the connection that it came on. */
export function isHopByHop(key: string, named: ReadonlySet<string>): boolean {
  return hopByHop.has(key) || named.has(key) || key.startsWith('proxy-')
}

/**
 * The lines that may go on, of a request or of an answer; Host and Content-Length among them.
 *
 * @param named default: what the lines' own `Connection` names
 */
export function withoutHopByHop(raw: RawHeaders, named: ReadonlySet<string> = connectionNames(raw)): string[] {
  const kept: string[] = []
  // `keep-alive` is what they name as a rule, and it is cut anyway.
  const hasOthers = named.size > 1 || (named.size === 1 && !named.has('keep-alive'))
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] ?? ''
    const { key, isCut } = classOf(name)
    if (!isCut && !(hasOthers && named.has(key))) kept.push(name, raw[i + 1] ?? '')
  }
  return kept
}

const classOf = rememberNames((name) => {
  const key = headerKey(name)
  return { key, isCut: isHopByHop(key, noNames) }
})
