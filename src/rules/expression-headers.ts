import { headerKey, type RawHeaders } from '../http/headers.ts'
import type { UsedNames } from './expression-analysis.ts'

/** RFC 9110, section 5.3: only headers whose value is a list may come on several lines, which then mean the same as one. */
const listHeaders: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'forwarded',
  'if-match',
  'if-none-match',
  'pragma',
  'prefer',
  'via',
  'x-forwarded-for',
])

/** Bytes that one reader takes for Latin-1, the next for UTF-8, and a third ends the text at (RFC 9110, section 5.5). */
const unclearBytes = /[^\t\x20-\x7e]/

/**
 * The headers that an expression looks at, by lower-case name, or `undefined` if one of them does not say the same to
 * everybody: it holds bytes outside ASCII, comes on several lines though it is no list, or there is a second spelling of
 * its name (`X_Team` beside `x-team`) that CGI-like apps take for the same. What such a header proves depends on who
 * reads it, so the rule that asks for it must not say yes.
 */
export function readableHeaders(headers: RawHeaders, used: UsedNames): ReadonlyMap<string, string> | undefined {
  const readable = new Map<string, string>()
  if (used !== 'all' && used.size === 0) return readable
  const wantedKeys = used === 'all' ? undefined : new Map(Array.from(used, (name) => [headerKey(name), name]))
  const spellings = new Map<string, string>()
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]?.toLowerCase() ?? ''
    const value = headers[i + 1] ?? ''
    const key = headerKey(name)
    const spelling = wantedKeys === undefined ? (spellings.get(key) ?? name) : wantedKeys.get(key)
    if (spelling === undefined) continue
    spellings.set(key, spelling)
    const before = readable.get(name)
    const isRepeated = before !== undefined && !listHeaders.has(name)
    if (name !== spelling || isRepeated || unclearBytes.test(value)) return undefined
    readable.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return readable
}
