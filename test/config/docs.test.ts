import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { createKnownKeys } from '../../src/config/known-keys.ts'
import { exampleEnv, exampleSecrets } from './example-files.ts'
import { loadText, MINIMAL } from './sample.ts'

const checkout = resolve(import.meta.dirname, '../..')
const files = exampleSecrets()

interface Block {
  /** `docs/rules.md:6`. */
  readonly place: string
  /** What stands behind the three ticks. */
  readonly info: string
  readonly text: string
}

/** Every block of YAML in the README and the documentation. */
function documentedBlocks(): Block[] {
  const pages = ['README.md', ...globSync('docs/**/*.md', { cwd: checkout }).sort()]
  return pages.flatMap((page) => blocksOf(page, readFileSync(join(checkout, page), 'utf8')))
}

function blocksOf(page: string, text: string): Block[] {
  return [...text.matchAll(/^( *)```(ya?ml\b[^\n]*)\n([\s\S]*?)^ *```$/gm)].map((match) => ({
    place: `${page}:${text.slice(0, match.index).split('\n').length}`,
    info: (match[2] ?? '').trim(),
    text: (match[3] ?? '').replaceAll(`\n${match[1]}`, '\n').slice(match[1]?.length),
  }))
}

/** A fragment with what it leaves out: the rest of the minimal file, and the upstreams that its routes name. */
function completed(fragment: string): string {
  const written = parse(fragment)
  const file = { ...parse(MINIMAL), ...written }
  const first = Object.keys(file.upstreams)[0]
  if (written.routes === undefined) {
    file.routes = file.routes.map((route: object) => ({ ...route, upstream: first }))
  } else if (written.upstreams === undefined) {
    const names: string[] = written.routes.map((route: { upstream: string }) => route.upstream)
    file.upstreams = Object.fromEntries(names.map((name) => [name, { servers: ['http://127.0.0.1:8000'] }]))
  }
  return stringify(file)
}

for (const { place, info, text } of documentedBlocks()) {
  test(`the YAML at ${place} loads`, async () => {
    assert.match(info, /^yaml( fragment)?$/, 'a block is a whole file (yaml) or a part of one (yaml fragment)')
    const whole = info === 'yaml' ? text : completed(text)
    const { config } = await loadText(whole, { env: exampleEnv, files })
    assert.ok(config.routes.length > 0)
  })
}

test('every key has a place in docs/configuration.md', () => {
  const page = readFileSync(join(checkout, 'docs/configuration.md'), 'utf8')
  const known = createKnownKeys()
  const sections = [
    [],
    ['session'],
    ['session', 'local_cache'],
    ['session', 'read_also'],
    ['session', 'read_also', 'database'],
    ['session', 'clear_expired'],
    ['database'],
    ['caches', 'a'],
    ['caches', 'a', 'tls'],
    ['keys', 0],
    ['signing'],
    ['login'],
    ['upstreams', 'a'],
    ['upstreams', 'a', 'timeouts'],
    ['upstreams', 'a', 'writeback'],
    ['upstreams', 'a', 'health'],
    ['routes', 0],
    ['routes', 0, 'match'],
    ['routes', 0, 'headers'],
    ['routes', 0, 'limits'],
    ['routes', 0, 'websocket'],
    ['limits'],
    ['limits', 'upload'],
    ['limits', 'download'],
    ['listen', 0],
    ['listen', 0, 'tls'],
    ['listen', 0, 'tls', 'certificates', 0],
    ['admin'],
    ['probes'],
    ['logging'],
    ['shutdown'],
  ]
  for (const section of sections) {
    const keys = known.at(section)
    assert.ok(keys.length > 0, section.join('.'))
    const absent = keys.filter((key) => !new RegExp(`\`([a-z_.]+\\.)?${key}\``).test(page))
    assert.deepEqual(absent, [], `of ${section.join('.') || 'the top'}`)
  }
})
