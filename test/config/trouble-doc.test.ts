import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { errorTable } from '../../src/errors.ts'

const checkout = resolve(import.meta.dirname, '../..')
const read = (file: string): string => readFileSync(join(checkout, file), 'utf8')
const page = read('docs/when-something-is-wrong.md')
const operating = read('docs/operating.md')

interface Message {
  readonly level: string
  readonly text: string
}

/** Every message that the source logs in words of its own. */
function messages(): Message[] {
  const sources = globSync('src/**/*.ts', { cwd: checkout }).map(read)
  return sources.flatMap((source) =>
    [...source.matchAll(/\blog\.(info|warn|error|fatal)\('([^']+)'/g)].map(([, level = '', text = '']) => ({
      level,
      text,
    })),
  )
}

test('every warning and error of the log has a line that says what to do', () => {
  const bad = messages().filter(({ level }) => level !== 'info')
  assert.ok(bad.length > 8)
  const absent = bad.filter(({ text }) => !page.includes(`\`${text}\``))
  assert.deepEqual(absent, [])
})

test('what it says of lines and codes is so: each of them exists', () => {
  const known = new Set([...messages().map(({ text }) => text), 'request'])
  const [, section = ''] = page.split('\n## What the log says\n')
  const [table = ''] = section.split('\n## ')
  const named = [...table.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text),
  )
  assert.ok(named.length > 12)
  assert.deepEqual(
    named.filter((text) => !known.has(text) && !text.startsWith('level:')),
    [],
  )
  const codes = page.match(/ERR_[A-Z_]+/g) ?? []
  assert.deepEqual(
    codes.filter((code) => !(code in errorTable)),
    [],
  )
})

test('every message of the log is on this page or in docs/operating.md', () => {
  const absent = messages().filter(({ text }) => !`${page}${operating}`.includes(`\`${text}\``))
  assert.deepEqual(absent, [])
})
