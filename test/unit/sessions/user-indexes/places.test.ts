import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { createSessionKey } from '../../../../src/django/session-key.ts'
import { createMemoryCache } from '../../../../src/sessions/caches/memory.ts'
import { createCacheListIndex } from '../../../../src/sessions/user-indexes/cache-list.ts'
import { createFileUserIndex } from '../../../../src/sessions/user-indexes/files.ts'
import { createSqliteUserIndex } from '../../../../src/sessions/user-indexes/sqlite.ts'
import { keysOf } from '../../../contract/user-index.ts'

const now = Date.UTC(2026, 10, 23)
const clock = () => now
const later = now + 3_600_000

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'sessiongate-users-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

describe('the index of users on SQLite', () => {
  /** A database as a Django project has it. */
  function createDjangoFile(path: string): void {
    using database = new DatabaseSync(path)
    database.exec(
      'CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text, expire_date text)',
    )
  }

  test('makes no table in somebody else\u2019s database, and says what to do', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'db.sqlite3')
    createDjangoFile(path)
    await using index = createSqliteUserIndex({ path, create: 'ours', busyTimeoutMs: 100, clock })
    await assert.rejects(index.note('7', createSessionKey(), later), {
      code: 'ERR_STORE_UNAVAILABLE',
      message: /no table sessiongate_user_session.*database\.create: true, or run CREATE TABLE/,
    })
    using database = new DatabaseSync(path)
    assert.equal(
      database.prepare('SELECT count(*) AS n FROM sqlite_master WHERE name LIKE ?').get('sessiongate%')?.n,
      0,
    )
  })

  test('makes it there when it may, and finds it when somebody else has made it', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'db.sqlite3')
    createDjangoFile(path)
    await using index = createSqliteUserIndex({ path, create: 'always', busyTimeoutMs: 100, clock })
    const key = createSessionKey()
    await index.note('7', key, later)
    await using other = createSqliteUserIndex({ path, create: 'never', busyTimeoutMs: 100, clock })
    assert.deepEqual(await keysOf(other, '7'), [key])
  })

  test('fails while there is no file, and works when there is one', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'db.sqlite3')
    await using index = createSqliteUserIndex({ path, create: 'never', busyTimeoutMs: 100, clock })
    await assert.rejects(index.note('7', createSessionKey(), later), { code: 'ERR_STORE_UNAVAILABLE' })
    await createSqliteUserIndex({ path, create: 'ours', busyTimeoutMs: 100, clock }).clearExpired(1)
    await index.note('7', createSessionKey(), later)
  })

  test('notices that the file was replaced', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'db.sqlite3')
    await using index = createSqliteUserIndex({ path, create: 'ours', busyTimeoutMs: 100, clock })
    await index.note('7', createSessionKey(), later)
    // With the journal that belongs to it, as whoever restores a backup has to.
    for (const part of ['', '-wal', '-shm']) await rename(path + part, `${path}.old${part}`)
    assert.deepEqual(await keysOf(index, '7'), [])
  })
})

describe('the index of users in files', () => {
  test('is a private folder, with nothing of a user\u2019s id in it', async () => {
    await using folder = await temporaryFolder()
    await using index = createFileUserIndex({ directory: folder.path, clock })
    const key = createSessionKey()
    await index.note('../zoe', key, later)
    const root = join(folder.path, '.sessiongate-users')
    assert.equal((await stat(root)).mode & 0o777, 0o700)
    const [user = ''] = await readdir(root)
    assert.match(user, /^[0-9a-f]{64}$/)
    assert.deepEqual(await readdir(join(root, user)), [`${key}.${later}`])
  })

  test('notes keys that no file of a session has, as other stores may', async () => {
    await using folder = await temporaryFolder()
    await using index = createFileUserIndex({ directory: folder.path, clock })
    const keys = ['UPPER_case:key.1', 'abcdefgh.5', 'abcdefgh']
    for (const key of keys) await index.note('7', key, later)
    assert.deepEqual(await keysOf(index, '7'), keys.toSorted())
    await index.forget('7', 'abcdefgh.5')
    assert.deepEqual(await keysOf(index, '7'), ['UPPER_case:key.1', 'abcdefgh'])
    await assert.rejects(index.note('7', '../../key', later), TypeError)
  })

  test('notes nothing in a folder that others may write', async () => {
    await using folder = await temporaryFolder()
    const root = join(folder.path, '.sessiongate-users')
    await mkdir(root)
    await chmod(root, 0o777)
    await using index = createFileUserIndex({ directory: folder.path, clock })
    await assert.rejects(index.note('7', createSessionKey(), later), { code: 'ERR_STORE_UNAVAILABLE' })
  })

  test('passes by what is none of its notes, and takes the folders of users who have none', async () => {
    await using folder = await temporaryFolder()
    await using index = createFileUserIndex({ directory: folder.path, clock })
    await index.note('7', createSessionKey(), now)
    const root = join(folder.path, '.sessiongate-users')
    await writeFile(join(root, 'readme'), '')
    const [user = ''] = (await readdir(root)).filter((name) => name !== 'readme')
    await writeFile(join(root, user, 'a-b.5'), '')
    assert.equal(await index.clearExpired(10), 1)
    assert.deepEqual(await readdir(join(root, user)), ['a-b.5'])
    await rm(join(root, user, 'a-b.5'))
    await index.clearExpired(10)
    assert.deepEqual(await readdir(root), ['readme'])
  })

  test('says nothing of keys when it fails', async () => {
    await using index = createFileUserIndex({ directory: '/nowhere/at/all', clock })
    await assert.rejects(index.note('7', createSessionKey(), later), {
      code: 'ERR_STORE_UNAVAILABLE',
      message: 'the index of users failed: ENOENT in mkdir',
    })
    assert.deepEqual(await keysOf(index, '7'), [])
  })
})

describe('the index of users in lists', () => {
  test('keeps those that end last when there are too many', async () => {
    await using index = createCacheListIndex(createMemoryCache({ clock }), { keyPrefix: 'u:', clock, maxSessions: 3 })
    const keys = Array.from({ length: 5 }, () => createSessionKey())
    for (const [i, key] of keys.entries()) await index.note('7', key, later + i)
    assert.deepEqual(await keysOf(index, '7'), keys.slice(2).toSorted())
  })

  for (const text of ['', '{', '{}', 'null', '[1,["a"],["a","b"],null]']) {
    test(`takes what is no list for an empty one: ${text}`, async () => {
      const cache = createMemoryCache({ clock })
      await using index = createCacheListIndex(cache, { keyPrefix: 'u:', clock })
      const key = createSessionKey()
      await index.note('7', key, later)
      for await (const cacheKey of cache.keys('')) await cache.put(cacheKey, Buffer.from(text), 60)
      assert.deepEqual(await keysOf(index, '7'), [])
      await index.note('7', key, later)
      assert.deepEqual(await keysOf(index, '7'), [key])
    })
  }
})
