import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explainRuntime } from '../../../src/lib/runtime-floor.ts'

const cases: [version: string, isOld: boolean][] = [
  ['24.21.0', true],
  ['24.22.0', true],
  ['24.22.1', false],
  ['24.30.0', false],
  ['25.9.0', true],
  ['26.10.0', true],
  ['26.12.1', false],
  ['27.0.0', false],
]
for (const [version, isOld] of cases) {
  test(`Node ${version} ${isOld ? 'is named as one without the fix' : 'is fine'}`, () => {
    const words = explainRuntime(version)
    assert.equal(words !== undefined, isOld)
    if (words !== undefined) assert.match(words, /CVE-2026-111497/)
  })
}
