import assert from 'node:assert/strict'
import { mkdir, mkdtempDisposable, rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { createLazyTable } from '../../../../src/sessions/databases/lazy-table.ts'
import type { SessionTable } from '../../../../src/sessions/databases/session-table.ts'
import { openSqliteTable } from '../../../../src/sessions/databases/sqlite.ts'
import type { TableCreation } from '../../../../src/sessions/databases/sqlite-file.ts'
import { storeUnavailable } from '../../../../src/sessions/store-failure.ts'

const row = { text: 'data', expiresAt: Date.UTC(2030, 0, 1) }

/** A table in a database file of that folder, and how often it was opened. */
function lazyIn(folder: string, create: TableCreation): { table: SessionTable; opened: () => number } {
  let opened = 0
  const path = join(folder, 'data/db.sqlite3')
  const clock = (): number => Date.UTC(2026, 0, 1)
  const table = createLazyTable(() => {
    opened += 1
    return openSqliteTable({ path, create, useTz: true, busyTimeoutMs: 0, clock })
  })
  return { table, opened: () => opened }
}

const later: [why: string, create: TableCreation, first: RegExp, arrive: (folder: string) => Promise<void> | void][] = [
  [
    'a project whose volume is mounted later',
    'never',
    /does not exist/,
    async (folder) => {
      await rename(join(folder, 'elsewhere'), join(folder, 'data'))
    },
  ],
  [
    'a project whose migrate runs later',
    'ours',
    /manage\.py migrate/,
    (folder) => {
      using database = new DatabaseSync(join(folder, 'data/db.sqlite3'))
      database.exec('CREATE TABLE django_session (session_key TEXT PRIMARY KEY, session_data TEXT, expire_date TEXT)')
    },
  ],
]
for (const [why, create, first, arrive] of later) {
  test(`${why}: calls fail with the way out, and work as soon as it is there`, async () => {
    await using own = await mkdtempDisposable(join(tmpdir(), 'sessiongate-lazy-'))
    const folder = create === 'never' ? 'elsewhere' : 'data'
    await mkdir(join(own.path, folder))
    await writeFile(join(own.path, folder, 'db.sqlite3'), '')
    if (create === 'never') {
      using database = new DatabaseSync(join(own.path, folder, 'db.sqlite3'))
      database.exec('CREATE TABLE django_session (session_key TEXT PRIMARY KEY, session_data TEXT, expire_date TEXT)')
    }
    const lazy = lazyIn(own.path, create)
    await using table = lazy.table
    for (const call of [
      () => table.ping(),
      () => table.find('k'),
      () => table.insert('k', row),
      () => table.change('k', () => ({ change: { kind: 'keep' }, result: 1 })),
      () => table.deleteExpired(1),
      () => Array.fromAsync(table.rows()),
    ]) {
      await assert.rejects(call(), { code: 'ERR_STORE_UNAVAILABLE', message: first })
    }
    await arrive(own.path)
    await table.ping()
    assert.equal(await table.insert('k', row), true)
    assert.equal((await table.find('k'))?.text, 'data')
    assert.deepEqual(await table.change('k', () => ({ change: { kind: 'delete' }, result: 'gone' })), 'gone')
    assert.deepEqual([await table.deleteExpired(10), await Array.fromAsync(table.rows())], [0, []])
    assert.equal(lazy.opened(), 7)
  })
}

test('nothing is opened before it is needed, nor when it is closed unused; callers at once share one attempt', async () => {
  await using own = await mkdtempDisposable(join(tmpdir(), 'sessiongate-lazy-'))
  const unused = lazyIn(own.path, 'ours')
  await unused.table[Symbol.asyncDispose]()
  assert.equal(unused.opened(), 0)
  const lazy = lazyIn(own.path, 'ours')
  await using table = lazy.table
  await Promise.all(Array.from({ length: 50 }, () => table.ping()))
  assert.equal(lazy.opened(), 1)
})

test('one that is closed while it opens is closed when it is open, and fails no more loudly than that', async () => {
  let isClosed = false
  const gate = Promise.withResolvers<SessionTable>()
  const table = createLazyTable(() => gate.promise)
  const pinging = assert.rejects(table.ping(), { message: 'too late' })
  const closing = table[Symbol.asyncDispose]()
  gate.resolve({
    ping: () => Promise.reject(storeUnavailable('too late')),
    async [Symbol.asyncDispose]() {
      isClosed = true
    },
  } as unknown as SessionTable)
  await closing
  await pinging
  assert.equal(isClosed, true)
})
