import assert from 'node:assert/strict'
import { mkdir, mkdtempDisposable, rename } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { openRows } from '../security/stage.ts'
import { openFaultStage, summary } from './store-fault-stage.ts'
import { assertBoundedMemory } from './store-memory.ts'
import { assertOutage, type OutageName, openServerStage, type ServerStage, serverKinds } from './store-outages.ts'

describe('sessions in a file of SQLite', () => {
  test('whose table is away', async (t) => {
    await using stage = await openFaultStage(['engine: db'])
    using database = openRows(stage.gateway.folder)
    await assertOutage(t, stage, {
      begin: () => database.exec('ALTER TABLE django_session RENAME TO away'),
      end: () => database.exec('ALTER TABLE away RENAME TO django_session'),
    })
  })

  test('that another program has locked, readers included', async (t) => {
    await using own = await mkdtempDisposable(join(tmpdir(), 'sessiongate-fault-'))
    using database = new DatabaseSync(join(own.path, 'db.sqlite3'), { timeout: 5000 })
    database.exec('CREATE TABLE other (x)')
    const sections = 'database: { url: "sqlite:db.sqlite3", create: true }'
    await using stage = await openFaultStage(['engine: db'], { sections, folder: own.path })
    await assertOutage(t, stage, {
      begin: () => database.exec('BEGIN EXCLUSIVE'),
      end: () => database.exec('COMMIT'),
    })
  })
})

test('sessions in a folder that is away', async (t) => {
  await using own = await mkdtempDisposable(join(tmpdir(), 'sessiongate-fault-'))
  const [folder, away] = [join(own.path, 'sessions'), join(own.path, 'away')]
  await mkdir(folder)
  await using stage = await openFaultStage(['engine: file', `file_path: ${folder}`])
  await assertOutage(t, stage, {
    begin: () => rename(folder, away),
    end: () => rename(away, folder),
  })
})

/** A part of what can happen; `test/soak/store-outages.test.ts` has all of it on every server. */
const chosen: readonly [kind: keyof typeof serverKinds, outages: readonly OutageName[]][] = [
  ['Redis', ['every reply is garbled', 'it is stopped', 'it is killed']],
  ['memcached', ['every reply is cut', 'it is stopped', 'nobody listens any more']],
  ['PostgreSQL', ['nothing gets there', 'every connection is reset', 'it is stopped', 'it is killed']],
]

for (const [kind, outages] of chosen) {
  describe(`sessions in ${kind}`, { skip: serverKinds[kind].skip }, () => {
    let server: ServerStage
    before(async () => {
      server = await openServerStage(kind)
    })
    after(() => server[Symbol.asyncDispose]())

    for (const name of outages) {
      test(`when ${name}`, async (t) => {
        const outage = server.outages[name]
        assert.ok(outage)
        await assertOutage(t, server.stage, outage)
      })
    }

    test('when it is slow, but in time: everybody is served', async (t) => {
      await using stage = await server.open({ timeoutMs: 5000 })
      const cookie = await stage.logIn()
      server.proxy.set({ kind: 'delay', delayMs: 60, jitterMs: 20, direction: 'down' })
      const visitors = ['holder', 'guest', 'none', 'lenient'] as const
      const answers = await stage.load({ cookie, visitors, ratePerSecond: 100, durationMs: 500 })
      server.proxy.pass()
      assert.deepEqual(
        answers.filter(({ status }) => status !== 200),
        [],
      )
      const { holder, guest } = summary(answers)
      t.diagnostic(`the store adds 60 ± 20 ms: p99 ${holder.p99} ms with a session, ${guest.p99} ms without`)
      assert.deepEqual([stage.states(), await stage.readyz()], [[], 200])
    })
  })
}

const { skip } = serverKinds.Redis
test('a Redis that is stopped under load costs no memory', {
  skip: skip || process.platform !== 'linux',
}, async (t) => {
  await using server = await openServerStage('Redis')
  await assertBoundedMemory(t, server, { ratePerSecond: 300, warmUpMs: 2000, stoppedMs: 2000 })
})

test('a Redis that is stopped does not hold up the end of the gateway', { skip }, async () => {
  await using server = await openServerStage('Redis')
  const { stage, outages } = server
  const cookie = await stage.logIn()
  await outages['it is stopped']?.begin()
  const waiting = stage.ask('holder', cookie)
  await stage.toldOften(1)
  assert.equal((await waiting).status, 503)
  const startedMs = performance.now()
  assert.equal(await stage.gateway.stop(), 0)
  assert.ok(performance.now() - startedMs < 10_000)
  assert.equal(stage.gateway.stderr().replace(/^sessiongate listens on .*\n/, ''), '')
})
