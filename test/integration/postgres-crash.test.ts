import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requireServer } from '../support/requirement.ts'
import { survivesCrashes } from './postgres-crashes.ts'

test('ten crashes of PostgreSQL under writes: nothing acknowledged is lost, nothing deleted comes back', {
  skip: requireServer('postgres').skip,
}, async (t) => {
  const { acknowledged, unknown } = await survivesCrashes(10)
  t.diagnostic(`${acknowledged} writes acknowledged, of ${unknown} the outcome is unknown`)
  assert.ok(acknowledged >= 600)
})
