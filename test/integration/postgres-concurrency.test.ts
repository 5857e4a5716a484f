import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { SessionData } from '../../src/django/json.ts'
import type { Transition } from '../../src/sessions/engine.ts'
import { increment, sessionOf } from '../contract/session-engine-world.ts'
import { type Pgbouncer, startPgbouncer } from '../support/pgbouncer.ts'
import { type PostgresDatabase, startPostgres } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import { countElsewhere, openSessions } from './postgres-sessions.ts'

const { skip } = requireServer('postgres')
const pgbouncer = requireServer('pgbouncer')

describe('many at one session in PostgreSQL', { skip }, () => {
  const servers = new AsyncDisposableStack()
  let database: PostgresDatabase
  let bouncer: Pgbouncer | undefined
  before(async () => {
    const server = servers.use(await startPostgres())
    database = await server.createDatabase()
    if (pgbouncer.skip === false) bouncer = servers.use(await startPgbouncer(server))
  })
  after(() => servers.disposeAsync())

  test('fifty writers in each of two processes, counting in members of their own: the end is exact', async () => {
    await using engine = openSessions(database.url)
    const key = await engine.create(sessionOf('{}'))
    const task = { url: database.url, key, writers: 50, times: 4 }
    await Promise.all([countElsewhere({ ...task, name: 'a' }), countElsewhere({ ...task, name: 'b' })])
    const loaded = await engine.load(key)
    assert.ok(loaded.found)
    const members = Array.from({ length: 50 }, (_, i) => [`a${i}`, `b${i}`]).flat()
    assert.deepEqual(new Map([...loaded.data].toSorted()), new Map(members.toSorted().map((name) => [name, '4'])))
  })

  for (const way of ['directly', 'through pgbouncer'] as const) {
    const missing = way === 'directly' ? false : pgbouncer.skip
    test(`1,500 log-outs against a change or a new key, ${way}: nothing comes back`, { skip: missing }, async () => {
      const settings = { poolSize: 4, pgbouncer: way !== 'directly' }
      const url = (way !== 'directly' && bouncer?.urlOf(database)) || database.url
      await using engine = openSessions(url, settings)
      await using other = openSessions(url, settings)
      await database.sql('TRUNCATE django_session')
      const changes: ((now: SessionData) => Transition)[] = [increment, (data) => ({ kind: 'cycle', data })]
      const race = async (change: (now: SessionData) => Transition) => {
        const key = await engine.create(sessionOf('{"n":1}'))
        const [changed, deleted] = await Promise.all([engine.transition(key, change), other.delete(key)])
        const isMoved = changed.kind === 'stored' && changed.key !== key
        assert.equal(deleted, !isMoved)
        assert.equal((await engine.load(key)).found, false)
        if (isMoved) assert.equal(await other.delete(changed.key), true)
      }
      for (let round = 0; round < 150; round++) {
        await Promise.all(Array.from({ length: 10 }, (_, i) => race(changes[i % 2] ?? increment)))
      }
      assert.deepEqual(await database.sql('SELECT * FROM django_session'), [])
    })
  }
})
