import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { within } from '../support/deadline.ts'
import { startPostgres } from '../support/postgres.ts'
import { startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { assertEndsByDate, assertEndsElsewhere, openSocketStage, untilTold } from './socket-stage.ts'

const redis = requireServer('redis')
const postgres = requireServer('postgres')

/** What the documentation promises where the store tells at once, and what a busy machine may add. */
const BOUND_MS = 1_000 + 3_000

test('on Redis, whoever is logged out elsewhere loses his WebSockets', { skip: redis.skip }, async () => {
  await using server = await startRedis()
  await using stage = await openSocketStage({
    session: { engine: 'cache' },
    caches: { default: { backend: 'redis', url: `redis://127.0.0.1:${server.port}` } },
  })
  await untilTold(stage)
  await assertEndsElsewhere(stage, BOUND_MS)
  await assertEndsByDate(stage)
})

test('on Redis, a server that comes back empty ends all WebSockets', { skip: redis.skip }, async () => {
  await using server = await startRedis()
  await using stage = await openSocketStage({
    session: { engine: 'cache' },
    caches: { default: { backend: 'redis', url: `redis://127.0.0.1:${server.port}` } },
  })
  await untilTold(stage)
  const keys = await Promise.all(Array.from({ length: 50 }, () => stage.logIn(stage.there)))
  const open = await Promise.all(keys.map((key) => stage.open(stage.here, key)))
  await server.kill()
  await stage.here.logged('the break', ({ msg }) => msg.startsWith('session changes are not told'))
  for (const socket of open) assert.equal(await socket.isAlive(), true, 'an outage ends nothing')
  await server.start()
  const codes = await within('all ends', Promise.all(open.map(async ({ closed }) => (await closed).code)), 20_000)
  assert.deepEqual(new Set(codes), new Set([1008]))
})

test('on cached_db over Redis, whoever is logged out elsewhere loses his WebSockets', {
  skip: redis.skip,
}, async () => {
  await using server = await startRedis()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-shared-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'db.sqlite3'), '')
  const stage = stack.use(
    await openSocketStage({
      session: { engine: 'cached_db' },
      database: { url: `sqlite:${join(folder, 'db.sqlite3')}`, create: true },
      caches: { default: { backend: 'redis', url: `redis://127.0.0.1:${server.port}` } },
    }),
  )
  await untilTold(stage)
  await assertEndsElsewhere(stage, BOUND_MS)
  await assertEndsByDate(stage)
})

test('on PostgreSQL, whoever is logged out elsewhere loses his WebSockets', { skip: postgres.skip }, async () => {
  await using server = await startPostgres()
  const database = await server.createDatabase()
  await using stage = await openSocketStage({
    session: { engine: 'db' },
    database: { url: database.url, create: true, notify: 'create' },
  })
  await untilTold(stage)
  await assertEndsElsewhere(stage, BOUND_MS)
  await assertEndsByDate(stage)
})
