import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { EARLIEST_MS, LATEST_MS } from '../../../src/django/dates.ts'
import {
  EXPIRY_KEY,
  type ExpiryRules,
  type ExpirySetting,
  expiresAtBrowserClose,
  expiryAgeSeconds,
  expiryDate,
  withExpiry,
} from '../../../src/django/expiry.ts'
import { parseJsonValue, type SessionData } from '../../../src/django/json.ts'

process.env.TZ = 'America/New_York'

const rules: ExpiryRules = { cookieAgeSeconds: 1_209_600, expireAtBrowserClose: false, dates: 'iso', useTz: true }
const untilClose: ExpiryRules = { ...rules, expireAtBrowserClose: true }
const now = Date.UTC(2026, 0, 1)
const second = 1000

function withValue(text: string | undefined): SessionData {
  return new Map(text === undefined ? [] : [[EXPIRY_KEY, text]])
}

const defaultAge = 1_209_600
const lastSecond = Math.trunc((LATEST_MS - now) / second)
const firstSecond = Math.trunc((EARLIEST_MS - now) / second)

const stored: [why: string, text: string | undefined, ageSeconds: number, closes: 'by setting' | boolean][] = [
  ['nothing stored', undefined, defaultAge, 'by setting'],
  ['null', 'null', defaultAge, 'by setting'],
  ['zero: fourteen days on the server, the browser decides', '0', defaultAge, true],
  ['zero as a float', '0.0', defaultAge, true],
  ['negative zero', '-0.0', defaultAge, true],
  ['False, which equals zero in Python', 'false', defaultAge, true],
  ['True, which is one in Python', 'true', 1, false],
  ['an empty text, false in Python but not zero', '""', defaultAge, false],
  ['five minutes', '300', 300, false],
  ['ten seconds ago', '-10', -10, false],
  ['half a second', '0.5', 0, false],
  ['half a second ago', '-0.5', 0, false],
  ['a fraction is cut off', '59.999', 59, false],
  ['a date', '"2026-01-01T01:00:00+00:00"', 3600, false],
  ['a date in another zone', '"2026-01-01T01:00:00+01:00"', 0, false],
  ['a date half a second off rounds down', '"2026-01-01T00:00:00.500000+00:00"', 0, false],
  ['a date half a second ago rounds down', '"2025-12-31T23:59:59.500000+00:00"', -1, false],
  ['a date long ago', '"1999-12-31T00:00:00+00:00"', (Date.UTC(1999, 11, 31) - now) / second, false],
  ['the last date of Python', '"9999-12-31T23:59:59.999999+00:00"', lastSecond, false],
  ['the first date of Python', '"0001-01-01T00:00:00+00:00"', firstSecond, false],
  ['beyond the year 9999', '1e12', lastSecond, false],
  ['before the year 1', '-1e12', firstSecond, false],
  ['1e300', '1e300', lastSecond, false],
  ['an integer beyond all floats', '1'.repeat(4000), lastSecond, false],
  ['an integer above 2^53', '12345678901234567890', lastSecond, false],
  ['Infinity', 'Infinity', lastSecond, false],
  ['-Infinity', '-Infinity', firstSecond, false],
  ['NaN, on which Django fails, counts as not set', 'NaN', defaultAge, false],
  ['a text that is no date', '"soon"', defaultAge, false],
  ['a date that does not exist', '"2026-02-30T00:00:00+00:00"', defaultAge, false],
  ['a list', '[60]', defaultAge, false],
  ['an object', '{"seconds":60}', defaultAge, false],
  ['what is not JSON', 'x', defaultAge, 'by setting'],
]
for (const [why, text, ageSeconds, closes] of stored) {
  test(`the stored expiry: ${why}`, () => {
    const data = withValue(text)
    assert.equal(expiryAgeSeconds(data, rules, now), ageSeconds)
    assert.equal(expiresAtBrowserClose(data, rules), closes === 'by setting' ? false : closes)
    assert.equal(expiresAtBrowserClose(data, untilClose), closes === 'by setting' ? true : closes)
  })
}

test('the date of expiry is counted from now, except that a fixed date stands', () => {
  assert.equal(expiryDate(withValue(undefined), rules, now), now + defaultAge * second)
  assert.equal(expiryDate(withValue('0'), rules, now), now + defaultAge * second)
  assert.equal(expiryDate(withValue('300'), rules, now), now + 300 * second)
  assert.equal(expiryDate(withValue('0.5'), rules, now), now + 500)
  assert.equal(expiryDate(withValue('"2030-01-01T00:00:00+00:00"'), rules, now), Date.UTC(2030, 0, 1))
})

test('a naive date is local time of this process, with USE_TZ on or off', () => {
  for (const useTz of [true, false]) {
    const at = expiryDate(withValue('"2030-01-01T00:00:00"'), { ...rules, useTz }, now)
    assert.equal(at, Date.UTC(2030, 0, 1, 5))
  }
})

