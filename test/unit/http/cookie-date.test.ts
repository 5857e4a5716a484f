import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Cookie } from 'tough-cookie'
import { parseCookieDate } from '../../../src/http/cookie-date.ts'

const dates: [why: string, text: string, iso: string | undefined][] = [
  ['RFC 9110', 'Sun, 06 Nov 1994 08:49:37 GMT', '1994-11-06T08:49:37.000Z'],
  ['RFC 850, two digits of a year', 'Sunday, 06-Nov-94 08:49:37 GMT', '1994-11-06T08:49:37.000Z'],
  ['asctime', 'Sun Nov  6 08:49:37 1994', '1994-11-06T08:49:37.000Z'],
  ['PHP', 'Thu, 01-Jan-1970 00:00:01 GMT', '1970-01-01T00:00:01.000Z'],
  ['two digits up to 69 are of this century', '01-Jan-69 00:00:00', '2069-01-01T00:00:00.000Z'],
  ['two digits from 70 are of the last', '01-Jan-70 00:00:00', '1970-01-01T00:00:00.000Z'],
  ['a zone is not looked at', 'Sun, 06 Nov 1994 08:49:37 +0500', '1994-11-06T08:49:37.000Z'],
  ['single digits', '1 jan 2030 1:2:3', '2030-01-01T01:02:03.000Z'],
  ['no date', 'never', undefined],
  ['a number', '0', undefined],
  ['no time', '01 Jan 2030', undefined],
  ['no such day', '31 Feb 2030 00:00:00', undefined],
  ['no such hour', '01 Jan 2030 24:00:00', undefined],
  ['before 1601', '01 Jan 1600 00:00:00', undefined],
  ['empty', '', undefined],
]
for (const [why, text, iso] of dates) {
  test(`the cookie date ${JSON.stringify(text)}: ${why}`, () => {
    assert.equal(parseCookieDate(text), iso === undefined ? undefined : Date.parse(iso))
  })
}

test('tough-cookie reads the same date, for every date and its three spellings', () => {
  const between = fc.date({ min: new Date('1970-01-01'), max: new Date('2069-12-31'), noInvalidDate: true })
  fc.assert(
    fc.property(between, fc.constantFrom(0, 1, 2), (date, form) => {
      const [day = '', date2 = '', month = '', year = '', time = ''] = date.toUTCString().replace(',', '').split(' ')
      const spelt = [
        date.toUTCString(),
        `${day}, ${date2}-${month}-${year.slice(2)} ${time} GMT`,
        `${day} ${month} ${date2} ${time} ${year}`,
      ]
      const text = spelt[form] ?? ''
      const other = Cookie.parse(`a=1; Expires=${text}`)?.expires
      assert.ok(other instanceof Date)
      assert.equal(parseCookieDate(text), other.getTime())
    }),
  )
})
