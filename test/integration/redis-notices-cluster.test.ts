import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { createRedisCache } from '../../src/sessions/caches/redis.ts'
import { until } from '../support/deadline.ts'
import { type RedisCluster, type RedisServer, startCluster, startRedis } from '../support/redis.ts'
import { eventually, freePort, HOST } from '../support/redis-program.ts'
import { requireServer } from '../support/requirement.ts'
import { auditNotices, changing, LEASE_MS, type NoticeAudit, passed } from './redis-notice-audit.ts'

const { skip } = requireServer('redis')

/** A key of that prefix on each of the masters, by the place of the master. */
async function keysOnEach(cluster: RedisCluster, prefix: string): Promise<string[]> {
  const owners = new Map<RedisServer, string>()
  for (let i = 0; owners.size < cluster.masters.length; i++) {
    const key = `${prefix}${i}`
    owners.set(await cluster.ownerOf(await cluster.slotOf(key)), key)
  }
  return cluster.masters.map((master) => owners.get(master) ?? '')
}

/** Another server that all know, and that has no slots. */
async function joined(cluster: RedisCluster): Promise<RedisServer> {
  const busPort = await freePort()
  const config = ['cluster-enabled yes', `cluster-port ${busPort}`, 'cluster-node-timeout 2000']
  const server = await startRedis({ config })
  await cluster.masters[0]?.command('CLUSTER', 'MEET', HOST, server.port, busPort)
  await eventually('all to know the new server', async () => {
    const infos = await Promise.all([...cluster.masters, server].map((one) => one.command('CLUSTER', 'INFO')))
    return infos.every((info) => /cluster_state:ok[\s\S]*cluster_known_nodes:4\b/.test(String(info)))
  })
  return server
}

async function lines(server: RedisServer): Promise<number> {
  return String(await server.command('CLIENT', 'LIST', 'TYPE', 'pubsub')).split('name=sessiongate-notices ').length - 1
}

