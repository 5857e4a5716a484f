import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EXPIRY_KEY, type ExpiryRules } from '../../../src/django/expiry.ts'
import { createSessionCookie, type SessionCookieOptions } from '../../../src/sessions/cookie.ts'

const now = Date.UTC(2030, 0, 1)
const expiry: ExpiryRules = { cookieAgeSeconds: 300, expireAtBrowserClose: false, dates: 'iso', useTz: true }
const plain: SessionCookieOptions = {
  name: 'sessionid',
  path: '/',
  domain: undefined,
  secure: 'auto',
  httpOnly: true,
  sameSite: 'Lax',
}
const life = 'expires=Tue, 01 Jan 2030 00:05:00 GMT; HttpOnly; Max-Age=300'
const over = 'expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Max-Age=0'

const cases: [
  why: string,
  options: Partial<SessionCookieOptions>,
  isSecure: boolean,
  ends: [life: string, rest: string],
][] = [
  ['as Django writes it by default', {}, false, [life, 'Path=/; SameSite=Lax']],
  ['Secure where the browser’s side is https', {}, true, [life, 'Path=/; SameSite=Lax; Secure']],
  ['Secure always', { secure: true }, false, [life, 'Path=/; SameSite=Lax; Secure']],
  ['Secure never', { secure: false }, true, [life, 'Path=/; SameSite=Lax']],
  ['another path', { path: '/app' }, false, [life, 'Path=/app; SameSite=Lax']],
  ['no SameSite', { sameSite: false }, false, [life, 'Path=/']],
  ['SameSite as it is named', { sameSite: 'Strict' }, false, [life, 'Path=/; SameSite=Strict']],
  ['a domain comes first', { domain: '.example.com' }, false, [`Domain=.example.com; ${life}`, 'Path=/; SameSite=Lax']],
  ['not HttpOnly', { httpOnly: false }, false, [life.replace(' HttpOnly;', ''), 'Path=/; SameSite=Lax']],
]
for (const [why, options, isSecure, [lifetime, rest]] of cases) {
  test(`the cookie that is given and the one that takes it away: ${why}`, () => {
    const cookie = createSessionCookie({ ...plain, ...options }, expiry)
    assert.equal(cookie.issue('k3y', new Map(), { now, isSecure }), `sessionid=k3y; ${lifetime}; ${rest}`)
    const ended = lifetime.replace(/expires=[^;]*/, /expires=[^;]*/.exec(over)?.[0] ?? '').replace('=300', '=0')
    assert.equal(cookie.erase({ isSecure }), `sessionid=""; ${ended}; ${rest}`)
  })
}

test('a session that ends with the browser has neither date nor age', () => {
  const cookie = createSessionCookie({ ...plain, name: '__Host-s' }, expiry)
  assert.equal(cookie.name, '__Host-s')
  const data = new Map([[EXPIRY_KEY, '0']])
  assert.equal(cookie.issue('k', data, { now, isSecure: true }), '__Host-s=k; HttpOnly; Path=/; SameSite=Lax; Secure')
})

test('an age that no date can hold becomes the nearest that can', () => {
  const cookie = createSessionCookie(plain, expiry)
  const issue = (seconds: string) => cookie.issue('k', new Map([[EXPIRY_KEY, seconds]]), { now, isSecure: false })
  assert.match(issue('999999999999'), /expires=Fri, 31 Dec 9999 23:59:59 GMT; HttpOnly; Max-Age=251508844799;/)
  assert.match(issue('-9999999999'), /expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Max-Age=-9999999999;/)
  assert.match(issue('1.9'), /expires=Tue, 01 Jan 2030 00:00:01 GMT; HttpOnly; Max-Age=1;/)
})
