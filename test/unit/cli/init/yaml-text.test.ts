import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parse } from 'yaml'
import { fileReference, type YamlValue, yamlSection, yamlValue } from '../../../../src/cli/init/yaml-text.ts'
import { substitute } from '../../../../src/config/substitution.ts'

/** As the configuration reads it: YAML, then `${…}`. */
async function read(text: string): Promise<unknown> {
  const surroundings = { env: {}, readFile: async (path: string) => `the text of ${path}` }
  return structuredClone((await substitute(parse(text), surroundings)).tree)
}

test('a text is read again as what it was, whatever it holds, alone and in a list', async () => {
  const texts = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[-\d.:eExo+ ~#$!&*?|>%@`{}[\],]{0,8}$/),
  )
  await fc.assert(
    fc.asyncProperty(texts, async (text) => {
      assert.deepEqual(await read(`a: ${yamlValue(text)}\nb: { c: ${yamlValue([text, text])} }`), {
        a: text,
        b: { c: [text, text] },
      })
    }),
    { numRuns: 1000 },
  )
})

test('what one writes without quotes stands without quotes', () => {
  const plain = [
    'sessionid',
    '/accounts/login/',
    '127.0.0.1:8080',
    'http://127.0.0.1:8000',
    '14d',
    'sqlite:./db.sqlite3',
  ]
  for (const text of plain) assert.equal(yamlValue(text), text)
  for (const text of ['yes', 'NULL', '12', '1e3', '*.example.com', '', 'a b', 'a: b', '::1'])
    assert.match(yamlValue(text), /^"/)
  assert.equal(yamlValue(`pa\${ss}$`), `"pa$\${ss}$$"`)
})

test('a reference is one, and other words are those of YAML', async () => {
  const values: [YamlValue, unknown][] = [
    [fileReference('a/b'), 'the text of a/b'],
    [{ references: [fileReference('x').reference] }, ['the text of x']],
    [true, true],
    [1209600, 1209600],
    [null, null],
    [[], []],
  ]
  for (const [value, expected] of values) assert.deepEqual(await read(yamlValue(value)), expected)
})

test('a section has its comments in one column, and is nothing without entries', () => {
  assert.equal(yamlSection('a', []), '')
  const text = yamlSection('a', [
    ['b', 'c', 'first'],
    ['longer', 1, 'second'],
    ['d', false],
  ])
  assert.equal(text, 'a:\n  b: c       # first\n  longer: 1  # second\n  d: false\n')
})
