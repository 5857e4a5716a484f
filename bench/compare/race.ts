import type { Load } from './load.ts'
import type { Contestant } from './peer.ts'
import { type Spread, spreadOf } from './spread.ts'

/** One who takes part in a scenario. */
export interface Entrant {
  readonly name: string
  readonly contestant: Pick<Contestant, 'cpuSeconds'>
  /** So many seconds of load. @throws {Error} if an answer was not as expected. */
  readonly load: (seconds: number) => Promise<Load>
  /** Before each of its turns, and not counted. */
  readonly prepare?: () => Promise<void>
}

/** How long a race takes. */
export interface Pace {
  readonly rounds: number
  readonly seconds: number
  /** Not counted: connections are opened, and code is compiled. */
  readonly warmUpSeconds: number
}

/** What one entrant did in one round. */
export interface Lap extends Load {
  readonly cpuMicros: number
}

/** The figures of one entrant, over all rounds. */
export interface Figures {
  /** CPU time of one request over the first entrant's in the same round. */
  readonly ratio: Spread
  /** CPU time of one request, in µs. */
  readonly cpuMicros: Spread
  readonly perSecond: Spread
  readonly p50Ms: Spread
  readonly p99Ms: Spread
}

/**
 * All entrants in turns, round by round, forwards and backwards, because a machine is not as fast now as it was a minute
 * ago. The laps of each entrant, in the order of the rounds.
 */
export async function race(entrants: readonly Entrant[], { rounds, seconds, warmUpSeconds }: Pace): Promise<Lap[][]> {
  const laps = entrants.map((): Lap[] => [])
  for (const entrant of entrants) await warmUp(entrant, warmUpSeconds)
  for (let round = 0; round < rounds; round++) {
    const order = [...entrants.entries()]
    for (const [i, entrant] of round % 2 === 0 ? order : order.reverse()) {
      laps[i]?.push(await runLap(entrant, seconds))
    }
  }
  return laps
}

/** Code is compiled by how often it ran, so a warm-up is so many requests, and at most so many times its seconds. */
const WARM_UP_REQUESTS = 80_000
const WARM_UP_TURNS = 5

async function warmUp(entrant: Entrant, seconds: number): Promise<void> {
  for (let turn = 0, requests = 0; turn < WARM_UP_TURNS && requests < WARM_UP_REQUESTS; turn++) {
    requests += (await runLap(entrant, seconds)).requests
  }
}

/** One turn of one entrant. */
export async function runLap({ name, contestant, load, prepare }: Entrant, seconds: number): Promise<Lap> {
  await prepare?.()
  const before = await contestant.cpuSeconds()
  const done = await load(seconds).catch((cause: unknown) => {
    throw new Error(`${name} did not do as expected`, { cause })
  })
  const used = (await contestant.cpuSeconds()) - before
  return { ...done, cpuMicros: (used / done.requests) * 1e6 }
}

/** @throws {TypeError} if there were no rounds. */
export function figuresOf(laps: readonly Lap[], reference: readonly Lap[]): Figures {
  return {
    ratio: ratioOf(laps, reference),
    cpuMicros: spreadOf(laps.map(({ cpuMicros }) => cpuMicros)),
    perSecond: spreadOf(laps.map(({ perSecond }) => perSecond)),
    p50Ms: spreadOf(laps.map(({ p50Ms }) => p50Ms)),
    p99Ms: spreadOf(laps.map(({ p99Ms }) => p99Ms)),
  }
}

/** Round by round. */
export function ratioOf(laps: readonly Lap[], reference: readonly Lap[]): Spread {
  if (laps.length === 0 || laps.length !== reference.length) throw new TypeError('these are not of one race')
  return spreadOf(laps.map(({ cpuMicros }, round) => cpuMicros / (reference[round]?.cpuMicros ?? Number.NaN)))
}
