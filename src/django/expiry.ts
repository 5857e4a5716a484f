import type { EpochMs } from '../lib/clock.ts'
import { isoDateText, parseIsoDate, saturateMs } from './dates.ts'
import { jsonText, parseJsonValue, type SessionData } from './json.ts'

/** The key under which Django keeps the expiry that was set for one session. */
export const EXPIRY_KEY = '_session_expiry'

/**
 * Bounds of what is stored as a number of seconds. Django adds it to the time of each save and fails for good once the
 * sum leaves the years 1-9999; from the present, these stay inside for another thousand years.
 */
const MAX_EXPIRY_SECONDS = 200_000_000_000
const MIN_EXPIRY_SECONDS = -60_000_000_000

/** Django's settings, as far as they decide when a session ends. */
export interface ExpiryRules {
  /** SESSION_COOKIE_AGE. */
  readonly cookieAgeSeconds: number
  /** SESSION_EXPIRE_AT_BROWSER_CLOSE, for sessions with no expiry of their own. */
  readonly expireAtBrowserClose: boolean
  /** How a fixed date is stored: as ISO text (Django 4.1 and later), or as seconds from now (3.2 cannot read the text). */
  readonly dates: 'iso' | 'seconds'
  /** USE_TZ: dates carry an offset. False: they are naive local time. */
  readonly useTz: boolean
}

/** What `set_expiry` is asked for: seconds (0 = until the browser closes, negative = over already), a date, or no more own expiry. */
export type ExpirySetting =
  | { readonly kind: 'seconds'; readonly seconds: number }
  | { readonly kind: 'date'; readonly at: EpochMs }
  | { readonly kind: 'default' }

/**
 * `get_expiry_age()`: whole seconds, rounded as Django does, from `now` (the time of the last save, or of this one) until
 * the session ends. Negative if that is over. `0` in the session means the configured age on the server, while the
 * cookie lives until the browser closes.
 *
 * What Django cannot read and answers with an error (a text that is no date, a list, NaN) counts as not set; a date
 * beyond the years 1-9999 as the nearest inside. A text without an offset is local time and one with an offset is that
 * moment, whatever `useTz` says, where Django refuses to mix the two.
 */
export function expiryAgeSeconds(data: SessionData, rules: ExpiryRules, now: EpochMs): number {
  const own = readOwnExpiry(data)
  const ageMs = expiryDate(data, rules, now) - saturateMs(now)
  // A date's age is a difference of dates, which Python rounds down; seconds are cut off where they become Max-Age or a
  // time to live. The sum turns -0 into 0.
  return (own?.kind === 'date' ? Math.floor(ageMs / 1000) : Math.trunc(ageMs / 1000)) + 0
}

/**
 * `get_expiry_date()`: the moment at which the session ends, counted from `now` where it is no fixed date. The count is in
 * real seconds; with USE_TZ off Django's own is off by the hour when clocks change in between.
 */
export function expiryDate(data: SessionData, rules: ExpiryRules, now: EpochMs): EpochMs {
  const own = readOwnExpiry(data)
  if (own?.kind === 'date') return own.at
  const ageSeconds = own === undefined ? rules.cookieAgeSeconds : own.seconds
  return saturateMs(saturateMs(now) + ageSeconds * 1000)
}

/**
 * The inverse of {@link expiryDate}: the time of saving from which a session ends at `expiresAt`. `now` where a fixed date
 * in the session decides, whenever it was saved.
 */
export function savedAtFor(
  data: SessionData,
  rules: ExpiryRules,
  { expiresAt, now }: { readonly expiresAt: EpochMs; readonly now: EpochMs },
): EpochMs {
  const own = readOwnExpiry(data)
  if (own?.kind === 'date') return now
  const ageSeconds = own === undefined ? rules.cookieAgeSeconds : own.seconds
  return saturateMs(saturateMs(expiresAt) - ageSeconds * 1000)
}

/** `get_expire_at_browser_close()`: an expiry of the session's own decides, by being zero or not; else the setting. */
export function expiresAtBrowserClose(data: SessionData, rules: ExpiryRules): boolean {
  const value = readExpiryValue(data)
  if (value === undefined || value === null) return rules.expireAtBrowserClose
  // `False == 0` in Python; bigints are never zero.
  return value === 0 || value === false
}

/**
 * `set_expiry()`: the session's data with the setting in it, or without any for `default`. Pure; `data` stays as it is.
 *
 * With `dates: 'seconds'` a date becomes the seconds that are left. It is then no longer fixed: Django counts them anew
 * from each save. A date less than a second off is stored as past, because 0 would mean something else.
 */
export function withExpiry(data: SessionData, setting: ExpirySetting, rules: ExpiryRules, now: EpochMs): SessionData {
  const changed = new Map(data)
  switch (setting.kind) {
    case 'default':
      changed.delete(EXPIRY_KEY)
      return changed
    case 'seconds':
      return changed.set(EXPIRY_KEY, secondsText(setting.seconds))
    case 'date': {
      if (rules.dates === 'iso') return changed.set(EXPIRY_KEY, jsonText(isoDateText(setting.at, rules.useTz)))
      const left = Math.floor((saturateMs(setting.at) - saturateMs(now)) / 1000)
      return changed.set(EXPIRY_KEY, secondsText(left === 0 ? -1 : left))
    }
  }
}

function secondsText(seconds: number): string {
  // NaN ends the session, for the same reason as in `saturateMs`.
  const bounded = Number.isNaN(seconds)
    ? MIN_EXPIRY_SECONDS
    : Math.min(Math.max(seconds, MIN_EXPIRY_SECONDS), MAX_EXPIRY_SECONDS)
  // The sum turns -0 into 0, which jsonText would write as the float that it is in Python.
  return jsonText(Math.trunc(bounded) + 0)
}

type OwnExpiry =
  | { readonly kind: 'seconds'; readonly seconds: number }
  | { readonly kind: 'date'; readonly at: EpochMs }

/** The session's own expiry, undefined if it has none: missing, falsy in Python, or unreadable. */
function readOwnExpiry(data: SessionData): OwnExpiry | undefined {
  const value = readExpiryValue(data)
  if (typeof value === 'string') {
    const at = parseIsoDate(value)
    return at === undefined ? undefined : { kind: 'date', at }
  }
  // True is the integer 1 in Python.
  const seconds = typeof value === 'number' || typeof value === 'bigint' || value === true ? Number(value) : 0
  return seconds === 0 || Number.isNaN(seconds) ? undefined : { kind: 'seconds', seconds }
}

function readExpiryValue(data: SessionData): unknown {
  const text = data.get(EXPIRY_KEY)
  return text === undefined ? undefined : parseJsonValue(text)
}
