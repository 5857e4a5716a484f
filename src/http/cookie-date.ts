import type { EpochMs } from '../lib/clock.ts'

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

/**
 * The date of a cookie's `Expires`, by the algorithm that browsers follow (RFC 6265, section 5.1.1): time, day, month and
 * year in any order, the first of each counts, words that fit none are skipped, the zone is always UTC. `Date.parse` reads
 * other things into the same text, local time among them.
 */
export function parseCookieDate(text: string): EpochMs | undefined {
  let time: readonly [number, number, number] | undefined
  let day: number | undefined
  let month: number | undefined
  let year: number | undefined
  for (const token of text.split(/[\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+/)) {
    const clock = time === undefined ? parseTime(token) : undefined
    const monthOf = months.indexOf(token.slice(0, 3).toLowerCase())
    if (clock !== undefined) time = clock
    else if (day === undefined && /^[0-9]{1,2}(?![0-9])/.test(token)) day = Number.parseInt(token, 10)
    else if (month === undefined && monthOf >= 0) month = monthOf
    else year ??= parseYear(token)
  }
  if (time === undefined || day === undefined || month === undefined || year === undefined) return undefined
  const [hours, minutes, seconds] = time
  if (year < 1601 || hours > 23 || minutes > 59 || seconds > 59) return undefined
  const date = new Date(Date.UTC(year, month, day, hours, minutes, seconds))
  return date.getUTCDate() === day ? date.getTime() : undefined
}

function parseTime(token: string): readonly [number, number, number] | undefined {
  const parts = /^([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])/.exec(token)
  return parts === null ? undefined : [Number(parts[1]), Number(parts[2]), Number(parts[3])]
}

/** Two digits are 1970 to 2069. */
function parseYear(token: string): number | undefined {
  const digits = /^[0-9]{2,4}(?![0-9])/.exec(token)?.[0]
  if (digits === undefined) return undefined
  const year = Number(digits)
  if (year >= 70 && year <= 99) return year + 1900
  return year <= 69 ? year + 2000 : year
}
