import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LatencyResult } from './latency.ts'
import { checkout } from './program.ts'
import type { ScenarioResult } from './scenario.ts'

export interface Machine {
  readonly cores: number
  readonly cpu: string
  readonly system: string
  /** Of the minute before the run. */
  readonly loadAverage: number
}

/** All of `bench/results/compare.json`. */
export interface Report {
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  /** Whoever did not take part, and why. */
  readonly leftOut: Readonly<Record<string, string>>
  readonly connections: number
  readonly scenarios: readonly ScenarioResult[]
  readonly latency?: LatencyResult
}

const file = join(checkout, 'bench/results/compare.json')

/** @throws {Error} if there is none yet. */
export async function readReport(): Promise<Report> {
  return JSON.parse(await readFile(file, 'utf8'))
}

/** A run of some scenarios replaces those, on the machine where the others were run; elsewhere it replaces everything. */
export async function keepReport(report: Report, isWhole: boolean): Promise<void> {
  const before = isWhole ? undefined : await readReport().catch(() => undefined)
  const merged = before?.machine.cpu === report.machine.cpu ? merge(before, report) : report
  await writeFile(file, `${JSON.stringify(merged, rounded, 2)}\n`)
}

function merge(before: Report, now: Report): Report {
  const replaced = before.scenarios.map((one) => now.scenarios.find(({ name }) => name === one.name) ?? one)
  const added = now.scenarios.filter(({ name }) => !before.scenarios.some((one) => one.name === name))
  return {
    ...before,
    ...now,
    versions: { ...before.versions, ...now.versions },
    leftOut: { ...before.leftOut, ...now.leftOut },
    scenarios: [...replaced, ...added],
  }
}

/** Four digits are more than a benchmark knows. */
function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value
}
