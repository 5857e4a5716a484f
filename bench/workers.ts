/**
 * Three ways for several workers to share a port: `npm run bench -- workers [seconds per round] [rounds] [replacements]`.
 * The gateway is the real one with two workers; a module that is loaded before it chooses the way. README.md beside this
 * file says how to read what it prints.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { cpuSecondsOf, readTicksPerSecond } from './compare/cpu-time.ts'
import { type Gateway, openGateway } from './compare/gateway.ts'
import { runLoad } from './compare/load.ts'
import { checkout, startProgram } from './compare/program.ts'
import { home } from './compare/scenario.ts'
import { runClosingLoad } from './compare/socket-load.ts'

const seconds = Number(process.argv[3] ?? 4)
const rounds = Number(process.argv[4] ?? 3)
const replacements = Number(process.argv[5] ?? 20)
const WORKERS = 2
/** Connections that are opened at the same time while workers are replaced. */
const VISITORS = 8

const ways = [
  { name: 'primary accepts', module: undefined },
  { name: 'shared handle', module: 'shared-handle.mjs' },
  { name: 'SO_REUSEPORT', module: 'own-sockets.mjs' },
] as const

interface Figures {
  /** Requests a second, with connections that are kept. */
  readonly kept: number[]
  readonly cpuMicros: number[]
  /** Connections a second, one request on each. */
  readonly closing: number[]
  readonly closingCpuMicros: number[]
}

interface Entrant {
  readonly name: string
  readonly gateway: Gateway
  readonly cookie: string
  readonly figures: Figures
}

interface Losses {
  readonly opened: number
  readonly lost: ReadonlyMap<string, number>
}

/** A new connection for each request, until the workers are replaced; what has no whole answer is lost. */
async function replaceUnderLoad({ gateway }: Entrant): Promise<Losses> {
  const lost = new Map<string, number>()
  let opened = 0
  let isOver = false
  const visit = async (): Promise<void> => {
    while (!isOver) {
      opened += 1
      const flaw = await ask(gateway.origin)
      if (flaw !== undefined) lost.set(flaw, (lost.get(flaw) ?? 0) + 1)
    }
  }
  const visitors = Array.from({ length: VISITORS }, visit)
  for (let done = 0; done < replacements; ) {
    process.kill(gateway.pid, 'SIGUSR2')
    done += WORKERS
    await untilReplaced(gateway, done)
  }
  isOver = true
  await Promise.all(visitors)
  return { opened, lost }
}

/** Undefined for a whole answer. */
async function ask(origin: string): Promise<string | undefined> {
  const { hostname, port } = new URL(origin)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  let flaw: string | undefined
  let answer = ''
  socket.on('error', (error: NodeJS.ErrnoException) => {
    flaw = error.code ?? 'error'
  })
  socket.setTimeout(10_000, () => socket.destroy(Object.assign(new Error('no answer'), { code: 'no answer' })))
  socket.on('data', (bytes: Buffer) => {
    answer += bytes.toString('latin1')
  })
  socket.write(`GET /login HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`)
  await once(socket, 'close').catch(() => undefined)
  if (flaw !== undefined) return flaw
  return answer.startsWith('HTTP/1.1 200 ') ? undefined : answer === '' ? 'closed' : answer.slice(0, 12)
}

/** Until so many have been replaced, and the last of the old ones has ended. */
async function untilReplaced(gateway: Gateway, count: number): Promise<void> {
  const rolled = /^sessiongate_worker_restarts_total\{reason="roll"\} (\d+)$/m
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 200))
    const text = await gateway.metrics()
    if (Number(rolled.exec(text)?.[1] ?? 0) >= count && workersOf(gateway) === WORKERS) return
  }
}

function workersOf({ pid }: Gateway): number {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').length
}

