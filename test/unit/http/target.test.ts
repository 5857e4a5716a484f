import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Host } from '../../../src/http/host.ts'
import { readTarget } from '../../../src/http/target.ts'

const host: Host = { name: 'app.example', received: 'app.example' }

const plain: [why: string, target: string, path: string, query: string][] = [
  ['the root', '/', '/', ''],
  ['a path', '/a/b', '/a/b', ''],
  ['the query is no part of the path', '/a?x=/public/b', '/a', '?x=/public/b'],
  ['an empty query is kept', '/a?', '/a', '?'],
  ['a second question mark belongs to the query', '/a?b?c', '/a', '?b?c'],
  ['encoded unreserved characters are the characters', '/%61dmin/%7Eme', '/admin/~me', ''],
  ['other escapes stay, with upper-case digits', '/caf%c3%a9/a%20b', '/caf%C3%A9/a%20b', ''],
  ['sub-delims and @ stand in paths', "/a!$&'()*+,=:@b", "/a!$&'()*+,=:@b", ''],
  ['the query is left as it is', '/?a=%61%2f%5C', '/', '?a=%61%2f%5C'],
  ['browsers leave brackets in a query', '/?a[]=1&b[x]=2', '/', '?a[]=1&b[x]=2'],
  ['dots that are no dot segments', '/.well-known/a..b/c.', '/.well-known/a..b/c.', ''],
  ['line breaks stay encoded', '/a%0d%0ab', '/a%0D%0Ab', ''],
  ['a query may hold what a path may not', '/?x=//..//%2f%00%23', '/', '?x=//..//%2f%00%23'],
]
for (const [why, target, path, query] of plain) {
  test(`${target} is read as it stands: ${why}`, () => {
    const read = readTarget(target, host)
    assert.deepEqual(
      { ...read, readings: undefined },
      { received: target, path, query, ambiguous: false, readings: undefined },
    )
  })
}

const refused: [why: string, target: string][] = [
  ['empty', ''],
  ['the asterisk form', '*'],
  ['the authority form', 'app.example:443'],
  ['no slash', 'admin'],
  ['a backslash', '/pub\\..\\P'],
  ['a backslash in the query', '/a?b\\c'],
  ['a backslash first', '\\admin'],
  ['a fragment', '/P#/public'],
  ['a fragment in the query', '/a?b#c'],
  ['a space', '/a b'],
  ['a tab', '/a\tb'],
  ['a line break', '/a\r\nX: y'],
  ['NUL', '/a\0'],
  ['a byte above ASCII', '/caf\xe9'],
  ['a byte above ASCII in the query', '/?caf\xe9'],
  ['a character beyond bytes', '/\u0120'],
  ['a quotation mark', '/a"b'],
  ['angle brackets', '/<a>'],
  ['a caret', '/a^b'],
  ['a pipe', '/a|b'],
  ['braces', '/{a}'],
  ['a backtick in the query', '/?`'],
  ['brackets in the path', '/a[1]'],
  ['an escape without digits', '/a%'],
  ['an escape with one digit', '/a%2'],
  ['an escape with wrong digits', '/a%2g'],
  ['an escape of another language', '/%u002f'],
  ['a broken escape in the query', '/?a=100%'],
  ['a percent sign before an escape', '/%%30%30'],
  ['an encoded NUL', '/a%00b'],
  ['an encoded NUL, twice', '/a%2500b'],
  ['an encoded NUL, three times', '/a%252500'],
  ['an encoded NUL whose digits are encoded', '/a%25%30%30'],
  ['an encoded NUL whose digits are encoded twice', '/a%25%2530%2530'],
  ['an encoded NUL that only a lower reader finds', '/a%25%2530%2530;X/B'],
  ['an absolute form for somebody else', 'http://evil/x'],
  ['with userinfo', 'http://app.example@evil/'],
  ['with own userinfo', 'http://user@app.example/'],
  ['on another port', 'http://app.example:8080/'],
  ['with another scheme', 'ftp://app.example/'],
  ['something before the scheme', 'xhttp://app.example/x'],
  ['a scheme without slashes', 'http:app.example/'],
  ['a name that only begins like ours', 'http://app.example.evil/'],
  ['a name with a trailing dot', 'http://app.example./'],
  ['no authority', 'http:///x'],
  ['a fragment behind the authority', 'http://app.example#/x'],
  ['a backslash for a slash', 'http:\\\\app.example\\x'],
]
for (const [why, target] of refused) {
  test(`${JSON.stringify(target)} is refused: ${why}`, () => {
    assert.throws(() => readTarget(target, host), { code: 'ERR_TARGET_INVALID' })
  })
}

