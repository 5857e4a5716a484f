import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isTruthy } from '../../../src/django/truthiness.ts'

const falsy: [why: string, text: string | undefined][] = [
  ['a missing value', undefined],
  ['None', 'null'],
  ['False', 'false'],
  ['an empty dict', '{}'],
  ['an empty dict with a space in it', '{ }'],
  ['an empty list', '[]'],
  ['an empty list over two lines', '[\n]'],
  ['an empty string', '""'],
  ['zero', '0'],
  ['negative zero', '-0'],
  ['zero as a float', '0.0'],
  ['negative zero as a float', '-0.0'],
  ['zero with an exponent', '0e5'],
  ['zero with everything', '-0.000E+10'],
  ['a float too small to be one', '1e-400'],
  ['white space around', ' 0 '],
  ['no JSON: nothing', ''],
  ['no JSON: a word', 'undefined'],
  ['no JSON: another word', 'yes'],
  ['no JSON: a broken word', 'tru'],
  ['no JSON: half a string', '"'],
]
for (const [why, text] of falsy) {
  test(`false in Python: ${why}`, () => assert.equal(isTruthy(text), false))
}

const truthy: [why: string, text: string][] = [
  ['True', 'true'],
  ['one', '1'],
  ['a negative number', '-1'],
  ['a small float', '0.001'],
  ['the smallest float', '5e-324'],
  ['an integer beyond all floats', '1'.repeat(4000)],
  ['a float beyond all floats', '1e999'],
  ['NaN, unlike in JavaScript', 'NaN'],
  ['Infinity', 'Infinity'],
  ['-Infinity', '-Infinity'],
  ['the string 0', '"0"'],
  ['the string false', '"false"'],
  ['a space', '" "'],
  ['an escaped character', '"\\u0000"'],
  ['a dict with anything in it', '{"a":null}'],
  ['a list with anything in it', '[null]'],
  ['a list with an empty list in it', '[[]]'],
  ['white space around', ' [ 0 ] '],
]
for (const [why, text] of truthy) {
  test(`true in Python: ${why}`, () => assert.equal(isTruthy(text), true))
}
