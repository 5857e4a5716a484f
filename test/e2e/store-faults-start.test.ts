import assert from 'node:assert/strict'
import { mkdir, mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { startPostgres } from '../support/postgres.ts'
import { startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { type FaultStageOptions, openFaultStage } from './store-fault-stage.ts'

interface LateStore {
  readonly session: readonly string[]
  readonly options?: FaultStageOptions
  /** What the log says of it at the start. */
  readonly complaint: RegExp
  appear(): unknown
}

/** The gateway comes up without its store, serves who needs none, and notices when it appears. */
async function assertLateStart(t: TestContext, { session, options = {}, complaint, appear }: LateStore): Promise<void> {
  const startedMs = performance.now()
  await using stage = await openFaultStage(session, options)
  t.diagnostic(`listening after ${Math.round(performance.now() - startedMs)} ms`)
  const down = await stage.gateway.logged('what is wrong', ({ msg }) => msg === 'session store is down')
  assert.equal(down.level, 'error')
  assert.match(String(down['error.message']), complaint)
  assert.equal(stage.gateway.log[0]?.msg, 'listening', 'the first line is the one that supervisors wait for')
  assert.equal(await stage.readyz(), 503)
  assert.equal((await fetch(`${stage.gateway.operatorUrl}/livez`)).status, 200)
  assert.equal(await stage.storeUp(), 0)
  const cookie = 'sessionid=0123456789abcdef0123456789abcdef'
  for (const visitor of ['guest', 'none', 'lenient'] as const) {
    assert.deepEqual([visitor, (await stage.ask(visitor, cookie)).status], [visitor, 200])
  }
  for (const headers of [{}, { Accept: 'text/html', 'Sec-Fetch-Mode': 'navigate' }]) {
    const { status, headers: received } = await stage.ask('holder', cookie, headers)
    assert.equal(status, 503)
    assert.match(String(received['retry-after']), /^\d+$/)
    assert.deepEqual([received.location, received['set-cookie']], [undefined, undefined])
  }
  await appear()
  const appearedMs = performance.now()
  await stage.gateway.logged('the store to be up', ({ msg }) => msg === 'session store is up again')
  const readyMs = Math.round(performance.now() - appearedMs)
  t.diagnostic(`ready ${readyMs} ms after the store appeared`)
  assert.equal(await stage.readyz(), 200)
  await stage.logIn()
  assert.deepEqual(stage.states(), ['session store is down', 'session store is up again'])
  assert.ok(readyMs < 4000, `ready after ${readyMs} ms`)
}

test("a database file on a volume that is mounted later, and is somebody else's", async (t) => {
  await using own = await mkdtempDisposable(join(tmpdir(), 'sessiongate-late-'))
  await assertLateStart(t, {
    session: ['engine: db'],
    options: { sections: 'database: { url: "sqlite:volume/db.sqlite3" }', folder: own.path },
    complaint: /database .*volume\/db\.sqlite3 does not exist/,
    async appear() {
      await mkdir(join(own.path, 'volume'))
      createProject(join(own.path, 'volume/db.sqlite3'))
    },
  })
})

test('a project whose migrate has not run yet: the log names the command', async (t) => {
  await using own = await mkdtempDisposable(join(tmpdir(), 'sessiongate-late-'))
  const path = join(own.path, 'db.sqlite3')
  new DatabaseSync(path).exec('CREATE TABLE other (x)')
  await assertLateStart(t, {
    session: ['engine: db'],
    options: { sections: 'database: { url: "sqlite:db.sqlite3" }', folder: own.path },
    complaint: /has no table django_session: run "manage\.py migrate"/,
    appear: () => createProject(path),
  })
})

function createProject(path: string): void {
  using database = new DatabaseSync(path)
  database.exec(
    'CREATE TABLE django_session (session_key varchar(40) NOT NULL PRIMARY KEY, session_data text NOT NULL, ' +
      'expire_date datetime NOT NULL)',
  )
}

test('a session folder that is made later', async (t) => {
  await using own = await mkdtempDisposable(join(tmpdir(), 'sessiongate-late-'))
  const folder = join(own.path, 'sessions')
  await assertLateStart(t, {
    session: ['engine: file', `file_path: ${folder}`],
    complaint: /session folder .*sessions cannot be used: make it/,
    appear: () => mkdir(folder),
  })
})

test('a Redis that starts later', { skip: requireServer('redis').skip }, async (t) => {
  await using redis = await startRedis()
  await redis.kill()
  await assertLateStart(t, {
    session: ['engine: cache'],
    options: { sections: `caches: { default: { backend: redis, url: "redis://127.0.0.1:${redis.port}" } }` },
    complaint: /Redis/,
    appear: () => redis.start(),
  })
})

test('a Redis whose network hangs', { skip: requireServer('redis').skip }, async (t) => {
  await using redis = await startRedis()
  await using proxy = await startFaultProxy(redis.port)
  proxy.set({ kind: 'stall' })
  await assertLateStart(t, {
    session: ['engine: cache'],
    options: { sections: `caches: { default: { backend: redis, url: "redis://127.0.0.1:${proxy.port}" } }` },
    complaint: /Redis|did not answer/,
    appear: () => proxy.pass(),
  })
})

test('a PostgreSQL that starts later', { skip: requireServer('postgres').skip }, async (t) => {
  await using postgres = await startPostgres()
  const { url } = await postgres.createDatabase()
  await postgres.stop()
  await assertLateStart(t, {
    session: ['engine: db'],
    options: { sections: `database: { url: "${url}", create: true }` },
    complaint: /PostgreSQL/,
    appear: () => postgres.start(),
  })
})
