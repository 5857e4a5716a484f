import { isDeepStrictEqual } from 'node:util'
import { parseJsonValue, readPath, type SessionData } from '../django/json.ts'

/** Sessions in which a key has a value. */
export interface ValueQuery {
  /** `userInfo.role` in its steps. */
  readonly path: readonly string[]
  /** As `JSON.parse` gives it, or, so that large integers are exact, `parseJsonValue`. */
  readonly value: unknown
}

/** Whether a session is one of those; one that lacks the key is not. Integers are compared digit by digit. */
export function hasValue(data: SessionData, { path, value }: ValueQuery): boolean {
  const text = readPath(data, path)
  return text !== undefined && isDeepStrictEqual(comparable(parseJsonValue(text)), comparable(value))
}

/**
 * False for a whole number beyond 2^53, at any depth. Through `JSON.parse` it stands for its neighbours too, and a session
 * of one of them is somebody else's.
 */
export function isExact(value: unknown): boolean {
  if (typeof value === 'bigint') return false
  if (typeof value === 'number') return !Number.isInteger(value) || Number.isSafeInteger(value)
  return typeof value !== 'object' || value === null || Object.values(value).every(isExact)
}

/** The same value whichever way it was read: with prototypes, and with one zero. */
function comparable(value: unknown): unknown {
  if (value === 0) return 0
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(comparable)
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, comparable(member)]))
}
