import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findKillPoints, killAtEach } from '../support/file-crash.ts'
import type { CrashStep } from '../support/file-crash-program.ts'
import { requireServer } from '../support/requirement.ts'

const strace = requireServer('strace')

/** Three sessions, and every kind of step after every other. */
const kinds = ['create', 'update', 'update', 'cycle', 'update', 'cycle', 'cycle', 'delete'] as const
const steps: readonly CrashStep[] = kinds.flatMap((kind) => ['a', 'b', 'c'].map((id) => ({ kind, id })))

test('a process that is killed at any system call loses nothing that it acknowledged, and tears nothing', {
  skip: strace.skip,
}, async (context) => {
  const points = await findKillPoints(strace.path, steps)
  assert.equal(await killAtEach(strace.path, steps, points), points.length, 'each run was killed')
  context.diagnostic(`killed at each of ${points.length} system calls on the folder`)
})
