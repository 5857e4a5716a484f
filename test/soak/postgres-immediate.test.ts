import assert from 'node:assert/strict'
import { test } from 'node:test'
import { survivesCrashes } from '../integration/postgres-crashes.ts'
import { requireServer } from '../support/requirement.ts'

test('two hundred crashes of PostgreSQL under writes: nothing acknowledged is lost, nothing deleted comes back', {
  skip: requireServer('postgres').skip,
}, async (t) => {
  const { acknowledged, unknown } = await survivesCrashes(200)
  t.diagnostic(`${acknowledged} writes acknowledged, of ${unknown} the outcome is unknown`)
  assert.ok(acknowledged >= 12_000)
})
