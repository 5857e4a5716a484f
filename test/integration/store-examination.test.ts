import assert from 'node:assert/strict'
import { chmod, mkdtempDisposable, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import type { Diagnosis } from '../../src/lib/diagnosis.ts'
import { DJANGO_SESSION_SQL } from '../../src/sessions/databases/postgres-schema.ts'
import { storeExaminations } from '../../src/store-examination.ts'
import { loadText } from '../config/sample.ts'
import { startMemcached } from '../support/memcached.ts'
import { startPgbouncer } from '../support/pgbouncer.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { startCluster, startRedis, startSentinels } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'

const TIMEOUT_MS = 5000
const secret = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** What is found in the stores of a configuration; a store that cannot be reached is an error. */
async function found(lines: string): Promise<readonly Diagnosis[]> {
  const { config } = await loadText(`version: 1
${lines}
keys: [{ id: a, secret: ${secret} }]
upstreams: { app: { servers: ["http://127.0.0.1:8000"] } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: public }]
`)
  return (await Promise.all(storeExaminations(config, TIMEOUT_MS).map(({ examine }) => examine()))).flat()
}

function bad(diagnoses: readonly Diagnosis[]): string[] {
  return diagnoses.flatMap(({ verdict, text }) => (verdict === 'good' ? [] : [`${verdict}: ${text}`]))
}

const postgres = requireServer('postgres')
describe('PostgreSQL, looked at', { skip: postgres.skip }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server[Symbol.asyncDispose]())

  const look = (url: string, more = '') =>
    found(`session: { engine: db, secret_key: ${secret} }\ndatabase: { url: "${url}"${more} }`)

  test('all is well with Django’s table, and nothing is left in it', async () => {
    const database = await server.createDatabase()
    for (const statement of DJANGO_SESSION_SQL) await database.sql(statement)
    const diagnoses = await look(database.url)
    assert.deepEqual(bad(diagnoses), [])
    const texts = diagnoses.map(({ text }) => text).join('\n')
    assert.match(
      texts,
      /^PostgreSQL \d+[\s\S]*answers in [\d.]+ ms[\s\S]*clock of PostgreSQL[\s\S]*a row can be written/,
    )
    assert.deepEqual(await database.sql('SELECT * FROM django_session'), [])
  })

  test('a table that is missing, and who may make it', async () => {
    const database = await server.createDatabase()
    assert.deepEqual(bad(await look(database.url)), ['fault: there is no table django_session'])
    const made = await look(database.url, ', create: true')
    assert.deepEqual(bad(made), [])
    assert.deepEqual(await database.sql("SELECT to_regclass('django_session') AS name"), [{ name: null }])
  })

  test('a user who may only read, or write nothing at all', async () => {
    const database = await server.createDatabase()
    for (const statement of DJANGO_SESSION_SQL) await database.sql(statement)
    const name = `reader_${process.pid}`
    await database.sql(`CREATE ROLE ${name} LOGIN PASSWORD 'x'; GRANT SELECT ON django_session TO ${name}`)
    const url = database.url.replace(/\/\/[^@]*@/, `//${name}:x@`)
    assert.deepEqual(bad(await look(url)), ['fault: this user may not INSERT, UPDATE, DELETE on django_session'])
    await database.sql(
      `GRANT ALL ON django_session TO ${name}; ALTER ROLE ${name} SET default_transaction_read_only = on`,
    )
    assert.match(bad(await look(url)).join(), /^fault: a row cannot be written into django_session: .*read-only/)
  })

  const pgbouncer = requireServer('pgbouncer')
  test('through a pgbouncer in transaction mode', { skip: pgbouncer.skip }, async () => {
    const database = await server.createDatabase()
    for (const statement of DJANGO_SESSION_SQL) await database.sql(statement)
    await using between = await startPgbouncer(server)
    assert.deepEqual(bad(await look(between.urlOf(database), ', pgbouncer: true')), [])
    assert.deepEqual(await database.sql('SELECT * FROM django_session'), [])
  })

  test('a server that is not there is an error within its time', async () => {
    await assert.rejects(look('postgres://u:geheim@127.0.0.1:9/x'), (error: Error) => !error.message.includes('geheim'))
  })
})

