import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { openSqliteSessions } from '../../src/sessions/databases/sqlite.ts'
import { createSqliteNotices } from '../../src/sessions/databases/sqlite-notices.ts'
import { scratchRoot } from '../support/scratch.ts'
import { changeBehind, common, type Kept, keep, strangerOn, tellStaleness } from './local-cache-staleness.ts'
import { startStranger } from './local-cache-stranger.ts'

interface Stage extends AsyncDisposable {
  readonly path: string
  readonly kept: Kept
}

async function openStage(journal: string): Promise<Stage> {
  const folder = await mkdtemp(join(scratchRoot(), 'sessiongate-stale-'))
  const path = join(folder, 'sessions.sqlite3')
  const settings = { ...common, path, create: 'ours', useTz: true, busyTimeoutMs: 10_000 } as const
  await (await openSqliteSessions(settings))[Symbol.asyncDispose]()
  {
    using database = new DatabaseSync(path)
    database.exec(`PRAGMA journal_mode = ${journal}`)
  }
  const notices = createSqliteNotices()
  const kept = await keep(await openSqliteSessions({ ...settings, watcher: notices }), notices)
  return {
    path,
    kept,
    async [Symbol.asyncDispose]() {
      await kept[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

for (const [journal, changes] of [
  ['wal', 10_000],
  ['delete', 2000],
] as const) {
  test(`of ${changes} changes by another process none is ever missed, in journal mode ${journal}`, async (t) => {
    await using stage = await openStage(journal)
    await using stranger = await startStranger(stage.path)
    const staleness = await changeBehind(stage.kept, stranger, { changes, boundMs: 0 })
    t.diagnostic(tellStaleness(stage.kept, staleness))
    assert.equal(staleness.staleLoads, 0)
    assert.ok(stage.kept.lookups.hit > changes, `${stage.kept.lookups.hit} hits`)
  })
}

test('nor any of 2,000 by another connection of this process, past every engine', async (t) => {
  await using stage = await openStage('wal')
  await using other = await openSqliteSessions({
    ...common,
    path: stage.path,
    create: 'never',
    useTz: true,
    busyTimeoutMs: 1000,
  })
  using database = new DatabaseSync(stage.path)
  const remove = database.prepare('DELETE FROM django_session WHERE session_key = ?')
  const stranger = strangerOn(other)
  const pause = () => new Promise<void>((resolve) => setImmediate(resolve))
  const staleness = await changeBehind(
    stage.kept,
    {
      create: () => stranger.create(),
      async change(key, n) {
        await pause()
        await stranger.change(key, n)
      },
      async revoke(key) {
        await pause()
        remove.run(key)
      },
    },
    { changes: 2000, boundMs: 0 },
  )
  t.diagnostic(tellStaleness(stage.kept, staleness))
  assert.equal(staleness.staleLoads, 0)
})
