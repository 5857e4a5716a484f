import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { until } from '../support/deadline.ts'
import { type RedisSentinels, startSentinels } from '../support/redis.ts'
import { ask } from '../support/redis-program.ts'
import { requireServer } from '../support/requirement.ts'
import { auditNotices, changing, LEASE_MS, type NoticeAudit, passed } from './redis-notice-audit.ts'

const { skip } = requireServer('redis')

describe('notices of changes in Redis behind Sentinel', { skip }, () => {
  let group: RedisSentinels
  before(async () => {
    group = await startSentinels()
  })
  after(() => group[Symbol.asyncDispose]())

  /** Somebody who changes sessions on the server that a sentinel names at that moment. */
  const writing = (audit: NoticeAudit) =>
    changing(audit, async (key) => (await group.master()).command('SET', key, 'x', 'EX', 100))

  async function works(audit: NoticeAudit): Promise<void> {
    await audit.current(30_000)
    const from = audit.told.length
    await (await group.master()).command('SET', 'p:works', 'x')
    await audit.heard('p:works', from)
    assert.deepEqual(audit.stale, [])
  }

  test('come from the new master after the old one was killed', async (t) => {
    await using audit = auditNotices({ servers: group.servers, prefix: 'p:' })
    await audit.current()
    const old = await group.master()
    const writer = writing(audit)
    await until('changes are made', () => writer.count > 10)
    const killedAtMs = performance.now()
    await old.kill()
    await audit.down()
    await until('another is named', () => audit.states.length > 3, 30_000)
    await audit.current(30_000)
    t.diagnostic(`current again ${Math.round(performance.now() - killedAtMs)} ms after the master was killed`)
    assert.notEqual(await group.master(), old)
    t.diagnostic(`${await writer.stop()} changes`)
    await works(audit)
    await old.start()
    await group.settled()
  })

  test('are not current any more when the first sentinel names another, while the old master goes on', async (t) => {
    await using audit = auditNotices({ servers: group.servers, prefix: 'p:' })
    await audit.current()
    const old = await group.master()
    const writer = writing(audit)
    await until('changes are made', () => writer.count > 10)
    await ask(group.sentinels[1]?.port ?? 0, 'SENTINEL', 'failover', 'mymaster')
    const namesAnother = async () => {
      const named = await Promise.all(
        group.sentinels.map(({ port }) => ask(port, 'SENTINEL', 'get-master-addr-by-name', 'mymaster')),
      )
      return named.some((reply) => Array.isArray(reply) && Number(reply[1]) !== old.port)
    }
    while (!(await namesAnother()));
    const namedAtMs = performance.now()
    assert.match(String(await old.command('ROLE')), /^master/, 'it has not heard of it')
    await audit.down(/another master|do not agree|connection ended/)
    t.diagnostic(`down ${Math.round(performance.now() - namedAtMs)} ms after a sentinel named another`)
    await audit.current(30_000)
    t.diagnostic(`current again after ${Math.round(performance.now() - namedAtMs)} ms`)
    assert.notEqual(await group.master(), old)
    await group.settled()
    t.diagnostic(`${await writer.stop()} changes`)
    await works(audit)
  })

  test('stay current while one sentinel hangs and another is gone, and are down when none is left', async () => {
    await using audit = auditNotices({ servers: group.servers, prefix: 'p:' })
    await audit.current()
    const [first, second, third] = group.sentinels
    first?.stop()
    await second?.kill()
    try {
      await passed(performance.now(), 3 * LEASE_MS)
      assert.deepEqual(
        audit.states.map(({ isUp }) => isUp),
        [false, true],
      )
      assert.equal(audit.notices.isCurrent(), true)
      third?.stop()
      const stoppedAtMs = performance.now()
      await passed(stoppedAtMs, LEASE_MS)
      assert.equal(audit.notices.isCurrent(), false, 'nobody says who is the master')
      await audit.down(/sentinel|no answer/)
    } finally {
      third?.cont()
      first?.cont()
      await second?.start()
    }
    await works(audit)
    await group.settled()
  })

  test('say why there is no master', async () => {
    await using unknown = auditNotices({ servers: { ...group.servers, master: 'other' }, prefix: 'p:' })
    await unknown.down(/the sentinels know no master of that name/)
    const nobody = { ...group.servers, sentinels: [{ host: '127.0.0.1', port: 1 }] }
    await using alone = auditNotices({ servers: nobody, prefix: 'p:' })
    await alone.down(/no sentinel can be reached|ECONNREFUSED/)
    const stranger = { ...group.servers, sentinelPassword: 'no-such-password', sentinelUsername: 'nobody' }
    await using refused = auditNotices({ servers: stranger, prefix: 'p:' })
    await refused.down(/the sentinels: it refuses the user or the password/)
  })
})
