import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { requireServer } from '../support/requirement.ts'
import { contend } from './contest.ts'
import type { DjangoProject, DjangoSettings } from './django-project.ts'

const django = requireServer('django')

const atomic: DjangoSettings = { engine: 'db', transactionMode: 'IMMEDIATE' }

const modes: { why: string; settings: DjangoSettings; isAtomic: boolean; journalMode: 'delete' | 'wal' }[] = [
  { why: 'a Django view in a transaction of its own', settings: atomic, isAtomic: true, journalMode: 'delete' },
  { why: 'such a view, in a database with WAL', settings: atomic, isAtomic: true, journalMode: 'wal' },
  {
    why: 'a stock Django view, which reads and then writes',
    settings: { engine: 'db' },
    isAtomic: false,
    journalMode: 'delete',
  },
]

for (const { why, journalMode, ...contest } of modes) {
  test(`two processes change one session on SQLite at once, the gateway and ${why}`, {
    skip: django.skip,
    timeout: 180_000,
  }, async (t) => {
    const prepare = ({ database }: DjangoProject): void => setJournalMode(database, journalMode)
    await using project = await contend({ ...contest, python: django.path, prepare }, t)
    assert.equal(await project.pragma('journal_mode'), journalMode)
    assert.equal(await project.pragma('integrity_check'), 'ok')
  })
}

function setJournalMode(file: string, mode: 'delete' | 'wal'): void {
  using database = new DatabaseSync(file)
  assert.equal(database.prepare(`PRAGMA journal_mode = ${mode}`).get()?.journal_mode, mode)
}
