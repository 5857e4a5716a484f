import { COMMA, JsonScanner, OPEN_BRACE, OPEN_BRACKET, QUOTE, type ScanLimits } from './json-scanner.ts'

/** JSON source text of one value, as Python's `json` reads it: `NaN`, `Infinity` and `-Infinity` are allowed. */
export type JsonText = string

/**
 * A session's data: the top-level members in insertion order, each value as its source text, so that `1.0` and
 * integers above 2^53 survive. Keys are decoded; `__proto__` is a key like any other.
 */
export type SessionData = ReadonlyMap<string, JsonText>

/** How many objects and arrays may be open at once in a session, its own braces included. */
export const MAX_JSON_DEPTH = 32

/** The longest text that is looked at, in UTF-16 units, unless the caller says otherwise: 1 MiB. */
export const MAX_JSON_LENGTH = 1_048_576

/** What a text may cost and hold; whatever exceeds it is malformed. */
export interface JsonLimits {
  /** Objects and arrays open at once, the outermost included. Default {@link MAX_JSON_DEPTH}. */
  readonly maxDepth?: number
  /** In UTF-16 units; looked at before anything else. Default {@link MAX_JSON_LENGTH}. */
  readonly maxLength?: number
  /**
   * A key that comes twice in one object, at any depth: `last` wins, at the place of the first, as in Python (the
   * default), or the text is malformed.
   */
  readonly duplicateKeys?: 'last' | 'refuse'
}

/**
 * Reads the JSON object of a session; undefined if the text is anything else, or too long, or too deep. It accepts and
 * refuses what Python's `json.loads` does, limits aside.
 *
 * Values that are compact ASCII come out as they stand in the text, so a session that nobody changed is written back
 * byte for byte. Others lose their white space and have their non-ASCII characters escaped, nothing else: numbers,
 * escapes and the order of keys stay.
 */
export function parseSessionData(text: string, limits: JsonLimits = {}): SessionData | undefined {
  const list = parseSessionDataList(text, limits)
  return list?.length === 1 ? list[0] : undefined
}

/**
 * Reads one or more JSON objects with commas between them: what several header lines become when something on the way
 * joins them (RFC 9110, section 5.3). Each as {@link parseSessionData} does; undefined if any of them is malformed.
 */
export function parseSessionDataList(text: string, limits: JsonLimits = {}): readonly SessionData[] | undefined {
  if (text.length > (limits.maxLength ?? MAX_JSON_LENGTH)) return undefined
  const scanner = new JsonScanner(text, scanLimits(limits))
  const list: SessionData[] = []
  do {
    scanner.skipSpace()
    const data = scanMembers(scanner, limits.duplicateKeys === 'refuse')
    if (data === undefined) return undefined
    list.push(data)
    scanner.skipSpace()
  } while (scanner.take(COMMA))
  return scanner.isAtEnd() ? list : undefined
}

/**
 * The JSON of a session as Python's `json.dumps(data, separators=(',', ':'))` writes it: ASCII, no white space, keys in
 * their order. Its length is the size of the session in bytes. Values that are compact ASCII already go in untouched.
 *
 * @throws {TypeError} if a value is not JSON text, or so deep that the session could not be read again: a bug of the
 * caller, and letting it through would let one value write its neighbours.
 */
export function writeSessionData(data: SessionData): string {
  const members = Array.from(data, ([key, text]) => `${stringText(key)}:${normalize(text, MAX_JSON_DEPTH - 1)}`)
  return `{${members.join(',')}}`
}

/**
 * The compact ASCII form of a JSON text: white space between tokens gone, characters outside 0x20-0x7e escaped, and
 * all else as it was.
 *
 * @throws {TypeError} if the text is not JSON as Python reads it, or deeper than {@link MAX_JSON_DEPTH}.
 */
export function normalizeJson(text: string): JsonText {
  return normalize(text, MAX_JSON_DEPTH)
}

/** The text with `NaN`, `Infinity` and `-Infinity` as `null`: what readers of JSON other than Python's accept (RFC 8259, section 6). */
export function strictJson(text: JsonText): JsonText {
  if (!text.includes('NaN') && !text.includes('Infinity')) return text
  return mapOutsideStrings(text, (between) => between.replace(/NaN|-?Infinity/g, 'null'))
}

/**
 * The source text at a path: the first step names a key of the session, each further one a key of an object or the
 * index (decimal, no leading zero) of an array. Undefined where the path leads nowhere, and for a path without steps.
 */
export function readPath(data: SessionData, path: readonly string[]): JsonText | undefined {
  let text: JsonText | undefined
  for (const [depth, step] of path.entries()) {
    text = depth === 0 ? data.get(step) : readStep(text ?? '', step)
    if (text === undefined) return undefined
  }
  return text
}

/**
 * The JSON text of a JavaScript value, strings escaped as Python does. `undefined` members of objects are left out, as
 * in `JSON.stringify`; a `bigint` is an integer of any size, a `number` beyond 2^53 a float; `NaN` and the infinities are
 * written as Python writes them.
 *
 * @throws {TypeError} for what JSON has no form for (functions, symbols, `undefined`, instances of classes such as
 * Date or Map: Python raises the same) and for values deeper than {@link MAX_JSON_DEPTH}, cycles included.
 */
export function jsonText(value: unknown): JsonText {
  return valueText(value, MAX_JSON_DEPTH)
}

/**
 * The JavaScript value of a JSON text, undefined if it is malformed or deeper than {@link MAX_JSON_DEPTH}. Integers
 * beyond 2^53 become `bigint`; objects have no prototype, so `__proto__` is a member like any other. Integer-like keys
 * come first in JavaScript's objects, so the order of members is not kept.
 */
