import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  bareDomain,
  compileCookieCut,
  cookiesWithout,
  readCookie,
  readSetCookie,
  withSingleCookie,
} from '../../../src/http/cookies.ts'
import { headerValues } from '../../../src/http/headers.ts'

const name = 'sessionid'

interface DjangoCookies {
  readonly rows: readonly (readonly [line: string, value: string | null])[]
}

test('a cookie is what real Django reads in it', () => {
  const text = readFileSync(new URL('../../vectors/django-cookies.json', import.meta.url), 'utf8')
  const { rows } = JSON.parse(text) as DjangoCookies
  assert.ok(rows.length >= 300)
  for (const [line, value] of rows) {
    assert.equal(readCookie(['Cookie', line], name).value ?? null, value, JSON.stringify(line))
  }
})

const counted: [why: string, raw: string[], value: string | undefined, count: number][] = [
  ['no cookie at all', [], undefined, 0],
  ['another cookie', ['Cookie', 'a=1'], undefined, 0],
  ['the last of two wins', ['Cookie', 'sessionid=aaa; sessionid=bbb'], 'bbb', 2],
  ['over several lines', ['Cookie', 'sessionid=aaa', 'X', 'y', 'cookie', 'sessionid=bbb; a=1'], 'bbb', 2],
  ['two lines never grow together', ['Cookie', 'session', 'Cookie', 'id=x'], undefined, 0],
  ['an empty value is a value', ['Cookie', 'sessionid='], '', 1],
  ['the last wins though it is empty', ['Cookie', 'sessionid=aaa; sessionid='], '', 2],
  ['names have a case', ['Cookie', 'SESSIONID=x; SessionId=y'], undefined, 0],
  ['a name alone is a value without a name', ['Cookie', 'sessionid'], undefined, 0],
]
for (const [why, raw, value, count] of counted) {
  test(`reading and counting: ${why}`, () => assert.deepEqual(readCookie(raw, name), { value, count }))
}

