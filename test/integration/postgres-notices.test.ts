import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { Client } from 'pg'
import { readPostgresAddress } from '../../src/sessions/databases/postgres-address.ts'
import { NoticeLine } from '../../src/sessions/databases/postgres-notice-line.ts'
import { systemScheduler } from '../../src/sessions/scheduler.ts'
import { startDjango } from '../interop/django-project.ts'
import { until } from '../support/deadline.ts'
import { type PostgresDatabase, type PostgresServer, startPostgres } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import {
  createSessionDatabase,
  EVERYTHING,
  insertSql,
  settle,
  toldBy,
  type Watched,
  watch,
} from './postgres-notice-lines.ts'

const { skip } = requireServer('postgres')
const django = requireServer('django')

const UPDATE_A = "UPDATE django_session SET session_data = '1' WHERE session_key = 'a'"
const COPY_D = "COPY django_session FROM PROGRAM 'echo d,0,2099-01-01' WITH (FORMAT csv)"
const CONFLICT = 'ON CONFLICT (session_key) DO'

const changes: [why: string, sql: string, told: readonly string[]][] = [
  ['a change of one row', UPDATE_A, ['a']],
  ['a change of its date alone', "UPDATE django_session SET expire_date = now() WHERE session_key = 'a'", ['a']],
  [
    'a change that changes nothing',
    "UPDATE django_session SET session_data = session_data WHERE session_key = 'a'",
    ['a'],
  ],
  [
    'a change of several rows',
    "UPDATE django_session SET session_data = '1' WHERE session_key IN ('a', 'b')",
    ['a', 'b'],
  ],
  [
    'a row that gets another key: both',
    "UPDATE django_session SET session_key = 'd' WHERE session_key = 'a'",
    ['a', 'd'],
  ],
  ['a row that is deleted', "DELETE FROM django_session WHERE session_key = 'b'", ['b']],
  ['a new row: nothing, as nobody remembers what is not there', insertSql('d'), []],
  ['new rows by COPY: nothing', COPY_D, []],
  ['an insert that becomes a change', `${insertSql('a')} ${CONFLICT} UPDATE SET session_data = '1'`, ['a']],
  ['an insert that does nothing', `${insertSql('a')} ${CONFLICT} NOTHING`, []],
  ['TRUNCATE: everything', 'TRUNCATE django_session', [EVERYTHING]],
  ['a transaction that is rolled back: nothing', `BEGIN; ${UPDATE_A}; TRUNCATE django_session; ROLLBACK`, []],
  [
    'a transaction of which a part is rolled back',
    `BEGIN; ${UPDATE_A}; SAVEPOINT s; TRUNCATE django_session; ROLLBACK TO s; COMMIT`,
    ['a'],
  ],
  ['many changes of one row in a transaction: once', `BEGIN; ${UPDATE_A}; ${UPDATE_A}; ${UPDATE_A}; COMMIT`, ['a']],
  ['what a replication or a restore changes', `SET session_replication_role = replica; ${UPDATE_A}`, ['a']],
  [
    'a change by somebody with another search path',
    `SET search_path = pg_temp; ${UPDATE_A.replace('django', 'public.django')}`,
    ['a'],
  ],
  [
    'rows long over, as clearsessions deletes them: nothing, as nobody serves them',
    "SET session_replication_role = replica; INSERT INTO django_session VALUES ('d', '', now() - interval '61 minutes'); " +
      "DELETE FROM django_session WHERE session_key = 'd'",
    [],
  ],
  [
    'rows that are over since a while: clocks differ',
    "INSERT INTO django_session VALUES ('d', '', now() - interval '59 minutes'); " +
      "DELETE FROM django_session WHERE session_key = 'd'",
    ['d'],
  ],
  [
    'a row that came back to life',
    "INSERT INTO django_session VALUES ('d', '', now() - interval '3 days'); " +
      "UPDATE django_session SET expire_date = now() + interval '1 day' WHERE session_key = 'd'",
    ['d'],
  ],
  [
    'rows that another table’s take with them',
    'CREATE TABLE person (id int PRIMARY KEY); INSERT INTO person VALUES (1); ' +
      'ALTER TABLE django_session ADD person int REFERENCES person ON DELETE CASCADE; ' +
      "UPDATE django_session SET person = 1 WHERE session_key = 'c'; DELETE FROM person",
    ['c'],
  ],
]

