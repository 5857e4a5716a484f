/**
 * Which test holds which rule, and which published weakness: twenty rules, and weaknesses of programs of this kind by the
 * ids under which they are known here. What is listed must be there, so the list cannot outlive its tests.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { type Held, rows } from './catalogue-rows.ts'
import { rules } from './catalogue-rules.ts'

function assertThere([file, title]: Held): void {
  const source = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')
  assert.ok(source.includes(title), `test/${file} has no test of that name: ${title}`)
}

describe('each rule has a table or property of its own', () => {
  for (const [id, { rule, held }] of Object.entries(rules)) {
    test(`${id}: ${rule}`, () => {
      assert.ok(held.length > 0)
      for (const one of held) assertThere(one)
    })
  }

  test('there are twenty', () =>
    assert.deepEqual(
      Object.keys(rules),
      Array.from({ length: 20 }, (_, i) => `R${i + 1}`),
    ))
})

describe('each published weakness is held, or closed for a reason', () => {
  for (const [id, { published, held = [], closed }] of Object.entries(rows)) {
    test(`${id}: ${published}`, () => {
      assert.notEqual(held.length > 0, closed !== undefined, 'either the one or the other')
      for (const one of held) assertThere(one)
    })
  }
})
