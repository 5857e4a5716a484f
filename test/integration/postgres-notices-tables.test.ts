import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Client } from 'pg'
import { notifyTriggerRemovalSql, notifyTriggerSql } from '../../src/sessions/databases/postgres-notice-trigger.ts'
import { DJANGO_SESSION_SQL } from '../../src/sessions/databases/postgres-schema.ts'
import { type PostgresDatabase, type PostgresServer, startPostgres } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import { createSessionDatabase, EVERYTHING, insertSql, settle, toldBy, watch } from './postgres-notice-lines.ts'

const UPDATE_A = "UPDATE django_session SET session_data = '1' WHERE session_key = 'a'"
const TRIGGERS =
  "SELECT tgname AS name, tgenabled AS mode FROM pg_trigger WHERE tgrelid = 'django_session'::regclass ORDER BY tgname"
const BOTH = [
  { name: 'sessiongate_session_changed', mode: 'A' },
  { name: 'sessiongate_session_truncated', mode: 'A' },
]
const NO_TRIGGER = /has no trigger.*set database\.notify: create, or run the SQL that "sessiongate check" prints/

/** What is done to the triggers, after which notices may be missing. */
const sabotages: [why: string, sql: string][] = [
  ['one is dropped', 'DROP TRIGGER sessiongate_session_changed ON django_session'],
  ['the one for TRUNCATE is dropped', 'DROP TRIGGER sessiongate_session_truncated ON django_session'],
  ['they are removed', notifyTriggerRemovalSql()],
  ['they are switched off', 'ALTER TABLE django_session DISABLE TRIGGER ALL'],
  [
    'they are switched off and on again as others are',
    'ALTER TABLE django_session DISABLE TRIGGER ALL, ENABLE TRIGGER ALL',
  ],
  ['they are for replicas only', 'ALTER TABLE django_session ENABLE REPLICA TRIGGER sessiongate_session_changed'],
  [
    'the function is another',
    'CREATE OR REPLACE FUNCTION sessiongate_session_changed() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$',
  ],
  ['the table is another', `DROP TABLE django_session; ${DJANGO_SESSION_SQL.join('; ')}`],
  [
    'a condition is put on one',
    'DROP TRIGGER sessiongate_session_changed ON django_session; CREATE TRIGGER sessiongate_session_changed ' +
      'AFTER UPDATE OR DELETE ON django_session FOR EACH ROW WHEN (false) EXECUTE FUNCTION sessiongate_session_changed(); ' +
      'ALTER TABLE django_session ENABLE ALWAYS TRIGGER sessiongate_session_changed',
  ],
]

/** What leaves everything in order, but may have changed sessions untold. */
const detours: [why: string, sql: string][] = [
  [
    'a trigger was switched off for a moment',
    `BEGIN; ALTER TABLE django_session DISABLE TRIGGER sessiongate_session_changed; ${UPDATE_A}; ` +
      'ALTER TABLE django_session ENABLE ALWAYS TRIGGER sessiongate_session_changed; COMMIT',
  ],
  ['values were computed anew', "ALTER TABLE django_session ALTER session_data TYPE text USING 'x'"],
  [
    'another table took the place',
    `BEGIN; ALTER TABLE django_session RENAME TO old; DROP INDEX "django_session_session_key_c0390e0f_like", ` +
      `"django_session_expire_date_a5c62663"; ${DJANGO_SESSION_SQL.join('; ')}; ${notifyTriggerSql().replace(/BEGIN;\n|COMMIT;\n/g, '')}COMMIT`,
  ],
]

