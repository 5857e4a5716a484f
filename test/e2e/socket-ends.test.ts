import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { within } from '../support/deadline.ts'
import { assertEndsByDate, assertEndsElsewhere, openSocketStage, type SocketStage, untilTold } from './socket-stage.ts'

/** What the documentation promises, and what a busy machine may add. */
const SQLITE_BOUND_MS = 3_000 + 3_000

describe('WebSockets of sessions in SQLite', () => {
  let folder = ''
  let stage: SocketStage
  const file = (): string => join(folder, 'db.sqlite3')
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sessiongate-sockets-'))
    stage = await openSocketStage({ database: { url: `sqlite:${file()}`, create: true } })
    await untilTold(stage)
  })
  after(async () => {
    await stage[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })

  test('end soon after another gateway has ended the session, in whichever way', async () => {
    await assertEndsElsewhere(stage, SQLITE_BOUND_MS)
  })

  test('end when the row is deleted with a client of the database, while others are written all the time', async () => {
    const key = await stage.logIn(stage.here)
    const open = await stage.open(stage.here, key)
    using database = new DatabaseSync(file(), { timeout: 5_000 })
    const insert = database.prepare("INSERT INTO django_session VALUES (?, 'x', '2050-01-01 00:00:00')")
    let written = 0
    const writing = setInterval(() => insert.run(`other${String(written++)}`), 20)
    try {
      database.prepare('DELETE FROM django_session WHERE session_key = ?').run(key)
      const endedAtMs = performance.now()
      const { code, atMs } = await within('the end', open.closed)
      assert.equal(code, 1008)
      assert.ok(atMs - endedAtMs < SQLITE_BOUND_MS, `after ${Math.round(atMs - endedAtMs)} ms`)
    } finally {
      clearInterval(writing)
    }
  })

  test('end within a second after the session is over by its date, unless it was renewed', async () => {
    await assertEndsByDate(stage)
  })
})

describe('WebSockets of sessions in files', () => {
  test('end by date, and at once when this gateway ends the session', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sessiongate-sockets-'))
    await using stack = new AsyncDisposableStack()
    stack.defer(() => rm(folder, { recursive: true }))
    const stage = stack.use(await openSocketStage({ session: { engine: 'file', file_path: folder } }))
    const key = await stage.logIn(stage.there)
    const open = await stage.open(stage.here, key)
    await stage.command(stage.here, key, 'X-Session-Command', 'flush')
    assert.equal((await within('the end', open.closed)).code, 1008)
    const brief = await stage.logIn(stage.there, ['X-Session-Expiry', '2'])
    assert.equal((await within('the end by date', (await stage.open(stage.here, brief)).closed)).code, 1008)
  })
})
