import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Secret } from '../../../src/config/secret.ts'

const secret = new Secret('hunter2')

const ways: [way: string, text: string][] = [
  ['in a template', `${secret}`],
  ['in JSON', JSON.stringify({ secret })],
  ['by inspect', inspect({ nested: { secret } }, { showHidden: true, depth: 9 })],
  ['as an error', String(new Error(String(secret)))],
  ['by its keys', Object.entries(secret).join()],
]

for (const [way, text] of ways) {
  test(`a secret does not show ${way}`, () => {
    assert.ok(!text.includes('hunter2'), text)
  })
}

test('a secret gives its text to whoever asks for it by name', () => {
  assert.equal(secret.reveal(), 'hunter2')
})
