// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readSource, withoutExtensions } from '../../../src/config/source.ts'

function plain(text: string): unknown {
  const { tree, findings } = readSource(text, 'a.yaml')
  assert.deepEqual(findings, [])
  return JSON.parse(JSON.stringify(tree))
}

const values: [why: string, text: string, expected: unknown][] = [
  ['YAML 1.2 has two booleans', 'a: true\nb: yes\nc: off', { a: true, b: 'yes', c: 'off' }],
  ['numbers', 'a: 1\nb: 0x10\nc: 1.5', { a: 1, b: 16, c: 1.5 }],
  ['a date is text', 'a: 2026-11-01', { a: '2026-11-01' }],
  ['nothing is null', 'a:\nb: ~\nc: null', { a: null, b: null, c: null }],
  ['aliases stand for what they name', 'a: &x [1, 2]\nb: *x', { a: [1, 2], b: [1, 2] }],
  ['an alias means the anchor before it', 'a: &x 1\nb: *x\nc: &x 2\nd: *x', { a: 1, b: 1, c: 2, d: 2 }],
  ['also inside of another', 'a: &x 1\nb: &y [*x]\nc: &x 2\nd: *y', { a: 1, b: [1], c: 2, d: [1] }],
  ['tags of the core schema', 'a: !!str 5', { a: '5' }],
  ['an empty file', '# nothing', null],
]

for (const [why, text, expected] of values) {
  test(`${JSON.stringify(text)} is read: ${why}`, () => assert.deepEqual(plain(text), expected))
}

const mistakes: [why: string, text: string, line: number, message: RegExp][] = [
  ['a key twice', 'a: 1\nb: 2\na: 3', 3, /"a" is written twice/],
  ['a merge key', 'a: &x { b: 1 }\nc:\n  <<: *x', 3, /merge key/],
  ['a tag', 'a: 1\nb: !secret x', 2, /tag/],
  ['a tag of YAML 1.1', 'a: !!binary aGk=', 1, /tag/],
  ['a tag on a mapping', 'a: !!set { b }', 1, /tag/],
  ['an alias without an anchor', 'a: 1\nb: *nobody', 2, /alias without an anchor/],
  ['an alias before its anchor', 'a: *x\nb: &x 1', 1, /alias without an anchor/],
  ['an alias in itself', 'a: &x [1, *x]', 1, /inside of what it stands for/],
  ['two documents', 'a: 1\n---\nb: 2', 2, /second document/],
  ['another YAML', '%YAML 1.1\n---\na: yes', 1, /%YAML/],
  ['a tab', 'a:\n\tb: 1', 2, /tab/],
  ['an open quote', 'a: "b', 1, /quote/],
  ['an open bracket', 'a: [1, 2', 1, /]/],
  ['a reference inside of braces', 'a: { b: ${NAME}, c: 1 }', 1, /reference without quotes/],
  ['a reference inside of brackets', 'a: [${NAME}]', 1, /reference without quotes/],
  ['a list as a key', '? [a]\n: 1', 1, /key/],
  ['a key that is JavaScript’s', '__proto__: 1', 1, /__proto__/],
  ['depth', `a: ${'['.repeat(40)}${']'.repeat(40)}`, 1, /deep/],
]

for (const [why, text, line, message] of mistakes) {
  test(`${JSON.stringify(text.slice(0, 30))} is an error: ${why}`, () => {
    const source = readSource(text, 'a.yaml')
    const found = source.findings.find((finding) => message.test(finding.message))
    assert.ok(found, JSON.stringify(source.findings))
    const [start] = found.range ?? source.rangeOf(found.path, false)
    assert.equal(source.positionOf(start).line, line)
  })
}

test('a file of aliases of aliases is given up after a hundred', () => {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
  for (let at = 1; at < 12; at++)
    lines.push(
      `a${at}: &a${at} [${Array(10)
        .fill(`*a${at - 1}`)
        .join(', ')}]`,
    )
  const { findings } = readSource(lines.join('\n'), 'a.yaml')
  assert.ok(findings.some(({ message }) => message.includes('more than 100 aliases')))
})

test('a file of many values is given up', () => {
  const { findings } = readSource(`[${'1,'.repeat(100_001)}]`, 'a.yaml')
  assert.ok(findings.some(({ message }) => message.includes('values')))
})

const hostile: [what: string, text: string][] = [
  ['open lists', '['.repeat(50_000)],
  ['nested dashes', '- '.repeat(30_000)],
  ['many keys', Array.from({ length: 30_000 }, (_, at) => `k${at}: 1`).join('\n')],
  ['the same key again and again', 'a: 1\n'.repeat(30_000)],
  ['broken escapes', `a: "${'\\q'.repeat(50_000)}"`],
]

for (const [what, text] of hostile) {
  test(`${what} are read to an end`, () => assert.equal(typeof readSource(text, 'a.yaml').isWellFormed, 'boolean'))
}

test('no text makes it throw, and every finding has a place in the text', () => {
  const piece = fc.constantFrom(
    'a',
    ': ',
    '- ',
    '\n',
    '  ',
    '[',
    ']',
    '{',
    '}',
    ',',
    '"',
    "'",
    '&x ',
    '*x',
    '!t ',
    '|',
    '#',
    '<<',
    '?',
    '%',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((pieces) => pieces.join('')),
      ),
      (text) => {
        const source = readSource(text, 'a.yaml')
        for (const finding of source.findings) {
          const [start] = finding.range ?? source.rangeOf(finding.path, false)
          assert.ok(start >= 0 && start <= text.length + 1)
          assert.ok(source.positionOf(start).line >= 1)
        }
      },
    ),
  )
})

test('x- keys are left out wherever they stand, but not from header names', () => {
  const text = `
x-note: 1
session: { x-note: 1, engine: db }
upstreams: { x-template: {}, app: { x-note: 1 } }
routes:
  - x-note: 1
    headers: { x-note: {}, request: { x-env: prod } }
`
  const tree = withoutExtensions(readSource(text, 'a.yaml').tree)
  assert.deepEqual(JSON.parse(JSON.stringify(tree)), {
    session: { engine: 'db' },
    upstreams: { app: {} },
    routes: [{ headers: { request: { 'x-env': 'prod' } } }],
  })
})
