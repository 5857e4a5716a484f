/**
 * Whether anything depends on how many sessions there are:
 *
 *     npm run bench -- growth [sessions, default 100000] [rounds, default 7] [--only TEXT] [--clear-seconds 20]
 *
 * Each engine twice, with 1,000 sessions and with so many, each in a process of its own; lookups take turns, because a
 * machine is not as fast now as it was a minute ago. Then the larger one clears half of what it has, in batches.
 * README.md beside this file says how to read it.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { requireServer } from '../test/support/requirement.ts'
import { type Side, startSide } from './engines/side.ts'
import type { Memory, Sweep } from './growth/probe.ts'
import {
  createServers,
  type GrowthStore,
  growthStores,
  SECRET_KEY,
  SESSION_BYTES,
  type Servers,
  SHORT_LIFE_MS,
} from './growth/stores.ts'

const { values, positionals } = parseArgs({
  args: process.argv.slice(3),
  allowPositionals: true,
  options: { only: { type: 'string' }, 'clear-seconds': { type: 'string', default: '20' } },
})
const [large = 100_000, rounds = 7] = positionals.map(Number)
const SMALL = 1000
const LOOKUPS = 2000
const BATCH = 1000

interface Stage extends AsyncDisposable {
  readonly probe: Side
  readonly count: number
  readonly fillSeconds: number
}

async function openStage(store: GrowthStore, servers: Servers, count: number): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-growth-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const place = await store.open(servers, folder, count === SMALL ? 'small' : 'large')
  const path = join(folder, 'bench.yaml')
  const yaml = `
version: 1
session:
  secret_key: ${SECRET_KEY}
  store_timeout: 10s
  clear_expired: null
  ${place.session.join('\n  ')}
${place.sections}
keys: [{ id: bench, secret: "0123456789abcdef0123456789abcdef" }]
upstreams: { app: { servers: ["http://127.0.0.1:1"] } }
routes: [{ id: app, match: { path: /* }, upstream: app }]
`
  await writeFile(path, yaml, { mode: 0o600 })
  const startedMs = performance.now()
  await place.fill?.(count)
  const args = [
    '--expose-gc',
    '--disable-warning=ExperimentalWarning',
    join(import.meta.dirname, 'growth/probe.ts'),
    path,
  ]
  const start = (): Side => startSide(process.execPath, args, { cwd: folder })
  if (place.fill === undefined && !store.isOwnMemory) {
    // Another process than the one that is measured: filling leaves traces in the memory.
    await using filler = start()
    await filler.call('fill', { count })
  }
  const probe = stack.use(start())
  if (store.isOwnMemory) await probe.call('fill', { count })
  const fillSeconds = (performance.now() - startedMs) / 1000
  const closing = stack.move()
  return { probe, count, fillSeconds, [Symbol.asyncDispose]: () => closing.disposeAsync() }
}

/** `12.3 (11.9 to 14.0)`: the median, and the range that the rounds had. */
function spread(all: readonly number[], digits: number): string {
  const sorted = all.toSorted((a, b) => a - b)
  const at = (index: number): string => (sorted.at(index) ?? Number.NaN).toFixed(digits)
  return `${at(Math.floor(sorted.length / 2))} (${at(0)} to ${at(-1)})`
}

async function measure(store: GrowthStore, servers: Servers): Promise<void> {
  await using small = await openStage(store, servers, SMALL)
  await using big = await openStage(store, servers, large)
  const stages = [small, big] as const
  const look = async ({ probe, count }: Stage) =>
    await probe.call<number>('look', { count, inUse: SMALL, lookups: LOOKUPS })
  for (const stage of stages) await look(stage)
  const micros: [number, number][] = []
  for (let round = 0; round < rounds; round++) micros.push([await look(small), await look(big)])
  const memory = async ({ probe }: Stage): Promise<string> => {
    const { residentMiB, usedMiB } = await probe.call<Memory>('memory', {})
    return `${residentMiB.toFixed(0)} MiB (${usedMiB.toFixed(0)} in use)`
  }
  const [few, many] = [await memory(small), await memory(big)]
  const ratios = micros.map(([one, other]) => other / one)
  console.log(`\n${store.name}   (${large.toLocaleString('en-US')} stored in ${big.fillSeconds.toFixed(0)} s)`)
  console.log(`  lookup, many / few    ${spread(ratios, 2)}`)
  console.log(
    `  lookup, few           ${spread(
      micros.map(([one]) => one),
      0,
    )} µs`,
  )
  console.log(
    `  lookup, many          ${spread(
      micros.map(([, other]) => other),
      0,
    )} µs`,
  )
  const own = store.isOwnMemory ? ', the sessions themselves included' : ''
  console.log(`  memory                ${few} with few, ${many} with many${own}`)
  if (!store.sweeps) return
  const sweep = await big.probe.call<Sweep>('clear', {
    laterMs: SHORT_LIFE_MS + 1000,
    batch: BATCH,
    seconds: Number(values['clear-seconds']),
  })
  const perSecond = sweep.cleared / sweep.seconds
  console.log(
    `  cleared               ${sweep.cleared} in ${sweep.seconds.toFixed(1)} s, ${perSecond.toFixed(0)} per second`,
  )
  console.log(
    `  a batch of ${BATCH}       p50 ${sweep.batchP50Ms.toFixed(1)} ms, p99 ${sweep.batchP99Ms.toFixed(1)} ms`,
  )
  console.log(
    `  event loop held up    p99 ${sweep.delayP99Ms.toFixed(1)} ms, at most ${sweep.delayMaxMs.toFixed(1)} ms`,
  )
}

async function run(): Promise<void> {
  await using servers = createServers()
  console.log(`Node ${process.versions.node}, ${availableParallelism()} cores for process and servers together`)
  console.log(`${SMALL} and ${large} sessions of ${SESSION_BYTES} bytes, ${rounds} rounds of ${LOOKUPS} lookups each`)
  const [load = 0] = loadavg()
  if (load > 0.5) console.log(`the machine is busy with other things (load ${load.toFixed(1)}): expect a wide range`)
  for (const store of growthStores.filter(({ name }) => name.includes(values.only ?? ''))) {
    const lack = store.needs.map((name) => requireServer(name).skip).find((skip) => skip !== false)
    if (lack === undefined) await measure(store, servers)
    else console.log(`\n${store.name} was left out: ${lack}`)
  }
}

await run()
