/**
 * What becomes of twice as much as can be done: `npm run bench -- overload [seconds]`. First with an app that is the narrow
 * place, then with the gateway as the narrow place. Each time the same load once with limits and once without. README.md
 * beside this file says how to read what it prints.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Gateway, openGateway } from './compare/gateway.ts'
import { runLoad } from './compare/load.ts'
import { cookieOf } from './compare/peer.ts'
import { checkout, startProgram } from './compare/program.ts'
import { type OpenLoad, runOpenLoad } from './overload/open-load.ts'

const seconds = Number(process.argv[3] ?? 10)

interface Situation {
  readonly title: string
  readonly path: string
  /** Requests a second with which the search for the peak begins. */
  readonly from: number
  readonly connections: number
  /** A session of so many KiB is read from the store for each request. */
  readonly sessionKib?: number
  /** `limits` of the YAML, by what the line is called. */
  readonly limits: Readonly<Record<string, string>>
}

const situations: readonly Situation[] = [
  {
    title: 'an app that takes 5 ms for each, one at a time',
    path: '/busy/5',
    from: 100,
    connections: 4_000,
    limits: {
      'no limits': 'requests: null, event_loop_delay: null',
      'requests: 20': 'requests: 20',
    },
  },
  {
    title: 'the gateway, with answers of 64 KiB',
    path: '/size/64',
    from: 500,
    connections: 4_000,
    limits: {
      'no limits': 'requests: null, event_loop_delay: null',
      'the defaults': '',
      'event_loop_delay: 50ms': 'event_loop_delay: 50ms',
    },
  },
  {
    title: 'the gateway, with sessions of 60 KiB from SQLite',
    path: '/size/1',
    from: 200,
    connections: 2_000,
    sessionKib: 60,
    limits: {
      'no limits': 'requests: null, event_loop_delay: null',
      'the defaults': '',
      'event_loop_delay: 50ms': 'event_loop_delay: 50ms',
    },
  },
  {
    title: 'the gateway, with answers of 1 KiB',
    path: '/size/1',
    from: 1_000,
    connections: 4_000,
    limits: {
      'no limits': 'requests: null, event_loop_delay: null',
      'the defaults': '',
      'event_loop_delay: 50ms': 'event_loop_delay: 50ms',
    },
  },
]

