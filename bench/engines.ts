/**
 * What an engine does per second, beside Django's own backend on the same server, with the same sessions:
 *
 *     npm run bench -- engines [quick] [seconds per slot] [rounds] [--only TEXT]
 *
 * The sides take turns within one run, slot by slot, because a machine is not as fast now as it was a minute ago.
 * README.md beside this file says what is compared with what. The table goes to stdout, all of it as JSON to
 * `bench/results/engines.json`; with `--only`, which takes the stores whose name holds that text, only the table.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { requireServer } from '../test/support/requirement.ts'
import { type Contest, openContest, type Task } from './engines/contest.ts'
import type { Sample } from './engines/measure.ts'
import { type Series, type StoreResult, summarize, tableHead, tableOf } from './engines/report.ts'
import { SESSION_BYTES } from './engines/sample-session.ts'
import { type BenchStore, benchStores, createServers } from './engines/stores.ts'

const { values, positionals } = parseArgs({
  args: process.argv.slice(3),
  allowPositionals: true,
  options: { only: { type: 'string' } },
})
const isQuick = positionals[0] === 'quick'
const [seconds = isQuick ? 0.3 : 0.8, rounds = isQuick ? 3 : 5] = positionals.slice(isQuick ? 1 : 0).map(Number)
/** Connections are opened and code is compiled before anything counts. */
const WARM_UP_SECONDS = 0.3

/** Writers of one session, over all processes of a side. */
const WRITERS = 8

type Kind = Omit<Task, 'seconds'> & { readonly side: Series['side'] }

/** One round. The gateway stands on both sides of Django, so that neither has the better moment. */
function kindsFor({ merges }: BenchStore): readonly Kind[] {
  const plain = (['load', 'save'] as const).flatMap((operation): Kind[] => [
    { operation, side: 'gateway', inFlight: 16 },
    { operation, side: 'Django', inFlight: 1 },
    { operation, side: 'gateway', inFlight: 1 },
  ])
  const merge = (['gateway', 'Django'] as const).map((side): Kind => ({ operation: 'merge', side, inFlight: WRITERS }))
  return merges ? [...plain, ...merge] : plain
}

async function measureStore(store: BenchStore, contest: Contest): Promise<StoreResult> {
  const series = kindsFor(store).flatMap(({ side, ...task }) => {
    const run = side === 'gateway' ? contest.gateway : contest.django
    return run === undefined ? [] : [{ side, task, run, samples: [] as Sample[] }]
  })
  for (const { task, run } of series) await run({ ...task, seconds: WARM_UP_SECONDS })
  for (let round = 0; round < rounds; round++) {
    for (const { task, run, samples } of series) samples.push(await run({ ...task, seconds }))
  }
  return {
    store: store.name,
    processes: contest.processes,
    series: series.map(({ side, task, samples }) => ({ ...task, side, samples })).sort(order),
  }
}

const operations: readonly Task['operation'][] = ['load', 'save', 'merge']

/** As the table shows them: by operation, the gateway first. */
function order(a: Series, b: Series): number {
  const place = ({ operation, side }: Series): number => 2 * operations.indexOf(operation) + Number(side === 'Django')
  return place(a) - place(b)
}

async function run(): Promise<void> {
  await using servers = createServers()
  const python = requireServer('django-caches').path
  const versions: Record<string, string> = { Node: process.versions.node, SQLite: process.versions.sqlite ?? '' }
  const load = loadavg()[0] ?? 0
  console.log(`Node ${process.versions.node}, ${availableParallelism()} cores for gateway, Django and servers together`)
  console.log(`${rounds} rounds of ${seconds} s in each line; median (and range). Sessions of ${SESSION_BYTES} bytes.`)
  if (load > 0.5) console.log(`the machine is busy with other things (load ${load.toFixed(1)}): expect a wide range`)
  console.log(`\n${tableHead}`)
  const results: StoreResult[] = []
  const leftOut: string[] = []
  const leaveOut = (what: string, why: string): void => {
    leftOut.push(what)
    console.log(`${what} was left out: ${why}`)
  }
  for (const store of benchStores.filter(({ name }) => name.includes(values.only ?? ''))) {
    const lack = store.needs.map((name) => requireServer(name).skip).find((skip) => skip !== false)
    if (lack !== undefined) {
      leaveOut(store.name, lack)
      continue
    }
    await using contest = await openContest(store, { servers, python })
    if (contest.djangoFlaw !== undefined) leaveOut(`Django's side of ${store.name}`, contest.djangoFlaw)
    const result = await measureStore(store, contest)
    console.log(tableOf(result))
    results.push(result)
    Object.assign(versions, servers.versions, contest.versions)
  }
  if (values.only === undefined) await keep(results, { versions, leftOut, loadAverage: load })
}

interface Circumstances {
  readonly versions: Readonly<Record<string, string>>
  readonly leftOut: readonly string[]
  /** Of the minute before. */
  readonly loadAverage: number
}

async function keep(results: readonly StoreResult[], circumstances: Circumstances): Promise<void> {
  const folder = join(import.meta.dirname, 'results')
  const report = {
    madeAt: new Date().toISOString(),
    machine: { cores: availableParallelism(), cpu: cpus()[0]?.model ?? '', ...circumstances },
    rounds,
    secondsPerSlot: seconds,
    sessionBytes: SESSION_BYTES,
    stores: results.map((result) => ({ store: result.store, processes: result.processes, slots: summarize(result) })),
  }
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'engines.json'), `${JSON.stringify(report, rounded, 2)}\n`)
}

/** Four digits are more than a benchmark knows. */
function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value
}

await run()
