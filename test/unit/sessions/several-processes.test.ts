import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { openSharedStore, type SharedStore, startWriter } from './session-writer.ts'

const WRITERS = 4

for (const kind of ['sqlite', 'file'] as const) {
  describe(`several processes on one ${kind} store`, () => {
    test('lose no change: four writers, two hundred increments each', async () => {
      await using shared = await makeStore(kind)
      await using engine = await openSharedStore(shared.store)
      const key = await engine.create(new Map([['n', '0']]))
      const writers = start({ store: shared.store, key, times: 200 })
      const reports = await Promise.all(writers.map(({ report }) => report))
      assert.deepEqual(reports, Array(WRITERS).fill({ stored: 200, resurrected: false }))
      const loaded = await engine.load(key)
      assert.ok(loaded.found)
      assert.equal(loaded.data.get('n'), '800')
    })

    test('never bring a session back that one of them deletes while the others change it', async () => {
      await using shared = await makeStore(kind)
      await using engine = await openSharedStore(shared.store)
      const key = await engine.create(new Map([['n', '0']]))
      const writers = start({ store: shared.store, key, times: 100_000 })
      await Promise.all(writers.map(({ started }) => started))
      assert.equal(await engine.delete(key), true)
      const reports = await Promise.all(writers.map(({ report }) => report))
      assert.ok(reports.every(({ resurrected }) => !resurrected))
      assert.equal((await engine.load(key)).found, false)
    })
  })
}

function start(task: { store: SharedStore; key: string; times: number }) {
  return Array.from({ length: WRITERS }, () => startWriter(task))
}

async function makeStore(kind: SharedStore['kind']) {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-shared-'))
  const store: SharedStore = { kind, path: kind === 'sqlite' ? join(folder, 'sessions.sqlite3') : folder }
  return { store, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) }
}
