/**
 * What the gateway costs: `npm run bench -- quick [seconds per round] [rounds]`. The same small answer, asked for
 * directly and through the gateway by somebody who is logged in. The rounds alternate within one run, because a machine
 * is not as fast now as it was a minute ago. README.md beside this file says how to read what it prints.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import autocannon from 'autocannon'

const checkout = resolve(import.meta.dirname, '..')
const secondsPerRound = Number(process.argv[3] ?? 4)
const rounds = Number(process.argv[4] ?? 5)
const connections = 64
/** The first seconds are spent on compiling, and are not counted. */
const warmUpSeconds = 3

interface Round {
  readonly requests: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

interface GatewayRound extends Round {
  /** Of the gateway's process: all its threads, in user and system mode. */
  readonly cpuMicrosPerRequest: number
}

interface Bench extends AsyncDisposable {
  readonly appUrl: string
  readonly gatewayUrl: string
  readonly operatorUrl: string
}

/** As it would run: SQLite, a rule, an assertion, metrics, and the access log into a file. */
function configFor(appUrl: string): string {
  return `
version: 1
listen: [{ address: "127.0.0.1:0" }]
hosts: [127.0.0.1]
session: { user_id: userInfo.id }
upstreams: { app: { servers: ["${appUrl}"], writeback: { allow: ["*"] } } }
routes:
  - { id: login, match: { path: [/login, /login/] }, upstream: app, auth: public }
  - id: app
    match: { path: /* }
    upstream: app
    auth: required
    headers: { session: { X-User-Name: userInfo.name } }
admin: { listen: "127.0.0.1:0" }
`
}

async function openBench(): Promise<Bench> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-bench-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const app = start('bench/apps/tiny.ts', [], folder)
  stack.defer(() => stop(app.child))
  const [{ address: appAddress }] = await lines(app, 1)

