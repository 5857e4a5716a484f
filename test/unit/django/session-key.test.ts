import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createSessionKey,
  isFileKey,
  isSessionKey,
  MAX_KEY_LENGTH,
  MIN_KEY_LENGTH,
} from '../../../src/django/session-key.ts'

test('a new key is 32 of a-z and 0-9', () => {
  for (let i = 0; i < 200; i++) assert.match(createSessionKey(), /^[a-z0-9]{32}$/)
})

test('new keys differ', () => {
  assert.equal(new Set(Array.from({ length: 2000 }, () => createSessionKey())).size, 2000)
})

test('each character is one draw out of the 36 that Django uses', () => {
  const draws: number[] = []
  const key = createSessionKey((max) => {
    draws.push(max)
    return draws.length - 1
  })
  assert.equal(key, 'abcdefghijklmnopqrstuvwxyz012345')
  assert.deepEqual(draws, new Array(32).fill(36))
})

const keys: [why: string, key: string, isKey: boolean, isFile: boolean][] = [
  ["one of Django's own", 'iwt391t9tnrr02ibn1zjog564b7g3zmi', true, true],
  ['the shortest', 'a'.repeat(MIN_KEY_LENGTH), true, true],
  ['too short', 'a'.repeat(MIN_KEY_LENGTH - 1), false, false],
  ['empty', '', false, false],
  ['the longest', 'a'.repeat(MAX_KEY_LENGTH), true, true],
  ['too long', 'a'.repeat(MAX_KEY_LENGTH + 1), false, false],
  ['capitals, which some file systems do not tell apart', 'ABCDEFGH12', true, false],
  ['a dot', 'abcdefgh.json', true, false],
  ['a way out of the folder', '../../etc/passwd', false, false],
  ['a way out of the folder without a slash', '..........', true, false],
  ['colon, hyphen and underscore', 'abc:def-ghi_jkl', true, false],
  ['a line break at the end', 'abcdefgh12\n', false, false],
  ['a NUL', 'abcdefgh\0', false, false],
  ['a space', 'abcd efgh', false, false],
  ['letters beyond ASCII', 'äbcdefgh', false, false],
  ['digits beyond ASCII', '١٢٣٤٥٦٧٨', false, false],
]
for (const [why, key, isKey, isFile] of keys) {
  test(`as a key: ${why}`, () => {
    assert.equal(isSessionKey(key), isKey)
    assert.equal(isFileKey(key), isFile)
  })
}