const cutCases: [why: string, line: string, kept: string | undefined, cut: number][] = [
  ['nothing to cut', 'a=1; b=2', 'a=1; b=2', 0],
  ['nothing to cut, odd spelling kept', ' a = 1;;b', ' a = 1;;b', 0],
  ['in the middle', 'a=1; sessionid=x; b=2', 'a=1; b=2', 1],
  ['first', 'sessionid=x; a=1', 'a=1', 1],
  ['last', 'a=1; sessionid=x', 'a=1', 1],
  ['alone: the line goes away', 'sessionid=x', undefined, 1],
  ['alone with an open end', 'sessionid=x; ', undefined, 1],
  ['every duplicate', 'sessionid=x; a=1; sessionid=y;sessionid=', 'a=1', 3],
  ['padded', 'a=1;  sessionid  =  x', 'a=1', 1],
  ['without a value', 'a=1; sessionid', 'a=1', 1],
  ['without a value, behind a comma', 'a=1,sessionid; b=2', 'b=2', 1],
  ['a quoted name', '"sessionid"=x; a=1', 'a=1', 1],
  ['a half quoted name', '"sessionid=x; a=1', 'a=1', 1],
  ['a quoted value', 'sessionid="x"; a=1', 'a=1', 1],
  ['inside what others read as one quoted value', 'a="1; sessionid=x; b=2"', 'a="1; b=2"', 1],
  ['behind a comma', 'a=1,sessionid=x; b=2', 'b=2', 1],
  ['behind a comma and a space', 'a=1, sessionid=x; b=2', 'b=2', 1],
  ['behind a comma, quoted', 'a=1,"sessionid"=x; b=2', 'b=2', 1],
  ['behind a space', 'a=1 sessionid=x; b=2', 'b=2', 1],
  ['behind a tab', 'a=1\tsessionid=x', undefined, 1],
  ['before a comma', 'sessionid=x, a=1; b=2', 'b=2', 1],
  ['behind an equals sign', '=sessionid=x; a=1', 'a=1', 1],
  ['behind several', ' = = sessionid=x; a=1', 'a=1', 1],
  ['behind a vertical tab', '\x0bsessionid=x; a=1', 'a=1', 1],
  ['behind a byte order mark', '\xef\xbb\xbfsessionid=x; a=1', 'a=1', 1],
  ['behind a no-break space', '\xc2\xa0sessionid\xc2\x85=x; a=1', 'a=1', 1],
  ['an array of PHP', 'sessionid[0]=x; a=1', 'a=1', 1],
  ['an open array of PHP', 'sessionid[=x; a=1', 'a=1', 1],
  ['percent-encoded, as old PHP decodes it', '%73essi%6Fnid=x; a=1', 'a=1', 1],
  ['a plus for a space', '+sessionid=x; a=1', 'a=1', 1],
  ['another case is another cookie', 'SESSIONID=x; SessionId=y', 'SESSIONID=x; SessionId=y', 0],
  ['a longer name', 'sessionid2=x; my.sessionid=y; xsessionid=z', 'sessionid2=x; my.sessionid=y; xsessionid=z', 0],
  ['the name within a value', 'a=sessionid; b=xsessionid=y', 'a=sessionid; b=xsessionid=y', 0],
  ['an array of another name', 'other[sessionid]=x; a=1', 'other[sessionid]=x; a=1', 0],
  ['a longer name, encoded', 'sessionid%32=x; a=1', 'sessionid%32=x; a=1', 0],
  ['behind an encoded no-break space', '%A0sessionid%A0=x; a=1', 'a=1', 1],
  ['behind an encoded DEL', '%7Fsessionid=x; a=1', 'a=1', 1],
  ['a value before a space', 'a=sessionid b=1', 'a=sessionid b=1', 0],
  ['a value that is an assignment', 'a=sessionid=x', 'a=sessionid=x', 0],
]
for (const [why, line, kept, cut] of cutCases) {
  test(`cutting from ${JSON.stringify(line)}: ${why}`, () => {
    const result = cookiesWithout(['Host', 'a', 'Cookie', line], name)
    assert.deepEqual(result, { headers: ['Host', 'a', ...(kept === undefined ? [] : ['Cookie', kept])], cut })
  })
}

const phpNames: [why: string, owned: string, line: string, isCut: boolean][] = [
  ['a dot becomes an underscore', 'my_session', 'my.session=x', true],
  ['a space becomes one', 'my_session', 'my session=x', true],
  ['a bracket becomes one', 'my_session', 'my[session=x', true],
  ['an encoded dot', 'my_session', 'my%2Esession=x', true],
  ['a plus becomes a space becomes an underscore', 'my_session', 'my+session=x', true],
  ['a dotted name of ours is read under the other', 'my.session', 'my_session=x', true],
  ['a hyphen stays', 'my_session', 'my-session=x', false],
  ['a forged host prefix (CVE-2022-31629)', '__Host-sid', '..Host-sid=x', true],
  ['another forged host prefix', '__Host-sid', '_[Host-sid=x', true],
  ['an encoded host prefix (CVE-2020-7070)', '__Host-sid', '__%48ost-sid=x', true],
  ['a name of nothing but dots', '__', '..=x', true],
  ['a host prefix of another name', '__Host-sid', '__Host-sidx=x', false],
]
for (const [why, owned, line, isCut] of phpNames) {
  test(`for ${owned}, ${line} is ${isCut ? '' : 'not '}cut: ${why}`, () => {
    assert.equal(cookiesWithout(['Cookie', line], owned).cut, isCut ? 1 : 0)
  })
}

test('other headers and other Cookie lines keep their place and spelling', () => {
  const raw = ['COOKIE', 'a=1', 'X-Cookie', 'sessionid=x', 'cookie', 'sessionid=x; b=2', 'Set-Cookie', 'sessionid=x']
  const kept = ['COOKIE', 'a=1', 'X-Cookie', 'sessionid=x', 'cookie', 'b=2', 'Set-Cookie', 'sessionid=x']
  assert.deepEqual(cookiesWithout(raw, name), { headers: kept, cut: 1 })
})

