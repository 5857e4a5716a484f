import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AnswerRewriteRules, compileAnswerRewrite } from '../../../src/http/answer-rewrite.ts'
import { compilePathRewrite } from '../../../src/http/path-rewrite.ts'

const place = { ownOrigin: 'https://www.example.com', server: '10.0.0.7:8000' }
const rules: AnswerRewriteRules = {
  path: compilePathRewrite({ stripPrefix: '/legacy', addPrefix: '/app' }),
  location: true,
  cookiePath: true,
  cookieDomains: new Map([
    ['old.example', undefined],
    ['shop.internal', 'example.com'],
  ]),
  sessionCookie: 'sessionid',
}

function rewritten(name: string, value: string, more: Partial<AnswerRewriteRules> = {}, at = place): string[] {
  return compileAnswerRewrite({ ...rules, ...more })([name, value], at).slice(1)
}

const locations: [why: string, from: string, to: string][] = [
  ['a path of the app', '/app/next?a=1#b', '/legacy/next?a=1#b'],
  ['the root of the app', '/app', '/legacy'],
  ['an address of the server that answered', 'http://10.0.0.7:8000/app/x', '/legacy/x'],
  ['the same without a scheme', '//10.0.0.7:8000/app/x', '/legacy/x'],
  ['the own host keeps its place', 'https://www.example.com/app/x', 'https://www.example.com/legacy/x'],
  ['also as the app believes it to be', 'http://www.example.com/app/x', 'http://www.example.com/legacy/x'],
  [
    'another port of the own host is another program',
    'http://www.example.com:81/app/x',
    'http://www.example.com:81/app/x',
  ],
  ['another port of the server is, too', 'http://10.0.0.7:9000/app/x', 'http://10.0.0.7:9000/app/x'],
  ['another host', 'https://sso.example/app/x', 'https://sso.example/app/x'],
  ['a host that begins like the own', 'https://www.example.com.evil/app/x', 'https://www.example.com.evil/app/x'],
  ['userinfo before the own host', 'https://a@www.example.com/app/x', 'https://a@www.example.com/app/x'],
  ['a path that no request of the route reaches', '/other', '/other'],
  ['the server’s, where no request of the route reaches it', 'http://10.0.0.7:8000/other', '/other'],
  ['a relative address', 'next', 'next'],
  ['a query alone', '?page=2', '?page=2'],
  ['what would lead to another host without its prefix', '/app//evil.example/x', '/legacy//evil.example/x'],
  ['nothing', '', ''],
]
for (const [why, from, to] of locations) {
  test(`Location: ${why}`, () => assert.deepEqual(rewritten('Location', from), [to]))
}

test('no address that leads to another host comes out of one that did not', () => {
  const bare = { path: compilePathRewrite({ stripPrefix: '', addPrefix: '/app' }) }
  assert.deepEqual(rewritten('Location', '/app//evil.example/x', bare), ['/app//evil.example/x'])
  assert.deepEqual(rewritten('Location', '/app/\\evil.example/x', bare), ['/app/\\evil.example/x'])
  const server = 'http://10.0.0.7:8000//evil.example/x'
  assert.deepEqual(rewritten('Location', server, { path: undefined }), [server])
})

test('without a change of paths an address of the server becomes a path all the same', () => {
  assert.deepEqual(rewritten('location', 'http://10.0.0.7:8000', { path: undefined }), ['/'])
  assert.deepEqual(rewritten('location', 'http://10.0.0.7:8000?a', { path: undefined }), ['/?a'])
  assert.deepEqual(rewritten('Content-Location', 'http://10.0.0.7:8000/x', { path: undefined }), ['/x'])
})

test('a port that is the default may be written or not', () => {
  const at = { ownOrigin: 'https://www.example.com', server: 'app.internal:80' }
  assert.deepEqual(rewritten('Location', 'http://app.internal:80/app/x', {}, at), ['/legacy/x'])
})

test('location: false leaves addresses alone', () => {
  assert.deepEqual(rewritten('Location', '/app/x', { location: false }), ['/app/x'])
})

const cookies: [why: string, from: string, to: string][] = [
  ['a path', 'a=1; Path=/app/shop; HttpOnly', 'a=1; Path=/legacy/shop; HttpOnly'],
  ['in any spelling', 'a=1;PATH = /app/shop', 'a=1; Path=/legacy/shop'],
  ['none', 'a=1; Secure', 'a=1; Secure'],
  ['what is no path', 'a=1; Path=app', 'a=1; Path=app'],
  ['a value that looks like one', 'a="Path=/app"; Path=/', 'a="Path=/app"; Path=/legacy'],
  ['a domain that the operator maps', 'a=1; Domain=.Shop.internal', 'a=1; Domain=example.com'],
  ['a domain that the operator drops', 'a=1; Domain=old.example; Secure', 'a=1; Secure'],
  ['the server’s own name, which no browser would take', 'a=1; domain=10.0.0.7; Secure', 'a=1; Secure'],
  ['another domain', 'a=1; Domain=example.com', 'a=1; Domain=example.com'],
  ['the session cookie, which is that of all routes', 'sessionid=k; Path=/app', 'sessionid=k; Path=/app'],
  ['a __Host- cookie, whose path is fixed', '__Host-a=1; Path=/; Secure', '__Host-a=1; Path=/; Secure'],
]
for (const [why, from, to] of cookies) {
  test(`Set-Cookie: ${why}`, () => assert.deepEqual(rewritten('Set-Cookie', from), [to]))
}

test('cookie_path: false leaves paths alone', () => {
  assert.deepEqual(rewritten('Set-Cookie', 'a=1; Path=/app', { cookiePath: false }), ['a=1; Path=/app'])
})
