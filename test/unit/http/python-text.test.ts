import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pythonStrip, unquoteCookie, utf8Text } from '../../../src/http/python-text.ts'

test('stripping takes exactly what str.isspace() of Python 3 says', () => {
  const spaces = [
    ...[0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f],
    ...[0x205f, 0x3000, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a],
  ]
  const stripped = Array.from({ length: 0x10000 }, (_, code) => code).filter(
    (code) => pythonStrip(`${String.fromCharCode(code)}a${String.fromCharCode(code)}`) === 'a',
  )
  assert.deepEqual(
    stripped,
    spaces.toSorted((a, b) => a - b),
  )
  assert.equal(pythonStrip(' \t '), '')
  assert.equal(pythonStrip(' a b '), 'a b')
})

const quoted: [why: string, text: string, value: string][] = [
  ['plain', 'abc', 'abc'],
  ['quotes off', '"abc"', 'abc'],
  ['only at both ends', '"abc', '"abc'],
  ['a single quotation mark is both ends of nothing', '"', '"'],
  ['nothing quoted', '""', ''],
  ['octal', '"a\\073\\012b"', 'a;\nb'],
  ['octal up to 377', '"\\377\\400"', '\xff400'],
  ['two octal digits are a character and a digit', '"\\18"', '18'],
  ['an escaped quotation mark', '"\\""', '"'],
  ['an escaped backslash', '"\\\\073"', '\\073'],
  ['an escaped carriage return', '"a\\\rb"', 'a\rb'],
  ['an escaped line separator', '"a\\\u2028b"', 'a\u2028b'],
  ['a line feed cannot be escaped', '"a\\\nb"', 'a\\\nb'],
  ['a backslash at the end', '"a\\"', 'a\\'],
  ['escapes outside quotes are none', 'a\\073b', 'a\\073b'],
]
for (const [why, text, value] of quoted) {
  test(`unquoting ${JSON.stringify(text)}: ${why}`, () => assert.equal(unquoteCookie(text), value))
}

test('header bytes are read as UTF-8, what is not as U+FFFD', () => {
  assert.equal(utf8Text('a=\xc3\xa9'), 'a=é')
  assert.equal(utf8Text('a=\xe9'), 'a=\ufffd')
  assert.equal(utf8Text('a=b'), 'a=b')
})
