/**
 * Mutation testing with Stryker: `node scripts/mutation.ts [part …]`. Stryker is no dependency of the project; it is
 * installed, from its own lock file, into `test/mutation` at the first run. Prints what came of the changes in each file
 * and where those are that no test noticed. Exits 1 when, of all parts together, less than 90 of 100 were noticed.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { type MutationPart, mutationParts } from '../test/mutation/parts.ts'

const checkout = resolve(import.meta.dirname, '..')
const home = join(checkout, 'test/mutation')
const stryker = join(home, 'node_modules/@stryker-mutator/core/bin/stryker.js')
const output = join(checkout, 'test/output/mutation')
const leastNoticed = 0.9

interface Mutant {
  readonly status: string
  readonly mutatorName: string
  readonly replacement?: string
  readonly location: { readonly start: { readonly line: number; readonly column: number } }
}

type Report = Readonly<Record<string, { readonly mutants: readonly Mutant[] }>>

function run(name: string, { files, tests, leaveOut, isRunWhole = false }: MutationPart): Report {
  const report = join(output, `${name}.json`)
  const skip = leaveOut === undefined ? [] : [`--test-skip-pattern=/${leaveOut}/`]
  const config = {
    testRunner: isRunWhole ? 'command' : 'tap',
    commandRunner: { command: `node --test --test-isolation=none --test-reporter=dot ${tests.join(' ')}` },
    tap: { testFiles: tests, nodeArgs: ['--test-reporter=tap', ...skip, '-r', '{{hookFile}}', '{{testFile}}'] },
    // Which test file reaches which change is measured once; only these run against it, until one fails.
    coverageAnalysis: isRunWhole ? 'off' : 'perTest',
    plugins: ['@stryker-mutator/tap-runner', join(home, 'ignorer.mjs')],
    ignorers: ['wording'],
    mutate: files,
    concurrency: 2,
    timeoutMS: 15_000,
    reporters: ['json', 'progress-append-only'],
    jsonReporter: { fileName: report },
    // Nothing here is compiled, and TypeScript 7 has not the interface that Stryker would ask.
    tsconfigFile: 'none.json',
    ignorePatterns: ['bench', 'docs', 'dist', 'var', 'test/output', 'test/fuzz/corpus'],
    tempDirName: '.stryker-tmp',
  }
  const configFile = join(output, `${name}.config.json`)
  writeFileSync(configFile, JSON.stringify(config))
  const path = `${dirname(process.execPath)}${delimiter}${process.env.PATH ?? ''}`
  // The same files are started some thousand times.
  const env = { ...process.env, PATH: path, NODE_COMPILE_CACHE: join(output, 'compiled') }
  const { status } = spawnSync(process.execPath, [stryker, 'run', configFile], { cwd: checkout, env, stdio: 'inherit' })
  if (status !== 0) throw new Error(`Stryker ended with ${status}`)
  return JSON.parse(readFileSync(report, 'utf8')).files
}

interface Counts {
  readonly killed: number
  readonly timeouts: number
  readonly survived: readonly Mutant[]
}

function countsOf(mutants: readonly Mutant[]): Counts {
  const having = (...statuses: string[]) => mutants.filter(({ status }) => statuses.includes(status))
  return {
    killed: having('Killed').length,
    timeouts: having('Timeout').length,
    survived: having('Survived', 'NoCoverage'),
  }
}

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !(name in mutationParts))
if (unknown.length > 0) throw new Error(`no such part: ${unknown.join(', ')}`)

mkdirSync(output, { recursive: true })
if (!existsSync(stryker)) execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: home, stdio: 'inherit' })
const found = Object.entries(mutationParts)
  .filter(([name]) => asked.length === 0 || asked.includes(name))
  .flatMap(([name, part]) => Object.entries(run(name, part)))
  .map(([file, { mutants }]) => ({ file, ...countsOf(mutants) }))

let noticed = 0
let all = 0
process.stdout.write('\n| file | killed | timeout | survived | noticed |\n|---|---|---|---|---|\n')
for (const { file, killed, timeouts, survived } of found) {
  const total = killed + timeouts + survived.length
  noticed += killed + timeouts
  all += total
  const share = ((100 * (killed + timeouts)) / total).toFixed(1)
  process.stdout.write(`| ${file} | ${killed} | ${timeouts} | ${survived.length} | ${share} % |\n`)
}
for (const { file, survived } of found) {
  for (const { location, mutatorName, replacement = '' } of survived) {
    const place = `${file}:${location.start.line}:${location.start.column}`
    process.stdout.write(`${place} ${mutatorName} → ${replacement.replace(/\s+/g, ' ').slice(0, 100)}\n`)
  }
}
process.stdout.write(`${noticed} of ${all} changes noticed, ${((100 * noticed) / all).toFixed(1)} %\n`)
// The files whose quick tests have slower ones behind them are below that by themselves.
process.exitCode = asked.length === 0 && noticed / all < leastNoticed ? 1 : 0
