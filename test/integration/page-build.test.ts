import assert from 'node:assert/strict'
import { globSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { buildPage } from '../../scripts/page-bundle.ts'

const checkout = resolve(import.meta.dirname, '../..')
const built = join(checkout, 'page/built')
const sources = globSync('page/src/**/*.{ts,tsx}', { cwd: checkout }).sort()

test('what is shipped is what its source gives, to the last byte: npm run build:page', async () => {
  const files = await buildPage()
  assert.deepEqual(readdirSync(built).sort(), [...files.keys()].sort())
  for (const [name, bytes] of files)
    assert.ok(readFileSync(join(built, name)).equals(bytes), `${name} is of another source`)
})

test('the licences of what is in it come with it', () => {
  const script = readFileSync(join(built, 'page.js'), 'utf8')
  for (const words of ['preact ', 'Jason Miller', 'uplot ', 'Leon Sorokin', 'Permission is hereby granted'])
    assert.ok(script.includes(words), words)
})

test('nothing in it comes from elsewhere, and no text becomes HTML', () => {
  for (const name of readdirSync(built)) {
    const text = readFileSync(join(built, name), 'utf8').replace(/^\/\*![\s\S]*?\*\//, '')
    const addresses = (text.match(/\bhttps?:\/\/[^\s"'`)]+/g) ?? []).filter(
      (url) => !url.startsWith('http://www.w3.org/'),
    )
    assert.deepEqual(addresses, [], name)
  }
  for (const file of sources) {
    const text = readFileSync(join(checkout, file), 'utf8')
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/, file)
    assert.doesNotMatch(text, /localStorage\.|document\.cookie/, file)
  }
})

test('its source keeps to the sizes and the ways of the rest', () => {
  assert.ok(sources.length > 20)
  for (const file of sources) {
    const text = readFileSync(join(checkout, file), 'utf8')
    assert.ok(text.split('\n').length <= 350, `${file} is long`)
    assert.doesNotMatch(text, /export default|\bas any\b|@ts-/, file)
    for (const [, specifier = ''] of text.matchAll(/from '(\.[^']+)'/g)) assert.match(specifier, /\.tsx?$/, file)
    // Of the gateway's own source it knows what the API tells, and nothing else.
    for (const [, specifier = ''] of text.matchAll(/from '([^']*\/src\/[^']+)'/g))
      assert.match(specifier, /\/src\/admin\/views\.ts$/, file)
  }
})
