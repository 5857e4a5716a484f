import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createKeyMemory } from '../../../src/sessions/key-memory.ts'

test('the latest keys are remembered, and no more than so many', () => {
  const memory = createKeyMemory(3)
  for (const key of ['a', 'b', 'c', 'a', 'd']) memory.add(key)
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((key) => memory.has(key)),
    [true, false, true, true],
  )
})
