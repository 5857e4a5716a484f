import type { EpochMs } from '../lib/clock.ts'
import { memoize } from '../lib/memo.ts'
import { parseCookieDate } from './cookie-date.ts'
import { headerValues, type RawHeaders } from './headers.ts'
import { pythonStrip, unquoteCookie, utf8Text } from './python-text.ts'

/** What a request brings under one cookie name. */
export interface CookieReading {
  /** The value that counts: the last one. Undefined if there is none; `''` is a value. */
  readonly value: string | undefined
  /** How often the name stands there. Above 1 somebody has planted a cookie, or two paths share a name. */
  readonly count: number
}

/**
 * The value of a cookie, as `parse_cookie` in `django/http/cookie.py` reads it: split at `;`, then at the first `=`, both
 * sides stripped, the value unquoted, the last of several wins. Several lines are read as one, joined by `; `. A chunk
 * without `=` is a value without a name, so it is never the one looked for.
 *
 * Time grows with the length of the lines, not with the number of cookies times anything.
 *
 * @param name not empty
 */
export function readCookie(raw: RawHeaders, name: string): CookieReading {
  let value: string | undefined
  let count = 0
  for (const chunk of utf8Text(headerValues(raw, 'cookie').join('; ')).split(';')) {
    const at = chunk.indexOf('=')
    if (at < 0 || pythonStrip(chunk.slice(0, at)) !== name) continue
    value = chunk.slice(at + 1)
    count += 1
  }
  return { value: value === undefined ? undefined : unquoteCookie(pythonStrip(value)), count }
}

/** Headers with some cookies taken out. */
export interface CutCookies {
  readonly headers: string[]
  /** How many cookies were taken out. */
  readonly cut: number
}

/**
 * The headers without any cookie that some reader could take for `name`. What stays of a Cookie line stays byte for byte,
 * and a line that has nothing left goes away.
 *
 * The line is split at `;` as every reader splits it, and each chunk is read in the laxest way that is known:
 *
 * - `a=1,name=x` and `a=1 name=x`: RFC 2965 readers, old Rack and Jetty split at commas, Python's `SimpleCookie` at spaces.
 * - `"name"=x`, ` name =x`, a name behind control characters, a byte order mark or a no-break space, `==name=x`.
 * - `name[x]=1`, and for a name with `_` also `na.me`, `na me`, `na[me`: PHP makes arrays and variable names of them.
 * - `n%61me=x`: PHP before 7.4.11 decodes names, which is also how a `__Host-` name was forged (CVE-2020-7070).
 * - `name` without a value, there too.
 *
 * Letters keep their case: `SESSIONID` is another app's cookie beside `sessionid`, for RFC 6265 and for browsers.
 */
export function cookiesWithout(raw: RawHeaders, name: string): CutCookies {
  return withCutLines(raw, compileLineCut(name))
}

/** A cookie's domain as it is compared: the dot before it means nothing (RFC 6265, section 5.2.3). */
export function bareDomain(domain: string): string {
  return domain.replace(/^\./, '').toLowerCase()
}

/** Of single lines, which a browser sends again with every request. */
const LINES_REMEMBERED = 1000
const LONGEST_REMEMBERED = 1024

/** Compiles `cookiesWithout` for one name; remembers what became of the lines that are not too long. */
export function compileCookieCut(name: string): (raw: RawHeaders) => CutCookies {
  const cut = compileLineCut(name)
  const recall = memoize(cut, LINES_REMEMBERED)
  return (raw) => withCutLines(raw, (line) => (line.length > LONGEST_REMEMBERED ? cut(line) : recall(line)))
}

/** What stays of a Cookie line, undefined for nothing, and how many cookies went. */
interface CutLine {
  readonly kept: string | undefined
  readonly cut: number
}

function compileLineCut(name: string): (line: string) => CutLine {
  const isOwned = compileLaxName(name)
  return function cutLine(line) {
    const chunks = line.split(';')
    const kept = chunks.filter((chunk) => !mayBear(chunk, isOwned))
    if (kept.length === chunks.length) return { kept: line, cut: 0 }
    const hasMore = kept.some((chunk) => chunk.trim() !== '')
    return { kept: hasMore ? kept.join(';').trimStart() : undefined, cut: chunks.length - kept.length }
  }
}

function withCutLines(raw: RawHeaders, cutLine: (line: string) => CutLine): CutCookies {
  const headers: string[] = []
  let cut = 0
  for (let i = 0; i < raw.length; i += 2) {
    const header = raw[i] ?? ''
    const line = raw[i + 1] ?? ''
    if (header.length !== 6 || header.toLowerCase() !== 'cookie') {
      headers.push(header, line)
      continue
    }
    const rest = cutLine(line)
    cut += rest.cut
    if (rest.kept !== undefined) headers.push(header, rest.kept)
  }
  return { headers, cut }
}

/**
 * The headers with exactly one cookie of that name, and one Cookie line in all: servers that speak CGI join several by a
 * comma, which no parser takes apart again. Ours stands first, where no unfinished quotation can swallow it.
 *
 * @param value a session key; it holds no `;`, no quotes and no space
 */