describe('the triggers of notices', { skip: requireServer('postgres').skip }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server?.[Symbol.asyncDispose]())

  for (const [why, sql] of sabotages) {
    test(`${why}: everything is forgotten, the reason told, and nothing believed until they are made again`, async () => {
      const database = await createSessionDatabase(server)
      await using maker = watch(database.url)
      await maker.up()
      await using looker = watch(database.url, { create: false })
      await looker.up()
      await maker.notices[Symbol.asyncDispose]()
      const from = looker.told.length
      await database.sql(sql)
      await looker.down(NO_TRIGGER)
      assert.deepEqual(looker.told.slice(from), [EVERYTHING])
      await using next = watch(database.url)
      await next.up()
      assert.deepEqual(await database.sql(TRIGGERS), BOTH)
      await looker.mended()
      assert.equal(looker.told.at(-1), EVERYTHING)
      await database.sql(`${insertSql('a')} ON CONFLICT DO NOTHING`)
      assert.deepEqual(await toldBy(looker, database, () => database.sql(UPDATE_A)), ['a'])
    })
  }

  for (const [why, sql] of detours) {
    test(`${why}: everything is forgotten, and the line stands`, async () => {
      const database = await createSessionDatabase(server)
      await using watched = watch(database.url)
      await watched.up()
      const { length } = watched.told
      await database.sql(sql)
      await watched.heard(EVERYTHING, 2)
      assert.deepEqual(watched.told.slice(length), [EVERYTHING])
      assert.equal(watched.states.at(-1)?.isUp, true)
      await database.sql(`${insertSql('a')} ON CONFLICT DO NOTHING`)
      assert.deepEqual(await toldBy(watched, database, () => database.sql(UPDATE_A)), ['a'])
    })
  }

  test('are made again by the gateway that may, without waiting for anybody', async () => {
    const database = await createSessionDatabase(server)
    await using watched = watch(database.url)
    await watched.up()
    await database.sql('DROP FUNCTION sessiongate_session_changed CASCADE')
    await watched.down(NO_TRIGGER)
    await watched.up()
    assert.deepEqual(await database.sql(TRIGGERS), BOTH)
  })

  test('are made once by five gateways that start together', async () => {
    const database = await createSessionDatabase(server)
    await using stack = new AsyncDisposableStack()
    const lines = Array.from({ length: 5 }, () => stack.use(watch(database.url)))
    await Promise.all(lines.map((line) => line.up()))
    for (const line of lines) await settle(line, database)
    assert.deepEqual(await database.sql(TRIGGERS), BOTH)
    for (const { told, states } of lines) {
      assert.equal(told.filter((name) => name === EVERYTHING).length, 1)
      assert.equal(states.length, 2)
    }
  })

  test('are only looked for where nothing may be made; the SQL that is printed makes them, twice as well as once', async () => {
    const database = await createSessionDatabase(server)
    await using watched = watch(database.url, { create: false })
    await watched.down(NO_TRIGGER)
    assert.deepEqual(await database.sql(TRIGGERS), [])
    await database.sql(notifyTriggerSql())
    await database.sql(notifyTriggerSql())
    await watched.mended()
    assert.deepEqual(await toldBy(watched, database, () => database.sql(UPDATE_A)), ['a'])
    await database.sql(notifyTriggerRemovalSql())
    await watched.down(NO_TRIGGER)
    await database.sql(`${UPDATE_A}; TRUNCATE django_session`)
    assert.deepEqual(await database.sql("SELECT 1 FROM pg_proc WHERE proname LIKE 'sessiongate%'"), [])
  })

  test('the SQL survives the line ends of Windows', async () => {
    const database = await createSessionDatabase(server)
    await database.sql(notifyTriggerSql().replaceAll('\n', '\r\n'))
    await using watched = watch(database.url, { create: false })
    await watched.up()
  })

  test('wait for the table until it is there', async () => {
    const database = await server.createDatabase()
    await using watched = watch(database.url)
    await watched.down(/has no table django_session yet/)
    await database.sql(DJANGO_SESSION_SQL.join('; '))
    await watched.up()
  })

  test('are not made by a user without the rights, who is told the way out; who writes needs no rights for them', async () => {
    const database = await createSessionDatabase(server)
    await database.sql(`CREATE ROLE writer LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON django_session TO writer`)
    const url = database.url.replace('postgres@', 'writer@')
    await using watched = watch(url)
    const reason = await watched.down(/does not let this user make it/)
    assert.match(reason, /run the SQL that "sessiongate check" prints, as the owner of the table/)
    await database.sql(notifyTriggerSql())
    await database.sql('REVOKE ALL ON FUNCTION sessiongate_session_changed FROM public')
    await watched.mended()
    const change = () => database.sql(`SET ROLE writer; ${UPDATE_A}; RESET ROLE`)
    assert.deepEqual(await toldBy(watched, database, change), ['a'])
  })

  test('are made by the owner of the table, in its schema, whatever else is called so', async () => {
    const database = await createSessionDatabase(server)
    await database.sql(
      `CREATE ROLE shop LOGIN; CREATE SCHEMA "the Shop" AUTHORIZATION shop; SET ROLE shop; SET search_path = "the Shop"; ` +
        `${DJANGO_SESSION_SQL.join('; ')}; ${insertSql('a')}`,
    )
    const options = encodeURIComponent('-c search_path="the\\ Shop"')
    await using watched = watch(`${database.url.replace('postgres@', 'shop@')}?options=${options}`)
    await watched.up()
    assert.deepEqual(await database.sql(TRIGGERS), [])
    const path = (sql: string) => `SET search_path = "the Shop"; ${sql}`
    const shop: PostgresDatabase = { ...database, sql: (sql) => database.sql(path(sql)) }
    assert.deepEqual(await toldBy(watched, shop, () => database.sql(UPDATE_A)), [])
    assert.deepEqual(await toldBy(watched, shop, () => shop.sql(UPDATE_A)), ['a'])
  })

  test('give up on a table that is locked, so that nobody waits for long behind them', async () => {
    const database = await createSessionDatabase(server)
    await using holder = await database.connect()
    await holder.sql(`BEGIN; ${UPDATE_A}`)
    await using watched = watch(database.url)
    await watched.down(/kept a row or the table locked/)
    assert.equal((await database.sql(UPDATE_A.replace("'a'", "'b'"))).length, 0)
    await holder.sql('COMMIT')
    await watched.mended()
  })

  test('tell of the keys of every encoding, and fail for none', async () => {
    for (const encoding of ['LATIN1', 'SQL_ASCII']) {
      const database = await createDatabaseIn(server, encoding)
      // A byte that is no UTF-8, and what some other way from text to bytes would take for an escape.
      await database.sql(`${DJANGO_SESSION_SQL.join('; ')}; ${insertSql('a', 'x')}`)
      await database.sql("UPDATE django_session SET session_key = 'x' || chr(252) || '\\x' WHERE session_key = 'x'")
      await using watched = watch(database.url)
      await watched.up()
      await settle(watched, database)
      const from = watched.told.length
      await database.sql("UPDATE django_session SET session_data = '1'")
      await settle(watched, database)
      const told = new Set(watched.told.slice(from))
      assert.equal(told.size, 3, encoding)
      assert.ok(told.has(watched.notices.nameOf('a')))
    }
  })

  test('are on every part of a table that has several', async () => {
    const database = await server.createDatabase()
    await database.sql(
      'CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text, expire_date timestamptz) ' +
        "PARTITION BY RANGE (session_key); CREATE TABLE one PARTITION OF django_session FOR VALUES FROM (MINVALUE) TO ('b'); " +
        "CREATE TABLE two PARTITION OF django_session FOR VALUES FROM ('b') TO (MAXVALUE)",
    )
    await database.sql(insertSql('a', 'b', 'c'))
    await using watched = watch(database.url)
    await watched.up()
    const told = (sql: string) => toldBy(watched, database, () => database.sql(sql))
    assert.deepEqual(await told("UPDATE django_session SET session_data = '1' WHERE session_key < 'c'"), ['a', 'b'])
    assert.deepEqual(await told("DELETE FROM two WHERE session_key = 'c'"), ['c'])
    assert.deepEqual(await told("UPDATE django_session SET session_key = 'd' WHERE session_key = 'a'"), ['a'])
    assert.deepEqual(await told('TRUNCATE django_session'), [EVERYTHING])
    for (const sql of ['TRUNCATE two', 'ALTER TABLE django_session DETACH PARTITION two']) {
      const times = watched.told.filter((name) => name === EVERYTHING).length
      await database.sql(sql)
      await watched.heard(EVERYTHING, times + 1)
    }
    await database.sql('ALTER TABLE one DISABLE TRIGGER ALL')
    await watched.down(NO_TRIGGER)
  })

  test('cannot be on what is no table, and are not put on one of somebody else’s', async () => {
    const view = await server.createDatabase()
    await view.sql(
      "CREATE VIEW django_session AS SELECT 'a'::text AS session_key, ''::text AS session_data, now() AS expire_date",
    )
    await using onView = watch(view.url)
    await onView.down(/has a django_session that is no table of its own/)
    const other = await server.createDatabase()
    await other.sql('CREATE TABLE django_session (session_key int, data text)')
    await using onOther = watch(other.url)
    await onOther.down(/has a table django_session with other columns than those of Django/)
    assert.deepEqual(await other.sql(TRIGGERS), [])
  })
})

/** Another encoding than that of all other tests' databases. */
async function createDatabaseIn(server: PostgresServer, encoding: string) {
  const name = `in_${encoding.toLowerCase()}`
  await server.sql(`CREATE DATABASE ${name} ENCODING '${encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'`)
  const url = `postgres://postgres@127.0.0.1:${server.port}/${name}`
  return {
    url,
    async sql(text: string) {
      const client = new Client(url)
      await client.connect()
      await client.query(text)
      await client.end()
      return []
    },
  }
}
