import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { exitCodes } from '../../src/cli/exit-codes.ts'
import { type ErrorCode, errorTable } from '../../src/errors.ts'

const page = readFileSync(resolve(import.meta.dirname, '../../docs/errors.md'), 'utf8')

/** One row of a table: code, status, when, what to do. */
const rows = [...page.matchAll(/^\| `(ERR_\w+)` \| (\d+) \| (.*) \| (.*) \|$/gm)].map(
  ([, code = '', status = '', when = '', advice = '']) => ({ code, status: Number(status), when, advice }),
)

test('docs/errors.md has every code once, and none that there is not', () => {
  assert.deepEqual(rows.map(({ code }) => code).toSorted(), Object.keys(errorTable).toSorted())
})

for (const code of Object.keys(errorTable) as ErrorCode[]) {
  test(`docs/errors.md says of ${code} its status, its title, when it comes, and what to do`, () => {
    const { status, title } = errorTable[code]
    const row = rows.find((candidate) => candidate.code === code)
    assert.equal(row?.status, status)
    assert.ok(row.when.startsWith(`*${title}.* `), row.when)
    assert.match(row.when, /\.\* .{10,}\.$/, 'when it comes')
    assert.match(row.advice, /^.{6,}[.?]$/, 'what to do')
  })
}

test('docs/errors.md has the exit codes', () => {
  const documented = [...page.matchAll(/^\| (\d+) \| .{4,} \|$/gm)].map(([, code]) => Number(code))
  assert.deepEqual(documented, Object.values(exitCodes))
})

test('the example of docs/errors.md is an answer that the gateway gives', () => {
  const [, example = ''] = /```json\n([\s\S]*?)```/.exec(page) ?? []
  const { type, title, status, code } = JSON.parse(example)
  assert.deepEqual({ title, status }, errorTable[code as ErrorCode])
  assert.equal(type, `urn:sessiongate:${code}`)
})
