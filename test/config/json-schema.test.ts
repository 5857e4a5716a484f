// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import { parse } from 'yaml'
import { createJsonSchema, JSON_SCHEMA_FILE, jsonSchemaText } from '../../src/config/json-schema.ts'
import { exampleFiles } from './example-files.ts'
import { MINIMAL } from './sample.ts'

const checkout = resolve(import.meta.dirname, '../..')
const accepts = new Ajv({ strict: false, allErrors: true }).compile(createJsonSchema())

test(`the ${JSON_SCHEMA_FILE} of the repository is that of this version`, () => {
  const written = readFileSync(join(checkout, JSON_SCHEMA_FILE), 'utf8')
  assert.equal(written, jsonSchemaText(), `write it anew: sessiongate schema > ${JSON_SCHEMA_FILE}`)
})

for (const { name, text } of exampleFiles()) {
  test(`editors accept ${name}`, () => {
    assert.ok(accepts(parse(text)), JSON.stringify(accepts.errors))
  })
}

const right: [why: string, line: string][] = [
  ['a reference stands for a number', 'workers: ${WORKERS}'],
  ['a reference stands for a boolean', 'session: { cookie_httponly: "${FLAG}" }'],
  ['a reference stands for a word', 'mode: ${MODE:-enforce}'],
  ['a reference stands for a duration', 'session: { store_timeout: "${TIMEOUT}" }'],
  ['an age may be a number', 'session: { cookie_age: 3600 }'],
  ['null is "not set"', 'session: { cookie_domain: null, clear_expired: null }'],
  ['x- keys are ignored', 'x-anything: [1, { a: b }]'],
  ['x- keys are ignored further down', 'session: { x-note: 1 }'],
  ['off is a word', 'admin: off'],
]

for (const [why, line] of right) {
  test(`editors accept ${line}: ${why}`, () => {
    assert.ok(accepts({ ...parse(MINIMAL), ...parse(line) }), JSON.stringify(accepts.errors))
  })
}

const wrong: [why: string, line: string][] = [
  ['an unknown key', 'sesion: {}'],
  ['an unknown key further down', 'session: { engin: db }'],
  ['a word that is none of those', 'mode: enforced'],
  ['a duration without unit', 'session: { store_timeout: 5 }'],
  ['a number in quotes', 'session: { clear_expired: { batch: "5" } }'],
  ['another version', 'version: 2'],
  ['a list where a mapping is wanted', 'session: []'],
]

for (const [why, line] of wrong) {
  test(`editors refuse ${line}: ${why}`, () => {
    assert.equal(accepts({ ...parse(MINIMAL), ...parse(line) }), false)
  })
}

test('editors have something to show for every key', () => {
  const bare: string[] = []
  const visit = (schema: unknown, path: string): void => {
    if (typeof schema !== 'object' || schema === null) return
    for (const [key, value] of Object.entries('properties' in schema ? (schema.properties as object) : {})) {
      if (!('description' in value)) bare.push(`${path}.${key}`)
      visit(value, `${path}.${key}`)
    }
    for (const part of ['items', 'additionalProperties'] as const) {
      if (part in schema) visit((schema as Record<string, unknown>)[part], `${path}[]`)
    }
    if ('anyOf' in schema) for (const branch of schema.anyOf as unknown[]) visit(branch, path)
  }
  visit(createJsonSchema(), '')
  assert.deepEqual(bare, [])
})
