import type { EpochMs } from '../lib/clock.ts'
import { type ExpiryRules, type ExpirySetting, withExpiry } from './expiry.ts'
import type { JsonText, SessionData } from './json.ts'

/**
 * The key under which the gateway keeps what Django has no place for. Django ignores it, except that `clear()` and
 * `flush()` in a Django app drop it with the rest.
 */
export const RESERVED_KEY = '_gw'

/** What one answer of an app asks of a session. */
export interface SessionChanges {
  /** Django's `flush()`: the data and the row go. With `set`, `expiry` or `cycleKey` beside it, a new session begins. */
  readonly flush: boolean
  /** Django's `clear()`: the data goes, the row stays. Not together with `flush`. */
  readonly clear: boolean
  /** Top-level keys to remove; absent ones are fine. */
  readonly delete: readonly string[]
  /** Top-level keys to store, with their values. */
  readonly set: ReadonlyMap<string, JsonText>
  /** Absent: the expiry is left as it is. */
  readonly expiry?: ExpirySetting
  /** Django's `cycle_key()`: the same data under a new key. Says nothing about the data. */
  readonly cycleKey: boolean
}

/**
 * The data of a session after these changes, in their order: flush or clear, delete, set, expiry. A key that is set
 * again keeps its place, a new one comes last, as in a Python dict. Pure; `data` stays as it is.
 *
 * `clear` keeps {@link RESERVED_KEY}: the session goes on, and with it the clocks that bound its life, or an app could
 * prolong a session without end by clearing it. After `flush` it is another session.
 */
export function applyChanges(
  data: SessionData,
  changes: SessionChanges,
  rules: ExpiryRules,
  now: EpochMs,
): SessionData {
  const result = new Map(remainder(data, changes))
  for (const name of changes.delete) result.delete(name)
  for (const [name, text] of changes.set) result.set(name, text)
  return changes.expiry === undefined ? result : withExpiry(result, changes.expiry, rules, now)
}

function remainder(data: SessionData, changes: SessionChanges): Iterable<readonly [string, JsonText]> {
  if (changes.flush) return []
  return changes.clear ? [...data].filter(([name]) => name === RESERVED_KEY) : data
}
