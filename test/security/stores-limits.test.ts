import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { createSessionKey } from '../../src/django/session-key.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { jsonSerializer } from '../../src/sessions/caches/json-serializer.ts'
import { createMemoryCache } from '../../src/sessions/caches/memory.ts'
import type { SessionEngine } from '../../src/sessions/engine.ts'
import { createCacheSessions } from '../../src/sessions/engines/cache.ts'
import { guardEngine } from '../../src/sessions/guarded-engine.ts'
import { wasNotAsked } from '../../src/sessions/store-failure.ts'
import { increment, sessionOf } from '../contract/session-engine-world.ts'
import { openSessions } from '../integration/postgres-sessions.ts'
import { until } from '../support/deadline.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { startPostgres } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'

/** An engine in memory whose changes hang until `proceed` is called. */
function hangingEngine(): { readonly engine: SessionEngine; readonly proceed: () => void } {
  const engine = createCacheSessions(createMemoryCache({ clock: systemClock }), {
    serializer: jsonSerializer,
    keyPrefix: '',
    expiryRules: { cookieAgeSeconds: 1000, expireAtBrowserClose: false, dates: 'iso', useTz: true },
    clock: systemClock,
    newKey: () => createSessionKey(),
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  const { transition } = engine
  engine.transition = async (key, decide) => {
    await promise
    return await transition.call(engine, key, decide)
  }
  return { engine, proceed: resolve }
}

describe('one visitor’s share of the store', () => {
  const timeoutMs = 60_000

  test('whoever changes one session without end holds up that session, and nobody else', async () => {
    const { engine, proceed } = hangingEngine()
    await using guarded = guardEngine(engine, { timeoutMs })
    const [mine, other] = [await guarded.create(sessionOf('{"n":0}')), await guarded.create(sessionOf('{"n":0}'))]
    const flood = Array.from({ length: 2000 }, () => guarded.transition(mine, increment))
    const settled = Promise.allSettled(flood)
    assert.equal((await guarded.load(mine)).found, true)
    assert.equal((await guarded.load(other)).found, true)
    const changing = guarded.transition(other, increment)
    proceed()
    assert.equal((await changing).kind, 'stored')
    const results = await settled
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    assert.equal(refused.length, 1900)
    assert.ok(refused.every(wasNotAsked))
    assert.equal((await guarded.transition(mine, increment)).kind, 'stored')
  })

  test('whoever changes many at once leaves room for readers, and for the look that tells whether the store is up', async () => {
    const { engine, proceed } = hangingEngine()
    await using guarded = guardEngine(engine, { timeoutMs, maxUnderWay: 40, maxChangesOfOne: 10 })
    const keys = await Promise.all(Array.from({ length: 8 }, () => guarded.create(sessionOf('{"n":0}'))))
    const changes = Promise.allSettled(
      keys.flatMap((key) => Array.from({ length: 10 }, () => guarded.transition(key, increment))),
    )
    await assert.rejects(guarded.create(sessionOf('{}')), wasNotAsked)
    assert.equal((await guarded.load(keys[0] ?? '')).found, true)
    // Ten more readers, all of whom hang: now nothing is left but for the look.
    const { promise, resolve } = Promise.withResolvers<void>()
    const { load } = engine
    engine.load = async (key) => {
      if (keys.includes(key)) await promise
      return await load.call(engine, key)
    }
    const reads = Promise.all(Array.from({ length: 10 }, (_, i) => guarded.load(keys[i % 8] ?? '')))
    await assert.rejects(guarded.load(keys[0] ?? ''), wasNotAsked)
    await guarded.ping()
    proceed()
    resolve()
    await reads
    assert.equal((await changes).filter(({ status }) => status === 'fulfilled').length, 30)
  })
})

describe('a database that does not let us in', { skip: requireServer('postgres').skip }, () => {
  test('keeps no connection of ours, however often we ask', async () => {
    await using server = await startPostgres()
    const database = await server.createDatabase()
    const [row] = await database.sql('SHOW hba_file')
    // The server then waits for a password that the URL does not have; it would do so for a minute.
    writeFileSync(
      String(row?.hba_file),
      'local all all trust\nhost all postgres samehost trust\nhost all all samehost scram-sha-256\n',
    )
    await database.sql(`CREATE ROLE gate LOGIN PASSWORD 'a'; SELECT pg_reload_conf()`)
    await using proxy = await startFaultProxy(server.port)
    const url = `postgres://gate@127.0.0.1:${proxy.port}/${database.name}`
    await using engine = openSessions(url, { poolSize: 2 })
    for (let i = 0; i < 10; i++) {
      await assert.rejects(engine.load(createSessionKey()), /wants a password, and the URL has none/)
    }
    assert.equal(proxy.counts.accepted, 10)
    await until('our connections to be closed', () => proxy.counts.open === 0)
  })
})
