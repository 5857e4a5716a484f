import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { requireServer } from '../../support/requirement.ts'

const folder = mkdtempSync(join(tmpdir(), 'sessiongate-path-'))
after(() => rmSync(folder, { recursive: true }))

test('a program that is missing is a skip that names it and says how to get it; with CI=true it is an error', () => {
  const env = { PATH: folder }
  const { path, skip } = requireServer('redis', env)
  assert.equal(path, '')
  assert.match(String(skip), /^redis is needed: it is not installed; npm run setup:servers/)
  assert.throws(() => requireServer('redis', { ...env, CI: 'true' }), /redis is needed/)
})

test('a program on PATH is found, if it can be run', () => {
  const program = join(folder, 'php')
  writeFileSync(program, '#!/bin/sh\n', { mode: 0o600 })
  assert.notEqual(requireServer('php', { PATH: folder }).skip, false)
  chmodSync(program, 0o700)
  assert.deepEqual(requireServer('php', { PATH: folder, CI: 'true' }), { path: program, skip: false })
})
