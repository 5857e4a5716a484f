import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { until, within } from '../support/deadline.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { findFreePort } from '../support/postgres.ts'
import { pause, times } from './stage.ts'

const REQUESTS_PER_SECOND = 500
const MOST_RUNNING = 200
/** By then the gateway knows of a kill: until then it may choose a connection whose end it has not been told of. */
const NOTICED_MS = 250

const program = join(import.meta.dirname, 'killed-server-program.ts')

/** A request that did not get its whole answer. All times are `performance.now()`. */
interface Failure {
  readonly method: string
  readonly path: string
  readonly sentMs: number
  readonly endedMs: number
  readonly what: string
}

interface Kill {
  /** The port of the server. */
  readonly server: number
  readonly atMs: number
  /** When the process was gone. */
  readonly goneMs: number
}

/** A process that is killed and started again, at one port. */
interface Server extends AsyncDisposable {
  readonly port: number
  start(): Promise<void>
  kill(): Promise<Kill>
}

async function createServer(file: string): Promise<Server> {
  const port = await findFreePort()
  let child: ChildProcess | undefined
  async function kill(): Promise<Kill> {
    const atMs = performance.now()
    if (child !== undefined) {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    }
    child = undefined
    return { server: port, atMs, goneMs: performance.now() }
  }
  return {
    port,
    kill,
    async start() {
      const started = spawn(process.execPath, [program, String(port), file], { stdio: ['pipe', 'pipe', 'inherit'] })
      child = started
      await within('the server to listen', once(started.stdout, 'data'))
    },
    async [Symbol.asyncDispose]() {
      await kill()
    },
  }
}

/** Asks at an even rate, on kept connections, whatever becomes of what was asked before. */
function startLoad(port: number) {
  const agent = new Agent({ keepAlive: true })
  const failures: Failure[] = []
  /** When each server answered last. */
  const answeredMs = new Map<string, number>()
  const running = new Set<Promise<void>>()
  const counts = { GET: 0, POST: 0 }
  const startedMs = performance.now()
  let asked = 0
  let spared = 0
  const timer = setInterval(() => {
    const due = ((performance.now() - startedMs) / 1000) * REQUESTS_PER_SECOND
    while (asked + spared < due) {
      // A machine that cannot do it all would only gather requests, and all would fail that the gateway gives up on.
      if (running.size >= MOST_RUNNING) {
        spared += 1
        continue
      }
      const kind = asked % 10
      const method = kind < 2 ? 'POST' : 'GET'
      const one = ask(method, `/${method === 'POST' ? 'post' : kind < 4 ? 'part' : 'get'}/${asked++}`)
      running.add(one)
      void one.finally(() => running.delete(one))
    }
  }, 2)

  async function ask(method: 'GET' | 'POST', path: string): Promise<void> {
    const sentMs = performance.now()
    counts[method] += 1
    const what = await answerTo(method, path).catch((error: NodeJS.ErrnoException) => error.code ?? error.message)
    if (what !== '') failures.push({ method, path, sentMs, endedMs: performance.now(), what })
  }

  /** What was wrong with it; '' for nothing. */
  async function answerTo(method: string, path: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const asking = request({ agent, port, path, method, host: '127.0.0.1' }, (response) => {
      text(response).then((body) => {
        const { statusCode, headers } = response
        answeredMs.set(String(headers['x-server']), performance.now())
        resolve(statusCode === 200 && body === path ? '' : `${statusCode} ${headers['proxy-status'] ?? body}`)
      }, reject)
    })
    asking.on('error', reject).end(method === 'POST' ? 'x=1' : undefined)
    return await promise
  }

  return {
    failures,
    answeredMs,
    async end() {
      clearInterval(timer)
      // Longer than the gateway waits for anybody: what hangs there would be told as a failure.
      await within('the last answers', Promise.all(running), 60_000)
      agent.destroy()
      return { asked, ...counts }
    },
    [Symbol.dispose]() {
      clearInterval(timer)
      agent.destroy()
    },
  }
}

