import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runCommand } from '../support/command.ts'
import { until } from '../support/deadline.ts'
import { startPgbouncer } from '../support/pgbouncer.ts'
import { startPostgres } from '../support/postgres.ts'
import { startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { type LocalCacheStage, lookups, openLocalCacheStage } from './local-cache-stage.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const postgres = requireServer('postgres')
const redis = requireServer('redis')
const pgbouncer = requireServer('pgbouncer')

/** After so long a change past the gateway is seen, whatever happens. */
const LEASE_MS = 1000

async function untilOn(stage: LocalCacheStage): Promise<void> {
  let state = ''
  await until('sessions are kept', () => {
    void stage.state().then((now) => {
      state = now
    })
    return state === 'on'
  })
}

/** Logs in, warms up, ends the session past the gateway, and asks until it is refused. */
async function endPast(stage: LocalCacheStage, end: (key: string) => Promise<unknown>): Promise<void> {
  for (let round = 0; round < 20; round++) {
    const key = await stage.logIn('ann')
    for (let i = 0; i < 4; i++) assert.equal(await stage.userOf(key), 'ann')
    await end(key)
    const endedAtMs = performance.now()
    for (;;) {
      const askedAtMs = performance.now()
      if ((await stage.userOf(key)) === undefined) break
      assert.ok(askedAtMs - endedAtMs <= LEASE_MS, 'let in later than the bound')
    }
  }
  assert.ok((await stage.metric(lookups('hit'))) >= 20)
}

test('on Redis, whoever is deleted there is out', { skip: redis.skip }, async () => {
  await using server = await startRedis()
  await using stage = await openLocalCacheStage({
    session: { engine: 'cache' },
    caches: { default: { backend: 'redis', url: `redis://127.0.0.1:${server.port}` } },
  })
  await untilOn(stage)
  await endPast(stage, (key) => server.command('DEL', `:1:django.contrib.sessions.cache${key}`))
})

test('on Redis, with no more rights than the documentation asks for', { skip: redis.skip }, async () => {
  const rights =
    'resetchannels +@connection +get +strlen +pttl +set +del +eval +evalsha +scan +subscribe &__redis__:invalidate'
  await using server = await startRedis({ acl: [`user shop on >password ~:1:django* ${rights}`] })
  await using stage = await openLocalCacheStage({
    session: { engine: 'cache' },
    caches: { default: { backend: 'redis', url: `redis://shop:password@127.0.0.1:${server.port}` } },
  })
  await untilOn(stage)
  await endPast(stage, (key) => server.command('DEL', `:1:django.contrib.sessions.cache${key}`))
})

test('on Redis, while it is down and when it is back', { skip: redis.skip }, async () => {
  await using server = await startRedis()
  await using stage = await openLocalCacheStage({
    session: { engine: 'cache' },
    caches: { default: { backend: 'redis', url: `redis://127.0.0.1:${server.port}` } },
  })
  await untilOn(stage)
  const key = await stage.logIn('ann')
  assert.equal(await stage.userOf(key), 'ann')
  await server.kill()
  const broken = await stage.gateway.logged('the break', ({ msg }) => msg.startsWith('session changes are not told'))
  assert.equal(broken.level, 'warn')
  await server.start()
  await stage.gateway.logged('the repair', ({ msg }) => msg.startsWith('session changes are told'))
  assert.equal(await stage.userOf(key), undefined, 'it came back empty')
})

test('on cached_db over Redis, whoever is logged out elsewhere is out', { skip: redis.skip }, async () => {
  await using server = await startRedis()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-shared-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(folder, { recursive: true }))
  const sections = {
    session: { engine: 'cached_db' },
    database: { url: `sqlite:${join(folder, 'db.sqlite3')}` },
    caches: { default: { backend: 'redis', url: `redis://127.0.0.1:${server.port}` } },
  }
  await writeFile(join(folder, 'db.sqlite3'), '')
  const database = { ...sections.database, create: true }
  const stage = stack.use(await openLocalCacheStage({ ...sections, database }))
  const other = stack.use(await openLocalCacheStage({ ...sections, database }))
  await untilOn(stage)
  await endPast(stage, (key) => other.command(key, 'X-Session-Command', 'flush'))
})

test('on PostgreSQL, whoever is deleted there is out', { skip: postgres.skip }, async () => {
  await using server = await startPostgres()
  const database = await server.createDatabase()
  await using connection = await database.connect()
  await using stage = await openLocalCacheStage({
    session: { engine: 'db' },
    database: { url: database.url, create: true, notify: 'create' },
  })
  await untilOn(stage)
  await endPast(stage, (key) => connection.sql('DELETE FROM django_session WHERE session_key = $1', [key]))
})

test('on PostgreSQL without the trigger, until somebody runs what check prints', { skip: postgres.skip }, async () => {
  await using server = await startPostgres()
  const database = await server.createDatabase()
  await using connection = await database.connect()
  const sections = { session: { engine: 'db' }, database: { url: database.url, create: true } }
  {
    await using stage = await openLocalCacheStage(sections)
    assert.match(await stage.state(), /^broken: .*trigger.*notify: create/)
    const line = await stage.gateway.logged('why', ({ msg }) => msg.startsWith('session changes are not told'))
    assert.match(String(line.reason), /sessiongate check/)
    const key = await stage.logIn('ann')
    for (let i = 0; i < 5; i++) assert.equal(await stage.userOf(key), 'ann')
    assert.equal(await stage.metric(lookups('hit')), 0)
    const check = [main, 'check', '--config', 'sessiongate.yaml']
    const { stdout } = await runCommand(process.execPath, check, { cwd: stage.gateway.folder })
    const sql = stdout.slice(stdout.indexOf('BEGIN;'))
    assert.match(sql, /CREATE TRIGGER/)
    await connection.sql(sql)
  }
  await using stage = await openLocalCacheStage(sections)
  await untilOn(stage)
  await endPast(stage, (key) => connection.sql('DELETE FROM django_session WHERE session_key = $1', [key]))
})

test('behind PgBouncer in transaction mode it is off by itself', {
  skip: postgres.skip || pgbouncer.skip,
}, async () => {
  await using server = await startPostgres()
  const database = await server.createDatabase()
  await using bouncer = await startPgbouncer(server)
  const url = bouncer.urlOf(database)
  await using stage = await openLocalCacheStage({ database: { url, create: true, pgbouncer: true } })
  assert.match(await stage.state(), /^off: a PgBouncer/)
  const key = await stage.logIn('ann')
  for (let i = 0; i < 5; i++) assert.equal(await stage.userOf(key), 'ann')
})
