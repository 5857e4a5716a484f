import type { ExpirySetting } from '../django/expiry.ts'

/** RFC 9651, section 3.3.1: at most 15 digits, which every number type holds. No sign but `-`, no leading zeros, no `-0`. */
const SECONDS = /^(?:0|-?[1-9][0-9]{0,14})$/

/** RFC 3339, section 5.6, `date-time`; the zone is part of it. */
const DATE_TIME =
  /^(\d{4}-\d{2}-\d{2})[Tt]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?)([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/

/** What Python's `datetime` can hold, in which Django keeps the date: the years 1 to 9999. */
const FIRST_DATE_MS = Date.parse('0001-01-01T00:00:00Z')
const LAST_DATE_MS = Date.parse('9999-12-31T23:59:59.999Z')

/**
 * The value of `X-Session-Expiry`: whole seconds (negative ones are over at once, as in Django; `0` lasts until the
 * browser closes), an RFC 3339 date with its zone, or `default`. `undefined` for everything else: a fraction, nothing,
 * a date without zone, a day or leap second that Python's calendar does not have.
 */
export function parseExpiry(text: string): ExpirySetting | undefined {
  if (text === 'default') return { kind: 'default' }
  if (SECONDS.test(text)) return { kind: 'seconds', seconds: Number(text) }
  const [, day, time, zone] = DATE_TIME.exec(text) ?? []
  if (day === undefined || time === undefined || zone === undefined || !isDay(day)) return undefined
  const at = Date.parse(`${day}T${time}${zone.toUpperCase()}`)
  return at >= FIRST_DATE_MS && at <= LAST_DATE_MS ? { kind: 'date', at } : undefined
}

/** February 30 is a date to `Date.parse`, which takes it for March 2. */
function isDay(day: string): boolean {
  const at = Date.parse(`${day}T00:00:00Z`)
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(day)
}
