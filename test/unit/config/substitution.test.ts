// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what the tests are about.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Substituted, substitute } from '../../../src/config/substitution.ts'
import type { Tree } from '../../../src/config/tree.ts'

const env = { NAME: 'value', EMPTY: '', NESTED: '${NAME} $$', NUMBER: '8080' }
const files: Readonly<Record<string, string>> = { '/s/key': 'from a file\n', '/s/two': 'two\n\n', '/s/dos': 'dos\r\n' }

async function substituteIn(tree: Tree): Promise<Substituted> {
  return await substitute(tree, {
    env,
    readFile: async (path) => {
      const text = files[path]
      if (text === undefined) throw Object.assign(new Error('secret detail'), { code: 'ENOENT' })
      return text
    },
  })
}

const values: [why: string, text: string, expected: string][] = [
  ['a variable', '${NAME}', 'value'],
  ['a variable inside of text', 'a-${NAME}-b', 'a-value-b'],
  ['two of them', '${NAME}${NUMBER}', 'value8080'],
  ['a default that is not needed', '${NAME:-other}', 'value'],
  ['a default that is', '${NOBODY:-other}', 'other'],
  ['a default for a variable set to nothing, as in a shell', '${EMPTY:-other}', 'other'],
  ['an empty default', '${NOBODY:-}', ''],
  ['a variable set to nothing', '[${EMPTY}]', '[]'],
  ['a default with colons in it', '${NOBODY:-http://127.0.0.1:8000}', 'http://127.0.0.1:8000'],
  ['a file, without its final newline', '${file:/s/key}', 'from a file'],
  ['only one newline belongs to the file', '${file:/s/two}', 'two\n'],
  ['a carriage return is part of the text', '${file:/s/dos}', 'dos\r'],
  ['a dollar sign', 'costs $$5', 'costs $5'],
  ['a dollar sign before braces', '$${NAME}', '${NAME}'],
  ['a dollar sign alone means nothing', 'a$b $ ^x$', 'a$b $ ^x$'],
  ['what came in is not looked at again', '${NESTED}', '${NAME} $$'],
  ['text without any of it', 'plain', 'plain'],
]

for (const [why, text, expected] of values) {
  test(`${JSON.stringify(text)} becomes ${JSON.stringify(expected)}: ${why}`, async () => {
    const { tree, findings } = await substituteIn({ key: text })
    assert.deepEqual(findings, [])
    assert.deepEqual({ ...(tree as object) }, { key: expected })
  })
}

const mistakes: [why: string, text: string, message: RegExp][] = [
  ['a variable that is not set', '${NOBODY}', /environment variable NOBODY is not set/],
  ['a file that is not there', '${file:/s/none}', /\/s\/none cannot be read \(ENOENT\)/],
  ['a brace that is never closed', '${NAME', /begins no reference/],
  ['no name', '${}', /begins no reference/],
  ['a name with a space', '${MY NAME}', /begins no reference/],
  ['a file without a name', '${file:}', /begins no reference/],
  ['another kind of default', '${NAME-x}', /begins no reference/],
]

for (const [why, text, message] of mistakes) {
  test(`${JSON.stringify(text)} is an error: ${why}`, async () => {
    const { findings, broken } = await substituteIn({ list: ['a', text] })
    assert.equal(findings.length, 1)
    assert.match(findings[0]?.message ?? '', message)
    assert.deepEqual(findings[0]?.path, ['list', 1])
    assert.deepEqual(broken, [['list', 1]])
    assert.ok(findings[0]?.hint)
  })
}

test('all that is missing in one value is told', async () => {
  const { findings } = await substituteIn('${A}${B}${file:/c}')
  assert.equal(findings.length, 3)
})

test('keys are left as they are', async () => {
  const { tree } = await substituteIn({ '${NAME}': 'x' })
  assert.deepEqual(Object.keys(tree as object), ['${NAME}'])
})

test('a variable’s name is no path into JavaScript', async () => {
  const { findings } = await substituteIn('${constructor}')
  assert.equal(findings.length, 1)
})

test('what the operating system says about a file is told by its code only', async () => {
  const { findings } = await substituteIn('${file:/s/none}')
  assert.ok(!JSON.stringify(findings).includes('secret detail'))
})

test('text without a dollar sign is never changed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string().filter((text) => !text.includes('$')),
      async (text) => {
        const { tree, outside } = await substituteIn([text])
        assert.deepEqual(tree, [text])
        assert.equal(outside.size, 0)
      },
    ),
  )
})

test('whatever a variable holds comes in as it is', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string(), async (value) => {
      const { tree } = await substitute('<${X}>', { env: { X: value }, readFile: async () => '' })
      assert.equal(tree, `<${value}>`)
    }),
  )
})
