import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { stringify } from 'yaml'
import { loadConfig } from '../../src/config/loading.ts'
import { openSessionParts } from '../../src/session-parts.ts'
import { sessionOf } from '../contract/session-engine-world.ts'
import { type AppHandler, startApp } from '../support/app.ts'
import { type CommandResult, runCommand } from '../support/command.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { startMemcached } from '../support/memcached.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'

const checkout = join(import.meta.dirname, '../..')

/** Sections of the YAML that name a store. */
type Sections = Readonly<Record<string, unknown>>

interface Stage extends AsyncDisposable {
  readonly gateway: TestGateway
  /** A log-in by a browser without cookies; the key of the session. */
  logIn(user: string): Promise<string>
  /** The status of a request to a page for users. */
  statusFor(key: string): Promise<number>
  /** A session that somebody else has put into the store, as Django does. */
  storePast(user: string): Promise<string>
  /** `sessiongate sessions …` on the same store. */
  run(...args: string[]): Promise<CommandResult>
  publicIds(...keys: string[]): Promise<string[]>
}

/** Sets what the request's `User` says as the user. */
const app: AppHandler = ({ values }) => {
  const [user] = values('User')
  return user === undefined ? {} : { headers: ['X-Session-Set', JSON.stringify({ userInfo: { id: user } })] }
}

/** @param sectionsIn Of a folder of the store's own. */
async function startOn(sectionsIn: (folder: string) => Sections): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-users-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const { session = {}, ...sections } = sectionsIn(folder)
  const upstream = stack.use(await startApp(app))
  const config = stringify({
    session: {
      secret_key: 'a-secret-key-of-more-than-32-bytes-0123456789',
      user_id: 'userInfo.id',
      user_index: true,
      ...(session as object),
    },
    keys: [{ id: 'test', secret: '0123456789abcdef0123456789abcdef' }],
    upstreams: { app: { servers: [upstream.origin], writeback: { allow: ['*'] } } },
    routes: [
      { id: 'login', match: { path: '/login' }, upstream: 'app', auth: 'public' },
      { id: 'app', match: { path: '/*' }, upstream: 'app', auth: 'required' },
    ],
    ...sections,
  })
  const gateway = stack.use(await startGateway({ config }))
  const file = join(gateway.folder, 'sessiongate.yaml')
  const openParts = async () => {
    const { config: loaded } = await loadConfig({ path: file, env: {} })
    const { session: settings } = loaded
    return await openSessionParts({ ...loaded, session: { ...settings, userIndex: false } }, { clock: Date.now })
  }
  const closing = stack.move()
  return {
    gateway,
    async logIn(user) {
      const response = await fetch(`${gateway.url}/login`, { headers: { User: user } })
      const [, key] = /^sessionid=([a-z0-9]{32});/.exec(response.headers.getSetCookie()[0] ?? '') ?? []
      assert.ok(key, `${response.status} ${await response.text()} ${JSON.stringify(gateway.log.slice(-2))}`)
      return key
    },
    statusFor: async (key) => (await fetch(gateway.url, { headers: { Cookie: `sessionid=${key}` } })).status,
    async storePast(user) {
      await using engine = (await openParts()).engine
      return await engine.create(sessionOf(`{"userInfo":{"id":"${user}"}}`))
    },
    run: (...args) =>
      runCommand(process.execPath, [join(checkout, 'src/main.ts'), 'sessions', ...args, '--config', file], {
        cwd: gateway.folder,
      }),
    async publicIds(...keys) {
      const { publicId, engine } = await openParts()
      await engine[Symbol.asyncDispose]()
      return keys.map(publicId).toSorted()
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** The value of one line of the metrics; NaN where there is none. */
async function metricOf({ gateway }: Stage, series: string): Promise<number> {
  const lines = (await (await fetch(`${gateway.operatorUrl}/metrics`)).text()).split('\n')
  return Number(lines.find((line) => line.startsWith(`${series} `))?.slice(series.length) ?? Number.NaN)
}

async function noteAll(stage: Stage): Promise<void> {
  const { code, stdout, stderr } = await stage.run('index')
  assert.deepEqual([code, stdout], [0, '5 sessions of users noted\n'], stderr)
}

/** What a gateway has met, and nothing searched for. */
async function assertListed(stage: Stage, { met }: Known): Promise<void> {
  const { stdout, stderr } = await stage.run('list', '--json', '--user', 'Ada')
  const ids = stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line).id]))
  assert.deepEqual([stderr, ids.toSorted()], ['', await stage.publicIds(...met)])
}

