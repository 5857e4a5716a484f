import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { GatewayError } from '../../src/errors.ts'
import { sqlState } from '../../src/sessions/databases/postgres-failure.ts'
import type { SessionEngine } from '../../src/sessions/engine.ts'
import { increment, listKeys, sessionOf } from '../contract/session-engine-world.ts'
import { turns, within } from '../support/deadline.ts'
import { startPgbouncer } from '../support/pgbouncer.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import { failureOf, noneIsActive, numberOf, openSessions, recovers } from './postgres-sessions.ts'

const { skip } = requireServer('postgres')
const pgbouncer = requireServer('pgbouncer')

describe('PostgreSQL in trouble', { skip }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server?.[Symbol.asyncDispose]())

  for (const mode of ['fast', 'immediate'] as const) {
    test(`restarted while in use (${mode}): the calls of that time fail, the next ones work, nothing acknowledged is lost`, async () => {
      const database = await server.createDatabase()
      await using engine = openSessions(database.url)
      const key = await engine.create(sessionOf('{"n":0}'))
      const writers = startWriters(engine, key, 10)
      await writers.stored(50)
      await server.restart(mode)
      await writers.stored(50)
      const { acknowledged, unknown } = await writers.stop()
      const n = await numberOf(engine, key)
      assert.ok(n >= acknowledged && n <= acknowledged + unknown, `${acknowledged} of ${n}, ${unknown} unknown`)
    })
  }

  test('down at the start: the calls fail, and work as soon as it is there', async () => {
    const database = await server.createDatabase()
    await server.stop()
    await using engine = openSessions(database.url)
    const calls = [engine.load('a'.repeat(32)), engine.create(sessionOf('{}')), engine.ping(), engine.clearExpired(1)]
    for (const outcome of await Promise.allSettled(calls)) {
      assert.ok(outcome.status === 'rejected' && outcome.reason instanceof GatewayError)
      assert.equal(outcome.reason.code, 'ERR_STORE_UNAVAILABLE')
      assert.deepEqual(outcome.reason.facts, { outcome: 'failed' })
      assert.match(outcome.reason.message, /127\.0\.0\.1:\d+\/test_\d+ cannot be reached/)
    }
    await server.start()
    await engine.create(sessionOf('{}'))
  })

  test('stopped (SIGSTOP): every call ends in time, however many there are, and works again when it goes on', async () => {
    const database = await server.createDatabase()
    await using engine = openSessions(database.url, { timeoutMs: 500, batchTimeoutMs: 500 })
    await using patient = openSessions(database.url)
    const key = await patient.create(sessionOf('{"n":0}'))
    await Promise.all(Array.from({ length: 5 }, () => engine.load(key)))
    await server.pause()
    const startedAt = performance.now()
    const tookMs: number[] = []
    const done = () => tookMs.push(performance.now() - startedAt)
    const calls = Array.from({ length: 20 }, () => [
      engine.load(key),
      engine.transition(key, increment),
      engine.create(sessionOf('{}')),
      engine.ping(),
      engine.clearExpired(10),
    ]).flat()
    for (const call of calls) call.then(done, done)
    const outcomes = await within('all calls to end', Promise.allSettled(calls), 5000)
    for (const outcome of outcomes) {
      assert.ok(outcome.status === 'rejected')
      assert.equal(outcome.reason.code, 'ERR_STORE_UNAVAILABLE')
    }
    assert.ok(Math.max(...tookMs) < 2500, `${Math.max(...tookMs)} ms`)
    await server.resume()
    // What was sent before the stop may have been done by now, once.
    const before = await numberOf(patient, key)
    assert.equal((await patient.transition(key, increment)).kind, 'stored')
    await recovers(engine)
    assert.ok((await numberOf(patient, key)) >= before + 1)
    assert.ok((await numberOf(patient, key)) <= 22)
  })

  test('with the table locked by somebody: the calls end, and the server does not work on them any more', async () => {
    const database = await server.createDatabase()
    await using engine = openSessions(database.url, { timeoutMs: 500, batchTimeoutMs: 500 })
    const key = await engine.create(sessionOf('{"n":0}'))
    await using other = await database.connect()
    await other.sql('BEGIN; LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE')
    const calls = [
      engine.load(key),
      engine.transition(key, increment),
      engine.create(sessionOf('{}')),
      listKeys(engine),
    ]
    for (const outcome of await Promise.allSettled([...calls, engine.clearExpired(1)])) {
      assert.ok(outcome.status === 'rejected')
      assert.equal(outcome.reason.code, 'ERR_STORE_UNAVAILABLE')
    }
    await noneIsActive(database)
    await other.sql('ROLLBACK')
    await recovers(engine)
    assert.equal(await numberOf(engine, key), 0)
  })

  test('with a row locked by somebody: writing fails for sure, reading goes on, and so do other rows', async () => {
    const database = await server.createDatabase()
    await using engine = openSessions(database.url, { timeoutMs: 1000 })
    const key = await engine.create(sessionOf('{"n":0}'))
    await using other = await database.connect()
    await other.sql('BEGIN')
    await other.sql('SELECT 1 FROM django_session WHERE session_key = $1 FOR UPDATE', [key])
    const failing = failureOf(engine.transition(key, increment))
    await database.lockAwaited()
    assert.equal(await numberOf(engine, key), 0)
    await engine.delete(await engine.create(sessionOf('{}')))
    const error = await failing
    assert.equal(sqlState(error), '55P03')
    assert.deepEqual(error.facts, { outcome: 'failed' })
    await other.sql('ROLLBACK')
    assert.equal((await engine.transition(key, increment)).kind, 'stored')
    assert.equal(await numberOf(engine, key), 1)
  })

  test('read-only: reads go on, writes fail, and work again without a restart of anything', async () => {
    const database = await server.createDatabase()
    await using patient = openSessions(database.url)
    const key = await patient.create(sessionOf('{"n":0}'))
    await server.sql(`ALTER DATABASE ${database.name} SET default_transaction_read_only = on`)
    await using engine = openSessions(database.url, { poolSize: 3 })
    assert.deepEqual(await Promise.all(Array.from({ length: 3 }, () => numberOf(engine, key))), [0, 0, 0])
    const error = await failureOf(engine.transition(key, increment))
    assert.equal(sqlState(error), '25006')
    assert.match(error.message, /is read-only/)
    assert.deepEqual(error.facts, { outcome: 'failed' })
    await server.sql(`ALTER DATABASE ${database.name} RESET default_transaction_read_only`)
    // None of the connections made while it was a standby is used again.
    assert.equal((await engine.transition(key, increment)).kind, 'stored')
    assert.equal(await numberOf(engine, key), 1)
  })

  test('too many connections: the call fails and says so, and works when there is room', async () => {
    await using small = await startPostgres({
      settings: { max_connections: '4', superuser_reserved_connections: '0', max_wal_senders: '0' },
    })
    const database = await small.createDatabase()
    await using engine = openSessions(database.url, { poolSize: 10 })
    const key = await engine.create(sessionOf('{"n":0}'))
    const others = [await database.connect(), await database.connect()]
    const outcomes = await Promise.allSettled(Array.from({ length: 30 }, () => engine.transition(key, increment)))
    const loads = await Promise.allSettled(Array.from({ length: 30 }, () => engine.load(key)))
    for (const outcome of [...outcomes, ...loads]) {
      if (outcome.status === 'fulfilled') continue
      assert.equal(sqlState(outcome.reason), '53300')
      assert.match(outcome.reason.message, /has no connection left/)
    }
    assert.ok(loads.some(({ status }) => status === 'rejected'))
    assert.ok(loads.some(({ status }) => status === 'fulfilled'))
    for (const other of others) await other[Symbol.asyncDispose]()
    await recovers(engine)
    const stored = outcomes.filter(({ status }) => status === 'fulfilled').length
    assert.equal(await numberOf(engine, key), stored)
  })

  test('a database that does not exist, or a user: the message names it and no password', async () => {
    const cases: [url: string, state: string][] = [
      [`postgres://postgres:5ecret@127.0.0.1:${server.port}/nowhere`, '3D000'],
      [`postgres://stranger:5ecret@127.0.0.1:${server.port}/postgres`, '28000'],
    ]
    for (const [url, state] of cases) {
      await using engine = openSessions(url)
      const error = await failureOf(engine.ping())
      assert.equal(sqlState(error), state)
      assert.doesNotMatch(error.message, /5ecret|stranger/)
    }
  })

  test('a foreign key on the table: a log-out that cannot be done says why', async () => {
    const database = await server.createDatabase()
    await using engine = openSessions(database.url)
    const key = await engine.create(sessionOf('{"n":0}'))
    await database.sql('CREATE TABLE log (session_key varchar(40) REFERENCES django_session)')
    await database.sql('INSERT INTO log VALUES ($1)', [key])
    const error = await failureOf(engine.delete(key))
    assert.match(error.message, /another table refers to it/)
    assert.ok(!JSON.stringify({ ...(error.cause ?? {}) }).includes(key), 'the key is quoted nowhere')
  })

  test('behind pgbouncer without being told: the message names the setting', { skip: pgbouncer.skip }, async () => {
    const database = await server.createDatabase()
    await using bouncer = await startPgbouncer(server)
    await using engine = openSessions(bouncer.urlOf(database), { pgbouncer: false })
    assert.match((await failureOf(engine.ping())).message, /database\.pgbouncer: true/)
  })

  test('closed in the middle: what is under way ends, and what comes later fails', async () => {
    const database = await server.createDatabase()
    const engine = openSessions(database.url)
    const key = await engine.create(sessionOf('{"n":0}'))
    const calls = Array.from({ length: 20 }, () => engine.load(key))
    const closing = engine[Symbol.asyncDispose]()
    const [closed, ...loads] = await within('all of it to end', Promise.allSettled([closing, ...calls]))
    assert.equal(closed?.status, 'fulfilled')
    assert.ok(loads.every(({ status }) => status === 'fulfilled'))
    await failureOf(engine.load(key))
  })
})

/** Writers that increment without end, whatever fails. */
function startWriters(engine: SessionEngine, key: string, count: number) {
  const counts = { acknowledged: 0, unknown: 0 }
  const control = { isStopped: false }
  const write = async () => {
    while (!control.isStopped) {
      try {
        await engine.transition(key, increment)
        counts.acknowledged++
      } catch (error) {
        assert.ok(error instanceof GatewayError && error.code === 'ERR_STORE_UNAVAILABLE')
        if (error.facts.outcome !== 'failed') counts.unknown++
        await turns(1)
      }
    }
  }
  const writers = Array.from({ length: count }, write)
  return {
    async stored(more: number) {
      const goal = counts.acknowledged + more
      while (counts.acknowledged < goal) await turns(1)
    },
    async stop() {
      control.isStopped = true
      await Promise.all(writers)
      return counts
    },
  }
}
