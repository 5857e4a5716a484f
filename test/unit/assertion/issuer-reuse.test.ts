import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeJwt } from 'jose'
import type { AssertionSubject } from '../../../src/assertion/issuer.ts'
import { compilePlainHeaders } from '../../../src/assertion/plain-headers.ts'
import { jsonText } from '../../../src/django/json.ts'
import { issuerOf, nobody, now, payloadText, request, sessionOf, subjectOf, tokenOf } from './fixture.ts'

test('an assertion is sent again for at most half of its life', () => {
  const cases: [why: string, ageMs: number, reused: boolean][] = [
    ['at once', 0, true],
    ['within half of ttl', 29_000, true],
    ['at half of ttl, counted from iat', 29_600, true],
    ['after half of ttl', 29_601, false],
    ['after it ended', 90_000, false],
    ['by a clock that was set back', -1000, false],
  ]
  for (const subject of [subjectOf('{"a":1}'), nobody]) {
    for (const [why, ageMs, reused] of cases) {
      const issuer = issuerOf()
      const first = issuer.issue(subject)
      const second = issuer.issue({ ...subject, data: new Map(subject.data), now: now + ageMs })
      assert.equal(first.reused, false)
      assert.equal(second.reused, reused, why)
      if (reused) assert.deepEqual(second.lines, first.lines)
      else assert.equal(decodeJwt(tokenOf(second)).iat, Math.floor((now + ageMs) / 1000))
    }
  }
})

test('an assertion is sent again only for the same key, login and content, plain headers included', () => {
  const subject = subjectOf('{"a":1,"_name":"Ada"}')
  const cases: [why: string, other: AssertionSubject][] = [
    ['another key', { ...subject, key: 'other' }],
    ['nobody', { data: subject.data, loggedIn: true, request, now }],
    ['another public id', { ...subject, publicId: 'other' }],
    ['logged out', { ...subject, loggedIn: false }],
    ['other data', { ...subject, data: sessionOf('{"a":2,"_name":"Ada"}') }],
    ['the same number in other words', { ...subject, data: sessionOf('{"a":1.0,"_name":"Ada"}') }],
    ['another order', { ...subject, data: sessionOf('{"b":1,"a":1,"_name":"Ada"}') }],
    ['only a plain header differs', { ...subject, data: sessionOf('{"a":1,"_name":"Eve"}') }],
  ]
  for (const [why, other] of cases) {
    const issuer = issuerOf({ plainHeaders: compilePlainHeaders(new Map([['X-Name', '_name']])) })
    issuer.issue(subject)
    assert.equal(issuer.issue(other).reused, false, why)
  }
})

test('plain headers that are the same are sent again, and one more or less is not', () => {
  const plainHeaders = compilePlainHeaders(
    new Map([
      ['X-Name', '_name'],
      ['X-Second', '_second'],
    ]),
  )
  const one = '{"a":1,"_name":"Ada"}'
  const two = '{"a":1,"_name":"Ada","_second":"b"}'
  for (const [first, second, reused] of [
    [one, one, true],
    [two, two, true],
    [one, two, false],
    [two, one, false],
  ] as const) {
    const issuer = issuerOf({ plainHeaders })
    issuer.issue(subjectOf(first))
    assert.equal(issuer.issue(subjectOf(second)).reused, reused, `${first} and then ${second}`)
  }
})

test('an assertion is sent again in the very millisecond of its issue', () => {
  const issuer = issuerOf()
  const at = Math.floor(now / 1000) * 1000
  issuer.issue(subjectOf('{"a":1}', { now: at }))
  assert.equal(issuer.issue(subjectOf('{"a":1}', { now: at })).reused, true)
})

test('what the route does not tell does not prevent reuse', () => {
  const issuer = issuerOf({ include: ['a'] })
  issuer.issue(subjectOf('{"a":1,"counter":1}'))
  assert.equal(issuer.issue(subjectOf('{"a":1,"counter":2}')).reused, true)
})

test('an assertion that is bound to its request is never sent again', () => {
  const issuer = issuerOf({ bind: 'request' })
  for (const subject of [nobody, subjectOf('{"a":1}')]) {
    issuer.issue(subject)
    assert.equal(issuer.issue(subject).reused, false)
  }
})

test('whatever was asked before, an assertion is about the session that it is asked for', () => {
  // Keys and values that a joined or cut-off cache key would take for one another.
  const keys = fc.constantFrom(
    undefined,
    '',
    'a',
    'a|b',
    'a,b',
    'a\0',
    '"a"',
    '{}',
    'undefined',
    'a'.repeat(40),
    `${'a'.repeat(40)}b`,
  )
  const include = ['a', 'b', 'a","b', 'a|b', '', '__proto__']
  const names = fc.constantFrom(...include)
  const values = fc.constantFrom('1', '1.0', '"1"', 'null', '{}', '[]', '"a|b"', '"\\"}"')
  const asked = fc.record({
    key: keys,
    loggedIn: fc.boolean(),
    members: fc.array(fc.tuple(names, values), { maxLength: 3 }),
    afterMs: fc.nat(40_000),
  })
  fc.assert(
    fc.property(fc.array(asked, { maxLength: 12 }), (list) => {
      const issuer = issuerOf({ include, plainHeaders: compilePlainHeaders(new Map([['X-A', 'a']])) })
      let at = now
      for (const { key, loggedIn, members, afterMs } of list) {
        at += afterMs
        const data = new Map(members)
        const who = key === undefined ? {} : { key, publicId: `id of ${key}` }
        const issued = issuer.issue({ ...who, data, loggedIn, request, now: at })
        const text = payloadText(tokenOf(issued))
        assert.equal(
          text.slice(text.indexOf('"ses":') + 6, -1),
          `{${[...data].map(([name, value]) => `${jsonText(name)}:${value}`).join()}}`,
        )
        const claims = decodeJwt(tokenOf(issued))
        assert.equal(claims.sid, who.publicId)
        assert.equal(claims.auth, loggedIn)
        assert.ok((claims.exp ?? 0) * 1000 >= at + 29_000, 'half of its life is left')
      }
    }),
  )
})

test('the memory for reuse is bounded, and who falls out is signed for anew', () => {
  const issuer = issuerOf({ reuseCharacters: 5000 })
  const subjects = Array.from({ length: 50 }, (_, i) => subjectOf(`{"n":${i}}`, { key: `key-${i}` }))
  for (const subject of subjects) issuer.issue(subject)
  const reused = subjects.toReversed().map((subject) => issuer.issue(subject).reused)
  assert.equal(reused[0], true)
  assert.equal(reused.at(-1), false)
})

test('what is kept counts with its key and with data that the app is not told', () => {
  const cases: [why: string, json: string, key: string][] = [
    ['data', `{"big":"${'x'.repeat(3000)}"}`, ''],
    ['names', `{"${'x'.repeat(3000)}":1}`, ''],
    ['a key', '{}', 'k'.repeat(3000)],
  ]
  for (const [why, json, key] of cases) {
    const issuer = issuerOf({ include: [], reuseCharacters: 5000 })
    const subjects = ['1', '2'].map((end) => subjectOf(json, { key: key + end }))
    for (const subject of subjects) issuer.issue(subject)
    assert.deepEqual(
      subjects.toReversed().map((subject) => issuer.issue(subject).reused),
      [true, false],
      why,
    )
  }
})