const ambiguous: [why: string, target: string][] = [
  ['two slashes at the beginning: a host to some', '//evil/x'],
  ['two slashes', '/P//x'],
  ['a dot segment', '/pub/../P'],
  ['a single dot', '/./P'],
  ['a dot segment at the end', '/pub/..'],
  ['encoded dots', '/pub/%2e%2e/P'],
  ['one encoded dot', '/pub/%2E./P'],
  ['the other encoded dot', '/pub/.%2e/P'],
  ['an encoded dot anywhere', '/a%2ehtml'],
  ['an encoded slash', '/pub/..%2fP'],
  ['encoded slashes', '/pub%2f..%2fP'],
  ['an encoded backslash', '/pub/..%5cP'],
  ['an encoded fragment', '/P%23/public'],
  ['an encoded query', '/P%3f/public'],
  ['an encoded slash, twice', '/pub%252f..%252fP'],
  ['an encoded dot, twice', '/pub/%252e%252e/P'],
  ['an encoded backslash, twice', '/a%255c'],
  ['an encoded fragment, twice', '/a%2523'],
  ['an encoded query, twice', '/a%253F'],
  ['three times', '/a%25252f'],
  ['a double encoding whose digits are encoded', '/a%25%32%66b'],
  ['a double encoded dot whose digits are encoded', '/pub/%25%32%65%25%32%65/P'],
  ['a dot segment with a parameter, which servlet containers resolve', '/pub/..;a=b/P'],
  ['a dot segment with an encoded parameter', '/pub/..%3Ba/P'],
  ['a dot segment with a double encoded parameter', '/pub/..%253Ba/P'],
  ['an empty segment behind a parameter', '/a/;x/P'],
  ['a tab in a dot segment, which parsers of URLs take out', '/pub/..%09/P'],
  ['a line break between two slashes', '/%0a/P'],
  ['an overlong slash', '/pub/..%c0%afP'],
  ['an overlong slash and nothing else', '/pub%c0%afP'],
  ['overlong dots', '/pub/%c0%ae%c0%ae/P'],
  ['overlong in three bytes', '/pub/..%e0%80%afP'],
  ['overlong in four bytes', '/pub/..%f0%80%80%afP'],
  ['an overlong slash in three bytes and nothing else', '/pub%e0%80%afP'],
  ['an overlong slash in four bytes and nothing else', '/pub%f0%80%80%afP'],
  ['an overlong backslash in three bytes', '/pub%e0%81%9cP'],
  ['an overlong backslash in four bytes', '/pub%f0%80%81%9cP'],
  ['overlong, encoded twice', '/pub/%25c0%25ae%25c0%25ae/P'],
]
for (const [why, target] of ambiguous) {
  test(`${target} is ambiguous and goes up unchanged where it is allowed: ${why}`, () => {
    const read = readTarget(target, host)
    assert.equal(read.ambiguous, true)
    assert.equal(read.received, target)
  })
}

