import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { openPostgresTable, type PostgresTableOptions } from '../../src/sessions/databases/postgres.ts'
import { statements } from '../../src/sessions/databases/postgres-statements.ts'
import type { SessionTable } from '../../src/sessions/databases/session-table.ts'
import { increment, listKeys, sessionOf } from '../contract/session-engine-world.ts'
import { type PostgresDatabase, type PostgresServer, startPostgres } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import { openSessions } from './postgres-sessions.ts'

const { skip } = requireServer('postgres')

/** A row as Django 5.2 wrote it on 2026-11-23 at 01:21:40 UTC, with `set_expiry(300)`. */
const DJANGO_ROW = [
  '1mu1dscl5du1brwok1qeychb2prdub86',
  'eyJhIjoxLjAsIl9zZXNzaW9uX2V4cGlyeSI6MzAwfQ:1xVIkW:5_jz0HeKAPWXZiOa-8o8Hql7pskJgmTjyLia5kmqEag',
  '2026-11-23 01:26:40.998380+00',
] as const
const [KEY, TEXT, DATE] = DJANGO_ROW
const NOW = Date.UTC(2026, 10, 23, 1, 22)
const LATER = Date.UTC(2030, 0, 1)

describe('Django’s session table in PostgreSQL', { skip }, () => {
  let server: PostgresServer
  let database: PostgresDatabase
  before(async () => {
    server = await startPostgres()
    database = await server.createDatabase()
  })
  after(() => server?.[Symbol.asyncDispose]())

  /** A table as `migrate` leaves it, with Django's one row, at 01:22. */
  async function openDjangoTable(settings: Partial<PostgresTableOptions> = {}): Promise<SessionTable> {
    await database.sql('DROP TABLE IF EXISTS django_session')
    await open({ create: true }).use((table) => table.ping())
    await database.sql('INSERT INTO django_session VALUES ($1, $2, $3)', DJANGO_ROW)
    return open(settings).table
  }

  function open(settings: Partial<PostgresTableOptions> = {}) {
    const defaults = { url: database.url, create: false, poolSize: 3, pgbouncer: false, timeoutMs: 10_000 }
    const table = openPostgresTable({ ...defaults, clock: () => NOW, ...settings })
    const use = async <T>(body: (it: SessionTable) => Promise<T>): Promise<T> => {
      await using it = table
      return await body(it)
    }
    return { table, use }
  }

  const rows = () => database.sql('SELECT * FROM django_session ORDER BY session_key')

  test('works as Django left it', async () => {
    await using table = await openDjangoTable()
    const expiresAt = Date.UTC(2026, 10, 23, 1, 26, 40, 998)
    const row = { text: TEXT, expiresAt, isExpired: false }
    const seen: unknown[] = []
    await table.change(KEY, (now) => {
      seen.push(now?.text, now?.expiresAt, now?.isExpired)
      return { change: { kind: 'update', row: { text: 'new', expiresAt: LATER } }, result: 1 }
    })
    assert.deepEqual(seen, Object.values(row))
    assert.deepEqual(await rows(), [{ session_key: KEY, session_data: 'new', expire_date: new Date(LATER) }])
  })

  const dates: [why: string, at: number, text: string][] = [
    ['milliseconds', Date.UTC(2026, 6, 1, 12, 0, 0, 250), '2026-07-01 12:00:00.25+00'],
    ['the first moment of Python', Number.NEGATIVE_INFINITY, '0001-01-01 00:00:00+00'],
    ['the last one', Number.POSITIVE_INFINITY, '9999-12-31 23:59:59.999+00'],
    ['before 1970', Date.UTC(1960, 1, 29), '1960-02-29 00:00:00+00'],
  ]
  for (const [why, at, text] of dates) {
    test(`stores a date as the moment that it is, in any time zone and date style: ${why}`, async () => {
      await using _made = await openDjangoTable()
      const url = `${database.url}?options=${encodeURIComponent('-c TimeZone=Asia/Kolkata -c DateStyle=SQL,DMY')}`
      await open({ url }).use(async (table) => {
        assert.equal(await table.insert('a'.repeat(32), { text: 'x', expiresAt: at }), true)
        const found = await table.find('a'.repeat(32))
        assert.equal(new Date(found?.expiresAt ?? 0).toISOString().slice(0, 10), text.slice(0, 10))
      })
      const [row] = await database.sql(
        "SELECT (expire_date AT TIME ZONE 'UTC')::text || '+00' AS date FROM django_session WHERE session_key = $1",
        ['a'.repeat(32)],
      )
      assert.equal(row?.date, text)
    })
  }

  test('cuts a date of Django’s off at the millisecond, however far ahead it is', async () => {
    await using table = await openDjangoTable()
    await database.sql("UPDATE django_session SET expire_date = '5807-12-31 23:59:59.999999+00'")
    assert.equal((await table.find(KEY))?.expiresAt, Date.UTC(5807, 11, 31, 23, 59, 59, 999))
  })

  test('takes a row for expired from its microsecond on', async () => {
    await using _made = await openDjangoTable()
    for (const [ms, isExpired] of [
      [998, false],
      [999, true],
    ] as const) {
      const row = await open({ clock: () => Date.UTC(2026, 10, 23, 1, 26, 40, ms) }).use((it) => it.find(KEY))
      assert.equal(row?.isExpired, isExpired)
    }
  })

  test('may hold what is no session: all of it stays', async () => {
    await using table = await openDjangoTable()
    const strange = [
      ['endless1', TEXT, 'infinity'],
      ['neverwas', TEXT, '-infinity'],
      ['longdata', 'x'.repeat(3_000_000), DATE],
      ['emptytxt', '', DATE],
      ['beforechrist', TEXT, '0044-03-15 12:00:00+00 BC'],
      ['', TEXT, DATE],
      ['Ünïcode', TEXT, DATE],
    ]
    for (const row of strange) await database.sql('INSERT INTO django_session VALUES ($1, $2, $3)', row)
    const before = await rows()
    assert.equal((await table.find('longdata'))?.text, undefined)
    assert.equal((await table.find('emptytxt'))?.text, '')
    assert.deepEqual(await table.find('endless1'), {
      text: TEXT,
      expiresAt: Date.UTC(9999, 11, 31, 23, 59, 59, 999),
      isExpired: false,
      version: await versionOf('endless1'),
    })
    assert.equal((await table.find('neverwas'))?.isExpired, true)
    assert.equal((await table.find('beforechrist'))?.isExpired, true)
    await using engine = openSessions(database.url)
    await listKeys(engine)
    assert.deepEqual(await rows(), before)
  })

  async function versionOf(key: string): Promise<unknown> {
    const [row] = await database.sql('SELECT xmin::text AS v FROM django_session WHERE session_key = $1', [key])
    return row?.v
  }

  test('finds nothing under a key that no row can have, and harms none', async () => {
    await using table = await openDjangoTable()
    for (const key of [
      '',
      'a'.repeat(41),
      'a'.repeat(100_000),
      'nul\0nul\0',
      `${KEY}\0`,
      '\ud800'.repeat(8),
      '\ufffd',
      "'; --",
    ]) {
      assert.equal(await table.find(key), undefined)
      assert.equal(await table.change(key, (row) => ({ change: { kind: 'keep' }, result: row })), undefined)
    }
    assert.equal((await rows()).length, 1)
  })

  test('is changed only in the version that was read, whoever wrote meanwhile', async () => {
    await using table = await openDjangoTable()
    let looks = 0
    const result = await table.change(KEY, (row) => {
      looks++
      // Django, in the middle: with the same text, so that only the version tells.
      return { change: { kind: 'update', row: { text: `${row?.text}!`, expiresAt: LATER } }, result: looks }
    })
    assert.equal(result, 1)
    await using django = await database.connect()
    await django.sql('BEGIN')
    await django.sql('UPDATE django_session SET session_data = session_data WHERE session_key = $1', [KEY])
    const changing = table.change(KEY, (row) => {
      looks++
      return { change: { kind: 'update', row: { text: `${row?.text}!`, expiresAt: LATER } }, result: looks }
    })
    await database.lockAwaited()
    await django.sql('COMMIT')
    assert.equal(await changing, 3, 'decided twice')
    assert.equal((await table.find(KEY))?.text, `${TEXT}!!`)
  })

  test('never brings back a row that was deleted, or deleted and made anew, between reading and writing', async () => {
    await using table = await openDjangoTable()
    for (const kind of ['update', 'move', 'delete'] as const) {
      await database.sql('TRUNCATE django_session')
      await database.sql('INSERT INTO django_session VALUES ($1, $2, $3)', DJANGO_ROW)
      await using django = await database.connect()
      await django.sql('BEGIN')
      await django.sql('DELETE FROM django_session WHERE session_key = $1', [KEY])
      if (kind === 'delete') await django.sql('INSERT INTO django_session VALUES ($1, $2, $3)', [KEY, 'anew', DATE])
      const seen: unknown[] = []
      const changing = table.change(KEY, (row) => {
        seen.push(row?.text)
        if (row?.text !== TEXT) return { change: { kind: 'keep' }, result: 'kept' }
        const fresh = { text: 'x', expiresAt: LATER }
        return { change: { kind, key: 'b'.repeat(32), row: fresh }, result: 'changed' }
      })
      await database.lockAwaited()
      await django.sql('COMMIT')
      assert.equal(await changing, 'kept', kind)
      assert.deepEqual(seen, [TEXT, kind === 'delete' ? 'anew' : undefined])
      assert.equal((await rows()).length, kind === 'delete' ? 1 : 0)
    }
  })

  test('moves a row in one step: a key that is taken stops it, and so does a trigger, with nothing written', async () => {
    await using table = await openDjangoTable()
    const row = { text: 'x', expiresAt: LATER }
    const moveTo = (key: string) => table.change(KEY, () => ({ change: { kind: 'move', key, row }, result: 'moved' }))
    await table.insert('t'.repeat(32), row)
    const before = await rows()
    assert.equal(await moveTo('t'.repeat(32)), undefined)
    assert.deepEqual(await rows(), before)
    await database.sql(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
      CREATE TRIGGER refuse AFTER UPDATE ON django_session FOR EACH ROW EXECUTE FUNCTION refuse()`)
    await assert.rejects(moveTo('u'.repeat(32)), { code: 'ERR_STORE_UNAVAILABLE', facts: { outcome: 'failed' } })
    assert.deepEqual(await rows(), before)
    await database.sql('DROP FUNCTION refuse CASCADE')
    assert.equal(await moveTo('u'.repeat(32)), 'moved')
    assert.deepEqual(
      (await rows()).map(({ session_key }) => session_key),
      ['t'.repeat(32), 'u'.repeat(32)],
    )
  })

  for (const isolation of ['repeatable read', 'serializable']) {
    test(`counts exactly where every transaction is ${isolation}`, async () => {
      await using _table = await openDjangoTable()
      const url = `${database.url}?options=${encodeURIComponent(`-c default_transaction_isolation=${isolation.replace(' ', '\\ ')}`)}`
      await using one = openSessions(url)
      await using other = openSessions(url)
      const key = await one.create(sessionOf('{}'))
      await Promise.all(Array.from({ length: 60 }, (_, i) => (i % 2 ? one : other).transition(key, increment)))
      const loaded = await one.load(key)
      assert.ok(loaded.found)
      assert.equal(loaded.data.get('n'), '60')
    })
  }

  test('is listed page by page, past what has expired', async () => {
    await using table = await openDjangoTable()
    await database.sql(
      "INSERT INTO django_session SELECT 'key' || lpad(n::text, 6, '0'), 'x', " +
        "CASE WHEN n % 3 = 0 THEN '2026-01-01'::timestamptz ELSE '2030-01-01' END FROM generate_series(1, 1000) AS n",
    )
    const keys: string[] = []
    for await (const { key, isExpired } of table.rows()) {
      assert.equal(isExpired, false)
      keys.push(key)
    }
    assert.equal(keys.length, 668)
    assert.equal(new Set(keys).size, 668)
    assert.deepEqual(keys, keys.toSorted())
  })

  test('is cleared by the index on expire_date, in one statement, without waiting for rows that are locked', async () => {
    await using table = await openDjangoTable({ clock: () => LATER })
    await database.sql(
      "INSERT INTO django_session SELECT 'key' || lpad(n::text, 6, '0'), 'x', " +
        "'2026-01-01'::timestamptz + n * interval '1 s' FROM generate_series(1, 20000) AS n; ANALYZE django_session",
    )
    const literal = statements.deleteExpired.text.replace('$1', "'2030-01-01'").replace('$2', '1000')
    const plan = (await database.sql(`EXPLAIN ${literal}`)).map((line) => line['QUERY PLAN']).join('\n')
    assert.match(plan, /Index Scan using django_session_expire_date_a5c62663/)
    assert.match(plan, /Index Scan using django_session_pkey/)
    assert.doesNotMatch(plan, /Seq Scan/)
    await using other = await database.connect()
    await other.sql('BEGIN')
    await other.sql("UPDATE django_session SET session_data = 'y' WHERE session_key <= 'key000010'")
    assert.equal(await table.deleteExpired(1000), 1000)
    await other.sql('ROLLBACK')
    const [left] = await database.sql("SELECT count(*)::int AS n FROM django_session WHERE session_key <= 'key000010'")
    assert.equal(left?.n, 11, 'ten, and the one of Django')
    const counts = await Promise.all([
      table.deleteExpired(5000),
      table.deleteExpired(5000),
      table.deleteExpired(20_000),
    ])
    assert.equal(
      counts.reduce((sum, n) => sum + n),
      19_001,
    )
    assert.deepEqual(await rows(), [])
  })

  test('is prepared once per connection, and behind pgbouncer never', async () => {
    for (const pgbouncer of [false, true]) {
      await using table = await openDjangoTable({ pgbouncer, poolSize: 1 })
      await table.find(KEY)
      await database.sql('DROP TABLE IF EXISTS seen')
      // A trigger looks at what its own connection has prepared.
      await database.sql(`
        CREATE TABLE seen (name text, timeout text);
        CREATE OR REPLACE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          INSERT INTO seen SELECT name, current_setting('statement_timeout') FROM pg_prepared_statements;
          INSERT INTO seen VALUES ('timeout', current_setting('statement_timeout'));
          RETURN NEW; END $$;
        CREATE TRIGGER look AFTER INSERT ON django_session FOR EACH ROW EXECUTE FUNCTION look()`)
      await table.insert('c'.repeat(32), { text: 'x', expiresAt: LATER })
      const seen = await database.sql('SELECT name, timeout FROM seen ORDER BY name')
      assert.deepEqual(
        seen.map(({ name }) => name),
        pgbouncer ? ['timeout'] : ['sessiongate_find', 'sessiongate_insert', 'timeout'],
      )
      assert.equal(seen.at(-1)?.timeout, pgbouncer ? '0' : '9s')
    }
  })

  test('is reached over the Unix socket, with the name that a DBA looks for', async () => {
    await using _table = await openDjangoTable()
    await open({ url: database.socketUrl }).use(async (table) => {
      assert.equal((await table.find(KEY))?.text, TEXT)
      const [row] = await database.sql(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'sessiongate'",
      )
      assert.ok(Number(row?.n) >= 1)
    })
  })
})
