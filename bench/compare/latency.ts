import type { Arena } from './arena.ts'
import { type Load, runLoad } from './load.ts'
import { GATEWAY, home } from './scenario.ts'
import { runPacedLoad } from './socket-load.ts'
import { type Spread, spreadOf } from './spread.ts'

export interface LatencyLine {
  readonly name: string
  readonly p50Ms: Spread
  readonly p99Ms: Spread
}

/** nginx and the gateway under the same load, which is half of what the gateway can do here. */
export interface LatencyResult {
  readonly peakPerSecond: number
  readonly perSecond: number
  readonly rounds: number
  readonly secondsPerRound: number
  /** nginx first. */
  readonly lines: readonly LatencyLine[]
}

export const LATENCY = 'latency'

/** By turns, as {@link race} does it. */
export async function measureLatency(
  { nginx, gateway }: Arena,
  { rounds, seconds, warmUpSeconds }: { rounds: number; seconds: number; warmUpSeconds: number },
): Promise<LatencyResult> {
  await runLoad(gateway, home, warmUpSeconds)
  const { perSecond: peakPerSecond } = await runLoad(gateway, home, seconds)
  const perSecond = Math.floor(peakPerSecond / 2)
  const loads: [Load[], Load[]] = [[], []]
  for (const target of [nginx, gateway]) await runPacedLoad(target, { perSecond, seconds: warmUpSeconds })
  for (let round = 0; round < rounds; round++) {
    loads[0].push(await runPacedLoad(nginx, { perSecond, seconds }))
    loads[1].push(await runPacedLoad(gateway, { perSecond, seconds }))
  }
  const line = (name: string, of: readonly Load[]): LatencyLine => ({
    name,
    p50Ms: spreadOf(of.map(({ p50Ms }) => p50Ms)),
    p99Ms: spreadOf(of.map(({ p99Ms }) => p99Ms)),
  })
  return {
    peakPerSecond,
    perSecond,
    rounds,
    secondsPerRound: seconds,
    lines: [line(nginx.name, loads[0]), line(GATEWAY, loads[1])],
  }
}
