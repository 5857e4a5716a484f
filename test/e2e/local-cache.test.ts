import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { type LocalCacheStage, lookups, openLocalCacheStage, reads } from './local-cache-stage.ts'

function databaseOf({ gateway }: LocalCacheStage): DatabaseSync {
  return new DatabaseSync(join(gateway.folder, 'var/sessiongate.sqlite3'), { timeout: 5000 })
}

describe('a gateway as it comes, on SQLite', () => {
  test('answers from memory, and reads the store once', async () => {
    await using stage = await openLocalCacheStage({})
    const key = await stage.logIn('ann')
    const readsBefore = await stage.metric(reads('db'))
    for (let i = 0; i < 20; i++) assert.equal(await stage.userOf(key), 'ann')
    assert.equal(await stage.metric(reads('db')), readsBefore + 1)
    assert.equal(await stage.metric(lookups('hit')), 19)
    assert.equal(await stage.state(), 'on')
    assert.deepEqual(
      stage.gateway.log.filter(({ msg }) => /session changes|in the process/.test(msg)),
      [],
      'all is as wished, so nothing is told',
    )
  })

  test('lets nobody in again who was deleted past it, not for one request', async () => {
    await using stage = await openLocalCacheStage({})
    using database = databaseOf(stage)
    const remove = database.prepare('DELETE FROM django_session WHERE session_key = ?')
    for (let round = 0; round < 100; round++) {
      const key = await stage.logIn('ann')
      assert.equal(await stage.userOf(key), 'ann')
      assert.equal(await stage.userOf(key), 'ann')
      remove.run(key)
      assert.equal(await stage.userOf(key), undefined)
    }
    assert.ok((await stage.metric(lookups('hit'))) >= 100)
  })

  test('shows its own changes to the very next request', async () => {
    await using stage = await openLocalCacheStage({})
    const key = await stage.logIn('ann')
    for (let count = 1; count <= 50; count++) {
      await stage.command(key, 'X-Session-Set', JSON.stringify({ count }))
      assert.equal((await stage.dataOf(key))?.count, count)
      assert.equal((await stage.dataOf(key))?.count, count)
    }
    assert.ok((await stage.metric(lookups('hit'))) >= 50)
  })

  test('ends a session that it flushes itself at once', async () => {
    await using stage = await openLocalCacheStage({})
    const key = await stage.logIn('ann')
    assert.equal(await stage.userOf(key), 'ann')
    await stage.command(key, 'X-Session-Command', 'flush')
    assert.equal(await stage.userOf(key), undefined)
  })
})

test('with local_cache: null each request asks the store', async () => {
  await using stage = await openLocalCacheStage({ session: { local_cache: null } })
  const key = await stage.logIn('ann')
  const before = await stage.metric(reads('db'))
  for (let i = 0; i < 5; i++) assert.equal(await stage.userOf(key), 'ann')
  assert.equal(await stage.metric(reads('db')), before + 5)
  assert.equal(await stage.state(), 'off')
})

test('over a store that tells of no changes it is off by itself, and the log and /readyz say why', async () => {
  await using stage = await openLocalCacheStage({ session: { engine: 'file', file_path: '.' } })
  assert.equal(await stage.state(), 'off: files tell of no changes')
  const line = await stage.gateway.logged('why', ({ msg }) => msg === 'no sessions are kept in the process')
  assert.deepEqual([line.level, line.reason], ['info', 'files tell of no changes'])
  const key = await stage.logIn('ann')
  const before = await stage.metric(reads('file'))
  for (let i = 0; i < 5; i++) assert.equal(await stage.userOf(key), 'ann')
  assert.equal(await stage.metric(reads('file')), before + 5)
})
