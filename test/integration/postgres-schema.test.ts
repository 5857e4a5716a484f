import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { GatewayError } from '../../src/errors.ts'
import { increment, listKeys, sessionOf } from '../contract/session-engine-world.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import { openSessions } from './postgres-sessions.ts'

/** What `manage.py migrate` of Django 5.2 leaves, as the server describes it. */
const DJANGO_COLUMNS = [
  { name: 'session_key', type: 'character varying(40)', notNull: true },
  { name: 'session_data', type: 'text', notNull: true },
  { name: 'expire_date', type: 'timestamp with time zone', notNull: true },
]
const DJANGO_INDEXES = [
  'CREATE INDEX django_session_expire_date_a5c62663 ON public.django_session USING btree (expire_date)',
  'CREATE INDEX django_session_session_key_c0390e0f_like ON public.django_session USING btree (session_key varchar_pattern_ops)',
  'CREATE UNIQUE INDEX django_session_pkey ON public.django_session USING btree (session_key)',
]

const KEY = 'k'.repeat(32)

describe('the session table where PostgreSQL has none yet', { skip: requireServer('postgres').skip }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server?.[Symbol.asyncDispose]())

  test('is made with exactly the columns and indexes of Django’s migration', async () => {
    const database = await server.createDatabase()
    await using engine = openSessions(database.url)
    await engine.ping()
    const columns = await database.sql(
      'SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS "notNull" FROM pg_attribute ' +
        "WHERE attrelid = 'django_session'::regclass AND attnum > 0 ORDER BY attnum",
    )
    assert.deepEqual(columns, DJANGO_COLUMNS)
    const indexes = await database.sql(
      "SELECT indexdef FROM pg_indexes WHERE tablename = 'django_session' ORDER BY indexdef",
    )
    assert.deepEqual(
      indexes.map(({ indexdef }) => indexdef),
      DJANGO_INDEXES,
    )
  })

  test('is made once when many start together', async () => {
    const empty = await server.createDatabase()
    const engines = Array.from({ length: 10 }, () => openSessions(empty.url, { poolSize: 3 }))
    const keys = await Promise.all(engines.flatMap((it) => [1, 2].map(() => it.create(sessionOf('{"a":1}')))))
    for (const engine of engines) {
      assert.deepEqual(await listKeys(engine), keys.toSorted())
      await engine[Symbol.asyncDispose]()
    }
  })

  test('is made again where somebody dropped it', async () => {
    const database = await server.createDatabase()
    await using engine = openSessions(database.url)
    const key = await engine.create(sessionOf('{"n":1}'))
    await engine.load(key)
    await database.sql('DROP TABLE django_session')
    assert.deepEqual(await engine.load(key), { found: false, reason: 'not_found' })
    const next = await engine.create(sessionOf('{"n":2}'))
    assert.deepEqual(await listKeys(engine), [next])
  })

  test('is not made where nothing may be created: every call names the ways out, and works as soon as it is there', async () => {
    const empty = await server.createDatabase()
    await using engine = openSessions(empty.url, { create: false })
    const calls = () => [
      engine.ping(),
      engine.load(KEY),
      engine.create(sessionOf('{}')),
      engine.transition(KEY, increment),
      engine.clearExpired(1),
      listKeys(engine),
    ]
    for (const outcome of await Promise.allSettled(calls())) {
      assert.ok(outcome.status === 'rejected' && outcome.reason instanceof GatewayError)
      assert.equal(outcome.reason.code, 'ERR_STORE_UNAVAILABLE')
      assert.match(outcome.reason.message, /manage\.py migrate.*database\.create: true/)
    }
    assert.deepEqual(await empty.sql('SELECT relname FROM pg_stat_user_tables'), [])
    await using other = openSessions(empty.url)
    await other.ping()
    await Promise.all(calls())
  })
})