const sameReading: [why: string, target: string, reading: string][] = [
  ['parameters cut', '/a;x/b;y/c', '/a/b/c'],
  ['all behind a semicolon cut', '/secret;foo/bar', '/secret'],
  ['lower-cased', '/Admin/X', '/admin/x'],
  ['final slash dropped', '/admin/', '/admin'],
  ['decoded once more', '/%2561dmin', '/admin'],
  ['encoded reserved characters decoded', '/a%40b', '/a@b'],
  ['an encoded semicolon, then cut', '/admin%3Bx', '/admin'],
  ['letters outside ASCII lower-cased', '/%C3%89cole', '/%C3%A9cole'],
  ['without a space at the end', '/admin%20', '/admin'],
  ['without controls at the end', '/admin%0D%0a%20%1f', '/admin'],
  ['without tabs and line breaks anywhere', '/ad%09m%0ain', '/admin'],
  ['without them when they are encoded twice', '/ad%2509min%2520', '/admin'],
  ['a Kelvin sign is a k', '/%E2%84%AAey', '/key'],
  ['a long s is an s', '/u%C5%BFer', '/user'],
  ['several at once', '/ADMIN;x=1/', '/admin'],
  ['decoded twice more', '/%252561dmin', '/admin'],
  ['slashes collapsed', '//admin', '/admin'],
  ['dots resolved', '/pub/../admin', '/admin'],
  ['dots climb no higher than the root', '/../../admin', '/admin'],
  ['a dot segment at the end leaves a slash', '/a/b/..', '/a/'],
  ['encoded slashes and dots', '/pub%2f%2e%2e%2fadmin', '/admin'],
  ['twice encoded', '/pub%252f%252e%252e%252fadmin', '/admin'],
  ['backslashes as slashes', '/pub/..%5cadmin', '/admin'],
  ['cut at an encoded fragment', '/admin%23/public', '/admin'],
  ['cut at an encoded question mark', '/admin%3F/public', '/admin'],
  ['a servlet container: parameter, then dots', '/pub/..;x/admin', '/admin'],
  ['overlong dots and slash', '/pub/%c0%ae%c0%ae%c0%afadmin', '/admin'],
  ['overlong dots and slash in three bytes', '/pub/%e0%80%ae%e0%80%ae%e0%80%afadmin', '/admin'],
  ['overlong dots and slash in four bytes', '/pub/%f0%80%80%ae%f0%80%80%ae%f0%80%80%afadmin', '/admin'],
  ['an overlong letter', '/%c1%a1dmin', '/admin'],
  ['an overlong letter in three bytes', '/%e0%81%a1dmin', '/admin'],
  ['an overlong letter in four bytes', '/%f0%80%81%a1dmin', '/admin'],
  ['a space', '/a%20b', '/a b'],
  ['a tilde, the last that can be seen', '/a%257eb', '/a~b'],
  ['dots before and after collapsing', '/a/b//../admin', '/a/b/admin'],
  ['dots before and after collapsing, the other way', '/a/b//../admin', '/a/admin'],
]
for (const [why, target, reading] of sameReading) {
  test(`${target} may be read as ${reading}: ${why}`, () => {
    assert.ok(readTarget(target, host).readings.includes(reading))
  })
}

const allReadings: [why: string, target: string, readings: string[]][] = [
  ['a dot segment leaves no empty one', '/pub/../admin', ['/admin']],
  ['a single dot is no segment', '/pub/./admin', ['/pub/admin']],
  ['bytes that are no UTF-8 keep their escape', '/%E9A', ['/%E9a']],
  ['controls keep theirs, but for a line break at the end', '/a%7fb%0A', ['/a%7Fb']],
  ['an overlong NUL is none of ASCII that can be seen', '/a%c0%80b', []],
  ['nor is an overlong DEL', '/a%c1%bfb', []],
]
for (const [why, target, readings] of allReadings) {
  test(`${target} is read in these other ways and in no more: ${why}`, () => {
    assert.deepEqual(readTarget(target, host).readings, readings)
  })
}

test('a path that everybody reads alike has no other readings', () => {
  for (const target of ['/', '/a', '/a/b.html?x=A;B', '/a-b_c~d/1', "/a!$&'()*+,=:@b"]) {
    assert.deepEqual(readTarget(target, host).readings, [])
  }
})

const absolute: [why: string, target: string, host: Host, received: string][] = [
  ['the same host', 'http://app.example/a?b', host, '/a?b'],
  ['names and schemes have no case', 'HTTP://APP.example/a', host, '/a'],
  ['the default port', 'http://app.example:80/a', host, '/a'],
  [
    'the default port in Host',
    'https://app.example/',
    { name: 'app.example', port: 443, received: 'app.example:443' },
    '/',
  ],
  ['the same port', 'http://[::1]:81/a', { name: '[::1]', port: 81, received: '[::1]:81' }, '/a'],
  ['no path', 'http://app.example', host, '/'],
  ['no path but a query', 'http://app.example?a', host, '/?a'],
]
for (const [why, target, own, received] of absolute) {
  test(`the absolute form ${target} is cut to ${received}: ${why}`, () => {
    assert.equal(readTarget(target, own).received, received)
  })
}

test('an absolute form hides nothing: its path is judged as any other', () => {
  assert.equal(readTarget('http://app.example//evil', host).ambiguous, true)
  assert.throws(() => readTarget('http://app.example/a#b', host), { code: 'ERR_TARGET_INVALID' })
})