const redis = requireServer('redis')
describe('Redis, looked at', { skip: redis.skip }, () => {
  const look = (url: string, more = '') =>
    found(
      `session: { engine: cache, secret_key: ${secret} }\ncaches: { default: { backend: redis, url: "${url}"${more} } }`,
    )

  test('all is well, and nothing is left behind', async () => {
    await using server = await startRedis()
    const diagnoses = await look(`redis://${server.host}:${server.port}/0`)
    assert.deepEqual(bad(diagnoses), [])
    const texts = diagnoses.map(({ text }) => text).join('\n')
    assert.match(
      texts,
      /answers in[\s\S]*takes, gives and deletes[\s\S]*clock of Redis[\s\S]*is version[\s\S]*no maxmemory is set/,
    )
    assert.equal(await server.command('DBSIZE'), 0)
  })

  test('a policy that throws sessions away is a warning', async () => {
    await using server = await startRedis({ config: ['maxmemory 100mb', 'maxmemory-policy allkeys-lru'] })
    assert.deepEqual(bad(await look(`redis://${server.host}:${server.port}/0`)), [
      'warning: when Redis is full it throws sessions away (maxmemory-policy allkeys-lru)',
    ])
  })

  test('a user who may do what sessions need, and nothing else, is enough', async () => {
    const rights = '+hello +select +set +get +del +strlen +pttl +eval +evalsha +scan'
    await using server = await startRedis({ acl: [`user gate on >gate-password ~* ${rights}`] })
    const diagnoses = await look(`redis://gate:gate-password@${server.host}:${server.port}/0`)
    assert.deepEqual(bad(diagnoses), [])
    assert.match(diagnoses.map(({ text }) => text).join(), /does not tell this user about itself/)
  })

  const urls = (hosts: readonly { host: string; port: number }[]) =>
    hosts.map(({ host, port }) => `"redis://${host}:${port}"`).join(', ')
  const lookAt = async (cache: string): Promise<void> => {
    const diagnoses = await found(
      `session: { engine: cache, secret_key: ${secret} }\ncaches: { default: { ${cache} } }`,
    )
    assert.deepEqual(bad(diagnoses), [])
    assert.match(
      diagnoses.map(({ text }) => text).join('\n'),
      /takes, gives and deletes[\s\S]*clock of Redis[\s\S]*is version/,
    )
  }

  test('behind Sentinel', async () => {
    await using group = await startSentinels()
    const { sentinels, master } = group.servers
    await lookAt(`backend: redis-sentinel, master: ${master}, url: [${urls(sentinels)}]`)
  })

  test('in a cluster', async () => {
    await using cluster = await startCluster()
    await lookAt(`backend: redis-cluster, url: [${urls(cluster.servers.nodes)}]`)
  })

  test('a replica takes no value', async () => {
    await using master = await startRedis()
    await using server = await startRedis()
    await server.command('REPLICAOF', master.host, master.port)
    await assert.rejects(look(`redis://${server.host}:${server.port}/0`))
  })
})

const memcached = requireServer('memcached')
test('memcached, looked at', { skip: memcached.skip }, async () => {
  await using server = await startMemcached(memcached)
  const diagnoses = await found(
    `session: { engine: cache, secret_key: ${secret} }\ncaches: { default: { backend: memcached, url: "127.0.0.1:${server.port}" } }`,
  )
  assert.deepEqual(bad(diagnoses), [])
  assert.match(diagnoses.map(({ text }) => text).join(), /^memcached at 127\.0\.0\.1:\d+ answers in/)
})

test('SQLite: a file without a table, one that is no database, and none at all', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-look-'))
  const path = join(folder.path, 'db.sqlite3')
  const look = (more = '') => found(`session: { secret_key: ${secret} }\ndatabase: { url: "sqlite:${path}"${more} }`)
  assert.deepEqual(bad(await look()), [`fault: ${path} does not exist`])
  assert.deepEqual(bad(await look(', create: true')), [])
  new DatabaseSync(path).close()
  assert.match(bad(await look()).join(), /has no table django_session.*without WAL/)
  await writeFile(path, 'x'.repeat(4096))
  await assert.rejects(look(), /none of SQLite's/)
})

test('files: a folder that is not there, one that all may look into, and one that is closed', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-look-'))
  const look = (path: string) => found(`session: { engine: file, file_path: ${path}, secret_key: ${secret} }`)
  assert.deepEqual(bad(await look(join(folder.path, 'x'))), [`fault: ${folder.path}/x does not exist`])
  assert.deepEqual(bad(await look(folder.path)), [])
  await chmod(folder.path, 0o755)
  assert.match(bad(await look(folder.path)).join(), /^warning: every user of this machine can look into/)
  assert.deepEqual(await readdir(folder.path), [])
})
