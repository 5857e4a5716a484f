import assert from 'node:assert/strict'
import { copyFile, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import type { NoticesState } from '../../../../src/sessions/change-notices.ts'
import type { SessionTable } from '../../../../src/sessions/databases/session-table.ts'
import { openSqliteTable } from '../../../../src/sessions/databases/sqlite.ts'
import { createSqliteNotices, type SqliteNotices } from '../../../../src/sessions/databases/sqlite-notices.ts'
import { scratchRoot } from '../../../support/scratch.ts'
import { createTestScheduler } from '../test-scheduler.ts'

const EVERYTHING = '*'
const NOW = Date.UTC(2026, 10, 23, 12)
const row = { text: 'text', expiresAt: NOW + 3_600_000 }

class World {
  readonly path: string
  readonly scheduler = createTestScheduler()
  readonly notices: SqliteNotices = createSqliteNotices(this.scheduler)
  /** What was told since it was last asked for. */
  readonly #told: string[] = []
  readonly states: NoticesState[] = []
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
    this.path = join(folder, 'sessions.sqlite3')
  }

  async open({ listens = true } = {}): Promise<SessionTable> {
    if (listens) this.listen()
    const settings = { path: this.path, create: 'ours', useTz: true, busyTimeoutMs: 1000 } as const
    const table = await openSqliteTable({ ...settings, clock: () => NOW, watcher: this.notices })
    if (listens) this.takeTold()
    return table
  }

  listen(): void {
    this.notices.listen({
      changed: (name) => void this.#told.push(name),
      everythingChanged: () => void this.#told.push(EVERYTHING),
    })
    this.notices.onState((state) => void this.states.push(state))
  }

  takeTold(): string[] {
    return this.#told.splice(0)
  }

  /** Another process. */
  connect(): DatabaseSync {
    return new DatabaseSync(this.path, { timeout: 1000 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.notices[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true })
  }
}

async function createWorld(): Promise<World> {
  return new World(await mkdtemp(join(scratchRoot(), 'sessiongate-notices-')))
}

function insert(database: DatabaseSync, key: string): void {
  database.prepare("INSERT INTO django_session VALUES (?, 'text', '2030-01-01 00:00:00')").run(key)
}

for (const journal of ['wal', 'delete']) {
  describe(`in journal mode ${journal}`, () => {
    test('anything that another connection commits changes everything, at the next look and once', async () => {
      await using world = await createWorld()
      await (await world.open({ listens: false }))[Symbol.asyncDispose]()
      using other = world.connect()
      other.exec(`PRAGMA journal_mode = ${journal}`)
      await using _table = await world.open()
      assert.equal(world.notices.isCurrent(), true)
      assert.deepEqual(world.takeTold(), [])
      for (const change of [
        () => insert(other, 'a'),
        () => other.exec("UPDATE django_session SET session_data = 'other'"),
        () => other.exec('DELETE FROM django_session'),
        () => other.exec('CREATE TABLE something (a)'),
      ]) {
        change()
        assert.equal(world.notices.isCurrent(), true)
        assert.equal(world.notices.isCurrent(), true)
        assert.deepEqual(world.takeTold(), [EVERYTHING])
      }
    })

    test('what was rolled back, or not committed yet, changes nothing', async () => {
      await using world = await createWorld()
      await (await world.open({ listens: false }))[Symbol.asyncDispose]()
      using other = world.connect()
      other.exec(`PRAGMA journal_mode = ${journal}`)
      await using _table = await world.open()
      other.exec('BEGIN IMMEDIATE')
      insert(other, 'a')
      assert.equal(world.notices.isCurrent(), true)
      other.exec('ROLLBACK')
      assert.equal(world.notices.isCurrent(), true)
      assert.deepEqual(world.takeTold(), [])
    })

    test('changes through the table are told by key, and nothing else is', async () => {
      await using world = await createWorld()
      await using table = await world.open()
      assert.equal(await table.insert('a', row), true)
      assert.equal(await table.insert('a', row), false)
      await table.change('a', () => ({ change: { kind: 'update', row }, result: 1 }))
      await table.change('a', () => ({ change: { kind: 'keep' }, result: 1 }))
      await table.change('a', () => ({ change: { kind: 'move', key: 'b', row }, result: 1 }))
      await table.change('b', () => ({ change: { kind: 'delete' }, result: 1 }))
      await table.find('a')
      assert.equal(world.notices.isCurrent(), true)
      assert.deepEqual(world.takeTold(), ['a', 'a', 'a', 'b'])
    })

    test('a decision that throws is no change of that session', async () => {
      await using world = await createWorld()
      await using table = await world.open()
      await assert.rejects(
        table.change('a', () => {
          throw new Error('refused')
        }),
        /refused/,
      )
      assert.equal(world.takeTold().includes('a'), false)
    })
  })
}

test('sessions that the table swept away change everything: the clock may be set back', async () => {
  await using world = await createWorld()
  await using table = await world.open()
  await table.insert('a', { ...row, expiresAt: NOW - 1000 })
  world.takeTold()
  assert.equal(await table.deleteExpired(10), 1)
  assert.deepEqual(world.takeTold(), [EVERYTHING])
  assert.equal(await table.deleteExpired(10), 0)
  assert.deepEqual(world.takeTold(), [])
})

test('nothing is current before the table is there and somebody listens', async () => {
  await using world = await createWorld()
  assert.equal(world.notices.isCurrent(), false)
  await using _table = await world.open({ listens: false })
  assert.equal(world.notices.isCurrent(), false)
  world.listen()
  assert.equal(world.notices.isCurrent(), true)
  assert.deepEqual(world.states, [{ isUp: true }])
  assert.deepEqual(world.takeTold(), [EVERYTHING])
})

test('the state is down until the database is open, and up from then on', async () => {
  await using world = await createWorld()
  await using _table = await world.open()
  assert.deepEqual(world.states, [{ isUp: false, reason: 'the database has not been opened yet' }, { isUp: true }])
})

test('while the lock of a file in mode DELETE is held nothing is current, and nothing was lost after it', async () => {
  await using world = await createWorld()
  await (await world.open({ listens: false }))[Symbol.asyncDispose]()
  using other = world.connect()
  other.exec('PRAGMA journal_mode = delete')
  await using _table = await world.open()
  other.exec('BEGIN EXCLUSIVE')
  assert.equal(world.notices.isCurrent(), false)
  assert.deepEqual(world.takeTold(), [])
  other.exec('COMMIT')
  assert.equal(world.notices.isCurrent(), true)
  assert.deepEqual(world.takeTold(), [])
  assert.deepEqual(world.states.at(-1), { isUp: true })
})

test('a file that was replaced is noticed within a second, and the new one is watched once it is open', async () => {
  await using world = await createWorld()
  await using table = await world.open()
  assert.equal(world.notices.isCurrent(), true)
  await copyFile(world.path, `${world.path}.new`)
  await rename(`${world.path}.new`, world.path)
  await world.scheduler.pass(1000)
  assert.equal(world.notices.isCurrent(), false)
  assert.equal(world.notices.isCurrent(), false)
  assert.ok(world.takeTold().includes(EVERYTHING))
  assert.deepEqual(world.states.at(-1), { isUp: false, reason: 'the database file was replaced, moved or removed' })
  await table.ping()
  assert.deepEqual(world.takeTold(), [EVERYTHING])
  assert.equal(world.notices.isCurrent(), true)
  assert.deepEqual(world.states.at(-1), { isUp: true })
  using other = world.connect()
  insert(other, 'a')
  assert.equal(world.notices.isCurrent(), true)
  assert.deepEqual(world.takeTold(), [EVERYTHING])
})

test('a file that is gone is noticed within a second', async () => {
  await using world = await createWorld()
  await using _table = await world.open()
  await rename(world.path, `${world.path}.away`)
  await world.scheduler.pass(1000)
  assert.equal(world.notices.isCurrent(), false)
  await rename(`${world.path}.away`, world.path)
  assert.equal(world.notices.isCurrent(), true)
})

test('nothing is current after the table was closed', async () => {
  await using world = await createWorld()
  const table = await world.open()
  await table[Symbol.asyncDispose]()
  assert.equal(world.notices.isCurrent(), false)
  assert.deepEqual(world.states.at(-1), { isUp: false, reason: 'the database cannot be read' })
})
