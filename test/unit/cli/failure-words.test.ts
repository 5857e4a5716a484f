import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wordsOf } from '../../../src/cli/failure-words.ts'

const system = new Error('connect ECONNREFUSED 127.0.0.1:6379')
const driver = new Error('the connection failed: ECONNREFUSED', { cause: system })

const cases: [why: string, error: unknown, words: string][] = [
  ['one that stands alone', new Error('it failed'), 'it failed'],
  ['one with a cause', new Error('the store failed', { cause: system }), `the store failed: ${system.message}`],
  [
    'one that repeats its cause, which has another',
    new Error(`Redis: ${driver.message}`, { cause: driver }),
    `Redis: ${driver.message}: ${system.message}`,
  ],
  ['what is no error', 'a word', 'a word'],
]
for (const [why, error, words] of cases) {
  test(`an error is told with what stood behind it, and nothing twice: ${why}`, () => {
    assert.equal(wordsOf(error), words)
  })
}
