import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { createRedisCache } from '../../src/sessions/caches/redis.ts'
import { until } from '../support/deadline.ts'
import { type RedisSentinels, startSentinels } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { startLoad } from './redis-load.ts'

const TIMEOUT_MS = 1000
const { skip } = requireServer('redis')

describe('sessions on Redis behind Sentinel', { skip }, () => {
  let group: RedisSentinels
  before(async () => {
    group = await startSentinels()
  })
  after(() => group[Symbol.asyncDispose]())

  const openCache = (timeoutMs = TIMEOUT_MS) =>
    createRedisCache({ servers: group.servers, timeoutMs, clock: systemClock })

  test('are found though one sentinel hangs and another is gone', async () => {
    const [first, second] = group.sentinels
    first?.stop()
    await second?.kill()
    try {
      for (let i = 0; i < 10; i++) {
        await using cache = openCache()
        assert.equal(await cache.add(`sentinels:${i}`, Buffer.from('x'), 100), true)
      }
    } finally {
      first?.cont()
      await second?.start()
      await group.settled()
    }
  })

  test('are served again after the master was killed under load, and what was deleted before stays so', async (t) => {
    await using cache = openCache()
    const deleted = Array.from({ length: 20 }, (_, i) => `deleted:${i}`)
    for (const key of deleted) await cache.add(key, Buffer.from('x'), 1000)
    const load = startLoad(
      cache,
      Array.from({ length: 10 }, (_, i) => `load:${i}`),
    )
    await until('the load is on', () => load.changes > 100)
    for (const key of deleted) assert.equal(await cache.remove(key, (await cache.get(key))?.stamp), true)
    const old = await group.master()
    await old.command('WAIT', 1, 1000)
    const killedAt = performance.now()
    await old.kill()
    const before = load.changes
    await until('changes are made again', () => load.changes > before + 100, 30_000)
    await load.stop()
    const windowMs = Math.max(...load.failedAt, killedAt) - killedAt
    t.diagnostic(`${load.failedAt.length} errors in ${Math.round(windowMs)} ms; ${load.lost} acknowledged changes lost`)
    assert.notEqual(await group.master(), old)
    assert.deepEqual(load.wrong, [])
    for (const key of deleted) assert.equal(await cache.get(key), undefined)
  })
})