export function parseJsonValue(text: JsonText): unknown {
  const scanner = new JsonScanner(text, scanLimits({}))
  scanner.skipSpace()
  const value = buildValue(scanner)
  scanner.skipSpace()
  return value !== malformed && scanner.isAtEnd() ? value : undefined
}

function scanLimits({ maxDepth = MAX_JSON_DEPTH, duplicateKeys = 'last' }: JsonLimits): ScanLimits {
  return { maxDepth, duplicateKeys }
}

function scanMembers(scanner: JsonScanner, isUnique: boolean): SessionData | undefined {
  const data = new Map<string, JsonText>()
  const isObject = scanner.eachMember((keyStart, keyEnd) => {
    const key = scanner.decodeString(keyStart, keyEnd)
    const start = scanner.at
    if (!scanner.skipValue() || (isUnique && data.has(key))) return false
    data.set(key, scanner.text.slice(start, scanner.at))
    return true
  })
  if (!isObject) return undefined
  return scanner.isLoose ? new Map(Array.from(data, ([key, text]) => [key, compact(text)])) : data
}

function normalize(text: string, maxDepth: number): JsonText {
  const scanner = new JsonScanner(text, scanLimits({ maxDepth }))
  // The text itself may be a secret of somebody's session, so the message does not show it.
  if (!scanner.skipDocument()) throw new TypeError('a session value is not JSON text, or is nested too deeply')
  return scanner.isLoose ? compact(text) : text
}

/** The compact ASCII form of a text that is known to be well-formed. */
function compact(text: string): JsonText {
  return escapeNonAscii(mapOutsideStrings(text, (between) => between.replace(/[ \t\n\r]+/g, '')))
}

/** Applies `change` to what stands between the string literals of a well-formed text. */
function mapOutsideStrings(text: string, change: (between: string) => string): string {
  const pieces: string[] = []
  let at = 0
  while (at < text.length) {
    const quote = text.indexOf('"', at)
    if (quote < 0) break
    let end = quote + 1
    while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1
    pieces.push(change(text.slice(at, quote)), text.slice(quote, end + 1))
    at = end + 1
  }
  pieces.push(change(text.slice(at)))
  return pieces.join('')
}

/** Python's `ensure_ascii`: every UTF-16 unit outside 0x20-0x7e as `\uXXXX`, astral characters therefore as two. */
function escapeNonAscii(text: string): string {
  return text.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** JSON.stringify and Python agree on the escapes of quotes, backslashes and controls; U+007F and above is the difference. */
function stringText(value: string): JsonText {
  return escapeNonAscii(JSON.stringify(value))
}

function readStep(text: JsonText, step: string): JsonText | undefined {
  const scanner = new JsonScanner(text, scanLimits({}))
  let found: JsonText | undefined
  const visit = (isWanted: boolean): boolean => {
    const start = scanner.at
    if (!scanner.skipValue()) return false
    if (isWanted) found = text.slice(start, scanner.at)
    return true
  }
  scanner.skipSpace()
  const isWhole =
    scanner.peek() === OPEN_BRACKET
      ? scanner.eachElement((index) => visit(String(index) === step))
      : scanner.eachMember((keyStart, keyEnd) => visit(scanner.decodeString(keyStart, keyEnd) === step))
  return isWhole ? found : undefined
}

function valueText(value: unknown, levels: number): JsonText {
  switch (typeof value) {
    case 'string':
      return stringText(value)
    case 'number':
      return numberText(value)
    case 'bigint':
    case 'boolean':
      return String(value)
    case 'object':
      return value === null ? 'null' : containerText(value, levels)
    default:
      throw new TypeError(`a ${typeof value} has no form in JSON`)
  }
}

function numberText(value: number): JsonText {
  if (Object.is(value, -0)) return '-0.0'
  // A number beyond 2^53 is rounded, so it must not come back as an integer, which claims to be exact.
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? value.toExponential() : String(value)
}

function containerText(value: object, levels: number): JsonText {
  if (levels === 0) throw new TypeError(`a value is nested deeper than ${MAX_JSON_DEPTH} levels`)
  if (Array.isArray(value)) return `[${Array.from(value, (item) => valueText(item, levels - 1)).join(',')}]`
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null)
    throw new TypeError('only plain objects have a form in JSON')
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return `{${members.map(([key, member]) => `${stringText(key)}:${valueText(member, levels - 1)}`).join(',')}}`
}

/** Stands for "no value" while building, because every JSON value, null included, is one. */
const malformed = Symbol('malformed')

function buildValue(scanner: JsonScanner): unknown {
  const start = scanner.at
  switch (scanner.peek()) {
    case OPEN_BRACE: {
      const object: Record<string, unknown> = Object.create(null)
      const isObject = scanner.eachMember((keyStart, keyEnd) => {
        const member = buildValue(scanner)
        object[scanner.decodeString(keyStart, keyEnd)] = member
        return member !== malformed
      })
      return isObject ? object : malformed
    }
    case OPEN_BRACKET: {
      const list: unknown[] = []
      const isArray = scanner.eachElement(() => list.push(buildValue(scanner)) > 0 && list.at(-1) !== malformed)
      return isArray ? list : malformed
    }
    case QUOTE:
      return scanner.skipString() ? scanner.decodeString(start, scanner.at) : malformed
    default:
      return scanner.skipValue() ? scalarValue(scanner.text.slice(start, scanner.at)) : malformed
  }
}

function scalarValue(text: JsonText): unknown {
  if (text === 'null') return null
  if (text === 'true') return true
  if (text === 'false') return false
  const number = Number(text)
  if (!/^-?[0-9]+$/.test(text)) return number
  // `-0` is an integer in Python, which knows no negative zero among them.
  return Number.isSafeInteger(number) ? number + 0 : BigInt(text)
}
