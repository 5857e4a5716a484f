import type { LatencyResult } from './latency.ts'
import type { Line, ScenarioResult } from './scenario.ts'
import { digits, spreadText } from './spread.ts'

const head = row(['CPU / nginx', 'CPU µs', 'requests/s', 'p99 ms', ''])

/** A scenario as it is printed, the ratio first. */
export function tableOf({ name, about, rounds, secondsPerRound, lines, growth }: ScenarioResult): string {
  const title = `${name}: ${about}   (${rounds} × ${secondsPerRound} s)`
  const rows = lines.map((line) =>
    row([
      spreadText(line.ratio),
      spreadText(line.cpuMicros),
      digits(line.perSecond.median),
      digits(line.p99Ms.median),
      nameOf(line),
    ]),
  )
  const ending = growth === undefined ? [] : [`${spreadText(growth).padStart(18)}  the large case over the small one`]
  return [title, head, ...rows, ...ending].join('\n')
}

function nameOf({ name, version, does }: Line): string {
  return [name, version === undefined ? '' : ` ${version}`, does === undefined ? '' : `: ${does}`].join('')
}

function row(cells: readonly string[]): string {
  const widths = [18, 20, 11, 8]
  return cells.map((cell, i) => (i < widths.length ? `${cell.padStart(widths[i] ?? 0)}  ` : cell)).join('')
}

export function latencyTableOf({ perSecond, peakPerSecond, rounds, secondsPerRound, lines }: LatencyResult): string {
  const title =
    `latency: under ${digits(perSecond)} requests/s, half of what the gateway reached (${digits(peakPerSecond)})` +
    `   (${rounds} × ${secondsPerRound} s)`
  const rows = lines.map(
    ({ name, p50Ms, p99Ms }) => `${spreadText(p50Ms).padStart(18)}  ${spreadText(p99Ms).padStart(20)}  ${name}`,
  )
  return [title, `${'p50 ms'.padStart(18)}  ${'p99 ms'.padStart(20)}`, ...rows].join('\n')
}

/** What stands beside the gateway's name, after the scenario's. */
export function situationOf({ name }: ScenarioResult, line: Line): string {
  const detail = line.name.split(', ')[1]
  return detail === undefined ? name : `${name}, ${detail}`
}
