import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Host } from '../../../src/http/host.ts'
import { compileLoginGuard, createLogin, type LoginRules } from '../../../src/rules/login.ts'
import { targetOf } from './samples.ts'

const rules: LoginRules = { url: '/login', nextParam: 'next', allowedHosts: [], guard: true }
const own: Host = { name: 'app.example', received: 'app.example' }
const ownOrigin = 'https://app.example'

function location(
  more: Partial<LoginRules>,
  path: string,
  { method = 'GET', headers = [] as string[], origin = ownOrigin } = {},
): string {
  return createLogin({ ...rules, ...more }).locationFor({ method, target: targetOf(path), headers, ownOrigin: origin })
}

const away: Partial<LoginRules> = { url: 'https://id.example/login' }
const long = (length: number): string => `/${'a'.repeat(length - 1)}`

const locations: [why: string, location: string, expected: string][] = [
  ['the root', location({}, '/'), '/login?next=%2F'],
  ['path and query, encoded whole', location({}, '/a/b?c=d&e=%20%2F'), '/login?next=%2Fa%2Fb%3Fc%3Dd%26e%3D%2520%252F'],
  ['bytes as received', location({}, '/%61%7e'), '/login?next=%2F%2561%257e'],
  ['HEAD is GET without content', location({}, '/a', { method: 'HEAD' }), '/login?next=%2Fa'],
  ['a form without a Referer', location({}, '/a', { method: 'POST' }), '/login?next=%2F'],
  [
    'a form with a Referer of ours',
    location({}, '/a', { method: 'POST', headers: ['Referer', `${ownOrigin}/form?x=1#y`] }),
    '/login?next=%2Fform%3Fx%3D1',
  ],
  [
    'a form with a Referer of somebody else',
    location({}, '/a', { method: 'POST', headers: ['Referer', 'https://evil.example/form'] }),
    '/login?next=%2F',
  ],
  ['a query of the login stays', location({ url: '/login?realm=a' }, '/b'), '/login?realm=a&next=%2Fb'],
  ['an empty query of the login stays', location({ url: '/login?' }, '/b'), '/login?next=%2Fb'],
  ['a fragment of the login stays behind', location({ url: '/login#top' }, '/b'), '/login?next=%2Fb#top'],
  ['another name of the parameter', location({ nextParam: 'return to' }, '/b'), '/login?return%20to=%2Fb'],
  ['2,048 bytes are carried', location({}, long(2048)), `/login?next=${encodeURIComponent(long(2048))}`],
  ['2,049 bytes are left out whole', location({}, long(2049)), '/login'],
  ['an ambiguous path that leads away', location({}, '//evil.example/x'), '/login?next=%2F'],
  [
    'a login elsewhere, from a host that may be returned to',
    location({ ...away, allowedHosts: ['App.Example'] }, '/b'),
    'https://id.example/login?next=https%3A%2F%2Fapp.example%2Fb',
  ],
  ['a login elsewhere, from a host that may not', location(away, '/b'), 'https://id.example/login?next=%2Fb'],
  [
    'a login elsewhere, from another port than the allowed',
    location({ ...away, allowedHosts: ['app.example'] }, '/b', { origin: 'https://app.example:8443' }),
    'https://id.example/login?next=%2Fb',
  ],
  [
    'a login elsewhere, from the allowed port',
    location({ ...away, allowedHosts: ['app.example:8443'] }, '/b', { origin: 'https://app.example:8443' }),
    'https://id.example/login?next=https%3A%2F%2Fapp.example%3A8443%2Fb',
  ],
  [
    'a login on the own host, written out',
    location({ url: 'https://app.example/login', allowedHosts: ['app.example'] }, '/b'),
    'https://app.example/login?next=%2Fb',
  ],
  [
    'an absolute return over 2,048 bytes',
    location({ ...away, allowedHosts: ['app.example'] }, long(2040)),
    'https://id.example/login',
  ],
]
for (const [why, actual, expected] of locations) test(`location: ${why}`, () => assert.equal(actual, expected))

const requests: [why: string, url: string, path: string, host: string, isLogin: boolean][] = [
  ['the path itself', '/login', '/login', 'app.example', true],
  ['with a query', '/login', '/login?next=/', 'app.example', true],
  ['the query of the login plays no part', '/login?realm=a', '/login', 'app.example', true],
  ['with a final slash', '/login', '/login/', 'app.example', true],
  ['without the final slash', '/login/', '/login', 'app.example', true],
  ['in other letters', '/login', '/LOGIN', 'app.example', true],
  ['in other letters in the file', '/Login', '/login', 'app.example', true],
  ['with a letter encoded', '/login', '/log%69n', 'app.example', true],
  ['with a parameter', '/login', '/login;jsessionid=1', 'app.example', true],
  ['another path', '/login', '/logins', 'app.example', false],
  ['what is below', '/login', '/login/help', 'app.example', false],
  ['a login on this host', 'https://app.example:8443/login', '/login', 'app.example', true],
  ['a login on another host', 'https://id.example/login', '/login', 'app.example', false],
  ['the root', '/', '/', 'app.example', true],
  ['the root is not everything', '/', '/x', 'app.example', false],
]
for (const [why, url, path, host, isLogin] of requests) {
  test(`a request to the login: ${why}: ${isLogin}`, () => {
    const login = createLogin({ ...rules, url })
    assert.equal(login.isLoginRequest(targetOf(path), { name: host, received: host }), isLogin)
  })
}

