import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  EARLIEST_MS,
  isoDateText,
  LATEST_MS,
  parseIsoDate,
  parseSqliteDate,
  saturateMs,
  sqliteDateText,
} from '../../../src/django/dates.ts'

// Naive dates are local time. Half an hour off UTC in winter and in summer, and hours that are missing or come twice.
process.env.TZ = 'America/St_Johns'

test('the bounds are those of a Python datetime', () => {
  assert.equal(isoDateText(EARLIEST_MS, true), '0001-01-01T00:00:00+00:00')
  assert.equal(isoDateText(LATEST_MS, true), '9999-12-31T23:59:59.999000+00:00')
})

const saturated: [at: number, nearest: number][] = [
  [0, 0],
  [1.9, 1],
  [-1.1, -2],
  [LATEST_MS + 1, LATEST_MS],
  [EARLIEST_MS - 1, EARLIEST_MS],
  [2 ** 53, LATEST_MS],
  [1e300, LATEST_MS],
  [-1e300, EARLIEST_MS],
  [Infinity, LATEST_MS],
  [-Infinity, EARLIEST_MS],
  [Number.NaN, EARLIEST_MS],
]
for (const [at, nearest] of saturated) {
  test(`${at} ms is held as ${nearest}`, () => assert.equal(saturateMs(at), nearest))
}

const written: [why: string, at: number, utc: string, local: string][] = [
  ['a whole second', Date.UTC(2030, 0, 1), '2030-01-01T00:00:00', '2029-12-31T20:30:00'],
  ['summer', Date.UTC(2030, 6, 1, 12), '2030-07-01T12:00:00', '2030-07-01T09:30:00'],
  ['a millisecond, in six digits', 1, '1970-01-01T00:00:00.001000', '1969-12-31T20:30:00.001000'],
  ['after 2038', Date.UTC(2038, 0, 19, 3, 14, 8), '2038-01-19T03:14:08', '2038-01-18T23:44:08'],
  ['a leap day', Date.UTC(2028, 1, 29, 12), '2028-02-29T12:00:00', '2028-02-29T08:30:00'],
  ['the end of time', Infinity, '9999-12-31T23:59:59.999000', '9999-12-31T20:29:59.999000'],
]
for (const [why, at, utc, local] of written) {
  test(`dates are written as Python writes them: ${why}`, () => {
    assert.equal(isoDateText(at, true), `${utc}+00:00`)
    assert.equal(isoDateText(at, false), local)
    assert.equal(sqliteDateText(at, true), utc.replace('T', ' '))
    assert.equal(sqliteDateText(at, false), local.replace('T', ' '))
  })
}

test('a local date before the first year is written as its first moment', () => {
  assert.match(isoDateText(EARLIEST_MS, false), /^0001-01-01T00:00:00$/)
})

const utc = (...parts: [number, number, number?, number?, number?, number?, number?]) => Date.UTC(...parts)

