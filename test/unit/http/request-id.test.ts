import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRequestId, parseRequestId } from '../../../src/http/request-id.ts'

const ids: [why: string, text: string, isValid: boolean][] = [
  ['a UUID', '6f1ed002-ab5d-4a3a-8a5e-3d1f3f3a3b3c', true],
  ['the style of Amazon', 'Root=1-67891233-abcdef012345678912345678', true],
  ['base64', 'aGVsbG8/d29ybGQ+'.replace('?', '/'), true],
  ['the longest', 'a'.repeat(128), true],
  ['too long', 'a'.repeat(129), false],
  ['empty', '', false],
  ['a space', 'a b', false],
  ['a line break', 'a\r\nb', false],
  ['a line break at the end', 'a\n', false],
  ['markup', '<b>', false],
  ['a quotation mark', 'a"b', false],
  ['beyond ASCII', 'a\xe9', false],
  ['a list', 'a,b', false],
]
for (const [why, text, isValid] of ids) {
  test(`the request id ${JSON.stringify(text.slice(0, 40))}: ${why}`, () => {
    assert.equal(parseRequestId(text), isValid ? text : undefined)
  })
}

test('a new id is one that we would accept, and another each time', () => {
  const id = createRequestId()
  assert.equal(parseRequestId(id), id)
  assert.notEqual(createRequestId(), id)
})