const january2030 = Date.UTC(2030, 0, 1)
const naive: ExpiryRules = { ...rules, useTz: false }
const oldDjango: ExpiryRules = { ...rules, dates: 'seconds' }

const settings: [why: string, setting: ExpirySetting, rules: ExpiryRules, text: string | undefined][] = [
  ['seconds', { kind: 'seconds', seconds: 300 }, rules, '300'],
  ['zero', { kind: 'seconds', seconds: 0 }, rules, '0'],
  ['negative zero is zero', { kind: 'seconds', seconds: -0 }, rules, '0'],
  ['negative seconds', { kind: 'seconds', seconds: -10 }, rules, '-10'],
  ['a fraction is cut off', { kind: 'seconds', seconds: -1.9 }, rules, '-1'],
  ['more seconds than Django can add to a date', { kind: 'seconds', seconds: 1e300 }, rules, '200000000000'],
  ['endless seconds', { kind: 'seconds', seconds: Infinity }, rules, '200000000000'],
  ['fewer seconds than Django can add', { kind: 'seconds', seconds: -1e300 }, rules, '-60000000000'],
  ['seconds that are no number end the session', { kind: 'seconds', seconds: Number.NaN }, rules, '-60000000000'],
  ['a date', { kind: 'date', at: january2030 }, rules, '"2030-01-01T00:00:00+00:00"'],
  ['a date with a fraction', { kind: 'date', at: january2030 + 5 }, rules, '"2030-01-01T00:00:00.005000+00:00"'],
  ['a date with USE_TZ off', { kind: 'date', at: january2030 }, naive, '"2029-12-31T19:00:00"'],
  ['a date beyond all dates', { kind: 'date', at: Infinity }, rules, '"9999-12-31T23:59:59.999000+00:00"'],
  ['a date that is none', { kind: 'date', at: Number.NaN }, rules, '"0001-01-01T00:00:00+00:00"'],
  ['a date for an old Django', { kind: 'date', at: now + 90_500 }, oldDjango, '90'],
  ['a past date for an old Django', { kind: 'date', at: now - 90_500 }, oldDjango, '-91'],
  ['the present moment for an old Django is past, not "browser close"', { kind: 'date', at: now }, oldDjango, '-1'],
  ['a date half a second off, likewise', { kind: 'date', at: now + 500 }, oldDjango, '-1'],
  ['a date beyond all dates for an old Django', { kind: 'date', at: Infinity }, oldDjango, '200000000000'],
  ['the default', { kind: 'default' }, rules, undefined],
]
describe('setting an expiry stores', () => {
  for (const [why, setting, under, text] of settings) {
    test(why, () => {
      const before = new Map([
        ['a', '1'],
        [EXPIRY_KEY, '77'],
        ['b', '2'],
      ])
      const after = withExpiry(before, setting, under, now)
      assert.equal(after.get(EXPIRY_KEY), text)
      assert.equal(after.get('a'), '1')
      assert.equal(after.get('b'), '2')
      assert.equal(before.get(EXPIRY_KEY), '77')
    })
  }
})

test('what is set is what is read: the date to the millisecond, the seconds exactly', () => {
  fc.assert(
    fc.property(fc.integer({ min: EARLIEST_MS, max: LATEST_MS }), (at) => {
      assert.equal(expiryDate(withExpiry(new Map(), { kind: 'date', at }, rules, now), rules, now), at)
    }),
  )
  fc.assert(
    fc.property(fc.integer(), (seconds) => {
      fc.pre(seconds !== 0)
      const data = withExpiry(new Map(), { kind: 'seconds', seconds }, rules, now)
      assert.equal(expiryAgeSeconds(data, rules, now), seconds)
      assert.equal(expiresAtBrowserClose(data, untilClose), false)
    }),
  )
})

test('whatever is stored and whenever it is read, the answer is a whole number inside the calendar', () => {
  const anyTime = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(Infinity, -Infinity, Number.NaN, 2 ** 53))
  const anyText = fc.oneof(fc.json(), fc.string(), fc.double().map(String), fc.bigInt().map(String))
  fc.assert(
    fc.property(anyText, anyTime, (text, at) => {
      const data = withValue(text)
      const date = expiryDate(data, rules, at)
      assert.ok(Number.isSafeInteger(date) && date >= EARLIEST_MS && date <= LATEST_MS)
      assert.ok(Number.isSafeInteger(expiryAgeSeconds(data, rules, at)))
      const set = withExpiry(data, { kind: 'seconds', seconds: at }, rules, at).get(EXPIRY_KEY) ?? ''
      assert.ok(Number.isSafeInteger(parseJsonValue(set)))
    }),
    { numRuns: 500 },
  )
})
