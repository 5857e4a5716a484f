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

/** Reads what an expression may see of the headers, by lower-case name; undefined if that is unclear. */
export type HeaderReader = (headers: RawHeaders) => ReadonlyMap<string, string> | undefined

/**
 * Compiles the reading of those headers that an expression looks at. It is unclear if one of them does not say the same
 * to everybody: it holds bytes outside ASCII, comes on several lines though it is no list, or there is a second spelling
 * of its name (`X_Team` beside `x-team`) that CGI-like apps take for the same. What such a header proves depends on who
 * reads it, so the rule that asks for it must not say yes.
 */
export function compileHeaderReader(used: UsedNames): HeaderReader {
  if (used === 'all') return (headers) => readHeaders(headers, new Map())
  const none: ReadonlyMap<string, string> = new Map()
  if (used.size === 0) return () => none
  const wanted = new Map(Array.from(used, (name) => [headerKey(name), name]))
  // A key is as long as its name: most lines are put aside without looking at a letter.
  const lengths = new Set(Array.from(used, (name) => name.length))
  return (headers) => {
    const lines = headers.flatMap((name, i) =>
      i % 2 === 0 && lengths.has(name.length) && wanted.has(headerKey(name)) ? [name, headers[i + 1] ?? ''] : [],
    )
    return readHeaders(lines, wanted)
  }
}

/** `spellings` has the one name that is good for each key; for a key that is not in it, the first that comes is. */
function readHeaders(headers: RawHeaders, spellings: ReadonlyMap<string, string>): Map<string, string> | undefined {
  const known = new Map(spellings)
  const readable = new Map<string, string>()
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]?.toLowerCase() ?? ''
    const value = headers[i + 1] ?? ''
    const before = readable.get(name)
    const isRepeated = before !== undefined && !listHeaders.has(name)
    if (name !== (known.get(headerKey(name)) ?? name) || isRepeated || unclearBytes.test(value)) return undefined
    known.set(headerKey(name), name)
    readable.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return readable
}
