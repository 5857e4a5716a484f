import { type JsonText, jsonText, MAX_JSON_DEPTH, MAX_JSON_LENGTH, type SessionData } from '../json.ts'
import { JsonScanner, OPEN_BRACE, OPEN_BRACKET, QUOTE } from '../json-scanner.ts'
import { type PythonDict, PythonFloat, type PythonValue } from './python-value.ts'

/** Python's `sys.int_max_str_digits`: it writes no longer integer as text, and reads none. */
const MAX_INTEGER_DIGITS = 4300

/** Letters, digits, punctuation: what a JSON string holds as it is. */
const plainText = /^[ !#-[\]-~]*$/

/**
 * The dict that Python's `json.loads` makes of a session.
 *
 * @throws {TypeError} if a value is not JSON text, or so deep that the session could not be read again: a bug of the
 * caller.
 */
export function pythonDictOf(data: SessionData): PythonDict {
  const dict: PythonDict = new Map()
  for (const [key, text] of data) dict.set(key, pythonValueOf(text))
  return dict
}

function pythonValueOf(text: JsonText): PythonValue {
  const scanner = new JsonScanner(text, { maxDepth: MAX_JSON_DEPTH - 1, duplicateKeys: 'last' })
  scanner.skipSpace()
  const value = readValue(scanner)
  scanner.skipSpace()
  // The text itself may be a secret of somebody's session, so the message does not show it.
  if (value === undefined || !scanner.isAtEnd()) {
    throw new TypeError('a session value is not JSON text, or is nested too deeply')
  }
  return value
}

/** Undefined where the text is malformed or too deep. */
function readValue(scanner: JsonScanner): PythonValue | undefined {
  const start = scanner.at
  switch (scanner.peek()) {
    case OPEN_BRACE:
      return readDict(scanner)
    case OPEN_BRACKET:
      return readList(scanner)
    case QUOTE:
      return scanner.skipString() ? scanner.decodeString(start, scanner.at) : undefined
    default:
      return scanner.skipValue() ? wordOrNumber(scanner.text.slice(start, scanner.at)) : undefined
  }
}

function readDict(scanner: JsonScanner): PythonValue | undefined {
  const dict: PythonDict = new Map()
  const isDict = scanner.eachMember((keyStart, keyEnd) => {
    const value = readValue(scanner)
    if (value === undefined) return false
    dict.set(scanner.decodeString(keyStart, keyEnd), value)
    return true
  })
  return isDict ? dict : undefined
}

function readList(scanner: JsonScanner): PythonValue | undefined {
  const list: PythonValue[] = []
  const isList = scanner.eachElement(() => {
    const value = readValue(scanner)
    if (value === undefined) return false
    list.push(value)
    return true
  })
  return isList ? list : undefined
}

function wordOrNumber(text: JsonText): PythonValue {
  if (text === 'null') return null
  if (text === 'true') return true
  if (text === 'false') return false
  const number = Number(text)
  if (!/^-?[0-9]+$/.test(text)) return new PythonFloat(number)
  // `-0` is an integer in Python, which knows no negative zero among them.
  return Number.isSafeInteger(number) ? number + 0 : BigInt(text)
}

/**
 * The session that a dict is, each value as the text that Python's `json.dumps` writes for it. What stands in several
 * places is written in each of them.
 *
 * Undefined if it cannot be a session: nested deeper than {@link MAX_JSON_DEPTH} (what contains itself is), longer than
 * {@link MAX_JSON_LENGTH} as JSON, or with an integer that Python would not write. It stops as soon as that is known, so
 * a small pickle that stands for a huge session costs no more than a session of that length.
 */
export function sessionDataOf(dict: ReadonlyMap<string, PythonValue>): SessionData | undefined {
  const data = new Map<string, JsonText>()
  let lengthLeft = MAX_JSON_LENGTH - '{'.length
  for (const [key, value] of dict) {
    // The last comma stands for the closing brace.
    lengthLeft -= stringText(key).length + ':,'.length
    const writer = new JsonWriter(lengthLeft)
    if (!writer.write(value, MAX_JSON_DEPTH - 1)) return undefined
    lengthLeft -= writer.text.length
    data.set(key, writer.text)
  }
  return data
}

class JsonWriter {
  text = ''
  readonly #maxLength: number

  constructor(maxLength: number) {
    this.#maxLength = maxLength
  }

  /** False if the value is too deep or the text too long; then `text` means nothing. */
  write(value: PythonValue, levels: number): boolean {
    if (value instanceof Map) {
      if (levels === 0 || !this.#writeDict(value, levels - 1)) return false
    } else if (Array.isArray(value)) {
      if (levels === 0 || !this.#writeList(value, levels - 1)) return false
    } else {
      const text = scalarText(value)
      if (text === undefined) return false
      this.text += text
    }
    return this.text.length <= this.#maxLength
  }

  #writeDict(dict: ReadonlyMap<string, PythonValue>, levels: number): boolean {
    let before = '{'
    for (const [key, value] of dict) {
      this.text += `${before}${stringText(key)}:`
      if (!this.write(value, levels)) return false
      before = ','
    }
    this.text += dict.size === 0 ? '{}' : '}'
    return true
  }

  #writeList(list: readonly PythonValue[], levels: number): boolean {
    let before = '['
    for (const value of list) {
      this.text += before
      if (!this.write(value, levels)) return false
      before = ','
    }
    this.text += list.length === 0 ? '[]' : ']'
    return true
  }
}

function scalarText(value: null | boolean | string | number | bigint | PythonFloat): JsonText | undefined {
  switch (typeof value) {
    case 'string':
      return stringText(value)
    case 'bigint':
      return integerText(value)
    case 'object':
      return value === null ? 'null' : floatText(value.value)
    default:
      return String(value)
  }
}

function stringText(value: string): JsonText {
  return plainText.test(value) ? `"${value}"` : jsonText(value)
}

function integerText(value: bigint): JsonText | undefined {
  const text = String(value)
  return text.length - (value < 0n ? 1 : 0) > MAX_INTEGER_DIGITS ? undefined : text
}

/** Python's `float.__repr__`: the shortest digits that are this number, an exponent from 1e16 and below 1e-4 on. */
export function floatText(value: number): JsonText {
  if (Object.is(value, -0)) return '-0.0'
  if (!Number.isFinite(value)) return String(value)
  const size = Math.abs(value)
  if (value === 0 || (size >= 1e-4 && size < 1e16)) return Number.isInteger(value) ? `${value}.0` : String(value)
  return value.toExponential().replace(/e([+-])([0-9])$/, 'e$10$2')
}
