import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hasHeader, headerKey, headerValues, indexOfHeader, isToken, rememberNames } from '../../../src/http/headers.ts'

test('the values of a header come in order, whatever the case of its name', () => {
  const raw = ['Cookie', 'a=1', 'cookies', 'x', 'COOKIE', 'b=2', 'Set-Cookie', 'c=3']
  assert.deepEqual(headerValues(raw, 'cookie'), ['a=1', 'b=2'])
  assert.deepEqual(headerValues(raw, 'host'), [])
})

const spellings: [why: string, name: string, key: string][] = [
  ['as people write it', 'X-Session-Data', 'x-session-data'],
  ['CGI maps a hyphen to an underscore, so both arrive as one', 'X_Session_Data', 'x-session-data'],
  ['PHP maps a dot as well', 'x.session.data', 'x-session-data'],
  ['mixed', 'X_SESSION-DATA', 'x-session-data'],
  ['every other token character', "X!#$%&'*+^`|~Data", 'x------------data'],
]
for (const [why, name, key] of spellings) {
  test(`the key of ${name}: ${why}`, () => assert.equal(headerKey(name), key))
}

test('a key is its own key, and holds nothing but lower-case letters, digits and hyphens', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii' }), (name) => {
      const key = headerKey(name)
      assert.equal(headerKey(key), key)
      assert.match(key, /^[a-z0-9-]*$/)
      assert.equal(key.length, name.length)
    }),
  )
})

test('the first line of a name is found by any case of it, and by nothing that only looks like it', () => {
  const raw = ['Accept', 'host', 'X-Host', 'a', 'HOST', 'b', 'Host', 'c']
  assert.equal(indexOfHeader(raw, 'host'), 4)
  assert.equal(indexOfHeader(raw, 'accept'), 0)
  assert.equal(indexOfHeader(raw, 'hos'), -1)
  assert.equal(indexOfHeader(raw, 'cost'), -1)
  assert.equal(indexOfHeader([], 'host'), -1)
  assert.deepEqual([hasHeader(raw, 'accept'), hasHeader(raw, 'cost'), hasHeader(raw, 'a')], [true, false, false])
})

test('values are those of the whole name, not of one of its length', () => {
  assert.deepEqual(headerValues(['cost', 'a', 'host', 'b', 'hosts', 'c'], 'host'), ['b'])
})

test('a token is what may be a header name or a method, and nothing else', () => {
  for (const text of ['a', 'GET', "!#$%&'*+.^_`|~0-9Aa"]) assert.equal(isToken(text), true, text)
  for (const text of ['', ' ', 'a ', ' a', 'a b', 'a:', '(a)', 'a\n', 'é', 'a\0'])
    assert.equal(isToken(text), false, text)
})

test('what was said of a name is remembered, of a very long one it is asked again', () => {
  const asked: string[] = []
  const recall = rememberNames((name) => {
    asked.push(name)
    return { name }
  })
  const longest = 'x'.repeat(100)
  const tooLong = 'x'.repeat(101)
  assert.deepEqual(recall('Host'), { name: 'Host' })
  assert.deepEqual(recall(longest), { name: longest })
  assert.deepEqual(recall(tooLong), { name: tooLong })
  for (const name of ['Host', longest, tooLong]) recall(name)
  assert.deepEqual(asked, ['Host', longest, tooLong, tooLong])
})