  const config = join(folder, 'bench.yaml')
  await writeFile(config, configFor(`http://${appAddress}`))
  const gateway = start('src/main.ts', ['serve', '--config', config], folder)
  stack.defer(() => stop(gateway.child))
  const [{ address }, { address: operatorAddress }] = await lines(gateway, 2)
  const closing = stack.move()
  return {
    appUrl: `http://${appAddress}`,
    gatewayUrl: `http://${address}`,
    operatorUrl: `http://${operatorAddress}`,
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

interface Program {
  readonly child: ChildProcess
  /** Its output goes to this file, so that nobody spends time on reading it while the rounds run. */
  readonly log: string
}

function start(script: string, args: readonly string[], folder: string): Program {
  const log = join(folder, `${script.replaceAll('/', '-')}.log`)
  const child = spawn(process.execPath, [join(checkout, script), ...args], {
    cwd: folder,
    stdio: ['ignore', openSync(log, 'w'), openSync(`${log}.errors`, 'w')],
  })
  return { child, log }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

type LogLine = { readonly address: string }

/** The first lines of the log, which say where it listens. */
async function lines({ child, log }: Program, count: 1): Promise<[LogLine]>
async function lines({ child, log }: Program, count: 2): Promise<[LogLine, LogLine]>
async function lines({ child, log }: Program, count: number): Promise<LogLine[]> {
  for (;;) {
    const whole = (await readFile(log, 'utf8')).split('\n').slice(0, -1)
    if (whole.length >= count) return whole.slice(0, count).map((line) => JSON.parse(line))
    if (child.exitCode !== null) {
      throw new Error(`${child.spawnargs.join(' ')} ended: ${await readFile(`${log}.errors`, 'utf8')}`)
    }
    await new Promise((done) => setTimeout(done, 20))
  }
}

/** Logs in through the gateway, and gives the cookie. */
async function logIn(gatewayUrl: string): Promise<string> {
  const response = await fetch(`${gatewayUrl}/login`, { method: 'POST', redirect: 'manual' })
  const cookie = response.headers.get('set-cookie')?.split(';', 1)[0]
  if (cookie === undefined) throw new Error(`the login was answered with ${response.status}`)
  return cookie
}

async function measure(url: string, headers: Record<string, string>, seconds: number): Promise<Round> {
  const result = await autocannon({ url: `${url}/`, headers, connections, duration: seconds })
  const failures = result.errors + result.timeouts + result.non2xx
  if (failures > 0) throw new Error(`${failures} of ${result.requests.total} requests to ${url} failed`)
  const { total } = result.requests
  const { p50, p99 } = result.latency
  return { requests: total, requestsPerSecond: total / result.duration, p50Ms: p50, p99Ms: p99 }
}

async function cpuSeconds(operatorUrl: string): Promise<number> {
  const metrics = await (await fetch(`${operatorUrl}/metrics`)).text()
  const value = /^process_cpu_seconds_total (\S+)$/m.exec(metrics)?.[1]
  if (value === undefined) throw new Error('the gateway does not tell its CPU time')
  return Number(value)
}

async function measureGateway(bench: Bench, headers: Record<string, string>, seconds: number): Promise<GatewayRound> {
  const before = await cpuSeconds(bench.operatorUrl)
  const round = await measure(bench.gatewayUrl, headers, seconds)
  const used = (await cpuSeconds(bench.operatorUrl)) - before
  return { ...round, cpuMicrosPerRequest: (used / round.requests) * 1e6 }
}

function printed(name: string, { requestsPerSecond, p50Ms, p99Ms }: Round): string {
  return `${name.padEnd(8)} ${requestsPerSecond.toFixed(0).padStart(7)} requests/s   p50 ${p50Ms} ms   p99 ${p99Ms} ms`
}

/** `0.61 (0.58 to 0.63)`: the median, and the range that the rounds had. */
function spread(values: readonly number[], digits = 0): string {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number): string => (sorted.at(index) ?? Number.NaN).toFixed(digits)
  return `${at(Math.floor(sorted.length / 2))} (${at(0)} to ${at(-1)})`
}

function summary(name: string, all: readonly Round[]): string {
  const rate = spread(all.map(({ requestsPerSecond }) => requestsPerSecond))
  const p50 = spread(all.map(({ p50Ms }) => p50Ms))
  const p99 = spread(all.map(({ p99Ms }) => p99Ms))
  return `${name.padEnd(8)} ${rate} requests/s, p50 ${p50} ms, p99 ${p99} ms`
}

async function run(): Promise<void> {
  await using bench = await openBench()
  const cookie = { Cookie: await logIn(bench.gatewayUrl) }
  const shared = `${availableParallelism()} cores for load generator, gateway and app`
  console.log(`Node ${process.versions.node}, ${shared}`)
  console.log(`${connections} connections, ${rounds} rounds of ${secondsPerRound} s each way`)
  const [load = 0] = loadavg()
  if (load > 0.5) console.log(`the machine is busy with other things (load ${load.toFixed(1)}): expect a wide range`)
  await measure(bench.appUrl, {}, warmUpSeconds)
  await measure(bench.gatewayUrl, cookie, warmUpSeconds)

  const pairs: { direct: Round; gateway: GatewayRound }[] = []
  for (let round = 1; round <= rounds; round++) {
    const direct = await measure(bench.appUrl, {}, secondsPerRound)
    const gateway = await measureGateway(bench, cookie, secondsPerRound)
    console.log(`round ${round}\n  ${printed('direct', direct)}\n  ${printed('gateway', gateway)}`)
    pairs.push({ direct, gateway })
  }
  const ratios = pairs.map(({ direct, gateway }) => gateway.requestsPerSecond / direct.requestsPerSecond)
  const cpu = pairs.map(({ gateway }) => gateway.cpuMicrosPerRequest)
  console.log('\nmedian of the rounds (and their range)')
  console.log(
    summary(
      'direct',
      pairs.map(({ direct }) => direct),
    ),
  )
  console.log(
    summary(
      'gateway',
      pairs.map(({ gateway }) => gateway),
    ),
  )
  console.log(`gateway/direct  ${spread(ratios, 2)} of the requests per second`)
  console.log(`gateway CPU     ${spread(cpu)} µs per request`)
}

await run()
