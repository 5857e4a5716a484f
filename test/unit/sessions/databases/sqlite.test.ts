import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { copyFile, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { GatewayError } from '../../../../src/errors.ts'
import { DELETE_EXPIRED_SQL, openSqliteSessions } from '../../../../src/sessions/databases/sqlite.ts'
import type { TableCreation } from '../../../../src/sessions/databases/sqlite-file.ts'
import type { SessionEngine } from '../../../../src/sessions/engine.ts'
import { EngineWorld, increment, listKeys, sessionOf } from '../../../contract/session-engine-world.ts'
import { turns } from '../../../support/deadline.ts'

/** What `manage.py migrate` of Django 5.2 leaves in `sqlite_master`. */
const DJANGO_TABLE =
  'CREATE TABLE "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, "session_data" text NOT NULL, ' +
  '"expire_date" datetime NOT NULL)'
const DJANGO_INDEX = 'CREATE INDEX "django_session_expire_date_a5c62663" ON "django_session" ("expire_date")'

/** A row as Django 5.2 wrote it on 2026-11-23 at 01:21:40 UTC, with `set_expiry(300)`. */
const DJANGO_ROW = [
  '1mu1dscl5du1brwok1qeychb2prdub86',
  'eyJhIjoxLjAsIl9zZXNzaW9uX2V4cGlyeSI6MzAwfQ:1xVIkW:5_jz0HeKAPWXZiOa-8o8Hql7pskJgmTjyLia5kmqEag',
  '2026-11-23 01:26:40.998380',
] as const

interface Place extends AsyncDisposable {
  readonly world: EngineWorld
  readonly folder: string
  readonly path: string
  open(settings?: { create?: TableCreation; useTz?: boolean; busyTimeoutMs?: number }): Promise<SessionEngine>
  /** The database as any other program opens it. */
  connect(): DatabaseSync
}

async function makePlace(file = 'sessions.sqlite3'): Promise<Place> {
  const world = new EngineWorld()
  const stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-db-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, file)
  return {
    world,
    folder,
    path,
    async open(settings = {}) {
      const options = { ...world, path, create: 'ours', useTz: true, busyTimeoutMs: 5000, ...settings } as const
      return stack.use(await openSqliteSessions(options))
    },
    connect: () => stack.use(new DatabaseSync(path, { timeout: 0 })),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** The database of a Django project, with its one session. */
async function makeDjangoPlace(): Promise<Place> {
  const place = await makePlace('db.sqlite3')
  const database = place.connect()
  database.exec(`${DJANGO_TABLE}; ${DJANGO_INDEX}`)
  database.prepare('INSERT INTO django_session VALUES (?, ?, ?)').run(...DJANGO_ROW)
  database.close()
  place.world.now = Date.UTC(2026, 10, 23, 1, 22)
  return place
}

describe('a SQLite database of our own', () => {
  test('is made with exactly the table and index of Django, in WAL, for its owner only', async () => {
    await using place = await makePlace('new/deep/sessions.sqlite3')
    const engine = await place.open()
    const database = place.connect()
    const schema = database.prepare('SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY sql').all()
    assert.deepEqual(
      schema.map(({ sql }) => sql),
      [DJANGO_INDEX, DJANGO_TABLE],
    )
    assert.equal(journalMode(database), 'wal')
    assert.equal((await stat(place.path)).mode & 0o777, 0o600)
    assert.equal((await stat(join(place.folder, 'new'))).mode & 0o777, 0o700)
    assert.equal((await stat(join(place.folder, 'new/deep'))).mode & 0o777, 0o700)
    await engine.create(sessionOf('{"a":1}'))
    for (const name of await readdir(join(place.folder, 'new/deep'))) {
      assert.equal((await stat(join(place.folder, 'new/deep', name))).mode & 0o077, 0, name)
    }
  })

  test('is made once when several processes start together', async () => {
    await using place = await makePlace()
    const engines = await Promise.all(Array.from({ length: 10 }, () => place.open()))
    const keys = await Promise.all(engines.map((engine) => engine.create(sessionOf('{"a":1}'))))
    for (const engine of engines) assert.deepEqual(await listKeys(engine), keys.toSorted())
    const leftOver = (await readdir(place.folder)).filter((name) => !name.startsWith('sessions.sqlite3'))
    assert.deepEqual(leftOver, [])
  })

  test('gets its table again when somebody dropped it', async () => {
    await using place = await makePlace()
    await (await place.open())[Symbol.asyncDispose]()
    const database = place.connect()
    database.exec('DROP TABLE django_session')
    const engine = await place.open()
    assert.deepEqual(await listKeys(engine), [])
  })

  test('is not made when nothing may be created, nor where there is no way to make it', async () => {
    await using place = await makePlace()
    await assert.rejects(place.open({ create: 'never' }), { code: 'ERR_STORE_UNAVAILABLE', message: /does not exist/ })
    assert.deepEqual(await readdir(place.folder), [])
    await using blocked = await makePlace('file/sessions.sqlite3')
    await writeFile(join(blocked.folder, 'file'), '')
    await assert.rejects(blocked.open(), { code: 'ERR_STORE_UNAVAILABLE' })
  })
})

describe('the SQLite database of a Django project', () => {
  for (const create of ['ours', 'never', 'always'] as const) {
    test(`works as it is, journal mode included (create: ${create})`, async () => {
      await using place = await makeDjangoPlace()
      const engine = await place.open({ create })
      const loaded = await engine.load(DJANGO_ROW[0])
      assert.ok(loaded.found)
      assert.equal(loaded.data.get('a'), '1.0')
      assert.equal(loaded.expiresAt, Date.UTC(2026, 10, 23, 1, 26, 40, 998))
      await engine.transition(DJANGO_ROW[0], increment)
      const database = place.connect()
      assert.equal(journalMode(database), 'delete')
      assert.equal(database.prepare('PRAGMA application_id').get()?.application_id, 0)
      const row = database.prepare('SELECT * FROM django_session').get()
      assert.equal(row?.expire_date, '2026-11-23 01:27:00')
      assert.equal(
        row.session_data,
        place.world.codec.encode(sessionOf('{"a":1.0,"_session_expiry":300,"n":1}'), place.world.now),
      )
    })
  }

  for (const create of ['ours', 'never'] as const) {
    test(`is not given a table that it lacks (create: ${create}): the error names the command`, async () => {
      await using place = await makePlace()
      place.connect().exec('CREATE TABLE other (x)')
      const before = readFileSync(place.path)
      await assert.rejects(place.open({ create }), { code: 'ERR_STORE_UNAVAILABLE', message: /manage\.py migrate/ })
      assert.deepEqual(readFileSync(place.path), before)
      assert.deepEqual(await readdir(place.folder), ['sessions.sqlite3'])
    })

    test(`is left alone while it is still empty (create: ${create})`, async () => {
      await using place = await makePlace()
      await writeFile(place.path, '')
      await assert.rejects(place.open({ create }), { code: 'ERR_STORE_UNAVAILABLE', message: /manage\.py migrate/ })
      assert.equal((await stat(place.path)).size, 0)
    })
  }

  test('is given the table, and keeps its journal mode, when the operator says so', async () => {
    await using place = await makePlace()
    place.connect().exec('CREATE TABLE other (x)')
    const engine = await place.open({ create: 'always' })
    await engine.create(sessionOf('{"a":1}'))
    assert.equal(journalMode(place.connect()), 'delete')
  })

  test('holds naive local time with use_tz false', async () => {
    await using place = await makeDjangoPlace()
    const engine = await place.open({ useTz: false })
    place.world.now = new Date(2026, 6, 1, 12, 0, 0, 250).getTime()
    const key = await engine.create(sessionOf('{"a":1}'))
    const row = place.connect().prepare('SELECT expire_date FROM django_session WHERE session_key = ?').get(key)
    assert.equal(row?.expire_date, '2026-07-01 12:16:40.250000')
    const loaded = await engine.load(key)
    assert.ok(loaded.found)
    assert.equal(loaded.expiresAt, place.world.now + 1_000_000)
    await place.world.advance(1000)
    assert.deepEqual(await engine.load(key), { found: false, reason: 'expired' })
  })

  test('may hold what is no session: other types, no dates; all of it stays', async () => {
    await using place = await makeDjangoPlace()
    const database = place.connect()
    const [, text, date] = DJANGO_ROW
    const rows: [key: string | Uint8Array, data: string | Uint8Array, date: string | number][] = [
      ['blobdata', Buffer.from(text), date],
      ['longdata', 'x'.repeat(3_000_000), date],
      ['baddate1', text, ''],
      ['baddate2', text, 0],
      [Buffer.from('blobkey0'), text, date],
    ]
    for (const row of rows) database.prepare('INSERT INTO django_session VALUES (?, ?, ?)').run(...row)
    const before = database.prepare('SELECT * FROM django_session').all()
    const engine = await place.open()
    for (const [key] of rows) {
      if (typeof key !== 'string') continue
      const reason = key.startsWith('baddate') ? 'expired' : 'malformed'
      assert.deepEqual(await engine.load(key), { found: false, reason }, key)
      assert.deepEqual(await engine.transition(key, increment), { kind: 'gone', reason }, key)
      assert.equal(await engine.delete(key), false)
    }
    assert.deepEqual(await engine.load('blobkey0'), { found: false, reason: 'not_found' })
    assert.deepEqual(await listKeys(engine), [DJANGO_ROW[0]])
    assert.deepEqual(database.prepare('SELECT * FROM django_session').all(), before)
  })

  test('is listed page by page', async () => {
    await using place = await makeDjangoPlace()
    const engine = await place.open()
    const keys = [DJANGO_ROW[0] as string]
    for (let i = 0; i < 450; i++) keys.push(await engine.create(sessionOf('{"a":1}')))
    assert.deepEqual(await listKeys(engine), keys.toSorted())
  })

  test('is cleared by the index on expire_date', async () => {
    await using place = await makeDjangoPlace()
    const plan = place.connect().prepare(`EXPLAIN QUERY PLAN ${DELETE_EXPIRED_SQL}`).all('', 1)
    assert.match(plan.map(({ detail }) => detail).join('\n'), /USING INDEX django_session_expire_date_a5c62663/)
  })
})

describe('a SQLite database in trouble', () => {
  test('locked by another process: reads and writes wait, without holding up the process', async () => {
    await using place = await makeDjangoPlace()
    const engine = await place.open()
    const other = place.connect()
    other.exec('BEGIN EXCLUSIVE')
    let settled = 0
    const count = () => settled++
    const work = [
      engine.load(DJANGO_ROW[0]),
      engine.transition(DJANGO_ROW[0], increment),
      engine.create(sessionOf('{}')),
    ]
    for (const it of work) it.then(count, count)
    await turns()
    assert.equal(settled, 0)
    other.exec('ROLLBACK')
    await Promise.all(work)
    const loaded = await engine.load(DJANGO_ROW[0])
    assert.ok(loaded.found)
    assert.equal(loaded.data.get('n'), '1')
  })

  test('locked for too long: unavailable, with the cause, and nothing stored', async () => {
    await using place = await makeDjangoPlace()
    const engine = await place.open({ busyTimeoutMs: 20 })
    const other = place.connect()
    other.exec('BEGIN EXCLUSIVE')
    const calls = [
      engine.load(DJANGO_ROW[0]),
      engine.transition(DJANGO_ROW[0], increment),
      engine.delete(DJANGO_ROW[0]),
      engine.create(sessionOf('{}')),
      engine.clearExpired(1),
      engine.ping(),
    ]
    for (const outcome of await Promise.allSettled(calls)) {
      assert.ok(outcome.status === 'rejected')
      assertUnavailable(outcome.reason, 5)
    }
    other.exec('ROLLBACK')
    assert.deepEqual(await listKeys(engine), [DJANGO_ROW[0]])
    assert.equal((await engine.transition(DJANGO_ROW[0], increment)).kind, 'stored')
  })

  test('a reader that stays in the way of a commit: all is rolled back, and the next write works', async () => {
    await using place = await makeDjangoPlace()
    const engine = await place.open({ busyTimeoutMs: 20 })
    const other = place.connect()
    other.exec('BEGIN')
    other.prepare('SELECT * FROM django_session').get()
    await assert.rejects(engine.transition(DJANGO_ROW[0], increment), (error) => assertUnavailable(error, 5))
    other.exec('ROLLBACK')
    assert.equal((await engine.transition(DJANGO_ROW[0], increment)).kind, 'stored')
    const loaded = await engine.load(DJANGO_ROW[0])
    assert.ok(loaded.found)
    assert.equal(loaded.data.get('n'), '1', 'counted once')
  })

  test('a write that fails: unavailable, and the old value stays readable', async () => {
    await using place = await makeDjangoPlace()
    const engine = await place.open()
    const fail = "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    place.connect().exec(`
      CREATE TRIGGER a BEFORE UPDATE ON django_session ${fail};
      CREATE TRIGGER b BEFORE INSERT ON django_session ${fail};
      CREATE TRIGGER c BEFORE DELETE ON django_session ${fail}`)
    const calls = [
      engine.transition(DJANGO_ROW[0], increment),
      engine.transition(DJANGO_ROW[0], (data) => ({ kind: 'cycle', data })),
      engine.delete(DJANGO_ROW[0]),
      engine.create(sessionOf('{}')),
    ]
    for (const outcome of await Promise.allSettled(calls)) {
      assert.ok(outcome.status === 'rejected')
      assertUnavailable(outcome.reason, 19)
    }
    assert.deepEqual(await listKeys(engine), [DJANGO_ROW[0]])
  })

  test('a new key is all or nothing: if the old row cannot go, the new one does not stay', async () => {
    await using place = await makeDjangoPlace()
    const engine = await place.open()
    place.connect().exec("CREATE TRIGGER c BEFORE DELETE ON django_session BEGIN SELECT RAISE(ABORT, 'no'); END")
    const cycled = engine.transition(DJANGO_ROW[0], (data) => ({ kind: 'cycle', data }))
    await assert.rejects(cycled, (error) => assertUnavailable(error, 19))
    assert.deepEqual(await listKeys(engine), [DJANGO_ROW[0]])
  })

  test('a file that is no database', async () => {
    await using place = await makePlace()
    await writeFile(place.path, 'x'.repeat(5000))
    await assert.rejects(place.open(), (error) => assertUnavailable(error, 26))
  })

  test('a closed engine is unavailable', async () => {
    await using place = await makeDjangoPlace()
    const engine = await place.open()
    await engine[Symbol.asyncDispose]()
    await assert.rejects(engine.load(DJANGO_ROW[0]), { code: 'ERR_STORE_UNAVAILABLE' })
  })

  test('a file that was put in its place by somebody: the next ping goes over to it', async () => {
    await using place = await makeDjangoPlace()
    const backup = `${place.path}.backup`
    await copyFile(place.path, backup)
    const engine = await place.open()
    const lost = await engine.create(sessionOf('{"a":1}'))
    await rename(backup, place.path)
    await engine.ping()
    assert.deepEqual(await listKeys(engine), [DJANGO_ROW[0]])
    assert.equal((await engine.load(lost)).found, false)
    await rm(place.path)
    await assert.rejects(engine.ping(), { code: 'ERR_STORE_UNAVAILABLE' })
  })
})

function journalMode(database: DatabaseSync): unknown {
  return database.prepare('PRAGMA journal_mode').get()?.journal_mode
}

/** ERR_STORE_UNAVAILABLE whose cause is an error of SQLite with this primary code. */
function assertUnavailable(error: unknown, primaryCode: number): true {
  assert.ok(error instanceof GatewayError)
  assert.equal(error.code, 'ERR_STORE_UNAVAILABLE')
  assert.ok(error.cause instanceof Error && 'errcode' in error.cause)
  assert.equal(Number(error.cause.errcode) & 0xff, primaryCode)
  return true
}
