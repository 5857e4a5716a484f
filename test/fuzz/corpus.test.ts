import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lineOf, readCorpus } from './corpus.ts'
import { breakOf } from './search.ts'
import { fuzzTargets } from './targets.ts'

for (const target of fuzzTargets) {
  test(`what the search has found for ${target.name} keeps its promise`, async () => {
    const inputs = [...target.seeds.map((text) => Buffer.from(text, 'latin1')), ...readCorpus(target.name)]
    assert.ok(inputs.length > target.seeds.length, 'no corpus is kept')
    for (const input of inputs) {
      const broken = await breakOf(target, input)
      assert.equal(broken?.error, undefined, lineOf(input))
    }
  })
}
