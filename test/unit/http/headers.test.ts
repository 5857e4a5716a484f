import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { headerKey, headerValues } from '../../../src/http/headers.ts'

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
