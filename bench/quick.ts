/**
 * What the gateway costs: `npm run bench -- quick [seconds per round] [rounds]`. The same small answer, asked for
 * directly and through the gateway by somebody who is logged in. The rounds alternate within one run, because a machine
 * is not as fast now as it was a minute ago. README.md beside this file says how to read what it prints.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Gateway, openGateway } from './compare/gateway.ts'
import { CONNECTIONS, type Load, runLoad, type Target } from './compare/load.ts'
import { checkout, startProgram } from './compare/program.ts'
import { type Lap, runLap } from './compare/race.ts'
import { home } from './compare/scenario.ts'

const secondsPerRound = Number(process.argv[3] ?? 4)
const rounds = Number(process.argv[4] ?? 5)
/** The first seconds are spent on compiling, and are not counted. */
const warmUpSeconds = 3

interface Bench extends AsyncDisposable {
  readonly appOrigin: string
  readonly gateway: Gateway
}

/** As it would run: SQLite, a rule, an assertion, metrics, and the access log into a file. */
async function openBench(): Promise<Bench> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-bench-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const app = stack.use(startProgram(process.execPath, [join(checkout, 'bench/apps/tiny.ts')], { folder, name: 'app' }))
  await app.untilHolds('say where it listens', async () => (await app.output()).includes('\n'))
  const { address } = JSON.parse(await app.output()) as { address: string }
  const appOrigin = `http://${address}`
  const gateway = stack.use(
    await openGateway({ folder, name: 'gateway', appOrigin, session: ['engine: db'], sections: '' }),
  )
  const closing = stack.move()
  return { appOrigin, gateway, [Symbol.asyncDispose]: () => closing.disposeAsync() }
}

function printed(name: string, { perSecond, p50Ms, p99Ms }: Load): string {
  return `${name.padEnd(8)} ${perSecond.toFixed(0).padStart(7)} requests/s   p50 ${p50Ms} ms   p99 ${p99Ms} ms`
}

/** `0.61 (0.58 to 0.63)`: the median, and the range that the rounds had. */
function spread(values: readonly number[], digits = 0): string {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number): string => (sorted.at(index) ?? Number.NaN).toFixed(digits)
  return `${at(Math.floor(sorted.length / 2))} (${at(0)} to ${at(-1)})`
}

function summary(name: string, all: readonly Load[]): string {
  const rate = spread(all.map(({ perSecond }) => perSecond))
  const p50 = spread(all.map(({ p50Ms }) => p50Ms))
  const p99 = spread(all.map(({ p99Ms }) => p99Ms))
  return `${name.padEnd(8)} ${rate} requests/s, p50 ${p50} ms, p99 ${p99} ms`
}

async function run(): Promise<void> {
  await using bench = await openBench()
  const { appOrigin, gateway } = bench
  const direct: Target = { origin: appOrigin, cookies: [] }
  const through: Target = { origin: gateway.origin, cookies: [await gateway.logIn()] }
  const shared = `${availableParallelism()} cores for load generator, gateway and app`
  console.log(`Node ${process.versions.node}, ${shared}`)
  console.log(`${CONNECTIONS} connections, ${rounds} rounds of ${secondsPerRound} s each way`)
  const [load = 0] = loadavg()
  if (load > 0.5) console.log(`the machine is busy with other things (load ${load.toFixed(1)}): expect a wide range`)
  await runLoad(direct, home, warmUpSeconds)
  await runLoad(through, home, warmUpSeconds)

  const loads: Load[] = []
  const laps: Lap[] = []
  for (let round = 1; round <= rounds; round++) {
    const one = await runLoad(direct, home, secondsPerRound)
    const other = await runLap(
      { name: 'gateway', contestant: gateway, load: (seconds) => runLoad(through, home, seconds) },
      secondsPerRound,
    )
    console.log(`round ${round}\n  ${printed('direct', one)}\n  ${printed('gateway', other)}`)
    loads.push(one)
    laps.push(other)
  }
  const ratios = laps.map(({ perSecond }, round) => perSecond / (loads[round]?.perSecond ?? Number.NaN))
  console.log('\nmedian of the rounds (and their range)')
  console.log(summary('direct', loads))
  console.log(summary('gateway', laps))
  console.log(`gateway/direct  ${spread(ratios, 2)} of the requests per second`)
  console.log(`gateway CPU     ${spread(laps.map(({ cpuMicros }) => cpuMicros))} µs per request`)
}

process.setMaxListeners(100)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
await run()
