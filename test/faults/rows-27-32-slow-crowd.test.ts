import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { until, within } from '../support/deadline.ts'
import { startEvil } from '../support/evil-upstream.ts'
import { gatherSlowCrowd, slowKinds } from '../support/slow-crowd.ts'
import { byPath, type FaultGate, openGate, pause, times } from './stage.ts'

const isWhole = times({ usual: 0, whole: 1 }) === 1
/** The usual run is over in seconds; the whole one has the deadlines that a gateway has where nobody says otherwise. */
const deadlines = isWhole
  ? { head: 30_000, body: 20_000, reading: 60_000 }
  : { head: 2_000, body: 1_500, reading: 2_000 }
/** The rest is as by default, but that a busy machine must not refuse anybody. */
const limits = isWhole
  ? 'event_loop_delay: null'
  : `event_loop_delay: null, head: ${deadlines.head}ms, upload: { grace: ${deadlines.body}ms }`
/** Beside the deadline: looks that come so often, and the time in which a 408 is to be read. */
const SLACK_MS = 20_000
const MOST_MIB = 150

const body = Buffer.alloc(1024 * 1024, 'b')
/** How long each of the answers to readers was under way. */
const readMs: number[] = []
const script = byPath({
  up: () => undefined,
  async whole(connection) {
    await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`)
    await connection.send(body)
  },
  async large(connection) {
    const fromMs = performance.now()
    void connection.closed.then(() => readMs.push(performance.now() - fromMs))
    await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`)
    await connection.send(body)
    // The system may hold all of it for a reader that takes nothing.
    await connection.closed
  },
})

test('rows 27 and 32: a crowd of slow clients is cut at the deadlines, and others hardly notice', async (t) => {
  const each = Math.ceil(times({ usual: 150, whole: 2_000 }) / slowKinds.length)
  await using upstream = await startEvil(script)
  await using gate = await openGate(upstream.origin, {
    timeouts: `connect: 5s, first_byte: 60s, idle: ${deadlines.reading}ms`,
    sections: `listen: [{ address: "127.0.0.1:0" }, { address: "unix:./gate.sock" }]\nlimits: { ${limits} }`,
  })
  await warmUp(gate)
  const quietMs = isWhole ? 20_000 : 2_000
  const before = await traffic(gate, pause(quietMs))
  const openFiles = gate.openFiles()
  const residentKib = gate.residentKib()
  const { port, folder } = gate.gateway
  const everyMs = isWhole ? 1_000 : 100
  await using crowd = gatherSlowCrowd({ port, path: `${folder}/gate.sock`, count: each, everyMs })
  let highest = residentKib
  const watch = setInterval(() => {
    highest = Math.max(highest, gate.residentKib())
  }, 100)
  const gathering = await traffic(gate, within('the crowd to gather', crowd.gathered, 120_000))
  const gone = Promise.all([
    within('the crowd to be cut', crowd.gone, 120_000),
    until('the readers are cut', () => readMs.length === each, 120_000),
  ])
  const during = await traffic(gate, gone)
  clearInterval(watch)
  const [cut] = await gone
  const longest = { ...cut, reading: Math.max(...readMs) }
  const after = await traffic(gate, pause(quietMs))
  const grownMib = (highest - residentKib) / 1024
  t.diagnostic(`${3 * each} slow clients, a third each with head, body and reading`)
  for (const kind of slowKinds) t.diagnostic(`${kind}: the last was cut after ${(longest[kind] / 1000).toFixed(1)} s`)
  tell(t, { before, gathering, during, after })
  t.diagnostic(`memory: +${grownMib.toFixed(0)} MiB`)
  for (const kind of slowKinds)
    assert.ok(longest[kind] < deadlines[kind] + SLACK_MS, `${kind}: after ${longest[kind]} ms`)
  assert.ok(grownMib < MOST_MIB, `${grownMib} MiB`)
  // Of a machine that has other things to do, the two quiet times tell how much that is.
  const quietP99Ms = Math.max(before.p99Ms, after.p99Ms)
  if (isWhole) assert.ok(during.p99Ms <= Math.max(5, 2 * quietP99Ms), `p99: ${quietP99Ms} and ${during.p99Ms} ms`)
  await gate.assertServes()
  await gate.untilQuiet(openFiles + 4)
})

/** What a young process grows by on its own is no slow client's doing. */
async function warmUp(gate: FaultGate): Promise<void> {
  for (let round = 0; round < 10; round++) {
    const answers = Array.from({ length: 20 }, () => fetch(`${gate.gateway.url}/whole`))
    await Promise.all(answers.map(async (answer) => (await answer).arrayBuffer()))
  }
  await traffic(gate, pause(2_000))
}

interface Latency {
  readonly requests: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** A hundred ordinary requests a second, evenly, until the promise is kept; each must be answered with 200. */
async function traffic(gate: FaultGate, end: Promise<unknown>): Promise<Latency> {
  let isOver = false
  void end.then(
    () => {
      isOver = true
    },
    () => {
      isOver = true
    },
  )
  const durationsMs: number[] = []
  async function visitor(): Promise<void> {
    await using client = await gate.connect()
    while (!isOver) {
      const fromMs = performance.now()
      await client.send('GET /well HTTP/1.1\r\nHost: x\r\n\r\n')
      assert.equal((await client.response()).status, 200)
      durationsMs.push(performance.now() - fromMs)
      await pause(40)
    }
  }
  await Promise.all(Array.from({ length: 4 }, visitor))
  durationsMs.sort((a, b) => a - b)
  const at = (share: number): number => durationsMs[Math.floor(durationsMs.length * share)] ?? Number.NaN
  return { requests: durationsMs.length, p50Ms: at(0.5), p99Ms: at(0.99) }
}

function tell(t: TestContext, phases: Readonly<Record<string, Latency>>): void {
  for (const [phase, { requests, p50Ms, p99Ms }] of Object.entries(phases))
    t.diagnostic(
      `ordinary traffic, ${phase}: ${requests} requests, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`,
    )
}
