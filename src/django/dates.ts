import type { EpochMs } from '../lib/clock.ts'

/** 0001-01-01T00:00:00Z: the first moment of a Python `datetime`. */
export const EARLIEST_MS: EpochMs = -62_135_596_800_000

/** 9999-12-31T23:59:59.999Z: the last millisecond of a Python `datetime`. */
export const LATEST_MS: EpochMs = 253_402_300_799_999

/**
 * The nearest whole millisecond, downwards, that a Python `datetime` can hold. Python raises OverflowError outside of
 * it, databases refuse, `new Date` becomes invalid; here a date too far away is simply the last one. NaN becomes
 * {@link EARLIEST_MS}, because a time that is none must not keep a session alive.
 */
export function saturateMs(at: number): EpochMs {
  return Number.isNaN(at) ? EARLIEST_MS : Math.floor(Math.min(Math.max(at, EARLIEST_MS), LATEST_MS))
}

/**
 * `datetime.isoformat()` as Django stores fixed expiry dates: `2030-01-01T00:00:00+00:00`, with six digits of fraction
 * where there is one. With `useTz` false (Django's USE_TZ) naive local time of this process, without an offset.
 */
export function isoDateText(at: EpochMs, useTz: boolean): string {
  return useTz ? `${naiveText(at, 'utc')}+00:00` : naiveText(at, 'local')
}

/**
 * A date as Django's SQLite backend stores it, `2030-01-01 00:00:00[.ffffff]`: UTC, or with `useTz` false local time.
 * Such texts sort as their dates do, which is how the database compares them.
 */
export function sqliteDateText(at: EpochMs, useTz: boolean): string {
  return naiveText(at, useTz ? 'utc' : 'local').replace('T', ' ')
}

/** Reads what {@link sqliteDateText} or Django wrote; undefined if it is no date. */
export function parseSqliteDate(text: string, useTz: boolean): EpochMs | undefined {
  return parseDate(text, useTz ? 'utc' : 'local')
}

/**
 * Reads what `datetime.isoformat()` writes, and what `datetime.fromisoformat()` reads of the extended ISO format: a date
 * alone is midnight, any one character may stand between date and time. Without an offset it is local time of this
 * process, in the hour that comes twice in autumn the first of the two, as Python's `fold=0`. Undefined if it is no date.
 */
export function parseIsoDate(text: string): EpochMs | undefined {
  return parseDate(text, 'local')
}

/** Where a text without an offset belongs. */
type Zone = 'utc' | 'local'

const DATE = /^(?<date>\d{4}-\d\d-\d\d)(?:.(?<time>\d\d(?::\d\d(?::\d\d(?:[.,]\d+)?)?)?)(?<offset>Z|[+-].+)?)?$/su
const TIME = /^(\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?)?$/

function naiveText(at: EpochMs, zone: Zone): string {
  const moment = saturateMs(at)
  // Shifted by the offset and written as if it were UTC, and held inside the calendar once more: with an offset, the
  // last hours of the year 9999 would belong to the year 10000, which nobody reads back.
  const shifted = zone === 'utc' ? moment : moment - new Date(moment).getTimezoneOffset() * 60_000
  const text = new Date(saturateMs(shifted)).toISOString()
  const fraction = text.slice(20, 23)
  return text.slice(0, 19) + (fraction === '000' ? '' : `.${fraction}000`)
}

function parseDate(text: string, zone: Zone): EpochMs | undefined {
  const { date = '', time = '00', offset } = DATE.exec(text)?.groups ?? {}
  const clock = parseClock(time)
  if (date === '' || clock === undefined) return undefined
  const [year = 0, month = 0, day = 0] = date.split('-').map(Number)
  const moment = new Date(0)
  moment.setUTCFullYear(year, month - 1, day)
  // A day or month that does not exist has rolled over into another month.
  if (year < 1 || moment.getUTCMonth() !== month - 1) return undefined
  if (offset === undefined && zone === 'local') return localMoment([year, month - 1, day], clock)
  const offsetMs = offset === undefined || offset === 'Z' ? 0 : parseOffset(offset)
  return offsetMs === undefined ? undefined : saturateMs(moment.getTime() + clock - offsetMs)
}

function localMoment([year, month, day]: readonly [number, number, number], clockMs: number): EpochMs {
  // Not `new Date(year, …)`, which takes the years 0-99 for 1900-1999.
  const moment = new Date(2000, 0, 1)
  moment.setFullYear(year, month, day)
  moment.setHours(0, 0, 0, clockMs)
  return saturateMs(moment.getTime())
}

function parseOffset(text: string): number | undefined {
  const clock = parseClock(text.slice(1))
  return clock !== undefined && text.startsWith('-') ? -clock : clock
}

/** `hh[:mm[:ss[.f…]]]` as milliseconds since midnight; undefined if a part is out of its range. */
function parseClock(text: string): number | undefined {
  const parts = TIME.exec(text)
  if (parts === null) return undefined
  const [, hour = '0', minute = '0', second = '0', fraction = ''] = parts
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined
  const seconds = (Number(hour) * 60 + Number(minute)) * 60 + Number(second)
  return seconds * 1000 + Number(fraction.slice(0, 3).padEnd(3, '0'))
}