/** A gateway before the busy app, with these limits. */
async function openBusy(appOrigin: string, limits: string): Promise<Gateway> {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-bench-'))
  const gateway = await openGateway({
    folder,
    name: 'gateway',
    appOrigin,
    session: ['engine: db', 'local_cache: null'],
    sections: limits === '' ? '' : `limits: { ${limits} }`,
    // Before the usual ones: nobody has to be logged in.
    routes: ['{ id: busy, match: { path: [/busy/*, /size/*] }, upstream: app, auth: public, include: [userInfo] }'],
  })
  return {
    ...gateway,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** CPU time of the gateway: for requests that it serves, and for one that it refuses. */
async function measureCosts(appOrigin: string): Promise<void> {
  console.log('\nCPU time of the gateway for one request, the median of the rounds')
  await using serving = await openBusy(appOrigin, 'event_loop_delay: null')
  await using refusing = await openBusy(appOrigin, 'event_loop_delay: null, requests: 1')
  const kinds = [
    { name: 'served, 1 KiB', gateway: serving, path: '/size/1', status: 200 },
    { name: 'served, 64 KiB', gateway: serving, path: '/size/64', status: 200 },
    { name: 'refused', gateway: refusing, path: '/size/1', status: 503 },
  ].map((kind) => ({ ...kind, micros: [] as number[] }))
  for (let round = 0; round < 4; round++) {
    // The one that is under way, so that all others are one too many; the app takes shorter for it than until its deadline.
    const held = fetch(`${refusing.origin}/busy/25000`).catch(() => undefined)
    await new Promise((done) => setTimeout(done, 500))
    for (const { gateway, path, status, micros } of kinds) {
      const before = await gateway.cpuSeconds()
      const asks = [{ path, headers: { accept: 'application/json' } }] as const
      const { requests } = await runLoad({ origin: gateway.origin, cookies: [] }, { asks, status }, 4)
      // The first round is for warming up.
      if (round > 0) micros.push((((await gateway.cpuSeconds()) - before) / requests) * 1e6)
    }
    await held
  }
  for (const { name, micros } of kinds)
    console.log(`  ${name.padEnd(15)} ${micros.toSorted((a, b) => a - b)[1]?.toFixed(0)} µs`)
}

async function measure(situation: Situation, appOrigin: string): Promise<void> {
  console.log(`\n${situation.title}`)
  let peak: number | undefined
  for (const [name, limits] of Object.entries(situation.limits)) {
    await using gateway = await openBusy(appOrigin, limits)
    const port = Number(new URL(gateway.origin).port)
    const cookie = situation.sessionKib === undefined ? undefined : await logIn(gateway, situation.sessionKib)
    const run = (perSecond: number, duration: number) =>
      runOpenLoad({ ...situation, port, cookie, perSecond, seconds: duration })
    await run(situation.from, 3)
    peak ??= await findPeak(run, situation.from)
    console.log(`  ${name}`)
    console.log(`    at ${peak.toFixed(0)}/s, ${told(await run(peak * 0.95, seconds), peak)}`)
    console.log(`    at ${(2 * peak).toFixed(0)}/s, ${told(await run(2 * peak, seconds), peak)}`)
  }
}

/** As much as one answer may carry. */
const PART_KIB = 6

async function logIn({ origin }: Gateway, sessionKib: number): Promise<string> {
  let cookie = ''
  for (let kib = 0; kib < sessionKib; kib += PART_KIB) {
    const answer = await fetch(`${origin}/size/${PART_KIB}`, { method: 'POST', headers: { cookie } })
    if (kib === 0) cookie = cookieOf(answer)
  }
  return cookie
}

/** The most that is answered in time: half as much again, until a tenth is left undone. */
async function findPeak(
  run: (perSecond: number, duration: number) => Promise<OpenLoad>,
  from: number,
): Promise<number> {
  let best = from
  for (let perSecond = from; ; perSecond *= 1.25) {
    const { goodPerSecond } = await run(perSecond, 3)
    best = Math.max(best, goodPerSecond)
    if (goodPerSecond < perSecond * 0.9) return best
  }
}

function told(load: OpenLoad, peak: number): string {
  const share = ((100 * load.goodPerSecond) / peak).toFixed(0)
  return [
    `${load.goodPerSecond.toFixed(0)}/s well (${share} % of the peak)`,
    `${load.refusedPerSecond.toFixed(0)}/s refused`,
    `${load.lost} without an answer`,
    `p50 ${load.p50Ms.toFixed(1)} ms, p99 ${load.p99Ms.toFixed(1)} ms`,
    Number.isNaN(load.refusedP99Ms) ? '' : `p99 of refusals ${load.refusedP99Ms.toFixed(1)} ms`,
  ]
    .filter((part) => part !== '')
    .join(', ')
}

async function run(): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-bench-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const program = join(checkout, 'bench/apps/busy.ts')
  const app = stack.use(startProgram(process.execPath, [program], { folder, name: 'app' }))
  await app.untilHolds('say where it listens', async () => (await app.output()).includes('\n'))
  const { address } = JSON.parse(await app.output()) as { address: string }
  const [load = 0] = loadavg()
  if (load > 0.5) console.log(`the machine is busy with other things (load ${load.toFixed(1)}): expect a wide range`)
  const chosen = process.argv[4]
  if (chosen === undefined || chosen === 'cost') await measureCosts(`http://${address}`)
  for (const situation of situations)
    if (chosen === undefined || situation.title.includes(chosen)) await measure(situation, `http://${address}`)
}

process.setMaxListeners(100)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
await run()
