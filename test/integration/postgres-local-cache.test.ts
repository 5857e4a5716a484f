import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openPostgresNotices } from '../../src/sessions/databases/postgres-notices.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { type PostgresDatabase, type PostgresServer, startPostgres } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import { breakTheLine, lineFaults } from './local-cache-faults.ts'
import { changeBehind, type Kept, keep, strangerOn, tellStaleness } from './local-cache-staleness.ts'
import { openSessions } from './postgres-sessions.ts'

const { skip } = requireServer('postgres')
const servers = new AsyncDisposableStack()
let server: PostgresServer
let database: PostgresDatabase

before(async () => {
  if (skip !== false) return
  server = servers.use(await startPostgres())
  database = await server.createDatabase()
})
after(() => servers.disposeAsync())

const LEASE_MS = 1000

async function keepOnPostgres(lineTo: string): Promise<Kept> {
  return await keep(openSessions(database.url), openPostgresNotices({ url: lineTo, create: true, leaseMs: LEASE_MS }))
}

test('of 10,000 changes in PostgreSQL none is missed for longer than the lease', { skip }, async (t) => {
  await using kept = await keepOnPostgres(database.url)
  await using other = openSessions(database.url)
  await using connection = await database.connect()
  const stranger = {
    ...strangerOn(other),
    // As an admin page does, or somebody with psql.
    revoke: async (key: string) => {
      await connection.sql('DELETE FROM django_session WHERE session_key = $1', [key])
    },
  }
  const staleness = await changeBehind(kept, stranger, { changes: 10_000, boundMs: LEASE_MS })
  t.diagnostic(tellStaleness(kept, staleness))
  assert.ok(kept.lookups.hit > 10_000, `${kept.lookups.hit} hits`)
})

for (const [name, fault] of lineFaults) {
  test(`when the line to PostgreSQL ${name}, nothing is served from memory until it is back`, { skip }, async () => {
    await using proxy = await startFaultProxy(server.port)
    const lineTo = new URL(database.url)
    lineTo.port = `${proxy.port}`
    await using kept = await keepOnPostgres(lineTo.href)
    await using other = openSessions(database.url)
    await breakTheLine({ kept, stranger: strangerOn(other), proxy, fault, leaseMs: LEASE_MS })
  })
}
