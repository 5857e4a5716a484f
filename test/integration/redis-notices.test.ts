import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Redis } from 'ioredis'
import { systemClock } from '../../src/lib/clock.ts'
import { createRedisCache } from '../../src/sessions/caches/redis.ts'
import { openRedisNotices } from '../../src/sessions/caches/redis-notices.ts'
import { type Scheduler, systemScheduler } from '../../src/sessions/scheduler.ts'
import { turns, until } from '../support/deadline.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { ADMIN } from '../support/redis-program.ts'
import { requireServer } from '../support/requirement.ts'
import { startScriptedRedis } from '../support/scripted-redis.ts'
import { auditNotices } from './redis-notice-audit.ts'

const { skip } = requireServer('redis')

describe('notices of changes in Redis', { skip }, () => {
  let server: RedisServer
  before(async () => {
    server = await startRedis()
  })
  after(() => server[Symbol.asyncDispose]())

  const everything = '*'
  const cases: [what: string, change: (key: string) => Promise<unknown>, told?: string][] = [
    ['SET', (key) => server.command('SET', key, 'new')],
    ['DEL', (key) => server.command('DEL', key)],
    ['UNLINK', (key) => server.command('UNLINK', key)],
    ['GETDEL', (key) => server.command('GETDEL', key)],
    ['EXPIRE', (key) => server.command('EXPIRE', key, 50)],
    ['PERSIST', (key) => server.command('PERSIST', key)],
    ['APPEND', (key) => server.command('APPEND', key, 'x')],
    ['a time to live that passes', (key) => server.command('PEXPIRE', key, 30)],
    ['RENAME', (key) => server.command('RENAME', key, 'elsewhere')],
    ['COPY over it', (key) => server.command('COPY', 'kept', key, 'REPLACE')],
    ['a script', (key) => server.command('EVAL', "return redis.call('SET', KEYS[1], 'x')", 1, key)],
    ['FLUSHDB', () => server.command('FLUSHDB'), everything],
    ['FLUSHALL', () => server.command('FLUSHALL', 'ASYNC'), everything],
  ]

  test('tell of every way in which somebody else can change or end a session', async () => {
    await using audit = auditNotices({ servers: server.servers, prefix: 'a:' })
    await audit.current()
    for (const [i, [what, change, told]] of cases.entries()) {
      const key = `a:${i}`
      await server.command('SET', 'kept', 'x')
      await server.command('SET', key, 'old', 'EX', 100)
      await until(`its making is told: ${what}`, () => audit.told.includes(key))
      const from = audit.told.length
      await change(key)
      await until(`it is told: ${what}`, () => audit.told.slice(from).includes(told ?? key))
    }
    assert.deepEqual(audit.stale, [])
    assert.deepEqual(
      audit.states.map(({ isUp }) => isUp),
      [false, true],
    )
  })

  test('call a session as the cache does, and tell of nothing outside of the prefix', async () => {
    const prefix = 'clé:1:django.contrib.sessions.cache'
    await using audit = auditNotices({ servers: server.servers, prefix })
    await using cache = createRedisCache({ servers: server.servers, timeoutMs: 5000, clock: systemClock })
    assert.equal(audit.notices.nameOf('abc'), `${prefix}abc`)
    await audit.current()
    const from = audit.told.length
    await server.command('SET', 'clé:1:django.contrib.sessions.cach', 'x')
    await server.command('SET', 'cl\u00e9', 'x')
    await server.command('SET', Buffer.from([0xff, 0xfe]), 'x')
    await cache.add(`${prefix}abc`, Buffer.from('1'), 100)
    await audit.heard(`${prefix}abc`, from)
    const stamp = (await cache.get(`${prefix}abc`))?.stamp
    const second = audit.told.length
    assert.equal(await cache.replace(`${prefix}abc`, { stamp, bytes: Buffer.from('2'), ttlSeconds: 100 }), true)
    await audit.heard(`${prefix}abc`, second)
    const third = audit.told.length
    assert.equal(await cache.remove(`${prefix}abc`, Buffer.from('2')), true)
    await audit.heard(`${prefix}abc`, third)
    assert.deepEqual(
      audit.told.slice(from).filter((name) => name !== `${prefix}abc`),
      [],
    )
  })

  test('are told within a moment, also while many sessions change', async (t) => {
    await using audit = auditNotices({ servers: server.servers, prefix: 'b:' })
    await audit.current()
    const writer = new Redis({ path: server.socketPath, ...ADMIN, disableClientInfo: true })
    const change = (key: string) => audit.change(key, () => writer.set(key, 'x', 'EX', 100))
    try {
      for (let i = 0; i < 1000; i++) await change(`b:one:${i}`)
      await until('all are told', () => audit.delaysMs.length >= 1000)
      t.diagnostic(`one at a time: ${spread(audit.delaysMs)}`)
      for (let i = 0; i < 10_000; i += 100)
        await Promise.all(Array.from({ length: 100 }, (_, k) => change(`b:many:${i + k}`)))
      await until('all are told', () => audit.delaysMs.length >= 11_000)
      t.diagnostic(`100 at a time: ${spread(audit.delaysMs.slice(1000))}`)
    } finally {
      writer.disconnect()
    }
    assert.deepEqual(audit.stale, [])
  })

  test('tell that everything is gone before they are current, and again when they are to be renewed', async () => {
    const events: string[] = []
    await using notices = openRedisNotices({ servers: server.servers, prefix: 'c:' })
    notices.onState(({ isUp }) => events.push(isUp ? 'up' : 'down'))
    await turns()
    assert.deepEqual(events, ['down'], 'nothing is done before somebody listens')
    notices.listen({
      changed() {},
      everythingChanged: () => events.push(notices.isCurrent() ? 'everything, current' : 'everything'),
    })
    await until('it is current', () => notices.isCurrent())
    assert.deepEqual(events, ['down', 'everything', 'up'])
    notices.renew()
    assert.equal(notices.isCurrent(), false)
    assert.deepEqual(events, ['down', 'everything', 'up', 'everything'])
    notices.renew()
    notices.renew()
    await until('it is current again', () => notices.isCurrent())
    assert.deepEqual(events, ['down', 'everything', 'up', 'everything', 'everything'], 'which is no change of state')
    await notices[Symbol.asyncDispose]()
    assert.equal(notices.isCurrent(), false)
  })

  test('take what somebody else says on their channel for the worst', async () => {
    await using audit = auditNotices({ servers: server.servers, prefix: 'd:' })
    await audit.current()
    const from = audit.told.length
    await server.command('PUBLISH', '__redis__:invalidate', 'd:1')
    await until('everything is told', () => audit.told.slice(from).includes(everything))
    assert.equal(audit.notices.isCurrent(), true)
  })

  test('need no more than a few rights, and name the one that is missing', async () => {
    const own = ['+client|id', '+client|tracking', '+subscribe', '+ping', '&__redis__:invalidate']
    const rights = ['-@all', '+set', '+del', '+eval', '~acl:*', 'resetchannels', ...own]
    const allow = (...more: string[]) =>
      server.command('ACL', 'SETUSER', 'app', 'reset', 'on', '>app-password', ...rights, ...more)
    await allow()
    const servers = { ...server.servers, username: 'app', password: 'app-password' }
    {
      await using audit = auditNotices({ servers, prefix: 'acl:' })
      await audit.current()
      const from = audit.told.length
      await server.command('SET', 'acl:1', 'x')
      await audit.heard('acl:1', from)
      // Somebody who has lost a right while the line stands.
      await allow('-del')
      await audit.down(/the user's ACL does not permit DEL$/)
      assert.equal(audit.notices.isCurrent(), false)
    }
    const missing: [rule: string, reason: RegExp][] = [
      ['-client|id', /does not permit CLIENT ID$/],
      ['-client|tracking', /does not permit CLIENT TRACKING$/],
      ['-subscribe', /does not permit SUBSCRIBE to __redis__:invalidate$/],
      ['resetchannels', /does not permit SUBSCRIBE to __redis__:invalidate$/],
      ['-ping', /does not permit PING$/],
      ['-eval', /does not permit EVAL$/],
      ['-set', /refuses EVAL: the user's ACL does not permit a command or a key that a script needs$/],
      ['resetkeys', /does not permit DEL$/],
    ]
    for (const [rule, reason] of missing) {
      await allow(rule)
      await using audit = auditNotices({ servers, prefix: 'acl:' })
      await audit.down(reason)
      assert.equal(audit.states.length, 2, 'one change of state, from which nobody learns more')
    }
    await using stranger = auditNotices({ servers: { ...servers, password: 'other-password' }, prefix: 'acl:' })
    await stranger.down(/it refuses the user or the password$/)
    assert.doesNotMatch(JSON.stringify(stranger.states), /password'|other|app-/)
  })

  test('do not come from a server that knows nothing of them, which is not asked all the time', async () => {
    await using old = await startScriptedRedis((name, [what = '']) => {
      if (name === 'DEL') return ':0\r\n'
      if (name === 'SUBSCRIBE') return '*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n'
      if (name !== 'CLIENT') return '+OK\r\n'
      if (what.toUpperCase() === 'ID') return ':7\r\n'
      return what.toUpperCase() === 'TRACKING' ? "-ERR Unknown subcommand for 'TRACKING'\r\n" : '+OK\r\n'
    })
    const pausesMs: number[] = []
    const scheduler: Scheduler = {
      nowMs: systemScheduler.nowMs,
      after(delayMs, task) {
        pausesMs.push(delayMs)
        return systemScheduler.after(delayMs, task)
      },
    }
    await using audit = auditNotices({ servers: old.servers, prefix: 'e:', scheduler })
    await audit.down(/it refuses CLIENT TRACKING/)
    assert.ok(Math.max(...pausesMs) >= 15_000, 'the next attempt is far away')
    assert.equal(old.connections, 2)
  })

  test('do not count when what is asked for on one connection does not come on the other', async () => {
    // Two servers behind one name: what is a number of ours here is a stranger's there.
    await using other = await startScriptedRedis((name, [what = '']) => {
      if (name === 'DEL' || name === 'EVAL') return ':1\r\n'
      if (name === 'SUBSCRIBE') return '*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n'
      if (name === 'PING') return '*2\r\n$4\r\npong\r\n$0\r\n\r\n'
      return name === 'CLIENT' && what.toUpperCase() === 'ID' ? ':7\r\n' : '+OK\r\n'
    })
    await using audit = auditNotices({ servers: other.servers, prefix: 'f:', connectTimeoutMs: 300 })
    await audit.down(/no answer in time/)
    assert.equal(audit.told.length, 0)
    assert.equal(other.commands.filter((name) => name === 'EVAL').length > 0, true, 'it came as far as being tried out')
  })

  test('come over TLS', async () => {
    await using secure = await startRedis({ tls: true })
    await using audit = auditNotices({ servers: secure.servers, prefix: 'g:' })
    await audit.current()
    await secure.command('SET', 'g:1', 'x')
    await audit.heard('g:1', 1)
  })

  test('come from a server that throws sessions out because its memory is full', async () => {
    await using small = await startRedis({ config: ['maxmemory 3mb', 'maxmemory-policy allkeys-lru'] })
    await using audit = auditNotices({ servers: small.servers, prefix: 'h:' })
    await audit.current()
    await small.command('SET', 'h:first', 'x')
    await until('its making is told', () => audit.told.includes('h:first'))
    const from = audit.told.length
    const value = Buffer.alloc(20_000, 'x')
    for (let i = 0; (await small.command('EXISTS', 'h:first')) === 1; i++) {
      assert.ok(i < 1000, 'it is never thrown out')
      await small.command('SET', `other:${i}`, value)
    }
    await until('its end is told', () => audit.told.slice(from).includes('h:first'))
  })
})

function spread(delaysMs: readonly number[]): string {
  const sorted = delaysMs.toSorted((a, b) => a - b)
  const at = (share: number) => (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(2)
  return `told after p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms, from when the change was sent`
}