const read: [why: string, text: string, at: number | undefined][] = [
  ['an offset of zero', '2030-01-01T00:00:00+00:00', utc(2030, 0)],
  ['Z', '2030-01-01T00:00:00Z', utc(2030, 0)],
  ['an offset to the east', '2030-01-01T00:00:00+05:30', utc(2029, 11, 31, 18, 30)],
  ['an offset to the west', '2030-01-01T00:00:00-08:00', utc(2030, 0, 1, 8)],
  ['an offset with seconds', '2030-01-01T00:00:00+00:00:01', utc(2029, 11, 31, 23, 59, 59)],
  ['microseconds, cut to milliseconds', '2030-01-01T00:00:00.123999+00:00', utc(2030, 0, 1, 0, 0, 0, 123)],
  ['a short fraction', '2030-01-01T00:00:00.5Z', utc(2030, 0, 1, 0, 0, 0, 500)],
  ['a fraction after a comma', '2030-01-01T00:00:00,25Z', utc(2030, 0, 1, 0, 0, 0, 250)],
  ['another separator', '2030-01-01 00:00:00+00:00', utc(2030, 0)],
  ['no seconds', '2030-01-01T10:30Z', utc(2030, 0, 1, 10, 30)],
  ['naive in winter', '2030-01-01T00:00:00', utc(2030, 0, 1, 3, 30)],
  ['naive in summer', '2030-07-01T00:00:00', utc(2030, 6, 1, 2, 30)],
  ['a date alone is local midnight', '2030-01-01', utc(2030, 0, 1, 3, 30)],
  ['an hour that comes twice is the first', '2025-11-02T01:15:00', utc(2025, 10, 2, 3, 45)],
  ['an hour that is missing is read with the offset before it', '2025-03-09T02:15:00', utc(2025, 2, 9, 5, 45)],
  ['a two-digit year is one', '0099-06-01T00:00:00Z', new Date('0099-06-01T00:00:00Z').getTime()],
  ['an offset that leads out of the calendar', '0001-01-01T00:00:00+14:00', EARLIEST_MS],
  ['and at its end', '9999-12-31T23:59:59-14:00', LATEST_MS],
  ['a leap day', '2028-02-29T00:00:00Z', utc(2028, 1, 29)],
  ['a leap day in no leap year', '2027-02-29T00:00:00Z', undefined],
  ['a month too many', '2030-13-01T00:00:00Z', undefined],
  ['day zero', '2030-01-00T00:00:00Z', undefined],
  ['year zero', '0000-01-01T00:00:00Z', undefined],
  ['hour 24', '2030-01-01T24:00:00Z', undefined],
  ['a leap second', '2030-01-01T23:59:60Z', undefined],
  ['an offset of a day', '2030-01-01T00:00:00+24:00', undefined],
  ['half an offset', '2030-01-01T00:00:00+5', undefined],
  ['an offset of nothing', '2030-01-01T00:00:00+', undefined],
  ['a five-digit year', '12030-01-01T00:00:00Z', undefined],
  ['a line break behind', '2030-01-01T00:00:00Z\n', undefined],
  ['white space in front', ' 2030-01-01T00:00:00Z', undefined],
  ['digits beyond ASCII', '٢٠٣٠-01-01T00:00:00Z', undefined],
  ['a word', 'soon', undefined],
  ['nothing', '', undefined],
]
describe('an ISO date', () => {
  for (const [why, text, at] of read) {
    test(`${why}: ${JSON.stringify(text)}`, () => assert.equal(parseIsoDate(text), at))
  }
})

test("SQLite's dates are UTC, and local time only with USE_TZ off", () => {
  assert.equal(parseSqliteDate('2030-01-01 00:00:00', true), utc(2030, 0))
  assert.equal(parseSqliteDate('2030-01-01 00:00:00.250000', true), utc(2030, 0, 1, 0, 0, 0, 250))
  assert.equal(parseSqliteDate('2030-01-01 00:00:00', false), utc(2030, 0, 1, 3, 30))
  assert.equal(parseSqliteDate('never', true), undefined)
})

const moment = fc.integer({ min: EARLIEST_MS, max: LATEST_MS })

test('every moment survives its texts, and the texts sort as the moments do', () => {
  fc.assert(
    fc.property(moment, moment, (a, b) => {
      assert.equal(parseIsoDate(isoDateText(a, true)), a)
      assert.equal(parseSqliteDate(sqliteDateText(a, true), true), a)
      assert.equal(sqliteDateText(a, true) < sqliteDateText(b, true), a < b)
    }),
  )
})

test('every moment of our days survives as local time, but for the hour that comes twice', () => {
  const ours = fc.integer({ min: Date.UTC(1971, 0), max: Date.UTC(2100, 0) })
  fc.assert(
    fc.property(ours, (at) => {
      const text = isoDateText(at, false)
      const back = parseIsoDate(text)
      assert.ok(back === at || back === at - 3_600_000)
      assert.equal(isoDateText(back, false), text)
    }),
  )
})

test('no text throws', () => {
  const pieces = fc.constantFrom('2030', '-', '01', ':', 'T', 'Z', '+', '.', '00', '9999', '\u{1f600}', '\ud800')
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 20 }), (parts) => {
      const at = parseIsoDate(parts.join(''))
      assert.ok(at === undefined || (at >= EARLIEST_MS && at <= LATEST_MS))
    }),
    { numRuns: 2000 },
  )
})