describe('notices of PostgreSQL', { skip }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server?.[Symbol.asyncDispose]())

  async function start(): Promise<{ database: PostgresDatabase; watched: Watched } & AsyncDisposable> {
    const database = await createSessionDatabase(server)
    const watched = watch(database.url)
    await watched.up()
    return { database, watched, [Symbol.asyncDispose]: () => watched[Symbol.asyncDispose]() }
  }

  for (const [why, sql, told] of changes) {
    test(`tell of ${why}`, async () => {
      await using world = await start()
      const { watched, database } = world
      assert.deepEqual(await toldBy(watched, database, () => database.sql(sql)), told)
    })
  }

  test('tell of a change when it is committed, not before', async () => {
    await using world = await start()
    const { watched, database } = world
    await using other = await database.connect()
    await other.sql(`BEGIN; ${UPDATE_A}`)
    assert.deepEqual(await toldBy(watched, database, async () => {}), [])
    assert.deepEqual(await toldBy(watched, database, () => other.sql('COMMIT')), ['a'])
  })

  test('hold no key: the half of its SHA-256', async () => {
    await using world = await start()
    const { watched, database } = world
    await using stranger = await listenTo(database.url)
    await database.sql(UPDATE_A)
    const digest = createHash('sha256').update('a').digest('hex').slice(0, 32)
    assert.equal(watched.notices.nameOf('a'), digest)
    await until('the stranger hears it', () => stranger.payloads.length > 0)
    assert.deepEqual(stranger.payloads, [digest])
  })

  test('that others send in the channel: an empty one makes everything forgotten, nonsense nothing', async () => {
    await using world = await start()
    const { watched, database } = world
    const nonsense = ['a', 'DROP TABLE', `${'A'.repeat(32)}`, `${'0'.repeat(33)}`, '*', 'probe 1', '☃'.repeat(2000)]
    const notify = (payload: string) => database.sql("SELECT pg_notify('sessiongate_session', $1)", [payload])
    assert.deepEqual(await toldBy(watched, database, () => Promise.all(nonsense.map(notify))), [])
    assert.deepEqual(await toldBy(watched, database, () => notify('')), [EVERYTHING])
    await database.sql("NOTIFY another_channel, ''")
    assert.deepEqual(await toldBy(watched, database, async () => {}), [])
  })

  test('tell of what Django does', { skip: django.skip }, async () => {
    const database = await server.createDatabase()
    await using project = await startDjango(django.path, { engine: 'db', postgres: database.url })
    await project.migrate()
    await using watched = watch(database.url)
    await watched.up()
    const key = (await project.act(undefined, [['set', 'n', '1']])) ?? ''
    const name = watched.notices.nameOf(key)
    const told = async (act: () => Promise<unknown>) => (await toldBy(watched, database, act)).join()
    assert.equal(await told(() => project.act(key, [['set', 'n', '2']])), name)
    assert.equal(await told(() => project.act(key, [['set_expiry', 300]])), name)
    const cycled = { key: '' }
    const cycle = async () => {
      cycled.key = (await project.act(key, [['cycle_key']])) ?? ''
    }
    assert.ok((await told(cycle)).split(',').includes(name))
    assert.notEqual(cycled.key, key)
    assert.ok((await told(() => project.act(cycled.key, [['flush']]))).includes(watched.notices.nameOf(cycled.key)))
    await project.write(['{"n":1}'])
    await database.sql("UPDATE django_session SET expire_date = now() - interval '1 second'")
    const dead = await project.keys()
    assert.ok(dead.length > 0)
    const ended = await told(() => project.clearSessions())
    for (const each of dead) assert.ok(ended.includes(watched.notices.nameOf(each)) || each === 'fence')
  })

  test('whoever reads after a notice sees the new row, with writers at full speed', async () => {
    await using world = await start()
    const { watched, database } = world
    await using reader = await database.connect()
    const name = watched.notices.nameOf('a')
    let isWriting = true
    const write = async () => {
      await using writer = await database.connect()
      for (let n = 0; n < 400; n++) {
        await writer.sql("UPDATE django_session SET session_data = session_data::int + 1 WHERE session_key = 'a'")
      }
    }
    const writing = Promise.all([write(), write(), write()]).finally(() => {
      isWriting = false
    })
    let looks = 0
    while (isWriting) {
      // Each is told once, in the order of the commits: so many changes are there at least.
      const told = watched.told.filter((it) => it === name).length
      const [row] = await reader.sql("SELECT session_data::int AS n FROM django_session WHERE session_key = 'a'")
      assert.ok(Number(row?.n) >= told, `${row?.n} of ${told}`)
      looks++
    }
    await writing
    await watched.heard(name, 1200)
    assert.ok(looks > 10)
  })

  test('have come, when a question is answered, of everything that was answered before it was sent', async () => {
    await using world = await start()
    const { database, watched } = world
    const keys = ['a', 'b', 'c', 'd']
    await database.sql(insertSql('d'))
    const names = new Map(keys.map((key) => [watched.notices.nameOf(key), key]))
    const answered = new Map<string, number>()
    const told = new Map<string, number>()
    const count = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1)
    const line = new NoticeLine({
      address: readPostgresAddress(database.url),
      scheduler: systemScheduler,
      onNotice: (payload) => count(told, names.get(payload) ?? ''),
    })
    await line.open({ create: false })
    let isWriting = true
    const write = async (key: string) => {
      await using writer = await database.connect()
      for (let n = 0; n < 1000; n++) {
        await writer.sql('UPDATE django_session SET session_data = $1 WHERE session_key = $2', [`${n}`, key])
        count(answered, key)
      }
    }
    const writing = Promise.all(keys.map(write)).finally(() => {
      isWriting = false
    })
    let looks = 0
    for (; isWriting; looks++) {
      const before = new Map(answered)
      await line.look(10_000)
      for (const [key, times] of before)
        assert.ok((told.get(key) ?? 0) >= times, `${key}: ${told.get(key)} of ${times}`)
    }
    await writing
    await line.close()
    assert.ok(looks > 100, `${looks}`)
  })

  test('come soon: how soon is printed', async (t) => {
    await using world = await start()
    const { watched, database } = world
    await using writer = await database.connect()
    const name = watched.notices.nameOf('a')
    const delaysMs: number[] = []
    for (let times = 1; times <= 500; times++) {
      const heard = watched.next()
      await writer.sql(UPDATE_A)
      const answeredAt = performance.now()
      delaysMs.push((await heard) - answeredAt)
    }
    assert.equal(watched.told.filter((it) => it === name).length, 500)
    delaysMs.sort((a, b) => a - b)
    const part = (share: number) => delaysMs[Math.floor(share * delaysMs.length)]?.toFixed(2)
    t.diagnostic(
      `told after the writer had its answer: p50 ${part(0.5)} ms, p99 ${part(0.99)} ms, most ${part(0.999)} ms`,
    )
  })

  test('are told when everybody writes at once, each of twenty thousand', async () => {
    await using world = await start()
    const { watched, database } = world
    await database.sql(
      "INSERT INTO django_session SELECT 'many-' || n, '', now() + interval '1 day' FROM generate_series(1, 20000) AS n",
    )
    await database.sql("UPDATE django_session SET session_data = '1' WHERE session_key LIKE 'many-%'")
    await settle(watched, database)
    const told = new Set(watched.told)
    for (let n = 1; n <= 20_000; n++) assert.ok(told.has(watched.notices.nameOf(`many-${n}`)), `${n}`)
    assert.equal(watched.states.at(-1)?.isUp, true)
  })
})

/** A stranger who listens in the same database. */
async function listenTo(url: string): Promise<{ readonly payloads: readonly unknown[] } & AsyncDisposable> {
  const client = new Client(url)
  await client.connect()
  const payloads: unknown[] = []
  client.on('notification', ({ payload }) => payloads.push(payload))
  await client.query('LISTEN sessiongate_session')
  return { payloads, [Symbol.asyncDispose]: () => client.end() }
}
