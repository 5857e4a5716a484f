import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createTimestamp } from '../../../src/observe/timestamp.ts'

test('a time is written as Date writes it, in whatever order times come', () => {
  const timestamp = createTimestamp()
  const near = fc.integer({ min: 1_790_000_000_000, max: 1_790_000_003_000 })
  const any = fc.oneof(fc.integer({ min: -8.64e15, max: 8.64e15 }), fc.double({ min: -1e13, max: 1e13, noNaN: true }))
  fc.assert(
    fc.property(fc.oneof(near, any), (at) => {
      assert.equal(timestamp(at), new Date(at).toISOString())
    }),
    { numRuns: 5000 },
  )
})
