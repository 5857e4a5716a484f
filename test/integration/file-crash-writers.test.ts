import { test } from 'node:test'
import { checkWriters } from '../support/file-writers.ts'

test('eight processes on a few session files lose no change, and bring no deleted session back', async (context) => {
  const { changes, durationMs } = await checkWriters({ writers: 8, changes: 150 })
  context.diagnostic(`${changes} changes in ${Math.round(durationMs)} ms`)
})
