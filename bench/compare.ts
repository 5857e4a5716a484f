/**
 * What a request costs beside nginx that only proxies, and beside other programs that do the same or a part of it:
 *
 *     npm run bench -- compare [--quick] [--rounds 7] [--seconds 2] [--scenario NAME,…] [--only PEER,…]
 *
 * Everybody takes turns within one run, because a machine is not as fast now as it was a minute ago. README.md beside
 * this file says how to read it. The table goes to stdout, all of it as JSON to `bench/results/compare.json`, and from
 * there into a picture and a table of the documentation.
 */
import { availableParallelism, cpus, loadavg, release, type } from 'node:os'
import { parseArgs } from 'node:util'
import { openArena } from './compare/arena.ts'
import { LATENCY, measureLatency } from './compare/latency.ts'
import { CONNECTIONS } from './compare/load.ts'
import { drawReport } from './compare/pages.ts'
import { figuresOf, type Pace, race, ratioOf } from './compare/race.ts'
import { keepReport, type Report } from './compare/report.ts'
import { GATEWAY, type Scenario, type ScenarioResult, type Stage } from './compare/scenario.ts'
import { cold } from './compare/scenarios/cold.ts'
import { flat } from './compare/scenarios/flat.ts'
import { requests } from './compare/scenarios/requests.ts'
import { settings } from './compare/scenarios/settings.ts'
import { peerNames, warm } from './compare/scenarios/warm.ts'
import { latencyTableOf, tableOf } from './compare/table.ts'
import { verdictsOf, verdictText } from './compare/verdicts.ts'

const scenarios: readonly Scenario[] = [warm, ...cold, ...requests, ...settings, ...flat]

const { values } = parseArgs({
  args: process.argv.slice(3),
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    scenario: { type: 'string' },
    only: { type: 'string' },
  },
})
const { quick, scenario: wanted, only } = values
const rounds = Number(values.rounds ?? (quick ? 2 : 7))
const seconds = Number(values.seconds ?? (quick ? 1 : 2))

/** What no goal is about is measured in fewer rounds, and shorter ones. */
function paceOf({ isMain }: Pick<Scenario, 'isMain'>): Pace {
  if (isMain) return { rounds, seconds, warmUpSeconds: quick ? 1 : 4 }
  return { rounds: Math.min(rounds, quick ? 1 : 3), seconds: seconds * 0.75, warmUpSeconds: quick ? 0.5 : 2 }
}

/** `cold` takes all that begin with it. */
function isWanted(name: string, isQuick: boolean): boolean {
  if (wanted === undefined) return !quick || isQuick
  return wanted.split(',').some((one) => name === one || name.startsWith(`${one}-`))
}

/** Misspelt, it would be a run without what was meant. */
function requireKnown(option: string, given: string | undefined, known: readonly string[]): void {
  for (const one of given?.split(',') ?? []) {
    if (known.some((name) => name === one || name.startsWith(`${one}-`))) continue
    process.stderr.write(`--${option} ${one} is none of ${known.join(', ')}\n`)
    process.exit(2)
  }
}

async function runScenario(scenario: Scenario, stage: Omit<Stage, 'stack'>): Promise<ScenarioResult | undefined> {
  await using stack = new AsyncDisposableStack()
  const starters = await scenario.open({ ...stage, stack })
  if (starters.length === 0) return undefined
  const pace = paceOf(scenario)
  const laps = await race(starters, pace)
  const lapsOf = (name: string) => laps[starters.findIndex((one) => one.name === name)]
  const [reference = []] = laps
  const [small, large] = laps.slice(-2)
  const own = lapsOf(GATEWAY)
  const rivals = starters.filter(({ work }) => work === 'session')
  return {
    name: scenario.name,
    about: scenario.about,
    rounds: pace.rounds,
    secondsPerRound: pace.seconds,
    lines: starters.map(({ name, work, does, version }) => ({
      name,
      ...(work && { work }),
      ...(does && { does }),
      ...(version && { version }),
      ...figuresOf(lapsOf(name) ?? [], reference),
    })),
    ...(scenario.isFlat && small && large && { growth: ratioOf(large, small) }),
    ...(own &&
      rivals.length > 0 && {
        overGateway: Object.fromEntries(rivals.map(({ name }) => [name, ratioOf(lapsOf(name) ?? [], own)])),
      }),
  }
}

async function run(): Promise<void> {
  requireKnown('scenario', wanted, [...scenarios.map(({ name }) => name), LATENCY])
  requireKnown('only', only, peerNames)
  const [loadAverage = 0] = loadavg()
  const machine = {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? '',
    system: `${type()} ${release()}`,
    loadAverage,
  }
  console.log(`Node ${process.versions.node}, ${machine.cores} cores for load, programs, app and servers together`)
  console.log(`${CONNECTIONS} connections; median of the rounds (and their range); CPU time of one request, nginx = 1`)
  if (loadAverage > 0.5)
    console.log(`the machine is busy with other things (load ${loadAverage.toFixed(1)}): expect a wide range`)

  await using arena = await openArena()
  const leftOut: Record<string, string> = {}
  const leaveOut: Stage['leaveOut'] = (what, why) => {
    leftOut[what] = why
    console.log(`\n${what} was left out: ${why}`)
  }
  const takesPart = (name: string): boolean => only === undefined || only.split(',').includes(name)
  const stage = { arena, takesPart, leaveOut, manySessions: quick ? 100_000 : 1_000_000 }
  const results: ScenarioResult[] = []
  for (const scenario of scenarios.filter(({ name, isQuick = false }) => isWanted(name, isQuick))) {
    const result = await runScenario(scenario, stage)
    if (result === undefined) continue
    console.log(`\n${tableOf(result)}`)
    results.push(result)
  }
  const latency = isWanted(LATENCY, true)
    ? await measureLatency(arena, { ...paceOf({}), seconds: seconds * 2 })
    : undefined
  if (latency) console.log(`\n${latencyTableOf(latency)}`)

  const report: Report = {
    machine,
    versions: { Node: process.versions.node, nginx: arena.nginx.version, ...arena.servers.versions },
    leftOut,
    connections: CONNECTIONS,
    scenarios: results,
    ...(latency && { latency }),
  }
  console.log(`\n${verdictsOf(report).map(verdictText).join('\n')}`)
  await keep(report)
}

/** A part of the peers is no table, and a quick run no measurement. */
async function keep(report: Report): Promise<void> {
  if (quick || only !== undefined) {
    console.log('\nnothing was written: this was a part of a run')
    return
  }
  await keepReport(report, wanted === undefined)
  await drawReport()
}

// One for each program that runs: they are ended with this process.
process.setMaxListeners(100)
// Whoever is killed kills nobody; this way what was started goes too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
await run()
