import assert from 'node:assert/strict'
import { test } from 'node:test'
import { announcedMethod } from '../../../src/http/preflight.ts'

const asked = ['Origin', 'https://other.example', 'Access-Control-Request-Method', 'PUT']

const cases: [why: string, method: string, raw: string[], announced: string | undefined][] = [
  ['a preflight', 'OPTIONS', asked, 'PUT'],
  ['from a sandboxed page', 'OPTIONS', ['Origin', 'null', ...asked.slice(2)], 'PUT'],
  ['with the headers that are asked for', 'OPTIONS', [...asked, 'Access-Control-Request-Headers', 'x-a'], 'PUT'],
  ['another method', 'GET', asked, undefined],
  ['no Origin', 'OPTIONS', asked.slice(2), undefined],
  ['no announcement', 'OPTIONS', asked.slice(0, 2), undefined],
  ['two announcements', 'OPTIONS', [...asked, ...asked.slice(2)], undefined],
  [
    'an announcement that is no method',
    'OPTIONS',
    ['Origin', 'null', 'Access-Control-Request-Method', 'a b'],
    undefined,
  ],
  ['a cookie', 'OPTIONS', [...asked, 'Cookie', 'a=1'], undefined],
  ['credentials', 'OPTIONS', [...asked, 'authorization', 'Basic x'], undefined],
  ['another method in a header', 'OPTIONS', [...asked, 'X_HTTP_Method_Override', 'DELETE'], undefined],
]
for (const [why, method, raw, announced] of cases) {
  test(`a preflight or not: ${why}`, () => assert.equal(announcedMethod(method, raw), announced))
}