test('a header of as many letters is no Cookie line', () => {
  const raw = ['Accept', 'sessionid=x', 'Origin', 'sessionid=y']
  assert.deepEqual(cookiesWithout(raw, name), { headers: raw, cut: 0 })
})

test('a cut that remembers lines says what one says that does not, however long they are', () => {
  const cut = compileCookieCut(name)
  for (const length of [1, 1023, 1024, 1025, 5000]) {
    const long = 'b'.repeat(length)
    for (const line of [`a=${long}`, `sessionid=${long}; a=1`, `a=1; ${long}=1; sessionid=2`, `sessionid=${long}`]) {
      const raw = ['Host', 'h', 'Cookie', line, 'cookie', 'sessionid=3; c=4']
      for (let times = 0; times < 2; times += 1) assert.deepEqual(cut(raw), cookiesWithout(raw, name))
    }
  }
})

test('a domain is the same with a dot before it and in other letters', () => {
  assert.equal(bareDomain('.App.Example.COM'), 'app.example.com')
  assert.equal(bareDomain('app.example.com'), 'app.example.com')
  assert.equal(bareDomain('..a'), '.a')
})

test('for a shared cookie exactly one goes up, first, in a single line', () => {
  const raw = ['Cookie', 'a="1; sessionid=evil', 'Host', 'h', 'Cookie', 'sessionid=older; b=2']
  assert.deepEqual(withSingleCookie(raw, name, 'k'), ['Host', 'h', 'Cookie', 'sessionid=k; a="1; b=2'])
  assert.deepEqual(withSingleCookie(['Host', 'h'], name, 'k'), ['Host', 'h', 'Cookie', 'sessionid=k'])
  assert.deepEqual(withSingleCookie(['Cookie', ' ', 'Cookie', 'a=1'], name, 'k'), ['Cookie', 'sessionid=k; a=1'])
})

const cookiePart = fc.constantFrom(
  ...[
    'sessionid',
    'sessionid',
    '=',
    '=',
    ';',
    '; ',
    ' ',
    ',',
    '"',
    '[',
    ']',
    '%73',
    'essionid',
    '\\',
    '.',
    '+',
    'a',
    '\t',
  ],
  ...['\x0b', '\x85', '\xc2\xa0', '\xef\xbb\xbf', '\xe9', '$Path', 'a=1', '; b=2'],
)
const cookieLine = fc.array(cookiePart, { maxLength: 14 }).map((parts) => parts.join(''))
const cookieLines = fc.array(cookieLine, { maxLength: 3 }).map((lines) => lines.flatMap((line) => ['Cookie', line]))

