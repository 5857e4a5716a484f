import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pictureOf } from './picture.ts'
import { checkout } from './program.ts'
import { type Report, readReport } from './report.ts'
import { GATEWAY, type Line, type ScenarioResult } from './scenario.ts'
import { digits, type Spread, spreadText } from './spread.ts'
import { situationOf } from './table.ts'
import { verdictsOf } from './verdicts.ts'

const docs = join(checkout, 'docs')
const figures = /(<!-- figures[^>]*-->\n)[\s\S]*?(<!-- \/figures -->)/

/**
 * Draws `docs/performance.svg` and fills the tables of `docs/performance.md`, from what the last run left.
 *
 * @throws {Error} if there is no such run, or no place for the tables.
 */
export async function drawReport(): Promise<void> {
  const report = await readReport()
  await writeFile(join(docs, 'performance.svg'), pictureOf(report))
  const page = join(docs, 'performance.md')
  const text = await readFile(page, 'utf8')
  if (!figures.test(text)) throw new Error(`${page} has no <!-- figures --> … <!-- /figures -->`)
  await writeFile(
    page,
    text.replace(figures, (_, begin, end) => `${begin}\n${markdownOf(report)}\n\n${end}`),
  )
}

function markdownOf(report: Report): string {
  const { machine, versions, scenarios, leftOut } = report
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  const warm = scenarios.find(({ name }) => name === 'warm')
  const others = scenarios.filter(({ name, growth }) => name !== 'warm' && growth === undefined)
  const missing = Object.entries(leftOut).map(([name, why]) => `${name} (${why})`)
  return [
    `Measured on ${machine.cores} cores (${machine.cpu.trim()}), ${machine.system}; ${list.join(', ')}.`,
    ...(warm ? ['**A warm session**, everything on, and other programs in the same run:', warmTable(warm)] : []),
    ...(others.length > 0 ? ['**The gateway in other situations:**', situationTable(others)] : []),
    ...growthPart(scenarios),
    ...latencyPart(report),
    ...(missing.length > 0 ? [`Left out on this machine: ${missing.join('; ')}.`] : []),
    '**What was wanted, and what was reached:**',
    verdictTable(report),
  ].join('\n\n')
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(heads), `|${heads.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n')
}

function warmTable({ lines, rounds, secondsPerRound }: ScenarioResult): string {
  const rows = lines
    .toSorted((a, b) => a.ratio.median - b.ratio.median)
    .map((one) => [spreadText(one.ratio), spreadText(one.cpuMicros), emphasized(one), one.does ?? ''])
  return table(
    ['CPU / nginx', 'CPU µs', `${rounds} rounds of ${secondsPerRound} s`, 'what it does for each request'],
    rows,
  )
}

function emphasized({ name, version }: Line): string {
  return name === GATEWAY ? `**${name}**` : [name, version].filter(Boolean).join(' ')
}

function situationTable(results: readonly ScenarioResult[]): string {
  const rows = results.flatMap((result) =>
    result.lines
      .filter(({ name }) => name.startsWith(GATEWAY))
      .map((one) => [spreadText(one.ratio), spreadText(one.cpuMicros), situationOf(result, one), result.about]),
  )
  return table(['CPU / nginx', 'CPU µs', 'situation', ''], rows)
}

function growthPart(scenarios: readonly ScenarioResult[]): string[] {
  const rows = scenarios.flatMap(({ growth, name, about }): string[][] =>
    growth === undefined ? [] : [[spreadText(growth), name, about]],
  )
  return rows.length === 0 ? [] : ['**The large case over the small one:**', table(['large / small', 'what', ''], rows)]
}

function latencyPart({ latency }: Report): string[] {
  if (latency === undefined) return []
  const ms = (spread: Spread): string => `${spreadText(spread)} ms`
  return [
    `**Latency** under ${digits(latency.perSecond)} requests a second, half of what the gateway reached:`,
    table(
      ['p50', 'p99', ''],
      latency.lines.map(({ name, p50Ms, p99Ms }) => [ms(p50Ms), ms(p99Ms), name]),
    ),
  ]
}

function verdictTable(report: Report): string {
  const word = (isMet: boolean | undefined): string => (isMet === undefined ? '' : isMet ? 'met' : 'missed')
  return table(
    ['goal', 'figure', ''],
    verdictsOf(report).map(({ goal, figure, isMet }) => [goal, figure, word(isMet)]),
  )
}