export function withSingleCookie(raw: RawHeaders, name: string, value: string): string[] {
  const { headers } = cookiesWithout(raw, name)
  const others = headerValues(headers, 'cookie').filter((line) => line.trim() !== '')
  const rest: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const header = headers[i] ?? ''
    if (header.toLowerCase() !== 'cookie') rest.push(header, headers[i + 1] ?? '')
  }
  return [...rest, 'Cookie', [`${name}=${value}`, ...others].join('; ')]
}

/** Commas, and all that is a space to anybody: what is not a visible character of ASCII. */
const separators = /[^\x21-\x2b\x2d-\x7e]+/

/** The reading of one text in the place of a cookie's name: is it, to anybody, the name? */
type LaxName = (text: string) => boolean

function compileLaxName(name: string): LaxName {
  const phpName = phpVariable(name)
  return function isOwned(text) {
    const bare = trimmed(text)
    if (bare === name) return true
    if (!/[%+ .[]/.test(bare)) return bare === phpName
    const decoded = trimmed(percentDecoded(bare))
    const at = decoded.indexOf('[', 1)
    return phpVariable(decoded) === phpName || (at > 0 && phpVariable(decoded.slice(0, at)) === phpName)
  }
}

/**
 * True if the chunk between two semicolons can be read as holding a cookie of the name. To somebody a name stands at the
 * beginning or behind a separator, and ends at a `=`, a separator or the end. What follows a `=` directly is a value.
 */
function mayBear(chunk: string, isOwned: LaxName): boolean {
  const text = chunk.slice(leadingJunk(chunk))
  const [first = '', ...others] = text.split('=')
  if (isOwned(first)) return true
  if (!separators.test(text)) return false
  return [first.split(separators), ...others.map((part) => part.split(separators).slice(1))].flat().some(isOwned)
}

/** How much of a chunk a reader may skip before the name: spaces, and `=` signs by those who look for a word. */
function leadingJunk(chunk: string): number {
  let at = 0
  while (at < chunk.length && (isJunk(chunk.charCodeAt(at)) || chunk[at] === '=')) at += 1
  return at
}

/** Without what some reader strips from the ends: quotes, spaces, controls and the bytes of non-ASCII spaces. */
function trimmed(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isJunk(text.charCodeAt(start))) start += 1
  while (end > start && isJunk(text.charCodeAt(end - 1))) end -= 1
  return text.slice(start, end)
}

function isJunk(code: number): boolean {
  return code <= 0x20 || code >= 0x7f || code === 0x22
}

function percentDecoded(text: string): string {
  if (!/[%+]/.test(text)) return text
  return text
    .replaceAll('+', ' ')
    .replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** PHP's name for it: a variable's name holds no space, dot or opening bracket. */
function phpVariable(name: string): string {
  return name.replace(/[ .[]/g, '_')
}

/** An answer's own line for a cookie, as a browser stores it and the next request brings it back. */
export interface SetCookie {
  /** `''` for a cookie without a name. */
  readonly name: string
  /** As `readCookie` will read it: without quotes. */
  readonly value: string
  /** The browser forgets the cookie on this line, or sends back what is no key. */
  readonly isDeletion: boolean
}

/**
 * The name under which a Set-Cookie line comes back. A line `=name=x` makes a cookie without a name whose value is sent as
 * `name=x`, so what stands behind leading `=` signs is the name.
 */
export function setCookieName(line: string): string {
  return setCookiePair(line).name
}

/**
 * Reads a Set-Cookie line of an app (RFC 6265, sections 5.2 and 5.3). A deletion is an empty value, a Max-Age of zero or
 * below, or, where no Max-Age stands, an Expires that is not after `now`; of several attributes the last valid one counts.
 */
export function readSetCookie(line: string, now: EpochMs): SetCookie {
  let maxAgeSeconds: number | undefined
  let expires: EpochMs | undefined
  for (const attribute of line.split(';').slice(1)) {
    const at = attribute.indexOf('=')
    const key = (at < 0 ? attribute : attribute.slice(0, at)).trim().toLowerCase()
    const text = at < 0 ? '' : attribute.slice(at + 1).trim()
    if (key === 'max-age' && /^-?[0-9]+$/.test(text)) maxAgeSeconds = Number(text)
    if (key === 'expires') expires = parseCookieDate(text) ?? expires
  }
  const { name, value } = setCookiePair(line)
  const isOver = maxAgeSeconds === undefined ? expires !== undefined && expires <= now : maxAgeSeconds <= 0
  return { name, value, isDeletion: value === '' || isOver }
}

function setCookiePair(line: string): { name: string; value: string } {
  const end = line.indexOf(';')
  const pair = utf8Text(end < 0 ? line : line.slice(0, end)).replace(/^[\s=]+/, '')
  const at = pair.indexOf('=')
  if (at < 0) return { name: '', value: unquoteCookie(pythonStrip(pair)) }
  return { name: pythonStrip(pair.slice(0, at)), value: unquoteCookie(pythonStrip(pair.slice(at + 1))) }
}

/** An answer's lines without the app's own cookies of that name; `cut` tells how many there were. */
export function withoutSetCookie(raw: RawHeaders, name: string): CutCookies {
  const headers: string[] = []
  let cut = 0
  for (let i = 0; i < raw.length; i += 2) {
    const header = raw[i] ?? ''
    const line = raw[i + 1] ?? ''
    if (header.toLowerCase() === 'set-cookie' && setCookieName(line) === name) cut += 1
    else headers.push(header, line)
  }
  return { headers, cut }
}