test('rows 25 and 26: kill -9 of servers under load: only what was in flight there fails, and nothing arrives twice', async (t) => {
  await using stage = await openStage()
  const { gateway, servers } = stage
  using load = startLoad(gateway.port)
  await until('every server serves', () => load.answeredMs.size === servers.length)
  const kills: Kill[] = []
  const leftOutMs: number[] = []
  const backMs: number[] = []
  async function killAndStart(server: Server): Promise<void> {
    const known = timesLeftOut(gateway, server)
    const kill = await server.kill()
    kills.push(kill)
    await until('it is left out', () => timesLeftOut(gateway, server) > known)
    leftOutMs.push(performance.now() - kill.atMs)
    await pause(Math.random() * 1000)
    await server.start()
    const startedMs = performance.now()
    await until('it serves again', () => (load.answeredMs.get(String(server.port)) ?? 0) > startedMs, 15_000)
    backMs.push(performance.now() - startedMs)
  }
  for (let round = 0; round < times({ usual: 2, whole: 40 }); round++) {
    await pause(Math.random() * 300)
    // One of the three stays: where nobody is left to go to, requests fail that were in flight nowhere.
    const spared = Math.floor(Math.random() * 3)
    const chosen = servers.filter((_, i) => (round % 2 === 0 ? i === spared : i !== spared))
    await Promise.all(chosen.map(killAndStart))
  }
  const asked = await load.end()
  const { failures } = load
  const metrics = await (await fetch(`${gateway.operatorUrl}/metrics`)).text()
  const retries = metrics.split('\n').filter((line) => line.startsWith('sessiongate_upstream_retries_total{'))
  t.diagnostic(`${asked.GET} GETs and ${asked.POST} POSTs, ${kills.length} kills; failed: ${countsOf(failures)}`)
  t.diagnostic(`tried elsewhere: ${retries.map((line) => line.replace(/^.*outcome=/, '')).join(', ')}`)
  t.diagnostic(`left out after ${spread(leftOutMs)}, and again in use after its start: ${spread(backMs)}`)

  const others = failures.filter((failure) => !isInFlight(failure, kills, gateway))
  assert.deepEqual(others, [], 'failed, and were not in flight at a server that was killed')
  // What had no answer yet, and may be asked twice, was asked elsewhere.
  assert.deepEqual(countsOf(failures.filter(({ path }) => path.startsWith('/get/'))), '0')
  const arrived = stage.posts()
  assert.equal(new Set(arrived).size, arrived.length, 'a POST arrived twice')
  assert.ok(arrived.length >= asked.POST - failures.length, `${arrived.length} of ${asked.POST} POSTs arrived`)
  assert.doesNotMatch(gateway.stderr(), /Unhandled|Uncaught|MaxListeners|Warning/)
})

/**
 * By the gateway's own word, the last server that was asked for it is one that was killed, and it was killed while the
 * request was under way: after the client had begun to send it, or so shortly before that nobody had told the gateway yet.
 */
function isInFlight({ path, sentMs, endedMs }: Failure, kills: readonly Kill[], { log }: TestGateway): boolean {
  const line = log.findLast((entry) => entry['url.path'] === path)
  return kills.some(
    ({ server, atMs, goneMs }) =>
      line?.['upstream.address'] === `127.0.0.1:${server}` && sentMs <= goneMs + NOTICED_MS && endedMs >= atMs,
  )
}

function timesLeftOut({ log }: TestGateway, { port }: Server): number {
  return log.filter(
    (line) => line.msg === 'upstream server is left out' && line['upstream.address'] === `127.0.0.1:${port}`,
  ).length
}

/** `2 GET ECONNRESET, 1 POST 502 …`, or `0`. */
function countsOf(failures: readonly Failure[]): string {
  const counts = new Map<string, number>()
  for (const { method, what } of failures) counts.set(`${method} ${what}`, (counts.get(`${method} ${what}`) ?? 0) + 1)
  return [...counts].map(([what, count]) => `${count} ${what}`).join(', ') || '0'
}

function spread(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b).map(Math.round)
  return `${sorted[0]} to ${sorted.at(-1)} ms (in the middle ${sorted[sorted.length >> 1]})`
}

interface Stage extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly servers: readonly Server[]
  /** The paths of all POSTs that have arrived at any server. */
  posts(): string[]
}

async function openStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-killed-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const notes = join(folder, 'posts')
  const servers: Server[] = []
  for (let i = 0; i < 3; i++) servers.push(stack.use(await createServer(notes)))
  await Promise.all(servers.map((server) => server.start()))
  const origins = servers.map(({ port }) => `"http://127.0.0.1:${port}"`)
  // Two may go at once: whoever was asked elsewhere and met the second, is asked at the third.
  const config = `
upstreams: { app: { servers: [${origins.join(', ')}], retries: 2 } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`
  const gateway = stack.use(await startGateway({ config }))
  const closing = stack.move()
  return {
    gateway,
    servers,
    posts: () => readFileSync(notes, 'utf8').trimEnd().split('\n'),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}
