import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  compileHostPattern,
  compileMethod,
  compilePathPattern,
  hostPatternProblem,
  isHostUnder,
  isMethodUnder,
  isPathUnder,
  pathPatternProblem,
} from '../../../src/rules/patterns.ts'

const paths: [why: string, pattern: string, path: string, isUnder: boolean][] = [
  ['an exact pattern takes its path', '/login', '/login', true],
  ['an exact pattern takes nothing below', '/login', '/login/x', false],
  ['an exact pattern takes no final slash', '/login', '/login/', false],
  ['an exact pattern with a final slash needs it', '/login/', '/login', false],
  ['a pattern below takes the path itself', '/admin/*', '/admin', true],
  ['a pattern below takes the path with a final slash', '/admin/*', '/admin/', true],
  ['a pattern below takes what is far below', '/admin/*', '/admin/a/b/c', true],
  ['a pattern below does not take a longer name', '/admin/*', '/administrator', false],
  ['a pattern below does not take the parent', '/admin/*', '/', false],
  ['everything is everything', '/*', '/a/b', true],
  ['everything holds the root', '/*', '/', true],
  ['the root is the root alone', '/', '/a', false],
  ['letter case counts', '/Admin/*', '/admin/', false],
  ['an asterisk is a character in a request', '/admin/*', '/admin/*', true],
  ['non-ASCII letters stand for their UTF-8', '/müller/*', '/m%C3%BCller/x', true],
  ['hexadecimal digits have no case', '/m%c3%bcller', '/m%C3%BCller', true],
  ['an encoded unreserved character is the character', '/%61dmin', '/admin', true],
]
for (const [why, pattern, path, isUnder] of paths) {
  test(`path: ${why}`, () => {
    assert.equal(pathPatternProblem(pattern), undefined)
    assert.equal(isPathUnder(compilePathPattern(pattern), path), isUnder)
  })
}

const badPaths: [why: string, pattern: string, problem: RegExp][] = [
  ['no slash in front', 'admin/*', /begins with "\/"/],
  ['nothing at all', '', /begins with "\/"/],
  ['an asterisk inside a segment', '/a*', /last segment/],
  ['an asterisk in the middle', '/a/*/b', /last segment/],
  ['two asterisks', '/a/**', /last segment/],
  ['a query', '/a?b=1', /never the query/],
  ['a fragment', '/a#b', /"#"/],
  ['a placeholder of some router', '/a/{id}', /"\{"/],
  ['a regular expression', '/a/[0-9]+', /"\["/],
  ['a space', '/a b', /" "/],
  ['a backslash', '/a\\b', /no request has/],
  ['a broken escape', '/100%', /"%"/],
  ['a reserved character encoded', '/a%40b', /write "@" instead of "%40"/],
  ['an encoded slash', '/a%2fb', /refused in every request/],
  ['an encoded percent sign before an escape', '/a%252fb', /refused in every request/],
  ['an encoded NUL', '/a%00', /refused in every request/],
  ['an empty segment', '/a//b', /refused in every request/],
  ['an empty last segment before the asterisk', '/a//*', /refused in every request/],
  ['a dot segment', '/a/../b', /refused in every request/],
  ['a dot segment encoded', '/a/%2e%2E/b', /refused in every request/],
]
for (const [why, pattern, problem] of badPaths) {
  test(`a path pattern with ${why} is refused`, () => {
    assert.match(pathPatternProblem(pattern) ?? '', problem)
    assert.throws(() => compilePathPattern(pattern), TypeError)
  })
}

const hosts: [why: string, pattern: string, host: string, isUnder: boolean][] = [
  ['a name is itself', 'api.example.com', 'api.example.com', true],
  ['letter case plays no part', 'API.Example.COM', 'api.example.com', true],
  ['a longer name with the same end is another', 'api.x', 'evil-api.x', false],
  ['a longer name with the same beginning is another', 'api.x', 'api.x.evil', false],
  ['an asterisk is one label', '*.example.com', 'a.example.com', true],
  ['an asterisk is not two labels', '*.example.com', 'a.b.example.com', false],
  ['an asterisk is not no label', '*.example.com', 'example.com', false],
  ['an asterisk is not an empty label', '*.example.com', '.example.com', false],
  ['an IPv6 address has one spelling', '[0:0::1]', '[::1]', true],
  ['an IPv4 address is a host', '127.0.0.1', '127.0.0.1', true],
]
for (const [why, pattern, host, isUnder] of hosts) {
  test(`host: ${why}`, () => {
    assert.equal(hostPatternProblem(pattern), undefined)
    assert.equal(isHostUnder(compileHostPattern(pattern), host), isUnder)
  })
}

const badHosts: [why: string, pattern: string, problem: RegExp][] = [
  ['nothing', '', /no request can name/],
  ['an asterisk alone', '*', /first label/],
  ['an asterisk inside a label', 'a*.example.com', /first label/],
  ['two asterisks', '*.*.example.com', /first label/],
  ['a port', 'example.com:8080', /port/],
  ['a scheme', 'http://example.com', /no request can name/],
  ['a final dot', 'example.com.', /no request can name/],
  ['letters beyond ASCII', 'müller.example', /xn--/],
  ['labels below an address', '*.127.0.0.1', /no subdomains/],
]
for (const [why, pattern, problem] of badHosts) {
  test(`a host pattern with ${why} is refused`, () => {
    assert.match(hostPatternProblem(pattern) ?? '', problem)
    assert.throws(() => compileHostPattern(pattern), TypeError)
  })
}

test('a route for GET takes HEAD, and a route for HEAD takes nothing else', () => {
  assert.equal(isMethodUnder('GET', 'HEAD'), true)
  assert.equal(isMethodUnder('HEAD', 'GET'), false)
  assert.equal(isMethodUnder('POST', 'HEAD'), false)
})

test('a method is written in any case and must be a token', () => {
  assert.equal(compileMethod('get'), 'GET')
  assert.throws(() => compileMethod('GET POST'), TypeError)
})
