/**
 * Where the gateway's time goes under the load of `compare`'s warm session:
 *
 *     npm run bench -- profile [--seconds 5] [--engine redis] [--cold] [--top 40] [--out FILE]
 *
 * Writes a CPU profile, which Chrome's developer tools and others show, and prints where the samples fell: by function,
 * by file and by room, in µs of each request. The profiler itself costs some of that; for how much a request costs there
 * is `compare`.
 */
import { mkdir, readFile } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { logInAll, openArena } from './compare/arena.ts'
import { CONNECTIONS, runLoad } from './compare/load.ts'
import { type CpuProfile, readShares, type Share, type Window } from './compare/profile-shares.ts'
import { checkout } from './compare/program.ts'
import { home } from './compare/scenario.ts'
import { storeLabelled, storeLabels } from './compare/scenarios/cold.ts'

const { values } = parseArgs({
  args: process.argv.slice(3),
  options: {
    seconds: { type: 'string', default: '5' },
    engine: { type: 'string', default: 'redis' },
    cold: { type: 'boolean', default: false },
    top: { type: 'string', default: '40' },
    out: { type: 'string', default: resolve(checkout, 'bench/var/gateway.cpuprofile') },
  },
})
const out = resolve(values.out)
/** Half a millisecond: fine enough for a few seconds, and little enough to leave the figures what they are. */
const SAMPLE_MICROS = 500
const WARM_UP_SECONDS = 8

interface Profiled {
  readonly requests: number
  readonly cpuMicros: number
  readonly window: Window
}

/** Serves until the load is over; the warm-up is not in the window. */
async function profile(): Promise<Profiled> {
  await using arena = await openArena()
  const store = storeLabelled(values.engine)
  const place = await store.open(arena.servers, await arena.folderFor('profile'))
  await mkdir(dirname(out), { recursive: true })
  const gateway = await arena.openGateway('profile', {
    session: [...place.session, ...(values.cold ? ['local_cache: null'] : [])],
    sections: place.sections,
    nodeArgs: [
      '--cpu-prof',
      `--cpu-prof-dir=${dirname(out)}`,
      `--cpu-prof-name=${basename(out)}`,
      `--cpu-prof-interval=${SAMPLE_MICROS}`,
    ],
  })
  try {
    const target = { ...gateway, cookies: await logInAll(() => gateway.logIn()) }
    await runLoad(target, home, WARM_UP_SECONDS)
    const fromNanos = process.hrtime.bigint()
    const before = await gateway.cpuSeconds()
    const { requests } = await runLoad(target, home, Number(values.seconds))
    const cpuMicros = (((await gateway.cpuSeconds()) - before) / requests) * 1e6
    const window = { fromNanos, toNanos: process.hrtime.bigint() }
    // The profile is written at the end of an orderly stop.
    await gateway.stop()
    return { requests, cpuMicros, window }
  } finally {
    await gateway[Symbol.asyncDispose]()
  }
}

function print(title: string, shares: readonly Share[], requests: number): void {
  console.log(`\n${title}`)
  for (const { name, micros, part } of shares.slice(0, Number(values.top))) {
    console.log(`${(part * 100).toFixed(1).padStart(5)} %  ${(micros / requests).toFixed(2).padStart(7)} µs  ${name}`)
  }
}

if (!storeLabels.includes(values.engine)) {
  process.stderr.write(`--engine ${values.engine} is none of ${storeLabels.join(', ')}\n`)
  process.exit(2)
}
process.setMaxListeners(100)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const { requests, cpuMicros, window } = await profile()
const shares = readShares(JSON.parse(await readFile(out, 'utf8')) as CpuProfile, window, checkout)
console.log(
  `${CONNECTIONS} connections, ${requests} requests, ${cpuMicros.toFixed(1)} µs of CPU time each, profiler included`,
)
console.log('µs below are of the main thread, per request')
print('by room', shares.rooms, requests)
print('by file', shares.files, requests)
print('by function', shares.functions, requests)
console.log(`\n${out}`)
