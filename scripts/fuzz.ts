/**
 * Searches for inputs that break a promise: `node scripts/fuzz.ts [--seconds N] [--seed N] [--keep] [target …]`, for so
 * many seconds each (default 30). With `--keep` what reached new code joins `test/fuzz/corpus`, which `npm test` replays.
 * Exits 1 when a promise was broken; the input is printed as a line for the corpus.
 */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { lineOf, readCorpus, writeCorpus } from '../test/fuzz/corpus.ts'
import { openCoverage } from '../test/fuzz/coverage.ts'
import { search } from '../test/fuzz/search.ts'
import { fuzzTargets } from '../test/fuzz/targets.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '30' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    keep: { type: 'boolean', default: false },
  },
})
const sourceRoot = pathToFileURL(resolve(import.meta.dirname, '../src/')).href
const chosen = fuzzTargets.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
const unknown = positionals.filter((name) => !fuzzTargets.some((target) => target.name === name))
if (unknown.length > 0) process.stderr.write(`no such target: ${unknown.join(', ')}\n`)
process.exitCode = unknown.length > 0 ? 2 : 0

for (const target of chosen) {
  using coverage = await openCoverage(sourceRoot)
  const known = readCorpus(target.name)
  const seed = Number(values.seed)
  const found = await search(target, { known, coverage, forMs: Number(values.seconds) * 1000, seed })
  const facts = `${found.corpus.length} in the corpus (${known.length} before), ${found.coveredBytes} bytes of source reached`
  process.stdout.write(`${target.name}: ${found.runs} inputs, ${found.breaks.length} broken, ${facts}, seed ${seed}\n`)
  for (const { input, error } of found.breaks) {
    process.stdout.write(`  ${lineOf(input)}\n  ${error instanceof Error ? error.stack : String(error)}\n`)
    process.exitCode = 1
  }
  if (values.keep && found.breaks.length === 0) writeCorpus(target.name, found.corpus)
}
