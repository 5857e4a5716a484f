import { test } from 'node:test'
import { checkWriters } from '../support/file-writers.ts'

test('eight processes with ten thousand changes each lose none, and bring no deleted session back', async (context) => {
  const { changes, durationMs } = await checkWriters({ writers: 8, changes: 10_000 })
  context.diagnostic(`${changes} changes in ${Math.round(durationMs / 1000)} s`)
})
