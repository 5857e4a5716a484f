import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { createRedisCache } from '../../src/sessions/caches/redis.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'

const { skip } = requireServer('redis')
const bytes = (text: string) => Buffer.from(text)

describe('the cache on Redis', { skip }, () => {
  let server: RedisServer
  before(async () => {
    server = await startRedis()
  })
  after(() => server[Symbol.asyncDispose]())

  test('reads many at once, each as if it were alone', async () => {
    await using cache = createRedisCache({
      servers: server.servers,
      timeoutMs: 1000,
      clock: systemClock,
      maxValueBytes: 700_000,
    })
    const sizes = [1, 700_000, 700_001, 400_000, 0, 3]
    for (const [i, size] of sizes.entries()) await cache.put(`m:${i}`, Buffer.alloc(size, `${i}`), 100 * (i + 1))
    for (let i = 0; i < 120; i++) await cache.put(`m:many${i}`, bytes(`${i}`), 100)
    await server.command('SCRIPT', 'FLUSH')
    await server.command('PERSIST', 'm:0')
    const keys = sizes.map((_, i) => `m:${i}`)
    const many = Array.from({ length: 120 }, (_, i) => `m:many${i}`)
    for (const others of [[], ['m:list']]) {
      if (others.length > 0) await server.command('RPUSH', 'm:list', 'x')
      const asked = [...keys, 'm:missing', ...others, ...many]
      const got = new Map(await Promise.all(asked.map(async (key) => [key, await cache.get(key)] as const)))
      for (const [i, size] of sizes.entries()) {
        const value = got.get(`m:${i}`)
        assert.equal(value?.bytes.length, size > 700_000 ? 0 : size, `m:${i}`)
        assert.ok(value.bytes.every((byte) => byte === 48 + i))
        const seconds = ((value.expiresAt ?? Number.NaN) - Date.now()) / 1000
        assert.ok(i === 0 ? Number.isNaN(seconds) : Math.abs(seconds - 100 * (i + 1)) < 30, `m:${i}`)
      }
      assert.equal(got.get('m:missing'), undefined)
      assert.equal(got.get('m:list')?.bytes.length, others.length > 0 ? 0 : undefined)
      for (const [i, key] of many.entries()) assert.equal(String(got.get(key)?.bytes), `${i}`)
    }
  })

  test('needs one command for them, also where one is no string', async () => {
    await using cache = createRedisCache({ servers: server.servers, timeoutMs: 1000, clock: systemClock })
    await cache.put('n:1', bytes('x'), 100)
    await server.command('RPUSH', 'n:list', 'x')
    const read = () => Promise.all(['n:1', 'n:list', 'n:2'].map((key) => cache.get(key)))
    await read()
    await server.command('CONFIG', 'RESETSTAT')
    const [value, list, missing] = await read()
    assert.equal(String(value?.bytes), 'x')
    assert.equal(list?.bytes.length, 0)
    assert.equal(await cache.remove('n:list', list.stamp), false)
    assert.equal(missing, undefined)
    const stats = String(await server.command('INFO', 'commandstats'))
    assert.match(stats, /cmdstat_evalsha:calls=1,/)
    assert.doesNotMatch(stats, /cmdstat_eval:/)
  })
})
