import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { until } from '../support/deadline.ts'
import { type Fault, startFaultProxy } from '../support/fault-proxy.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { eventually } from '../support/redis-program.ts'
import { requireServer } from '../support/requirement.ts'
import { auditNotices, changing, LEASE_MS, type NoticeAudit, passed } from './redis-notice-audit.ts'

const { skip } = requireServer('redis')

/** The ids of our connections to the server: the ears, which are in subscriber mode, and the hand. */
async function ends(server: RedisServer): Promise<{ ears: string; hand: string }> {
  const lines = String(await server.command('CLIENT', 'LIST')).split('\n')
  const own = lines.filter((line) => line.includes(' name=sessiongate-notices '))
  const idOf = (line: string | undefined) => /^id=(\d+) /.exec(line ?? '')?.[1] ?? assert.fail('no such connection')
  const isEars = (line: string) => / sub=1 /.test(line)
  return { ears: idOf(own.find(isEars)), hand: idOf(own.find((line) => !isEars(line))) }
}

function ups(audit: NoticeAudit): boolean[] {
  return audit.states.map(({ isUp }) => isUp)
}

describe('notices of changes in Redis, when something breaks', { skip }, () => {
  for (const end of ['ears', 'hand'] as const) {
    test(`are down when the server cuts off the ${end}, and tell that everything is gone before they are up`, async () => {
      await using server = await startRedis()
      await using audit = auditNotices({ servers: server.servers, prefix: 'p:' })
      await audit.current()
      const from = audit.told.length
      await server.command('CLIENT', 'KILL', 'ID', (await ends(server))[end])
      await until('it is noticed', () => audit.states.length > 2)
      assert.equal(audit.told[from], '*')
      await audit.current()
      assert.deepEqual(ups(audit), [false, true, false, true])
      assert.ok(audit.told.slice(from + 1).includes('*'))
      const { ears, hand } = await ends(server)
      assert.ok(Number(ears) > 0 && Number(hand) > 0)
      const later = audit.told.length
      await server.command('SET', 'p:later', 'x')
      await audit.heard('p:later', later)
    })
  }

  test('are down while the server is gone, and up when it is back', async (t) => {
    await using server = await startRedis()
    await using audit = auditNotices({ servers: server.servers, prefix: 'p:' })
    await audit.current()
    await server.kill()
    await audit.down(/the connection ended|ECONNREFUSED|ECONNRESET/)
    assert.equal(audit.notices.isCurrent(), false)
    await audit.down(/ECONNREFUSED/)
    await server.start()
    const backAtMs = performance.now()
    await audit.current()
    t.diagnostic(`current again ${Math.round(performance.now() - backAtMs)} ms after the server answered`)
  })

  test('are not current for longer than the lease when the server stands still, nor while it does', async (t) => {
    await using server = await startRedis()
    await using audit = auditNotices({ servers: server.servers, prefix: 'p:' })
    await audit.current()
    const from = audit.told.length
    server.stop()
    const stoppedAtMs = performance.now()
    await until('they are current no more', () => !audit.notices.isCurrent())
    t.diagnostic(`not current ${Math.round(performance.now() - stoppedAtMs)} ms after it was stopped`)
    await passed(stoppedAtMs, LEASE_MS)
    assert.equal(audit.notices.isCurrent(), false)
    await audit.down(/no answer in time/)
    assert.equal(audit.told[from], '*')
    await passed(stoppedAtMs, 4 * LEASE_MS)
    assert.equal(audit.notices.isCurrent(), false)
    server.cont()
    await audit.current()
    await server.command('SET', 'p:1', 'x')
    await audit.heard('p:1', audit.told.length - 1)
  })

  test('are current again without being built anew when the server stood still for less than the lease', async () => {
    await using server = await startRedis()
    await using audit = auditNotices({ servers: server.servers, prefix: 'p:' })
    await audit.current()
    const before = await ends(server)
    server.stop()
    await passed(performance.now(), LEASE_MS / 2)
    server.cont()
    await passed(performance.now(), LEASE_MS)
    await audit.current()
    assert.deepEqual(await ends(server), before)
    assert.deepEqual(ups(audit), [false, true])
  })

  test('are current again without being built anew after this process itself stood still', async () => {
    await using server = await startRedis()
    await using audit = auditNotices({ servers: server.servers, prefix: 'p:' })
    await audit.current()
    const before = await ends(server)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * LEASE_MS)
    assert.equal(audit.notices.isCurrent(), false)
    await audit.current()
    assert.deepEqual(await ends(server), before)
    assert.deepEqual(ups(audit), [false, true])
  })

  const faults: [why: string, fault: Fault][] = [
    ['bytes vanish in both directions', { kind: 'swallow' }],
    ['what the server says vanishes', { kind: 'swallow', direction: 'down' }],
    ['what we say vanishes', { kind: 'swallow', direction: 'up' }],
    ['bytes are held back', { kind: 'stall' }],
    ['what the server says is garbled', { kind: 'corrupt', everyBytes: 7, direction: 'down' }],
    ['what the server says comes twice', { kind: 'duplicate', direction: 'down' }],
    ['the server hangs up', { kind: 'cut', direction: 'down', afterBytes: 3, how: 'close' }],
    ['the connections are reset', { kind: 'reset' }],
  ]
  for (const [why, fault] of faults) {
    test(`are not current for longer than the lease when ${why}`, async (t) => {
      await using server = await startRedis()
      await using proxy = await startFaultProxy(server.port)
      const servers = { kind: 'redis', server: { kind: 'tcp', host: proxy.host, port: proxy.port } } as const
      await using audit = auditNotices({ servers, prefix: 'p:' })
      await audit.current()
      const writer = changing(audit, (key) => server.command('SET', key, 'x', 'EX', 100))
      proxy.set(fault)
      const sinceMs = performance.now()
      await audit.down()
      t.diagnostic(`told after ${Math.round(performance.now() - sinceMs)} ms`)
      await passed(sinceMs, 2 * LEASE_MS)
      assert.equal(audit.notices.isCurrent(), false)
      proxy.pass()
      await audit.current()
      t.diagnostic(`${await writer.stop()} changes meanwhile`)
      await stillWorks(audit, server)
    })
  }

  test('are not current while only one of the two connections hangs, whichever it is', async () => {
    await using server = await startRedis()
    await using proxy = await startFaultProxy(server.port)
    const servers = { kind: 'redis', server: { kind: 'tcp', host: proxy.host, port: proxy.port } } as const
    for (let i = 0; i < 4; i++) {
      // The next connection that is opened works until something is said on it; the other of the pair does.
      proxy.set({ kind: 'swallow', direction: 'down' }, 'next')
      await using audit = auditNotices({ servers, prefix: 'p:', connectTimeoutMs: 500 })
      await audit.down(/no answer in time/)
      assert.equal(audit.notices.isCurrent(), false)
      await audit.current()
    }
  })

  test('come through a slow network, but are not current in one that is slower than the lease', async () => {
    await using server = await startRedis()
    await using proxy = await startFaultProxy(server.port)
    const servers = { kind: 'redis', server: { kind: 'tcp', host: proxy.host, port: proxy.port } } as const
    await using audit = auditNotices({ servers, prefix: 'p:' })
    proxy.set({ kind: 'delay', delayMs: 60, jitterMs: 40 })
    await audit.current()
    const writer = changing(audit, (key) => server.command('SET', key, 'x', 'EX', 100))
    await passed(performance.now(), 2 * LEASE_MS)
    proxy.set({ kind: 'delay', delayMs: LEASE_MS })
    await audit.down()
    proxy.pass()
    await audit.current()
    await writer.stop()
    await stillWorks(audit, server)
  })

  test('are down as soon as the server has become a replica', async (t) => {
    await using server = await startRedis()
    await using master = await startRedis()
    await using audit = auditNotices({ servers: server.servers, prefix: 'p:' })
    await audit.current()
    await server.command('REPLICAOF', master.host, master.port)
    const sinceMs = performance.now()
    await audit.down(/read-only replica/)
    t.diagnostic(`told after ${Math.round(performance.now() - sinceMs)} ms`)
    await passed(sinceMs, 2 * LEASE_MS)
    assert.equal(audit.notices.isCurrent(), false)
    await server.command('REPLICAOF', 'NO', 'ONE')
    await audit.current()
  })

  test('stay up on a master that may not write, since it still can be read', async () => {
    // With a first line for `save` a server that cannot save takes no writes; the one of the others says never.
    await using server = await startRedis({ config: ['save 3600 1000000'] })
    await using audit = auditNotices({ servers: server.servers, prefix: 'p:' })
    await audit.current()
    await server.command('CONFIG', 'SET', 'min-replicas-to-write', 1)
    await assert.rejects(server.command('SET', 'p:1', 'x'), /NOREPLICAS/)
    await passed(performance.now(), 2 * LEASE_MS)
    assert.equal(audit.notices.isCurrent(), true)
    await server.command('CONFIG', 'SET', 'min-replicas-to-write', 0)
    await mkdir(join(dirname(server.socketPath), 'dump.rdb'))
    await server.command('BGSAVE')
    const isRefused = async () => /MISCONF/.test(String(await server.command('SET', 'p:1', 'x').catch(String)))
    await eventually('writes are refused', isRefused)
    await passed(performance.now(), 2 * LEASE_MS)
    assert.equal(audit.notices.isCurrent(), true)
    assert.deepEqual(ups(audit), [false, true])
  })

  test('do not run the server over while it is gone, and tell each reason once', async (t: TestContext) => {
    await using server = await startRedis()
    await using proxy = await startFaultProxy(server.port)
    const servers = { kind: 'redis', server: { kind: 'tcp', host: proxy.host, port: proxy.port } } as const
    await using audit = auditNotices({ servers, prefix: 'p:' })
    await audit.current()
    proxy.set({ kind: 'reset' })
    const { accepted } = proxy.counts
    await passed(performance.now(), 5000)
    const attempts = proxy.counts.accepted - accepted
    t.diagnostic(`${attempts} connections in 5 s`)
    assert.ok(attempts <= 24, 'two for each attempt, which are 200 ms to 2 s apart')
    const reasons = audit.states.slice(2).map((state) => (state.isUp ? 'up' : state.reason))
    assert.equal(new Set(reasons).size, reasons.length)
    proxy.pass()
    await audit.current()
  })
})

async function stillWorks(audit: NoticeAudit, server: RedisServer): Promise<void> {
  const from = audit.told.length
  await server.command('SET', 'p:still', 'x')
  await audit.heard('p:still', from)
  assert.deepEqual(audit.stale, [])
}
