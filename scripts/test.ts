/**
 * Runs the tests: `node scripts/test.ts [suite] [folder | file …]`; with both, of that suite only these. Prints what
 * `node --test` prints, then the files that took longest, a table of the promises whose breaches were counted, and last
 * one plain line, `N passed, N failed, N skipped`, which a machine can read. Exits 1 when a test failed or none was found.
 */
import { globSync, statSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const checkout = resolve(import.meta.dirname, '..')

/** What the stores do when they fail, move, or are raced for: minutes of waiting for servers that come and go. */
const storeFiles: readonly string[] = [
  'test/integration/{redis,postgres,memcached,file-crash}*.test.ts',
  'test/e2e/{store-faults,stores,logout-races,moving-sessions,user-sessions,command-line-copy}*.test.ts',
  'test/security/stores-{index,keys,limits,secrets}.test.ts',
]

/** Half a minute each of waiting for elections: they belong to the stores by their names, and run with the soak tests. */
const electionFiles: readonly string[] = ['test/integration/redis-notices-{cluster,sentinel}.test.ts']

/**
 * A suite's name, and the files it runs. `default` is what `npm test` runs: everything that needs a few minutes, without
 * the files of `stores`.
 */
const suites: Readonly<Record<string, readonly string[]>> = {
  default: ['test/*.test.ts', 'test/{unit,contract,integration,e2e,security,config,faults,fuzz}/**/*.test.ts'],
  stores: storeFiles,
  security: ['test/security/**/*.test.ts'],
  interop: ['test/interop/**/*.test.ts'],
  models: ['test/contract/*engine*.test.ts'],
  soak: ['test/{soak,faults,security/generated}/**/*.test.ts', ...electionFiles],
}

// Some hundred processes read the same sources: compiled once, they start in half the time.
process.env.NODE_COMPILE_CACHE ??= resolve(checkout, 'node_modules/.cache/compiled')

/**
 * `models` is the part of the engines' contract that chance decides, at full length: 2,000 random histories and fifty
 * writers that count to 200, on every engine. `npm test` runs all of the contract, with less of these.
 */
const isModels = process.argv[2] === 'models'
if (isModels) Object.assign(process.env, { SESSIONGATE_HISTORIES: '2000', SESSIONGATE_COUNT_TO: '200' })
/** Of each fault and of what is generated `npm test` brings a few; `soak` brings as many as the promise is about. */
if (process.argv[2] === 'soak') process.env.SESSIONGATE_FAULTS = 'whole'
const testNamePatterns = isModels ? [/agrees with a simple model/, /fifty writers count/] : []

/** A file that hangs must not hang the run; the soak tests are the ones that may take their time. */
const fileTimeouts: Readonly<Record<string, number>> = {
  interop: 300_000,
  models: 600_000,
  security: 600_000,
  soak: Number.POSITIVE_INFINITY,
}
const fileTimeoutMs = fileTimeouts[process.argv[2] ?? ''] ?? 300_000

const SLOWEST_SHOWN = 25

interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** A promise that a test has counted for: what must be zero, where it is held, of how many looks, and how often it was not. */
interface Count {
  readonly promise: string
  readonly suite: string
  readonly looks: string
  readonly failures: string
}

/** As `test/security/generated/tally.ts` tells of it: `counted: <promise>: <failures> of <looks>, seed <seed>`. */
function parseCount(message: string, file: string): Count | undefined {
  const [, promise, failures, looks] = /^counted: (.+): (\d+) of (\d+ .+?)$/.exec(message) ?? []
  if (promise === undefined || failures === undefined || looks === undefined) return undefined
  return { promise, suite: relative(resolve(checkout, 'test'), file).replace(/\.test\.ts$/, ''), looks, failures }
}

function printCounts(counts: readonly Count[]): void {
  const rows = [{ promise: 'must be zero', suite: 'held by', looks: 'of', failures: 'is' }, ...counts]
  const width = (key: keyof Count): number => Math.max(...rows.map((row) => row[key].length))
  const [promise, suite, failures] = [width('promise'), width('suite'), width('failures')]
  for (const row of rows) {
    const cells = [row.promise.padEnd(promise), row.suite.padEnd(suite), row.failures.padStart(failures), row.looks]
    process.stdout.write(`${cells.join('  ')}\n`)
  }
}

/** Whoever wants the run to be shorter begins here. */
function printSlowest(durations: { readonly file: string; readonly seconds: number }[]): void {
  const slowest = durations.toSorted((a, b) => b.seconds - a.seconds).slice(0, SLOWEST_SHOWN)
  if (durations.length <= 1) return
  process.stdout.write(`\nlongest of ${durations.length} files, in seconds\n`)
  for (const { file, seconds } of slowest) process.stdout.write(`${seconds.toFixed(1).padStart(7)}  ${file}\n`)
}

async function runTests(files: string[]): Promise<Counts> {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  if (files.length === 0) return counts // an empty list would make node:test look for files by itself
  const events = run({ files, cwd: checkout, concurrency: 3, timeout: fileTimeoutMs, testNamePatterns })
  const counted: Count[] = []
  const durations: { readonly file: string; readonly seconds: number }[] = []
  events.on('test:diagnostic', ({ message, file }) => {
    const count = parseCount(message, file ?? '')
    if (count !== undefined) counted.push(count)
  })
  events.on('test:summary', ({ file, counts: all, duration_ms }) => {
    if (file !== undefined) {
      durations.push({ file: relative(checkout, file), seconds: duration_ms / 1000 })
      return // one file's own count; the last summary is over all of them
    }
    counts.passed = all.passed
    counts.failed = all.tests - all.passed - all.skipped - all.todo
    counts.skipped = all.skipped + all.todo
  })
  for await (const text of events.compose(spec)) process.stdout.write(text)
  printSlowest(durations)
  if (counted.length > 0) printCounts(counted)
  return counts
}

function patternsOf(name: string): readonly string[] {
  const isFolder = statSync(resolve(checkout, name), { throwIfNoEntry: false })?.isDirectory() === true
  return suites[name] ?? [isFolder ? `${name}/**/*.test.ts` : name]
}

const asked = process.argv.slice(2)
const [suite = 'default', ...chosen] = asked
const patterns = (chosen.length > 0 && suite in suites ? chosen : [suite, ...chosen]).flatMap(patternsOf)
const exclude = asked.length === 0 ? storeFiles : suite === 'stores' && chosen.length === 0 ? electionFiles : []
const files = globSync(patterns, { cwd: checkout, exclude }).sort()
if (files.length === 0) process.stderr.write(`no test file matches ${patterns.join(' ')}\n`)
const counts = await runTests(files.map((file) => resolve(checkout, file)))
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
process.exitCode = counts.failed > 0 || files.length === 0 ? 1 : 0
