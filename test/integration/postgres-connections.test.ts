import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { GatewayError } from '../../src/errors.ts'
import { sqlState } from '../../src/sessions/databases/postgres-failure.ts'
import { increment, sessionOf } from '../contract/session-engine-world.ts'
import { turns } from '../support/deadline.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import { failureOf, noneIsActive, numberOf, OURS, openSessions, recovers } from './postgres-sessions.ts'

describe('a connection to PostgreSQL that is lost', { skip: requireServer('postgres').skip }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server?.[Symbol.asyncDispose]())

  test('a connection that dies in the middle of a write: the outcome is told as unknown, and nothing is sent again', async () => {
    const database = await server.createDatabase()
    await using engine = openSessions(database.url)
    const key = await engine.create(sessionOf('{"n":0}'))
    await using other = await database.connect()
    await other.sql('BEGIN')
    await other.sql('SELECT 1 FROM django_session WHERE session_key = $1 FOR UPDATE', [key])
    let decisions = 0
    const writing = engine.transition(key, (now) => {
      decisions++
      return increment(now)
    })
    const failing = failureOf(writing)
    await database.lockAwaited()
    await database.sql(`SELECT pg_terminate_backend(pid) ${OURS} AND wait_event_type = 'Lock'`)
    const error = await failing
    assert.equal(sqlState(error), '57P01')
    assert.deepEqual(error.facts, {})
    await other.sql('ROLLBACK')
    await noneIsActive(database)
    assert.equal(await numberOf(engine, key), 0)
    assert.equal(decisions, 1)
    assert.equal((await engine.transition(key, increment)).kind, 'stored')
  })

  test('a connection that dies in the middle of a read: it is read once more on a fresh one', async () => {
    const database = await server.createDatabase()
    await using engine = openSessions(database.url)
    const key = await engine.create(sessionOf('{"n":7}'))
    await using other = await database.connect()
    await other.sql('BEGIN; LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE')
    const reading = numberOf(engine, key)
    await database.lockAwaited()
    await database.sql(`SELECT pg_terminate_backend(pid) ${OURS} AND wait_event_type = 'Lock'`)
    await database.lockAwaited()
    await other.sql('ROLLBACK')
    assert.equal(await reading, 7)
  })

  test('connections that die unused: nobody notices', async () => {
    const database = await server.createDatabase()
    await using engine = openSessions(database.url)
    const key = await engine.create(sessionOf('{"n":7}'))
    await Promise.all(Array.from({ length: 5 }, () => numberOf(engine, key)))
    await database.sql(`SELECT pg_terminate_backend(pid) ${OURS}`)
    await turns()
    const numbers = await Promise.all(Array.from({ length: 20 }, () => numberOf(engine, key)))
    assert.deepEqual(new Set(numbers), new Set([7]))
  })

  test('a write whose answer is lost is done once, and not told as failed', async () => {
    const database = await server.createDatabase()
    await using proxy = await startFaultProxy(server.port)
    await using engine = openSessions(database.url.replace(String(server.port), String(proxy.port)), { poolSize: 1 })
    await using direct = openSessions(database.url)
    const key = await engine.create(sessionOf('{"n":0}'))
    for (let round = 1; round <= 10; round++) {
      // The read's answer passes, the write's does not.
      const writing = engine.transition(key, (now) => {
        proxy.set({ kind: 'cut', direction: 'down', afterBytes: 0 }, 'open')
        return increment(now)
      })
      assert.deepEqual((await failureOf(writing)).facts, {})
      assert.equal(await numberOf(direct, key), round)
    }
  })

  test('an answer cut off after any number of bytes: a read comes out whole, by another connection', async () => {
    const database = await server.createDatabase()
    await using proxy = await startFaultProxy(server.port)
    await using engine = openSessions(database.url.replace(String(server.port), String(proxy.port)), { poolSize: 1 })
    const key = await engine.create(sessionOf('{"n":7}'))
    await numberOf(engine, key)
    const { downBytes } = proxy.counts
    await numberOf(engine, key)
    const length = proxy.counts.downBytes - downBytes
    for (let afterBytes = 0; afterBytes < length; afterBytes += 3) {
      proxy.set({ kind: 'cut', direction: 'down', afterBytes }, 'open')
      assert.equal(await numberOf(engine, key), 7, `after ${afterBytes} bytes`)
    }
  })

  test('a server that talks nonsense, while connecting or later: the calls end, and the process lives', async () => {
    const database = await server.createDatabase()
    await using proxy = await startFaultProxy(server.port)
    const url = database.url.replace(String(server.port), String(proxy.port))
    await using engine = openSessions(url, { timeoutMs: 300, poolSize: 1 })
    await using direct = openSessions(database.url)
    const key = await direct.create(sessionOf('{"n":7}'))
    for (let offset = 0; offset < 60; offset++) {
      proxy.kill()
      if (offset % 2) await recovers(engine)
      proxy.set({ kind: 'corrupt', direction: 'down', offset, everyBytes: 1_000_000 })
      // Whatever comes of it: nothing is thrown past the call, which would end this file.
      const outcome = await engine.load(key).catch((error: unknown) => error)
      assert.ok(!(outcome instanceof Error) || outcome instanceof GatewayError)
      proxy.pass()
    }
    proxy.kill()
    await recovers(engine)
    assert.equal(await numberOf(engine, key), 7)
  })

  test('a network that loses its way: the calls end, and what arrives late reaches nobody', async () => {
    const database = await server.createDatabase()
    await using proxy = await startFaultProxy(server.port)
    const url = database.url.replace(String(server.port), String(proxy.port))
    await using engine = openSessions(url, { timeoutMs: 500, poolSize: 2 })
    const first = await engine.create(sessionOf('{"n":1}'))
    const second = await engine.create(sessionOf('{"n":2}'))
    await Promise.all([numberOf(engine, first), numberOf(engine, second)])
    proxy.set({ kind: 'stall' })
    await Promise.all([failureOf(engine.load(first)), failureOf(engine.load(second))])
    proxy.pass()
    await recovers(engine)
    for (let i = 0; i < 20; i++) {
      assert.deepEqual(await Promise.all([numberOf(engine, first), numberOf(engine, second)]), [1, 2])
    }
  })
})