test('8 KiB are accepted, one byte more is too long, whatever it holds', () => {
  assert.equal(readTarget(`/${'a'.repeat(8191)}`, host).path.length, 8192)
  assert.throws(() => readTarget(`/${'a'.repeat(8192)}`, host), { code: 'ERR_TARGET_TOO_LONG' })
  assert.throws(() => readTarget('%'.repeat(100_000), host), { code: 'ERR_TARGET_TOO_LONG' })
})

const tooMany: [why: string, target: string][] = [
  ['a short one with many readings', `/%${'25'.repeat(150)}41`],
  ['one that is read in too many ways only because it is ambiguous', '/A%252f;x%5c%253b//%5c/..'],
  ['a long one with some', `/${'Abcdefghi;x/b%3By/'.repeat(450)}`],
]
for (const [why, target] of tooMany) {
  test(`a path with more readings than can be checked is refused and not cut short: ${why}`, () => {
    assert.throws(() => readTarget(target, host), { code: 'ERR_TARGET_INVALID' })
  })
}

test('a path of one kilobyte that is read in many ways is still read in all of them', () => {
  const { readings } = readTarget(`/${'A;x/b%3By/'.repeat(90)}`, host)
  assert.ok(readings.length > 10)
})

const pathPart = fc.constantFrom(
  ...['a', 'B', '/', '//', '.', '..', ';', '%', '%2f', '%2e', '%25', '%5c', '%3b', '%3F', '25', '2e', '41', '%41'],
  ...['%C3%89', '%c0%ae', '%00', '%0a', ' ', '\\', '#', '?', '%20', '[', '|', '\xe9'],
)
const anyTarget = fc.array(pathPart, { maxLength: 12 }).map((parts) => `/${parts.join('')}`)

function reading(target: string): ReturnType<typeof readTarget> | undefined {
  try {
    return readTarget(target, host)
  } catch (error) {
    assert.ok(error instanceof Error && 'code' in error && error.code === 'ERR_TARGET_INVALID', String(error))
    return undefined
  }
}

test('what is accepted goes up byte for byte, and holds nothing that a URL parser would change or leave out', () => {
  fc.assert(
    fc.property(anyTarget, (target) => {
      const read = reading(target)
      if (read === undefined) return
      assert.equal(read.received, target)
      assert.equal(read.received.slice(read.received.length - read.query.length), read.query)
      if (read.ambiguous) return
      const url = new URL(`http://app.example${read.received}`)
      assert.equal(url.pathname + (url.search || (read.query === '?' ? '?' : '')), read.received)
      assert.equal(url.host, 'app.example')
    }),
    { numRuns: 5000 },
  )
})

test('the path is a fixed point: read again it is the same, and so are its readings', () => {
  fc.assert(
    fc.property(anyTarget, (target) => {
      const read = reading(target)
      // Once decoded, an encoded dot is a dot like any other.
      if (read === undefined || read.ambiguous) return
      const again = readTarget(read.path, host)
      assert.deepEqual([again.path, again.ambiguous, again.readings], [read.path, false, read.readings])
    }),
    { numRuns: 5000 },
  )
})

test('readings hold each other: without duplicates, without the path, closed under every step', () => {
  fc.assert(
    fc.property(anyTarget, (target) => {
      const read = reading(target)
      if (read === undefined) return
      const all = new Set([read.path, ...read.readings])
      assert.equal(all.size, read.readings.length + 1)
      for (const one of all) {
        assert.ok(one.startsWith('/'))
        assert.ok(all.has(one.replace(/;[^/]*/g, '')), 'parameters cut')
        assert.ok(
          all.has(one.replace(/%[0-9A-F]{2}|[A-Z]/g, (part) => (part.length > 1 ? part : part.toLowerCase()))) ||
            /%[89A-F]/.test(one),
        )
        assert.ok(all.has(one.replace(/(?<=.)\/+$/, '')), 'final slash dropped')
      }
    }),
    { numRuns: 3000 },
  )
})

test('no unambiguous path has a reading with an empty segment, a dot segment, a backslash, a query or a fragment', () => {
  fc.assert(
    fc.property(anyTarget, (target) => {
      const read = reading(target)
      if (read === undefined || read.ambiguous) return
      for (const one of [read.path, ...read.readings]) assert.doesNotMatch(one, /\/\/|[\\?#]|\/\.\.?(?:\/|$)/)
    }),
    { numRuns: 5000 },
  )
})
