import type { Arena } from './arena.ts'
import { runLoad, type Target, type Traffic } from './load.ts'
import type { Contestant } from './peer.ts'
import type { Entrant, Figures } from './race.ts'
import type { Spread } from './spread.ts'

/** What a scenario is given. */
export interface Stage {
  readonly arena: Arena
  /** What it opens is disposed of when the scenario is over. */
  readonly stack: AsyncDisposableStack
  /** Whether that peer was asked for. */
  readonly takesPart: (name: string) => boolean
  readonly leaveOut: (what: string, why: string) => void
  /** How many sessions are many. */
  readonly manySessions: number
}

/** One who takes part, with what the table says of him. */
export interface Starter extends Entrant {
  /** How much of the gateway's work he does; undefined for the gateway itself. */
  readonly work?: 'session' | 'proxy'
  readonly does?: string
  readonly version?: string
}

/** One situation. The first starter is nginx that only proxies, the measure of the others. */
export interface Scenario {
  readonly name: string
  readonly about: string
  /** A goal is about it: it gets all rounds, others three. */
  readonly isMain?: boolean
  /** Part of `--quick`. */
  readonly isQuick?: boolean
  /** The last two starters are the small and the large case, and the large one must not cost more. */
  readonly isFlat?: boolean
  /** Empty if it cannot be, which it has then said. */
  open(stage: Stage): Promise<Starter[]>
}

/** The figures of one starter. */
export interface Line extends Figures {
  readonly name: string
  readonly work?: 'session' | 'proxy'
  readonly does?: string
  readonly version?: string
}

/** One scenario's outcome; all of `bench/results/compare.json` that it fills. */
export interface ScenarioResult {
  readonly name: string
  readonly about: string
  readonly rounds: number
  readonly secondsPerRound: number
  readonly lines: readonly Line[]
  /** CPU time of a request in the large case over the small one, round by round. */
  readonly growth?: Spread
  /** Of peers that hold sessions: CPU time of a request over the gateway's, round by round. */
  readonly overGateway?: Readonly<Record<string, Spread>>
}

/** What the gateway is called in all tables. */
export const GATEWAY = 'sessiongate'

/** The usual request. */
export const home: Traffic = { asks: [{ path: '/' }] }

/** Somebody who gets that traffic. */
export function enter(name: string, contestant: Pick<Contestant, 'cpuSeconds'> & Target, traffic: Traffic): Starter {
  return { name, contestant, load: (seconds) => runLoad(contestant, traffic, seconds) }
}

/** nginx, with the same requests and the same cookies as the gateway gets. */
export function enterNginx(
  { nginx }: Arena,
  traffic: Traffic = home,
  people: readonly string[] = nginx.cookies,
): Starter {
  const { work, does } = nginx.peer
  return { ...enter(nginx.name, { ...nginx, cookies: people }, traffic), work, does, version: nginx.version }
}
