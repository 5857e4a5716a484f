import assert from 'node:assert/strict'
import { test } from 'node:test'
import { suggestion } from '../../../src/config/suggestion.ts'

const known = ['cookie_name', 'cookie_path', 'cookie_age', 'secret_key', 'engine', 'auth_key', 'user_id', 'db', 'file']

const cases: [why: string, word: string, meant: string | undefined][] = [
  ['a letter is missing', 'cokie_name', 'cookie_name'],
  ['a letter too many', 'cookiee_path', 'cookie_path'],
  ['two letters swapped', 'egnine', 'engine'],
  ['another letter', 'secret_kex', 'secret_key'],
  ['the name of Django’s setting', 'SESSION_COOKIE_AGE', 'cookie_age'],
  ['dashes instead of underscores', 'auth-key', 'auth_key'],
  ['capitals', 'Engine', 'engine'],
  ['a short word may differ by one letter', 'bd', 'db'],
  ['a short word may not differ by all', 'xy', undefined],
  ['nothing is near', 'colour', undefined],
  ['a very long word', 'x'.repeat(100_000), undefined],
  ['no word', '', undefined],
]

for (const [why, word, meant] of cases) {
  test(`${JSON.stringify(word.slice(0, 30))} suggests ${meant}: ${why}`, () => {
    assert.equal(suggestion(word, known), meant)
  })
}

test('the nearest of several is suggested', () => {
  assert.equal(suggestion('cookie_nam', ['cookie_samesite', 'cookie_path', 'cookie_name']), 'cookie_name')
})
