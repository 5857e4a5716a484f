/**
 * How long sessions cannot be had when the master of Redis fails, and what is lost: `npm run test:soak`, or this file
 * alone. SESSIONGATE_FAILOVERS says how many masters fail (default 20).
 */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { createRedisCache } from '../../src/sessions/caches/redis.ts'
import { startLoad } from '../integration/redis-load.ts'
import { until } from '../support/deadline.ts'
import { type RedisSentinels, type RedisServer, startCluster, startSentinels } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'

const failovers = Number(process.env.SESSIONGATE_FAILOVERS ?? 20)
const WRITERS = 20

interface Outcome {
  /** From the failure of the master until the last call that failed. */
  readonly windowMs: number
  readonly errors: number
  readonly lost: number
  readonly longestMs: number
}

async function failOver(group: RedisSentinels, fail: (master: RedisServer) => Promise<void>): Promise<Outcome> {
  await using cache = createRedisCache({ servers: group.servers, timeoutMs: 1000, clock: systemClock })
  const load = startLoad(
    cache,
    Array.from({ length: WRITERS }, (_, i) => `${performance.now()}:${i}`),
  )
  await until('the load is on', () => load.changes > 200)
  const failedAt = performance.now()
  await fail(await group.master())
  await until('the failure is felt', () => load.failedAt.length > 0)
  const before = load.changes
  await until('changes are made again', () => load.changes > before + 500, 60_000)
  await load.stop()
  assert.deepEqual(load.wrong, [])
  const windowMs = Math.max(...load.failedAt) - failedAt
  return { windowMs, errors: load.failedAt.length, lost: load.lost, longestMs: load.longestMs }
}

function report(t: TestContext, what: string, outcomes: readonly Outcome[]): void {
  const windows = outcomes.map(({ windowMs }) => Math.round(windowMs)).toSorted((a, b) => a - b)
  const sum = (of: 'errors' | 'lost') => outcomes.reduce((total, outcome) => total + outcome[of], 0)
  const median = windows[Math.floor(windows.length / 2)]
  t.diagnostic(`${what}: no sessions for ${windows[0]} to ${windows.at(-1)} ms, median ${median} ms`)
  t.diagnostic(`${what}: ${sum('errors')} errors, ${sum('lost')} acknowledged changes lost, ${windows.length} times`)
  t.diagnostic(`${what}: the longest call took ${Math.round(Math.max(...outcomes.map((one) => one.longestMs)))} ms`)
}

describe('failovers of Redis under load', { skip: requireServer('redis').skip }, () => {
  test('a master that is killed', async (t) => {
    await using group = await startSentinels()
    const outcomes: Outcome[] = []
    for (let i = 0; i < failovers; i++) {
      let old: RedisServer | undefined
      outcomes.push(
        await failOver(group, async (master) => {
          old = master
          await master.kill()
        }),
      )
      await old?.start()
      await group.settled()
    }
    report(t, 'killed', outcomes)
  })

  test('a master that hangs, and comes back as if nothing had been', async (t) => {
    await using group = await startSentinels()
    const outcomes: Outcome[] = []
    for (let i = 0; i < failovers; i++) {
      let old: RedisServer | undefined
      outcomes.push(
        await failOver(group, async (master) => {
          old = master
          master.stop()
        }),
      )
      old?.cont()
      await group.settled()
    }
    report(t, 'stopped', outcomes)
  })

  test('slots of a cluster that move', async (t) => {
    await using cluster = await startCluster()
    await using cache = createRedisCache({ servers: cluster.servers, timeoutMs: 5000, clock: systemClock })
    const load = startLoad(
      cache,
      Array.from({ length: WRITERS }, (_, i) => `{slot}:${i}`),
    )
    const slot = await cluster.slotOf('{slot}')
    for (let i = 1; i <= failovers; i++) {
      const to = cluster.masters[i % 3]
      if (!to || (await cluster.ownerOf(slot)) === to) continue
      await cluster.moveSlot(slot, to, async () => {
        const soFar = load.changes
        await until('some changes were made in between', () => load.changes > soFar + 10)
      })
    }
    await load.stop()
    t.diagnostic(`${failovers} moves, ${load.changes} changes, ${load.failedAt.length} errors`)
    t.diagnostic(`the longest step of read and change took ${Math.round(load.longestMs)} ms`)
    assert.deepEqual([load.wrong, load.lost, [...load.messages]], [[], 0, []])
  })
})
