import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createChunkMeter } from '../../../src/lib/chunk-memory.ts'

const MIB = 1024 * 1024

test('the young generation is collected once for every 16 MiB that passed, however they were cut', () => {
  let collections = 0
  const count = createChunkMeter(() => {
    collections += 1
  })
  for (let i = 0; i < 256; i += 1) count(64 * 1024)
  assert.equal(collections, 1)
  count(15 * MIB)
  assert.equal(collections, 1)
  count(MIB)
  assert.equal(collections, 2)
})

test('the collector of this V8 works, and is not left behind for everybody', () => {
  const count = createChunkMeter()
  assert.doesNotThrow(() => count(17 * MIB))
  assert.equal('gc' in globalThis, false)
})
