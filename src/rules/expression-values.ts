import { type JsonText, MAX_JSON_DEPTH } from '../django/json.ts'
import { JsonScanner, OPEN_BRACE, OPEN_BRACKET, QUOTE } from '../django/json-scanner.ts'

/**
 * Levels of objects and arrays inside one value of a session that an expression can see. The interpreter keeps a type
 * for every shape of nesting that it meets in a comparison, for ever; without a bound, sessions could grow it.
 */
const MAX_VALUE_DEPTH = 8

/** Members of one object or array that an expression can see: `exists` inside `exists` is quadratic in it. */
const MAX_VALUE_MEMBERS = 1000

/**
 * Stands for a value that is too deep or too long. The interpreter knows no such type, so that looking at it is an error,
 * and an error is a no; whatever lies beside it stays readable.
 */
class Unreadable {}

/** The one value of its kind. */
export const unreadable: object = Object.freeze(new Unreadable())

/**
 * The value of a JSON text as CEL knows it: integers as `bigint` (they are CEL's `int`; `1.0` is a `double`, as in
 * Python), objects as `Map`, so that `constructor` and `__proto__` are keys like any other, and missing ones are missing.
 */
export function celValue(text: JsonText): unknown {
  const scanner = new JsonScanner(text, { maxDepth: MAX_JSON_DEPTH, duplicateKeys: 'last' })
  scanner.skipSpace()
  return readValue(scanner, 0)
}

function readValue(scanner: JsonScanner, depth: number): unknown {
  const start = scanner.at
  const first = scanner.peek()
  if (depth < MAX_VALUE_DEPTH) {
    if (first === OPEN_BRACE) return readObject(scanner, depth + 1)
    if (first === OPEN_BRACKET) return readArray(scanner, depth + 1)
  }
  if (!scanner.skipValue() || first === OPEN_BRACE || first === OPEN_BRACKET) return unreadable
  return first === QUOTE ? scanner.decodeString(start, scanner.at) : scalar(scanner.text.slice(start, scanner.at))
}

function readObject(scanner: JsonScanner, depth: number): unknown {
  const members = new Map<string, unknown>()
  const isWhole = scanner.eachMember((keyStart, keyEnd) => {
    members.set(scanner.decodeString(keyStart, keyEnd), readValue(scanner, depth))
    return true
  })
  return isWhole && members.size <= MAX_VALUE_MEMBERS ? members : unreadable
}

function readArray(scanner: JsonScanner, depth: number): unknown {
  const elements: unknown[] = []
  const isWhole = scanner.eachElement(() => elements.push(readValue(scanner, depth)) > 0)
  return isWhole && elements.length <= MAX_VALUE_MEMBERS ? elements : unreadable
}

function scalar(text: JsonText): unknown {
  switch (text) {
    case 'null':
      return null
    case 'true':
      return true
    case 'false':
      return false
    default:
      // The letters are those of an exponent, of `NaN` and of `Infinity`; Number reads the two as they are meant.
      return /[.eEIN]/.test(text) ? Number(text) : BigInt(text)
  }
}
