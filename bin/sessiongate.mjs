#!/usr/bin/env node
// The command. A checkout runs its source as it stands; the published package, which has no source, runs what was built from it.
import { existsSync } from 'node:fs'
import { explainOldNode } from './node-version.mjs'

const flaw = explainOldNode(process.versions.node)
const source = new URL('../src/main.ts', import.meta.url)

if (flaw !== undefined) {
  const remedy = existsSync(source) ? '; in a checkout: npm run -s sessiongate -- …' : ''
  process.stderr.write(`${flaw}${remedy}\n`)
  process.exitCode = 1
} else {
  await import(existsSync(source) ? source : new URL('../dist/main.js', import.meta.url))
}
