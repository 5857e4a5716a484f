import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { makeCertificates } from '../support/certificates.ts'
import { turns, until } from '../support/deadline.ts'
import { type Fault, startFaultProxy } from '../support/fault-proxy.ts'
import { startPgbouncer } from '../support/pgbouncer.ts'
import { type PostgresDatabase, type PostgresServer, startPostgres } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import { createSessionDatabase, EVERYTHING, settle, toldBy, type Watched, watch } from './postgres-notice-lines.ts'

const { skip } = requireServer('postgres')
const pgbouncer = requireServer('pgbouncer')

const UPDATE_A = "UPDATE django_session SET session_data = '1' WHERE session_key = 'a'"
const LISTENERS = "FROM pg_stat_activity WHERE application_name = 'sessiongate-notices'"

describe('notices of PostgreSQL in trouble', { skip }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server?.[Symbol.asyncDispose]())

  test('a server that is down at the start: the line stands as soon as it is there', async () => {
    const database = await createSessionDatabase(server)
    await server.stop()
    await using watched = watch(database.url)
    await watched.down(/127\.0\.0\.1:\d+\/test_\d+ cannot be reached/)
    assert.deepEqual(watched.told, [])
    await server.start()
    await watched.up()
    assert.deepEqual(await toldBy(watched, database, () => database.sql(UPDATE_A)), ['a'])
  })

  test('a connection that the server ends: everything is forgotten, and told again, ten times over', async () => {
    const database = await createSessionDatabase(server)
    await using watched = watch(database.url, { random: () => 0 })
    for (let times = 1; times <= 10; times++) {
      await watched.up()
      assert.deepEqual(await toldBy(watched, database, () => database.sql(UPDATE_A)), ['a'])
      const from = watched.told.length
      await database.sql(`SELECT pg_terminate_backend(pid) ${LISTENERS} AND datname = current_database()`)
      await watched.down(/closed the connection/)
      assert.deepEqual(watched.told.slice(from), [EVERYTHING])
    }
    await watched.up()
    const [row] = await database.sql(`SELECT count(*)::int AS n ${LISTENERS} AND datname = current_database()`)
    assert.equal(row?.n, 1)
  })

  for (const mode of ['fast', 'immediate'] as const) {
    test(`a server that is restarted (${mode})`, async () => {
      const database = await createSessionDatabase(server)
      await using watched = watch(database.url)
      await watched.up()
      const from = watched.told.length
      await server.stop(mode)
      await watched.down(/closed the connection|crashed|cannot be reached|starting or stopping/)
      assert.deepEqual(watched.told.slice(from), [EVERYTHING])
      await server.start()
      await watched.up()
      assert.deepEqual(watched.told.slice(from), [EVERYTHING, EVERYTHING])
      assert.deepEqual(await toldBy(watched, database, () => database.sql(UPDATE_A)), ['a'])
    })
  }

  test('a server that is stopped (SIGSTOP): believed no longer than the lease, and again when it goes on', async () => {
    const database = await createSessionDatabase(server)
    await using watched = watch(database.url, { leaseMs: 600 })
    await watched.up()
    await server.pause()
    assert.ok((await believedFor(watched)) <= 600)
    await watched.down(/did not answer within 600 ms/)
    await server.resume()
    await watched.up()
    assert.deepEqual(await toldBy(watched, database, () => database.sql(UPDATE_A)), ['a'])
  })

  const holes: [why: string, fault: Fault][] = [
    ['takes everything and answers nothing', { kind: 'stall' }],
    ['loses everything', { kind: 'swallow' }],
    ['loses what the gateway asks', { kind: 'swallow', direction: 'up' }],
    ['loses what the server tells', { kind: 'swallow', direction: 'down' }],
  ]
  for (const [why, fault] of holes) {
    test(`a network that ${why}: believed no longer than the lease, and nothing that was missed stays`, async () => {
      const database = await createSessionDatabase(server)
      await using proxy = await startFaultProxy(server.port)
      await using watched = watch(through(database, proxy.port), { leaseMs: 600 })
      await watched.up()
      proxy.set(fault)
      const believed = believedFor(watched)
      await database.sql(UPDATE_A)
      const { length } = watched.told
      assert.ok((await believed) <= 600)
      await watched.down(/did not answer within 600 ms/)
      assert.ok(watched.told.slice(length).includes(EVERYTHING))
      proxy.pass()
      await watched.up()
      assert.equal(watched.told.at(-1), EVERYTHING)
      assert.deepEqual(await toldBy(watched, database, () => database.sql(UPDATE_A)), ['a'])
    })
  }

  test('a network that is slow: the line stands as long as answers come within the lease', async () => {
    const database = await createSessionDatabase(server)
    await using proxy = await startFaultProxy(server.port)
    await using watched = watch(through(database, proxy.port), { leaseMs: 1500 })
    await watched.up()
    proxy.set({ kind: 'delay', delayMs: 200 })
    assert.deepEqual(await toldBy(watched, database, () => database.sql(UPDATE_A)), ['a'])
    const { downBytes } = proxy.counts
    await until('several questions are answered', () => {
      assert.ok(watched.notices.isCurrent())
      return proxy.counts.downBytes > downBytes + 1000
    })
    assert.equal(watched.states.length, 2)
  })

  test('a stream cut off or garbled anywhere: the process lives, and the line comes back', async () => {
    const database = await createSessionDatabase(server)
    await using proxy = await startFaultProxy(server.port)
    await using watched = watch(through(database, proxy.port), { leaseMs: 300, random: () => 0 })
    for (let afterBytes = 0; afterBytes < 400; afterBytes += 61) {
      await watched.up()
      const from = watched.told.length
      proxy.set({ kind: 'cut', direction: 'down', afterBytes }, 'open')
      await until('it is noticed', () => watched.told.slice(from).includes(EVERYTHING))
      await watched.up()
      proxy.set({ kind: 'corrupt', direction: 'down', offset: afterBytes, everyBytes: 1_000_000 }, 'next')
      proxy.kill()
      await watched.down(/./)
    }
    await watched.mended()
    assert.deepEqual(await toldBy(watched, database, () => database.sql(UPDATE_A)), ['a'])
  })

  test('a process that was busy for longer than the lease: nothing is believed until it has read what came, and no more is lost', async () => {
    const database = await createSessionDatabase(server)
    await using watched = watch(database.url, { leaseMs: 300 })
    await watched.up()
    await settle(watched, database)
    const { length } = watched.told
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400)
    assert.equal(watched.notices.isCurrent(), false)
    await watched.up()
    assert.deepEqual(watched.told.slice(length), [])
    assert.equal(watched.states.length, 2)
  })

  test('a machine that slept, whose one clock stood still: nothing is believed from before', async () => {
    const database = await createSessionDatabase(server)
    let sleptMs = 0
    await using watched = watch(database.url, { clock: () => Date.now() + sleptMs })
    await watched.up()
    sleptMs = 3_600_000
    assert.equal(watched.notices.isCurrent(), false)
    await watched.up()
    sleptMs = 0 // set back
    assert.equal(watched.notices.isCurrent(), true)
  })

  test('a standby tells of nothing, and is believed when it has become the primary', async () => {
    await using second = await startPostgres({ settings: { wal_retrieve_retry_interval: '100ms' } })
    const database = await createSessionDatabase(second)
    await using watched = watch(database.url)
    await watched.up()
    await second.stop()
    const path = join(second.folder, 'data', 'standby.signal')
    await writeFile(path, '')
    const starting = second.start()
    await watched.down(/is a standby, which tells of no changes/)
    await second.sql('SELECT pg_promote(false)')
    await starting
    await watched.up()
    assert.deepEqual(await toldBy(watched, database, () => database.sql(UPDATE_A)), ['a'])
  })

  test('protected as the URL says: by TLS, or on a Unix socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sessiongate-notices-'))
    try {
      const { files } = await makeCertificates(folder)
      const [cert = '', key = ''] = [files.serverCert, files.serverKey].map((path) => readFileSync(path, 'utf8'))
      await using second = await startPostgres({ tls: { cert, key } })
      const database = await createSessionDatabase(second)
      const how = `SELECT ssl, client_addr IS NULL AS "isLocal" FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ${LISTENERS.split('WHERE')[1]}`
      const ways: [url: string, row: object][] = [
        [`${database.url}?sslmode=verify-full&sslrootcert=${files.ca}`, { ssl: true, isLocal: false }],
        [database.socketUrl, { ssl: false, isLocal: true }],
      ]
      for (const [url, row] of ways) {
        await using watched = watch(url)
        await watched.up()
        assert.deepEqual(await database.sql(how), [row])
        assert.deepEqual(await toldBy(watched, database, () => database.sql(UPDATE_A)), ['a'])
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  describe('behind pgbouncer', { skip: pgbouncer.skip }, () => {
    test('in session mode: as without', async () => {
      const database = await createSessionDatabase(server)
      await using bouncer = await startPgbouncer(server, { poolMode: 'session' })
      await using watched = watch(bouncer.urlOf(database))
      await watched.up()
      assert.deepEqual(await toldBy(watched, database, () => database.sql(UPDATE_A)), ['a'])
    })

    test('in transaction mode: never believed, although every question is answered', async () => {
      const database = await createSessionDatabase(server)
      await using bouncer = await startPgbouncer(server)
      await using watched = watch(bouncer.urlOf(database))
      await watched.down(/is behind a pooler that loses notices: only one in session mode will do/)
      assert.equal(
        watched.states.some(({ isUp }) => isUp),
        false,
      )
    })
  })

  test('closed at any moment: at once, and nothing is left behind', async () => {
    const database = await createSessionDatabase(server)
    await using proxy = await startFaultProxy(server.port)
    const url = through(database, proxy.port)
    const closings: [why: string, fault: Fault, after: (watched: Watched) => Promise<unknown>][] = [
      ['at once', { kind: 'pass' }, async () => {}],
      ['while connecting', { kind: 'stall' }, () => turns(50)],
      ['while waiting for an answer', { kind: 'stall', direction: 'down' }, () => turns(50)],
      ['when it stands', { kind: 'pass' }, (watched) => watched.up()],
      ['while waiting for the next attempt', { kind: 'reset' }, (watched) => watched.down(/cannot be reached/)],
    ]
    for (const [why, fault, wait] of closings) {
      proxy.set(fault)
      const watched = watch(url)
      await wait(watched)
      const { length } = watched.told
      await watched.notices[Symbol.asyncDispose]()
      await watched.notices[Symbol.asyncDispose]()
      assert.equal(watched.notices.isCurrent(), false, why)
      await database.sql(UPDATE_A)
      assert.equal(watched.told.length, length, why)
      proxy.pass()
      await until(`its connection is closed: ${why}`, () => proxy.counts.open === 0)
    }
    const giveUpAt = performance.now() + 10_000
    while ((await database.sql(`SELECT 1 ${LISTENERS} AND datname = current_database()`)).length > 0) {
      assert.ok(performance.now() < giveUpAt)
    }
  })

  test('reasons hold neither user nor password', async () => {
    const database = await createSessionDatabase(server)
    await using watched = watch(database.url.replace('postgres@', 'n0body:5ecret@'))
    const reason = await watched.down(/./)
    await watched.down(/refused|failed|cannot/)
    assert.doesNotMatch(`${reason}${JSON.stringify(watched.states)}`, /n0body|5ecret/)
  })
})

function through(database: PostgresDatabase, port: number): string {
  return database.url.replace(/:\d+\//, `:${port}/`)
}

/** For how long the line is still believed from now on, in milliseconds; looked at on every turn until it fell. */
async function believedFor({ notices, states }: Watched): Promise<number> {
  const startedAt = performance.now()
  let lastMs = 0
  await until('the line falls', () => {
    const ms = performance.now() - startedAt
    if (notices.isCurrent()) lastMs = ms
    return states.at(-1)?.isUp === false
  })
  return lastMs
}