const guarded: [why: string, path: string, expected: string][] = [
  ['a safe return stays byte for byte', '/login?next=%2Fa%3fb&x=%2f', '/login?next=%2Fa%3fb&x=%2f'],
  ['a foreign address goes', '/login?next=//evil.example', '/login?next=/'],
  ['an address of another path stays', '/other?next=//evil.example', '/other?next=//evil.example'],
  ['the path stays as received', '/log%69n?next=//evil.example&x=1', '/log%69n?next=/&x=1'],
  ['nothing to guard', '/login', '/login'],
  ['an empty query', '/login?', '/login?'],
]
for (const [why, path, expected] of guarded) {
  test(`guard: ${why}`, () => assert.equal(createLogin(rules).guardedTarget(targetOf(path), own), expected))
}

test('with the guard off, everything stays', () => {
  const path = '/login?next=//evil.example'
  assert.equal(createLogin({ ...rules, guard: false }).guardedTarget(targetOf(path), own), path)
})

test('an https address of an allowed host stays, of any other it goes', () => {
  const login = createLogin({ ...rules, allowedHosts: ['shop.example'] })
  const kept = '/login?next=https%3A%2F%2Fshop.example%2Fcart'
  assert.equal(login.guardedTarget(targetOf(kept), own), kept)
  for (const next of [
    'http://shop.example/',
    'https://shop.example.evil/',
    'https://evilshop.example/',
    'https://shop.example@evil/',
    'https://app.example/',
  ]) {
    const path = `/login?next=${encodeURIComponent(next)}`
    assert.equal(login.guardedTarget(targetOf(path), own), '/login?next=/', next)
  }
})

test('an absolute form is guarded in path and query, and goes up as such', () => {
  const target = targetOf('http://app.example/login?next=//evil.example')
  assert.equal(createLogin(rules).guardedTarget(target, own), '/login?next=/')
})

for (const url of ['login', '//evil.example/login', '/\\evil', 'javascript:alert(1)', 'https://']) {
  test(`${url} is no address of a login`, () => assert.throws(() => createLogin({ ...rules, url }), TypeError))
}

/** Where a browser on our login page is led by a value that the app has decoded so many times more. */
function originsOf(next: string): string[] {
  const decoded = [next]
  for (let times = 0; times < 2; times++) {
    try {
      decoded.push(decodeURIComponent(decoded.at(-1) ?? ''))
    } catch {
      break
    }
  }
  return decoded.map((text) => (URL.canParse(text, ownOrigin) ? new URL(text, ownOrigin).origin : ownOrigin))
}

test('no payload of known open redirects leads off the own origin', () => {
  const payloads = readFileSync(new URL('../../vectors/open-redirects.txt', import.meta.url), 'utf8').split('\n')
  assert.ok(payloads.length > 500)
  const login = createLogin(rules)
  for (const payload of payloads) {
    const up = login.guardedTarget(targetOf(`/login?a=1&next=${encodeURIComponent(payload)}&b=2`), own)
    const query = new URLSearchParams(up.slice(up.indexOf('?')))
    assert.deepEqual([query.get('a'), query.get('b')], ['1', '2'])
    for (const origin of originsOf(query.get('next') ?? '')) assert.equal(origin, ownOrigin, payload)
  }
})

test('every return address that a redirect to the login carries passes the guard', () => {
  const login = createLogin(rules)
  for (const path of [
    '/',
    '/a/b?c=d&next=%2Fe',
    '/caf%C3%A9?q=a+b;c',
    '/x?u=https://other.example/',
    '//evil.example',
    '/%25',
  ]) {
    const location = login.locationFor({ method: 'GET', target: targetOf(path), headers: [], ownOrigin })
    assert.equal(login.guardedTarget(targetOf(location), own), location, path)
  }
})

test('the guard of several logins knows each of their pages', () => {
  const staff = { ...rules, url: '/staff/login' }
  const all = [rules, { ...staff, nextParam: 'to' }, { ...staff, nextParam: 'back' }, { ...staff, guard: false }]
  const guard = compileLoginGuard(all.map(createLogin))
  assert.equal(guard(targetOf('/login?next=//evil&to=//evil'), own), '/login?next=/&to=//evil')
  assert.equal(guard(targetOf('/staff/login?next=//evil&to=//evil'), own), '/staff/login?next=//evil&to=/')
  assert.equal(guard(targetOf('/staff/login?to=//evil&back=//evil'), own), '/staff/login?to=/&back=/')
  assert.equal(guard(targetOf('/x?next=//evil&to=//evil'), own), '/x?next=//evil&to=//evil')
})