function revokedIds({ stdout }: CommandResult): string[] {
  return [...stdout.matchAll(/^revoked (\S+)$/gm)].map(([, id = '']) => id).toSorted()
}

/** The sessions of the first user: those that a gateway has met, and one that it has not. */
interface Known {
  readonly met: readonly string[]
  readonly unmet: string
}

/** Two browsers and what Django stored of one user, one browser of another: log out everywhere. */
async function assertLogOutEverywhere(
  store: (folder: string) => Sections,
  between: (stage: Stage, known: Known) => Promise<void> = noteAll,
): Promise<void> {
  await using stage = await startOn(store)
  const [laptop, phone, hers] = [await stage.logIn('Ada'), await stage.logIn('Ada'), await stage.logIn('Grace')]
  const [met, unmet] = [await stage.storePast('Ada'), await stage.storePast('Ada')]
  assert.equal(await stage.statusFor(met), 200)

  await between(stage, { met: [laptop, phone, met], unmet })

  const revoked = await stage.run('revoke', '--user', 'Ada')
  const his = [laptop, phone, met, unmet]
  assert.deepEqual([revoked.code, revokedIds(revoked)], [0, await stage.publicIds(...his)], revoked.stderr)
  assert.match(revoked.stderr, /^4 sessions revoked\n\{.*\}\n$/)
  const { msg, event, asked, count, actor } = JSON.parse(revoked.stderr.split('\n')[1] ?? '')
  const who = `os:${userInfo().username}`
  assert.deepEqual([msg, event, asked, count, actor], ['audit', 'admin_revoke', ['user'], 4, who])
  for (const key of his) assert.equal(await stage.statusFor(key), 401)
  assert.equal(await stage.statusFor(hers), 200)
}

function inSqlite(folder: string): Sections {
  return { database: { url: `sqlite:${folder}/sessions.sqlite3`, create: true } }
}

const [postgres, redis, memcached] = [requireServer('postgres'), requireServer('redis'), requireServer('memcached')]

let postgresServer: PostgresServer
before(async () => {
  if (postgres.skip === false) postgresServer = await startPostgres()
})
after(() => postgresServer?.[Symbol.asyncDispose]())