/** Readers of other kinds than ours, each with its own idea of where a cookie begins and what its name is. */
const otherReaders: [who: string, read: (line: string) => string[]][] = [
  ['split at semicolons', (line) => line.split(';').map((pair) => pair.split('=')[0]?.trim() ?? '')],
  ['split at semicolons and commas', (line) => line.split(/[;,] */).map((pair) => pair.split('=')[0]?.trim() ?? '')],
  [
    'words before an equals sign',
    (line) => [...line.matchAll(/(?:^|[\s;,])"?([\w.]+)"?\s*=/g)].map((found) => found[1] ?? ''),
  ],
  [
    'quoted values as one',
    (line) => [...line.matchAll(/([^=;]+)=(?:"[^"]*"|[^;]*)/g)].map((found) => found[1]?.trim() ?? ''),
  ],
  ['arrays', (line) => line.split(';').map((pair) => /^\s*([^=[]*)\[/.exec(pair)?.[1] ?? '')],
  ['decoded names', (line) => line.split(';').map((pair) => safelyDecoded(pair.split('=')[0] ?? '').trim())],
]

function safelyDecoded(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

test('after the cutting no reader finds the cookie, and a second cutting finds nothing', () => {
  fc.assert(
    fc.property(cookieLines, (raw) => {
      const { headers } = cookiesWithout(raw, name)
      assert.deepEqual(readCookie(headers, name), { value: undefined, count: 0 })
      assert.deepEqual(cookiesWithout(headers, name), { headers, cut: 0 })
      for (const line of headerValues(headers, 'cookie')) {
        for (const [who, read] of otherReaders) assert.ok(!read(line).includes(name), `${who}: ${JSON.stringify(line)}`)
      }
    }),
    { numRuns: 5000 },
  )
})

test('what is not cut stays: every chunk that remains was there, in this order', () => {
  fc.assert(
    fc.property(cookieLine, (line) => {
      const { headers, cut } = cookiesWithout(['Cookie', line], name)
      const before = line.split(';')
      const after = (headers[1] ?? '').split(';')
      if (cut === 0) return assert.equal(headers[1], line)
      if (headers.length > 0) assert.equal(after.length, before.length - cut)
      let at = 0
      for (const chunk of after.filter((text) => text.trim() !== '')) {
        at = before.findIndex((text, i) => i >= at && text.trimStart() === chunk.trimStart()) + 1
        assert.ok(at > 0, JSON.stringify(chunk))
      }
    }),
    { numRuns: 3000 },
  )
})

test('of a shared cookie Django reads exactly the one that was put in', () => {
  fc.assert(
    fc.property(cookieLines, fc.stringMatching(/^[a-z0-9]{8,32}$/), (raw, key) => {
      assert.deepEqual(readCookie(withSingleCookie(raw, name, key), name), { value: key, count: 1 })
    }),
  )
})

test('four thousand cookies are read and cut whole', () => {
  const line = Array.from({ length: 4000 }, (_, i) => `c${i}=1;sessionid=${i}`).join(';')
  assert.deepEqual(readCookie(['Cookie', line], name), { value: '3999', count: 4000 })
  const { headers, cut } = cookiesWithout(['Cookie', line], name)
  assert.equal(cut, 4000)
  assert.equal(headers[1]?.split(';').length, 4000)
})

/** How many steps through text the work takes: calls of the methods that look at characters, and what they copy. */
function countSteps(work: () => void): number {
  const { charCodeAt, slice } = String.prototype
  let steps = 0
  const patched = {
    charCodeAt(this: string, at: number): number {
      steps += 1
      return charCodeAt.call(this, at)
    },
    slice(this: string, start?: number, end?: number): string {
      const text = slice.call(this, start, end)
      steps += text.length
      return text
    },
  }
  try {
    Object.assign(String.prototype, patched)
    work()
  } finally {
    Object.assign(String.prototype, { charCodeAt, slice })
  }
  return steps
}

const floods: [why: string, unit: string][] = [
  ['many cookies', 'a=1;'],
  ['many of the name', 'sessionid=1; '],
  ['nothing but separators', ';'],
  ['spaces that may be stripped', ' '],
  ['words without an end', 'a '],
  ['many equals signs', '= '],
  ['quotes and backslashes', '"\\'],
  ['percent signs', '%41'],
  ['bytes beyond ASCII', '\xc2\xa0'],
]
for (const [why, unit] of floods) {
  test(`twice as much Cookie takes no more than twice the steps: ${why}`, () => {
    const steps = [4000, 8000].map((count) => {
      const raw = ['Cookie', `sessionid="${unit.repeat(count)}`]
      return countSteps(() => {
        readCookie(raw, name)
        cookiesWithout(raw, name)
        readSetCookie(raw[1] ?? '', 0)
      })
    })
    assert.ok((steps[0] ?? 0) > 0 && (steps[1] ?? 0) < (steps[0] ?? 0) * 2.2, steps.join(' '))
  })
}
