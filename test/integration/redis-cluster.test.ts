import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { createRedisCache } from '../../src/sessions/caches/redis.ts'
import type { SessionCache } from '../../src/sessions/caches/session-cache.ts'
import { until, within } from '../support/deadline.ts'
import { type RedisCluster, type RedisServer, startCluster } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { startLoad } from './redis-load.ts'

const TIMEOUT_MS = 500
const MARGIN_MS = 2000

const { skip } = requireServer('redis')
const unavailable = { code: 'ERR_STORE_UNAVAILABLE' }
const bytes = (text: string) => Buffer.from(text)

describe('sessions on a cluster of Redis', { skip }, () => {
  let cluster: RedisCluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster[Symbol.asyncDispose]())

  const openCache = (timeoutMs = TIMEOUT_MS): SessionCache =>
    createRedisCache({ servers: cluster.servers, timeoutMs, clock: systemClock })

  /** Keys of that prefix, the first on the first master, and so on. */
  async function keysOnEach(prefix: string): Promise<string[]> {
    const keys: string[] = []
    for (const master of cluster.masters) {
      for (let i = 0; ; i++) {
        const key = `${prefix}:${i}`
        if (keys.includes(key) || (await cluster.ownerOf(await cluster.slotOf(key))) !== master) continue
        keys.push(key)
        break
      }
    }
    return keys
  }

  test('gives no wrong answer and no error while the slot of a session moves under load', async (t) => {
    await using cache = openCache(5000)
    const [home = ''] = await keysOnEach('move')
    // Twenty sessions in one slot: what stands in braces decides.
    const keys = Array.from({ length: 20 }, (_, i) => `{${home}}:${i}`)
    const load = startLoad(cache, keys)
    const slot = await cluster.slotOf(home)
    const [first, second, third] = cluster.masters
    assert.ok(first && second && third)
    for (const to of [second, third, first]) {
      await cluster.moveSlot(slot, to, async () => {
        const soFar = load.changes
        await until('some changes were made in between', () => load.changes > soFar + 5)
      })
    }
    await load.stop()
    t.diagnostic(`${load.changes} changes, ${load.failedAt.length} errors, longest ${Math.round(load.longestMs)} ms`)
    assert.deepEqual([...load.messages], [])
    assert.deepEqual(load.wrong, [])
    assert.equal(load.lost, 0)
  })

  test('is not taken for a server that stands alone: each look at one of its servers says what it is', async () => {
    const [node] = cluster.masters
    assert.ok(node)
    const server = { kind: 'tcp', host: node.host, port: node.port } as const
    await using cache = createRedisCache({ servers: { kind: 'redis', server }, timeoutMs: 5000, clock: systemClock })
    for (let i = 0; i < 20; i++) await assert.rejects(cache.ping(), /the backend must be redis-cluster/)
    const servers = { kind: 'redis', server, database: 1 } as const
    await using numbered = createRedisCache({ servers, timeoutMs: 5000, clock: systemClock })
    await assert.rejects(numbered.ping(), /the backend must be redis-cluster/)
  })

  test('is entered by a user who may do what is needed and no more', async () => {
    const rights = '-@all +hello +set +get +del +strlen +pttl +eval +evalsha +scan +cluster|slots +asking'.split(' ')
    for (const master of cluster.masters)
      await master.command('ACL', 'SETUSER', 'app', 'on', '>app-password', '~acl:*', ...rights)
    const servers = { ...cluster.servers, username: 'app', password: 'app-password' }
    await using cache = createRedisCache({ servers, timeoutMs: 5000, clock: systemClock, probePrefix: 'acl:' })
    const keys = await keysOnEach('acl')
    for (const key of keys) {
      await cache.ping()
      assert.equal(await cache.add(key, bytes('x'), 100), true)
      assert.equal(await cache.replace(key, { stamp: bytes('x'), bytes: bytes('y'), ttlSeconds: 100 }), true)
    }
    assert.deepEqual((await Array.fromAsync(cache.keys('acl:'))).toSorted(), keys.toSorted())
    for (const key of keys) assert.equal(await cache.remove(key, bytes('y')), true)
    await assert.rejects(cache.get('other'), /ACL does not permit/)
  })

  test('whose slot was promised to a server that died fails the call, and not the process', async () => {
    await using cache = openCache()
    const [key = ''] = await keysOnEach('dead')
    const slot = await cluster.slotOf(key)
    const [from, , to] = cluster.masters
    assert.ok(from && to)
    const ids = await Promise.all([from, to].map((server) => server.command('CLUSTER', 'MYID')))
    await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(ids[0]))
    await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(ids[1]))
    try {
      await cache.ping()
      to.stop()
      const calls = Array.from({ length: 5 }, () => assert.rejects(cache.get(key), unavailable))
      await within('the calls', Promise.all(calls), TIMEOUT_MS + MARGIN_MS)
    } finally {
      to.cont()
    }
    await from.command('CLUSTER', 'SETSLOT', slot, 'STABLE')
    await to.command('CLUSTER', 'SETSLOT', slot, 'STABLE')
    await found(cache, [key])
  })

  test('goes on with the others while one of its servers hangs', async () => {
    await using cache = openCache()
    const keys = await keysOnEach('hang')
    for (const key of keys) await cache.put(key, bytes(key), 100)
    const [, hung] = cluster.masters
    const [first = '', second = '', third = ''] = keys
    hung?.stop()
    try {
      const lost = Promise.all(Array.from({ length: 10 }, () => assert.rejects(cache.get(second), unavailable)))
      const state = { isOver: false }
      const others = (async () => {
        for (let i = 0; !state.isOver; i++) {
          assert.equal(Buffer.from((await cache.get(first))?.bytes ?? []).toString(), first)
          await cache.put(third, bytes(third), 100 + i)
        }
      })()
      await within('the calls', lost, TIMEOUT_MS + MARGIN_MS)
      state.isOver = true
      await others
    } finally {
      hung?.cont()
    }
    await found(cache, keys)
  })

  test('is found again after one of its servers was killed, and after all were', async () => {
    await using cache = openCache()
    const keys = await keysOnEach('kill')
    for (const key of keys) await cache.put(key, bytes(key), 100)
    const [first] = cluster.masters
    await first?.kill()
    await within('a call', assert.rejects(cache.get(keys[0] ?? ''), unavailable), TIMEOUT_MS + MARGIN_MS)
    await first?.start()
    await found(cache, keys)
    await Promise.all(cluster.masters.map((server: RedisServer) => server.kill()))
    for (let i = 0; i < 20; i++) {
      await within('a call', assert.rejects(cache.get(keys[i % 3] ?? ''), unavailable), TIMEOUT_MS + MARGIN_MS)
    }
    await Promise.all(cluster.masters.map((server: RedisServer) => server.start()))
    await found(cache, keys)
    assert.deepEqual(await Array.fromAsync(cache.keys('kill:')), [], 'they came back empty')
  })

  /** Resolves when each of the keys is answered for. */
  async function found(cache: SessionCache, keys: readonly string[]): Promise<void> {
    const state = { isFound: false }
    const asking = (async () => {
      while (!state.isFound) {
        try {
          for (const key of keys) await cache.get(key)
          state.isFound = true
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      }
    })()
    await within('the cluster to answer', asking, 20_000)
  }
})