describe('all sessions of a user are found and ended', { concurrency: 3 }, () => {
  test('in SQLite, those that were not noted yet after `sessions index`', () =>
    assertLogOutEverywhere(inSqlite, async (stage, known) => {
      await assertListed(stage, known)
      await noteAll(stage)
    }))

  test('in files', () => assertLogOutEverywhere((folder) => ({ session: { engine: 'file', file_path: folder } })))

  test('in PostgreSQL, with a cache before it', { skip: postgres.skip || redis.skip }, async () => {
    await using cache = await startRedis()
    const { url } = await postgresServer.createDatabase()
    const store = () => ({
      session: { engine: 'cached_db' },
      database: { url, create: true },
      caches: { default: { backend: 'redis', url: `redis://127.0.0.1:${cache.port}` } },
    })
    await assertLogOutEverywhere(store, async (stage) => {
      await noteAll(stage)
      assert.ok((await metricOf(stage, 'sessiongate_session_cache_requests_total{result="miss"}')) >= 1)
    })
  })

  test('in Redis, as a user of the access list', { skip: redis.skip }, async () => {
    // As docs/stores.md has it.
    const sessions = '~:1:django* resetchannels +@connection +get +strlen +pttl +set +del +eval +evalsha +scan'
    const index = '~:1:sessiongate.user:* +zadd +zrem +zscan +zscore +zrange +zremrangebyscore +pexpireat'
    await using server = await startRedis({ acl: [`user gate on >hunter2 ${sessions} ${index}`] })
    const url = `redis://gate:hunter2@127.0.0.1:${server.port}`
    await assertLogOutEverywhere(() => ({
      session: { engine: 'cache' },
      caches: { default: { backend: 'redis', url } },
    }))
  })

  test('in memcached, which cannot say what it holds', { skip: memcached.skip }, async () => {
    await using server = await startMemcached(memcached)
    const caches = { default: { backend: 'memcached', url: `127.0.0.1:${server.port}` } }
    const store = () => ({ session: { engine: 'cache' }, caches })
    await assertLogOutEverywhere(store, async (stage, { met, unmet }) => {
      await assertListed(stage, { met, unmet })
      const { code, stdout, stderr } = await stage.run('index')
      assert.deepEqual([code, stdout], [1, ''])
      assert.match(stderr, /cannot say what it holds.*each is noted when it is next used/)
      assert.equal(await stage.statusFor(unmet), 200)
    })
  })

  test('while sessions move from one store to another', { skip: redis.skip }, async () => {
    await using server = await startRedis()
    const caches = { default: { backend: 'redis', url: `redis://127.0.0.1:${server.port}` } }
    await assertLogOutEverywhere((folder) => ({
      ...inSqlite(folder),
      session: { read_also: { engine: 'cache' } },
      caches,
    }))
  })
})

/** The statements of docs/stores.md. */
function documentedSql(): string {
  const [, sql = ''] = /```sql\n(CREATE TABLE sessiongate_user_session[\s\S]*?)```/.exec(
    readFileSync(join(checkout, 'docs/stores.md'), 'utf8'),
  ) ?? ['', '']
  assert.match(sql, /CREATE INDEX/)
  return sql
}

describe('a database of somebody else that has no table for the index', { concurrency: 2 }, () => {
  const sessionTable =
    'CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text NOT NULL, ' +
    'expire_date timestamp with time zone NOT NULL)'

  /** The gateway says what is missing, is not ready, and becomes so when somebody has made the table. */
  async function assertWayOut(url: string, run: (sql: string) => Promise<unknown>): Promise<void> {
    await run(sessionTable)
    await using stage = await startOn(() => ({ database: { url } }))
    const down = await stage.gateway.logged('the missing table', ({ msg }) => msg === 'session store is down')
    assert.match(
      String(down['error.message']),
      /no table sessiongate_user_session.*database\.create: true, or run CREATE/,
    )
    assert.equal((await fetch(`${stage.gateway.operatorUrl}/readyz`)).status, 503)
    await run(documentedSql())
    await stage.gateway.logged('the store to be up', ({ msg }) => msg === 'session store is up again')
    const key = await stage.logIn('Ada')
    assert.equal(await stage.statusFor(key), 200)
    await run('DROP TABLE sessiongate_user_session')
    assert.equal((await fetch(`${stage.gateway.url}/login`, { headers: { User: 'Grace' } })).status, 503)
    await stage.gateway.logged('the missing index', ({ msg }) => msg === 'index of users is down, it may lack sessions')
    assert.equal(await stage.statusFor(key), 200)
    assert.equal(await metricOf(stage, 'sessiongate_store_up{store="user_index"}'), 0)
    assert.equal(await metricOf(stage, 'sessiongate_store_up{store="db"}'), 1)
  }

  test('in SQLite', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'sessiongate-users-'))
    t.after(() => rm(folder, { recursive: true }))
    const path = join(folder, 'db.sqlite3')
    using database = new DatabaseSync(path, { timeout: 5000 })
    await assertWayOut(`sqlite:${path}`, async (sql) => database.exec(sql))
  })

  test('in PostgreSQL', { skip: postgres.skip }, async () => {
    const database = await postgresServer.createDatabase()
    await assertWayOut(database.url, (sql) => database.sql(sql))
  })
})
