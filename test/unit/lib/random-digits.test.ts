import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRandomDigits, drawDigits } from '../../../src/lib/random-digits.ts'

test('digits are as many as were asked for, in lower case, and others each time', () => {
  const digits = createRandomDigits()
  const drawn = Array.from({ length: 5000 }, (_, i) => digits(i % 2 === 0 ? 32 : 16))
  for (const text of drawn) assert.match(text, /^([0-9a-f]{32}|[0-9a-f]{16})$/)
  assert.equal(new Set(drawn).size, drawn.length)
})

test('what was drawn is handed out in order, once, and a rest that is too short not at all', () => {
  const draws = ['0123456789', 'abcdefabcd', '9876543210']
  const digits = createRandomDigits(() => draws.shift() ?? assert.fail('drawn too often'), 10)
  assert.deepEqual(
    [digits(4), digits(4), digits(4), digits(6), digits(10)],
    ['0123', '4567', 'abcd', 'efabcd', '9876543210'],
  )
})

test('two pools have nothing in common', () => {
  const [one, other] = [createRandomDigits(), createRandomDigits()]
  assert.notEqual(one(32), other(32))
  assert.match(drawDigits(32), /^[0-9a-f]{32}$/)
})
