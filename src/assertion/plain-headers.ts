import { hash } from 'node:crypto'
import { type JsonText, normalizeJson, parseJsonValue, readPath, type SessionData, strictJson } from '../django/json.ts'
import { headerKey } from '../http/headers.ts'

/** The plain session headers of one request. */
export interface PlainHeaders {
  /** Flat name, value, name, value, … in the order and spelling of the configuration. */
  readonly lines: readonly string[]
  /** The top-level session keys behind the lines, one for each. */
  readonly keys: readonly string[]
}

/** RFC 9110, section 5.1. */
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** What goes out as it is: visible ASCII but `%`, and spaces that have something on both sides; or nothing. */
const PLAIN = /^(?:[!-$&-~](?:[ -$&-~]*[!-$&-~])?)?$/

/**
 * `headers.session` of a route, name to dotted path, as a function of the session. A missing value and null give no
 * header, so that an app never takes the empty text for a name. NaN and the infinities are null, as in the assertion.
 *
 * @throws {TypeError} for what is no header name, and for one header in two spellings.
 */
export function compilePlainHeaders(paths: ReadonlyMap<string, string>): (data: SessionData) => PlainHeaders {
  const spellings = new Set<string>()
  const sources = [...paths].map(([name, path]) => {
    if (!HEADER_NAME.test(name)) throw new TypeError(`${JSON.stringify(name)} is not a header name`)
    // An app that takes `_` for `-` would read one of the two under the name of the other.
    if (spellings.has(headerKey(name))) throw new TypeError(`the header ${name} is given twice`)
    spellings.add(headerKey(name))
    const segments = path.split('.')
    return { name, segments, key: segments[0] ?? '' }
  })
  return function plainHeaders(data) {
    const lines: string[] = []
    const keys: string[] = []
    for (const { name, segments, key } of sources) {
      const value = headerValue(readPath(data, segments))
      if (value === undefined) continue
      lines.push(name, value)
      keys.push(key)
    }
    return { lines, keys }
  }
}

/** What an assertion says about the plain headers beside it. */
export interface HeaderDigest {
  /** base64url SHA-256 over `name:value\n` of each, lower-case names, sorted. */
  readonly hdr: string
  /** Those names. */
  readonly hdn: readonly string[]
}

/** The claims that bind the plain headers to the assertion. `lines` is flat. */
export function digestHeaders(lines: readonly string[]): HeaderDigest {
  const sorted: [name: string, value: string][] = []
  for (let i = 0; i < lines.length; i += 2) sorted.push([(lines[i] ?? '').toLowerCase(), lines[i + 1] ?? ''])
  sorted.sort(([a], [b]) => (a < b ? -1 : 1))
  const text = sorted.map(([name, value]) => `${name}:${value}\n`).join('')
  return { hdr: hash('sha256', text, 'base64url'), hdn: sorted.map(([name]) => name) }
}

/** A session value as a header value: strings themselves, all else as compact ASCII JSON; `undefined` for no header. */
function headerValue(source: JsonText | undefined): string | undefined {
  if (source === undefined) return undefined
  const text = strictJson(normalizeJson(source))
  if (text === 'null') return undefined
  return escapeValue(text.startsWith('"') ? decodeString(text) : text)
}

function decodeString(text: JsonText): string {
  return String(parseJsonValue(text))
}

/** Everything that is not {@link PLAIN} as `%XX` of its UTF-8; a lone surrogate becomes U+FFFD there. */
function escapeValue(text: string): string {
  if (PLAIN.test(text)) return text
  const bytes = Buffer.from(text)
  const first = bytes.findIndex((byte) => byte !== 0x20)
  const last = bytes.findLastIndex((byte) => byte !== 0x20)
  let escaped = ''
  for (const [index, byte] of bytes.entries()) {
    const isInnerSpace = byte === 0x20 && index > first && index < last
    const isPlain = byte > 0x20 && byte < 0x7f && byte !== 0x25
    escaped += isInnerSpace || isPlain ? String.fromCharCode(byte) : `%${HEX[byte]}`
  }
  return escaped
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).toUpperCase().padStart(2, '0'),
)
