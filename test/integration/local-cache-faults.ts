import assert from 'node:assert/strict'
import { until } from '../support/deadline.ts'
import type { Fault, FaultProxy } from '../support/fault-proxy.ts'
import type { Kept, Stranger } from './local-cache-staleness.ts'

/** What happens to a line of notices, whose bytes go through a proxy. */
export const lineFaults: readonly (readonly [name: string, fault: Fault])[] = [
  ['is a black hole', { kind: 'stall' }],
  ['brings nothing any more', { kind: 'stall', direction: 'down' }],
  ['is cut', { kind: 'reset' }],
]

export interface Breakage {
  /** Its line goes through the proxy; its sessions are read without. */
  readonly kept: Kept
  readonly stranger: Stranger
  readonly proxy: FaultProxy
  readonly fault: Fault
  readonly leaseMs: number
}

/** Breaks the line and lets it come back, with changes all the time, none of which may be missed for longer than the lease. */
export async function breakTheLine({ kept, stranger, proxy, fault, leaseMs }: Breakage): Promise<void> {
  const { cache } = kept
  const key = await stranger.create()
  let n = 0
  const answeredAtMs = [performance.now()]
  const change = async (): Promise<void> => {
    await stranger.change(key, ++n)
    answeredAtMs[n] = performance.now()
  }
  const numberSeen = async (): Promise<number> => {
    const askedAtMs = performance.now()
    const loaded = cache.loadNow(key) ?? (await cache.load(key))
    assert.ok(loaded.found)
    const seen = Number(loaded.data.get('n'))
    const missed = answeredAtMs[seen + 1]
    assert.ok(missed === undefined || askedAtMs - missed <= leaseMs, `${seen} is served, ${n} is stored`)
    return seen
  }
  const isKept = (): boolean => cache.loadNow(key) !== undefined
  const keepIt = async (): Promise<void> => {
    await until('it is kept', () => {
      void cache.load(key)
      return isKept()
    })
  }

  await keepIt()
  proxy.set(fault)
  await change()
  const brokenAtMs = performance.now()
  while (isKept()) {
    await numberSeen()
    assert.ok(performance.now() - brokenAtMs <= leaseMs, 'served from memory after the lease')
    await new Promise((resolve) => setImmediate(resolve))
  }
  for (let i = 0; i < 50; i++) {
    assert.equal(await numberSeen(), n, 'each request asks the store')
    assert.equal(isKept(), false)
    await change()
  }
  proxy.pass()
  await keepIt()
  assert.equal(await numberSeen(), n)
  await change()
  await until('the change is told', () => !isKept())
  assert.equal(await numberSeen(), n)
}