describe('notices of changes in a cluster of Redis', { skip }, () => {
  /** Somebody who changes sessions wherever they are, as the gateway itself does. */
  function writing(audit: NoticeAudit, cluster: RedisCluster) {
    const cache = createRedisCache({ servers: cluster.servers, timeoutMs: 1000, clock: systemClock })
    const writer = changing(audit, (key) => cache.put(key, Buffer.from('x'), 100))
    return {
      get count() {
        return writer.count
      },
      async stop() {
        const count = await writer.stop()
        await cache[Symbol.asyncDispose]()
        return count
      },
    }
  }

  test('come from each of its servers', async () => {
    await using cluster = await startCluster()
    await using audit = auditNotices({ servers: cluster.servers, prefix: 'p:' })
    await audit.current()
    for (const [i, key] of (await keysOnEach(cluster, 'p:')).entries()) {
      const from = audit.told.length
      await cluster.masters[i]?.command('SET', key, 'x')
      await audit.heard(key, from)
    }
    const from = audit.told.length
    await cluster.masters[2]?.command('FLUSHALL')
    await until('everything is told', () => audit.told.slice(from).includes('*'))
    assert.deepEqual(await Promise.all(cluster.masters.map(lines)), [1, 1, 1])
  })

  test('start anew when a slot has moved, and tell of its keys at their new place', async (t) => {
    await using cluster = await startCluster()
    await using audit = auditNotices({ servers: cluster.servers, prefix: 'p:' })
    await audit.current()
    const writer = writing(audit, cluster)
    const [home = ''] = await keysOnEach(cluster, 'p:')
    const [, second] = cluster.masters
    assert.ok(second)
    const slot = await cluster.slotOf(home)
    for (let i = 0; i < 20; i++) await cluster.masters[0]?.command('SET', `{${home}}:${i}`, 'x')
    await cluster.moveSlot(slot, second, async () => {
      const { count } = writer
      await until('changes are made in between', () => writer.count > count + 2)
    })
    const movedAtMs = performance.now()
    await audit.down(/slots have changed/)
    t.diagnostic(`down ${Math.round(performance.now() - movedAtMs)} ms after the slot had moved`)
    await audit.current()
    t.diagnostic(`current again after ${Math.round(performance.now() - movedAtMs)} ms`)
    const from = audit.told.length
    await second.command('SET', home, 'x')
    await audit.heard(home, from)
    t.diagnostic(`${await writer.stop()} changes`)
    assert.deepEqual(audit.stale, [])
  })

  test('come from a new server before it has a slot, and from then on', async () => {
    await using cluster = await startCluster()
    await using audit = auditNotices({ servers: cluster.servers, prefix: 'p:' })
    await audit.current()
    const writer = writing(audit, cluster)
    await using fresh = await joined(cluster)
    await eventually('there is a line to it', async () => (await lines(fresh)) === 1)
    await audit.current()
    const [home = ''] = await keysOnEach(cluster, 'p:')
    await cluster.masters[0]?.command('SET', home, 'x')
    await cluster.moveSlot(await cluster.slotOf(home), fresh)
    await audit.down(/slots have changed/)
    await audit.current()
    const from = audit.told.length
    await fresh.command('DEL', home)
    await audit.heard(home, from)
    await writer.stop()
    assert.deepEqual(audit.stale, [])
  })

  for (const how of ['is handed over', 'is killed'] as const) {
    test(`come from the replica that takes over when a master ${how}`, async (t) => {
      await using cluster = await startCluster()
      const [master] = cluster.masters
      assert.ok(master)
      await using replica = await joined(cluster)
      await replica.command('CLUSTER', 'REPLICATE', String(await master.command('CLUSTER', 'MYID')))
      const follows = async () => /master_link_status:up/.test(String(await replica.command('INFO', 'replication')))
      await eventually('the replica follows', follows)
      await using audit = auditNotices({ servers: cluster.servers, prefix: 'p:' })
      await audit.current()
      const [key = ''] = await keysOnEach(cluster, 'p:')
      const writer = writing(audit, cluster)
      await until('changes are made', () => writer.count > 100)
      const sinceMs = performance.now()
      if (how === 'is killed') await master.kill()
      else await replica.command('CLUSTER', 'FAILOVER')
      await audit.down()
      t.diagnostic(`down after ${Math.round(performance.now() - sinceMs)} ms`)
      const takenOver = async () => /role:master/.test(String(await replica.command('INFO', 'replication')))
      await eventually('the replica takes over', takenOver)
      await until('they are current', () => audit.notices.isCurrent() && audit.states.at(-1)?.isUp === true, 30_000)
      t.diagnostic(`current again after ${Math.round(performance.now() - sinceMs)} ms`)
      assert.equal(await lines(replica), 1)
      const from = audit.told.length
      await replica.command('SET', key, 'new')
      await audit.heard(key, from)
      t.diagnostic(`${await writer.stop()} changes`)
      assert.deepEqual(audit.stale, [])
    })
  }

  test('are not current while one of its servers hangs, and keep the lines to the others', async () => {
    await using cluster = await startCluster()
    await using audit = auditNotices({ servers: cluster.servers, prefix: 'p:' })
    await audit.current()
    const [first, second] = cluster.masters
    assert.ok(first && second)
    const idsOf = async () =>
      String(await first.command('CLIENT', 'LIST')).match(/id=\d+(?= .*name=sessiongate-notices )/g)
    const before = await idsOf()
    second.stop()
    const stoppedAtMs = performance.now()
    await passed(stoppedAtMs, LEASE_MS)
    assert.equal(audit.notices.isCurrent(), false)
    await audit.down(/no answer in time/)
    second.cont()
    await audit.current()
    assert.deepEqual(await idsOf(), before)
    assert.equal(before?.length, 2)
  })

  test('need two rights more than elsewhere', async () => {
    await using cluster = await startCluster()
    const own = ['+client|id', '+client|tracking', '+subscribe', '+ping', '&__redis__:invalidate']
    const allow = async (...more: string[]) => {
      const rights = ['reset', 'on', '>app-password', '-@all', '+cluster|nodes', '+cluster|slots', ...own, ...more]
      for (const master of cluster.masters) await master.command('ACL', 'SETUSER', 'app', ...rights)
    }
    const servers = { ...cluster.servers, username: 'app', password: 'app-password' }
    await allow()
    await using audit = auditNotices({ servers, prefix: 'p:' })
    await audit.current()
    await allow('-cluster|nodes')
    await audit.down(/does not permit CLUSTER NODES$/)
    await allow('-cluster|slots')
    await using other = auditNotices({ servers, prefix: 'p:' })
    await other.down(/does not permit CLUSTER SLOTS$/)
  })
})
