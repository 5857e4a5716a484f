import type { Report } from './report.ts'
import { GATEWAY, type ScenarioResult } from './scenario.ts'
import { digits, spreadText } from './spread.ts'

export interface Verdict {
  readonly goal: string
  /** The figure that was reached, in words. */
  readonly figure: string
  /** Undefined where there is no limit, only something to be looked at. */
  readonly isMet?: boolean
}

const WARM_LIMIT = 2.3
const COLD_LIMIT = 4
const PEER_LIMIT = 2.2
const FLAT_LIMIT = 1.15

/** What was wanted, beside what was reached, as far as the run tells. */
export function verdictsOf({ scenarios, latency }: Report): Verdict[] {
  const find = (name: string): ScenarioResult | undefined => scenarios.find((one) => one.name === name)
  const warm = find('warm')
  const flat = scenarios.flatMap(({ name, growth }): Verdict[] =>
    growth === undefined
      ? []
      : [
          {
            goal: `${name} at most ${FLAT_LIMIT} times`,
            figure: spreadText(growth),
            isMet: growth.median <= FLAT_LIMIT,
          },
        ],
  )
  const lines = latency?.lines.map(({ name, p99Ms }) => `${name} ${spreadText(p99Ms)}`)
  return [
    ...limitOf(warm, `warm session at most ${WARM_LIMIT} times nginx`, WARM_LIMIT),
    ...peersOf(warm),
    ...limitOf(find('cold-redis'), `cold session on Redis at most ${COLD_LIMIT} times nginx`, COLD_LIMIT),
    ...flat,
    ...(lines === undefined ? [] : [{ goal: 'p99 under half load, in ms', figure: lines.join(', ') }]),
  ]
}

function limitOf(result: ScenarioResult | undefined, goal: string, limit: number): Verdict[] {
  const line = result?.lines.find(({ name }) => name === GATEWAY)
  return line === undefined ? [] : [{ goal, figure: spreadText(line.ratio), isMet: line.ratio.median <= limit }]
}

/** Beside the best of the others that hold sessions. */
function peersOf(warm: ScenarioResult | undefined): Verdict[] {
  const [best] = Object.entries(warm?.overGateway ?? {}).sort(([, a], [, b]) => a.median - b.median)
  if (best === undefined) return []
  const [name, ratio] = best
  return [
    {
      goal: `${digits(PEER_LIMIT)} times cheaper than the best session gateway beside it`,
      figure: `${spreadText(ratio)}, ${name}`,
      isMet: ratio.median >= PEER_LIMIT,
    },
  ]
}

export function verdictText({ goal, figure, isMet }: Verdict): string {
  return `${isMet === undefined ? '      ' : isMet ? 'met   ' : 'missed'}  ${goal}: ${figure}`
}
