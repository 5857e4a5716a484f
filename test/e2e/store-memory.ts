import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import type { TestContext } from 'node:test'
import { type Answer, assertPromise, type FaultStage, summary } from './store-fault-stage.ts'
import type { ServerStage } from './store-outages.ts'

const MIB = 1024 * 1024
/** What a store that hangs may cost, in memory of the gateway's process. */
const LIMIT_BYTES = 50 * MIB

export interface StoppedLoad {
  readonly ratePerSecond: number
  /** Under the same load with a store that works, so that what every process grows by at first is not counted. */
  readonly warmUpMs: number
  readonly stoppedMs: number
}

/** The server is stopped under load: memory, answers and recovery are as promised. */
export async function assertBoundedMemory(t: TestContext, server: ServerStage, load: StoppedLoad): Promise<void> {
  const { stage, outages } = server
  const { ratePerSecond, warmUpMs, stoppedMs } = load
  const outage = outages['it is stopped']
  assert.ok(outage)
  const cookie = await stage.logIn()
  const visitors = ['holder', 'holder', 'holder', 'guest'] as const
  await stage.load({ cookie, visitors, ratePerSecond, durationMs: warmUpMs })
  const before = await measure(stage)
  await outage.begin()
  const answers: Answer[] = []
  let peakBytes = 0
  for (let passedMs = 0; passedMs < stoppedMs; passedMs += 1000) {
    answers.push(...(await stage.load({ cookie, visitors, ratePerSecond, durationMs: 1000 })))
    peakBytes = Math.max(peakBytes, (await measure(stage)).residentBytes)
  }
  const after = await measure(stage)
  await outage.end()
  const noticedMs = await stage.untilServed(cookie)
  const { holder, guest } = summary(answers)
  const growth = peakBytes - before.residentBytes
  t.diagnostic(
    `${answers.length} requests in ${stoppedMs} ms: resident ${mib(before.residentBytes)} MiB, at most ${mib(growth)} more; ` +
      `heap ${mib(before.heapBytes)} → ${mib(after.heapBytes)} MiB; with a session p50 ${holder.p50} p99 ${holder.p99} ms, ` +
      `without ${guest.p50} and ${guest.p99} ms; served again after ${Math.round(noticedMs)} ms`,
  )
  assertPromise(answers, { mayServeHolders: true })
  assert.ok(growth < LIMIT_BYTES, `${mib(growth)} MiB more`)
  assert.ok(noticedMs < 3000, `served again after ${noticedMs} ms`)
}

async function measure(stage: FaultStage): Promise<{ residentBytes: number; heapBytes: number }> {
  const status = await readFile(`/proc/${stage.gateway.process.pid}/status`, 'utf8')
  const residentBytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
  const text = await (await fetch(`${stage.gateway.operatorUrl}/metrics`)).text()
  const heapBytes = Number(/^nodejs_heap_size_used_bytes ([\d.e+]+)$/m.exec(text)?.[1])
  return { residentBytes, heapBytes }
}

function mib(bytes: number): number {
  return Math.round(bytes / MIB)
}
