import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseJsonValue, parseSessionData } from '../../../src/django/json.ts'
import { hasValue, isExact } from '../../../src/sessions/value-query.ts'

const data = parseSessionData(
  '{"userInfo":{"id":1152921504606846977,"role":"ops","tags":["a","b"],"n":7.0,"z":-0,"bad":NaN},"__proto__":{"x":1}}',
)

describe('whether a key of a session has a value', () => {
  const cases: readonly [why: string, path: string, value: unknown, has: boolean][] = [
    ['text', 'userInfo.role', 'ops', true],
    ['other text', 'userInfo.role', 'clerk', false],
    ['a number, however it is written', 'userInfo.n', 7, true],
    ['a number is no text', 'userInfo.n', '7', false],
    ['one zero is the other', 'userInfo.z', 0, true],
    ['a list, in its order', 'userInfo.tags', ['a', 'b'], true],
    ['a list in another order', 'userInfo.tags', ['b', 'a'], false],
    ['an object', '__proto__', { x: 1 }, true],
    ['a key that is not there', 'userInfo.nothing', null, false],
    ['what is no number is nothing that JSON has', 'userInfo.bad', null, false],
    ['a large integer, exactly', 'userInfo.id', parseJsonValue('1152921504606846977'), true],
    ['its neighbour', 'userInfo.id', parseJsonValue('1152921504606846976'), false],
    ['its neighbour, as JavaScript rounds it', 'userInfo.id', 2 ** 60, false],
  ]
  for (const [why, path, value, has] of cases) {
    test(`${why}: ${has ? 'yes' : 'no'}`, () => {
      assert.ok(data)
      assert.equal(hasValue(data, { path: path.split('.'), value }), has)
    })
  }

  test('a number that stands for its neighbours too is told', () => {
    for (const exact of [7, -7.5, 'text', null, true, [1], { a: 2 ** 53 - 1 }]) assert.equal(isExact(exact), true)
    for (const rounded of [2 ** 53, 2n ** 60n, [1, 2 ** 60], { a: { b: -(2 ** 53) } }])
      assert.equal(isExact(rounded), false)
  })
})
