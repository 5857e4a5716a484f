import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KeyView } from '../../../src/admin/views.ts'
import { sumKeys } from '../../../src/workers/key-sums.ts'

const assertion: KeyView = {
  ...{ id: 'one', purpose: 'assertions', algorithm: 'HS256', signs: true, created: '2026-11-01', age_seconds: 60 },
  ...{ signs_since: '2026-11-01T00:00:00.000Z', sessions_read: null, counted_since: null },
}
const session: KeyView = {
  ...{
    id: 'fallback-1',
    purpose: 'sessions',
    algorithm: 'HMAC-SHA256',
    signs: false,
    created: null,
    age_seconds: null,
  },
  ...{ signs_since: null, sessions_read: 2, counted_since: '2026-11-01T00:00:00.000Z' },
}

test('what workers have read with a key is summed, since the latest of them counts', () => {
  const later = '2026-11-02T00:00:00.000Z'
  const other = [
    { ...assertion, signs_since: later },
    { ...session, sessions_read: 3, counted_since: later },
  ]
  assert.deepEqual(sumKeys([[assertion, session], other]), [
    { ...assertion, signs_since: later },
    { ...session, sessions_read: 5, counted_since: later },
  ])
})

test('a key that only one of them has yet is there; the same id for something else is another key', () => {
  const namesake = { ...assertion, id: 'fallback-1' }
  assert.deepEqual(sumKeys([[session], [session, namesake]]), [{ ...session, sessions_read: 4 }, namesake])
  assert.deepEqual(sumKeys([]), [])
})