async function openEntrants(stack: AsyncDisposableStack): Promise<Entrant[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-bench-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const app = stack.use(startProgram(process.execPath, [join(checkout, 'bench/apps/tiny.ts')], { folder, name: 'app' }))
  await app.untilHolds('say where it listens', async () => (await app.output()).includes('\n'))
  const { address } = JSON.parse(await app.output()) as { address: string }
  const entrants: Entrant[] = []
  for (const { name, module } of ways) {
    const gateway = stack.use(
      await openGateway({
        folder,
        name: name.replaceAll(' ', '-'),
        appOrigin: `http://${address}`,
        session: ['engine: db'],
        sections: `workers: ${WORKERS}`,
        nodeArgs: module === undefined ? [] : ['--import', join(import.meta.dirname, 'workers', module)],
      }),
    )
    const figures = { kept: [], cpuMicros: [], closing: [], closingCpuMicros: [] }
    entrants.push({ name, gateway, cookie: await gateway.logIn(), figures })
  }
  return entrants
}

/** CPU time of all processes of the gateway, in µs a request. */
async function measure(
  { gateway }: Entrant,
  run: () => Promise<{ requests: number; perSecond: number }>,
): Promise<{ perSecond: number; cpuMicros: number }> {
  const ticks = readTicksPerSecond()
  const before = cpuSecondsOf(gateway.pid, ticks)
  const { requests, perSecond } = await run()
  return { perSecond, cpuMicros: ((cpuSecondsOf(gateway.pid, ticks) - before) / requests) * 1e6 }
}

async function runRound(entrants: readonly Entrant[], seconds: number, isCounted: boolean): Promise<void> {
  for (const entrant of entrants) {
    const target = { origin: entrant.gateway.origin, cookies: [entrant.cookie] }
    const kept = await measure(entrant, () => runLoad(target, home, seconds))
    const closing = await measure(entrant, () => runClosingLoad(target, seconds))
    if (!isCounted) continue
    entrant.figures.kept.push(kept.perSecond)
    entrant.figures.cpuMicros.push(kept.cpuMicros)
    entrant.figures.closing.push(closing.perSecond)
    entrant.figures.closingCpuMicros.push(closing.cpuMicros)
  }
}

/** `610 (580–630)`: the median, and the range that the rounds had. */
function spread(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number): string => (sorted.at(index) ?? Number.NaN).toFixed(0)
  return `${at(Math.floor(sorted.length / 2))} (${at(0)}–${at(-1)})`
}

function print(columns: readonly string[]): void {
  console.log(columns.map((text, at) => (at === 0 ? text.padEnd(17) : text.padStart(22))).join(''))
}

async function run(): Promise<void> {
  await using stack = new AsyncDisposableStack()
  console.log(`Node ${process.versions.node}, ${availableParallelism()} cores for everybody, ${WORKERS} workers`)
  const [load = 0] = loadavg()
  if (load > 0.5) console.log(`the machine is busy with other things (load ${load.toFixed(1)}): expect a wide range`)
  const entrants = await openEntrants(stack)
  await runRound(entrants, 2, false)
  for (let round = 1; round <= rounds; round++) {
    await runRound(round % 2 === 0 ? entrants.toReversed() : entrants, seconds, true)
  }
  print(['', 'requests/s, kept', 'CPU µs', 'connections/s', 'CPU µs'])
  for (const { name, figures } of entrants) {
    const { kept, cpuMicros, closing, closingCpuMicros } = figures
    print([name, spread(kept), spread(cpuMicros), spread(closing), spread(closingCpuMicros)])
  }
  console.log(`\n${replacements} replacements of a worker, ${VISITORS} visitors with a new connection for each request`)
  for (const entrant of entrants) {
    const { opened, lost } = await replaceUnderLoad(entrant)
    const count = [...lost.values()].reduce((sum, each) => sum + each, 0)
    const kinds = [...lost].map(([kind, times]) => `${times} ${kind}`).join(', ')
    console.log(`${entrant.name.padEnd(17)} ${count} of ${opened} lost${kinds === '' ? '' : `: ${kinds}`}`)
  }
}

process.setMaxListeners(100)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
await run()
