import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseExpiry } from '../../../src/writeback/expiry-header.ts'

test('whole seconds are an age, negative ones and zero included', () => {
  const cases: [text: string, seconds: number][] = [
    ['300', 300],
    ['0', 0],
    ['-10', -10],
    ['999999999999999', 999_999_999_999_999],
  ]
  for (const [text, seconds] of cases) assert.deepEqual(parseExpiry(text), { kind: 'seconds', seconds }, text)
})

test('an RFC 3339 date with its zone is a point in time', () => {
  const cases: [text: string, iso: string][] = [
    ['2030-01-01T00:00:00Z', '2030-01-01T00:00:00.000Z'],
    ['2030-01-01t00:00:00z', '2030-01-01T00:00:00.000Z'],
    ['2030-01-01T02:30:00+02:30', '2030-01-01T00:00:00.000Z'],
    ['2029-12-31T19:00:00-05:00', '2030-01-01T00:00:00.000Z'],
    ['2030-01-01T00:00:00-00:00', '2030-01-01T00:00:00.000Z'],
    ['2030-01-01T00:00:00.123456Z', '2030-01-01T00:00:00.123Z'],
    ['2028-02-29T12:00:00Z', '2028-02-29T12:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59Z', '9999-12-31T23:59:59.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
    ['2030-01-01T23:59:00+23:59', '2030-01-01T00:00:00.000Z'],
  ]
  for (const [text, iso] of cases) assert.deepEqual(parseExpiry(text), { kind: 'date', at: Date.parse(iso) }, text)
})

test('the word default is the configured age', () => {
  assert.deepEqual(parseExpiry('default'), { kind: 'default' })
})

test('everything else is malformed', () => {
  const cases: [why: string, text: string][] = [
    ['nothing', ''],
    ['a fraction', '1.5'],
    ['a fraction of nothing', '300.0'],
    ['an exponent', '1e3'],
    ['a plus sign', '+300'],
    ['a leading zero', '0300'],
    ['a negative zero', '-0'],
    ['sixteen digits', '1000000000000000'],
    ['a unit', '5m'],
    ['two values', '300, 300'],
    ['another case', 'Default'],
    ['null', 'null'],
    ['a string', '"300"'],
    ['digits of another script', '٣٠٠'],
    ['a date without zone', '2030-01-01T00:00:00'],
    ['a date without time', '2030-01-01'],
    ['a space for the T', '2030-01-01 00:00:00Z'],
    ['a zone without colon', '2030-01-01T00:00:00+0200'],
    ['a day that February has not', '2030-02-30T00:00:00Z'],
    ['the thirteenth month', '2030-13-01T00:00:00Z'],
    ['the hour 24', '2030-01-01T24:00:00Z'],
    ['a leap second', '2016-12-31T23:59:60Z'],
    ['the year 0', '0000-06-01T00:00:00Z'],
    ['the year 10000 by its zone', '9999-12-31T23:59:59-00:01'],
    ['the year 0 by its zone', '0001-01-01T00:00:00+00:01'],
    ['a date with something in front', 'x2030-01-01T00:00:00Z'],
    ['a date with something behind', '2030-01-01T00:00:00Zx'],
    ['a year of five digits', '12030-01-01T00:00:00Z'],
    ['a zone of a day', '2030-01-01T00:00:00+24:00'],
    ['a zone of sixty minutes', '2030-01-01T00:00:00+00:60'],
    ['a zone with something behind', '2030-01-01T00:00:00+00:000'],
    ['an HTTP date', 'Tue, 01 Jan 2030 00:00:00 GMT'],
  ]
  for (const [why, text] of cases) assert.equal(parseExpiry(text), undefined, why)
})

test('every date that Python can hold survives its ISO form', () => {
  const dates = fc.date({
    min: new Date('0001-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59Z'),
    noInvalidDate: true,
  })
  fc.assert(
    fc.property(dates, (date) =>
      assert.deepEqual(parseExpiry(date.toISOString()), { kind: 'date', at: date.getTime() }),
    ),
  )
})
