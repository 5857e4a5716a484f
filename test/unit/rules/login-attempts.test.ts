import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseHost } from '../../../src/http/host.ts'
import { createLogin } from '../../../src/rules/login.ts'
import { targetOf } from './samples.ts'

const rules = { url: '/login', nextParam: 'next', allowedHosts: [], guard: true }
const own = 'https://app.example'

function attempts(headers: string[], url = '/login'): number {
  const host = parseHost('app.example')
  assert.ok(host)
  const seeker = { method: 'GET', target: targetOf('/x'), headers, ownOrigin: own }
  return createLogin({ ...rules, url }).attemptsBefore(seeker, host)
}

const cases: [why: string, headers: string[], count: number][] = [
  ['from nowhere', [], 0],
  ['from another page', ['Referer', `${own}/shop`], 0],
  ['from the login page', ['Referer', `${own}/login?next=%2Fx`], 1],
  ['from the login page in another spelling', ['Referer', `${own}/Login/?next=%2Fx`], 1],
  ['from the login page for the third time', ['Referer', `${own}/login?next=%2Fx&sessiongate_attempt=3`], 3],
  ['a count that is none', ['Referer', `${own}/login?sessiongate_attempt=1e9`], 1],
  ['from the login page of another host', ['Referer', 'https://evil.example/login?sessiongate_attempt=3'], 0],
  ['from the login page by http', ['Referer', 'http://app.example/login?sessiongate_attempt=3'], 0],
  ['two that disagree', ['Referer', `${own}/login`, 'Referer', `${own}/login`], 0],
  ['what the browser says came from elsewhere', ['Referer', `${own}/login`, 'Sec-Fetch-Site', 'cross-site'], 0],
  ['what is no address', ['Referer', 'login'], 0],
]
for (const [why, headers, count] of cases) test(`${why}: ${count}`, () => assert.equal(attempts(headers), count))

test('a login page that is an address of the own host counts as well', () => {
  assert.equal(attempts(['Referer', `${own}/login`], `${own}/login`), 1)
  assert.equal(attempts(['Referer', `${own}/login`], 'https://sso.example/login'), 0)
})

test('the count stands behind next, before a fragment, and only from the second time on', () => {
  const login = createLogin({ ...rules, url: '/login?a=1#top' })
  const seeker = { method: 'GET', target: targetOf('/x'), headers: [], ownOrigin: own }
  assert.equal(login.locationFor(seeker), '/login?a=1&next=%2Fx#top')
  assert.equal(login.locationFor(seeker, 0), '/login?a=1&next=%2Fx#top')
  assert.equal(login.locationFor(seeker, 1), '/login?a=1&next=%2Fx&sessiongate_attempt=2#top')
})
