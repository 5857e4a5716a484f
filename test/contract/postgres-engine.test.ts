import { after, before } from 'node:test'
import { openPostgresSessions } from '../../src/sessions/databases/postgres.ts'
import { type Pgbouncer, startPgbouncer } from '../support/pgbouncer.ts'
import { type PostgresDatabase, startPostgres } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import { describeSessionEngine } from './session-engine.ts'
import type { OpenStore } from './session-engine-world.ts'

const postgres = requireServer('postgres')
const pgbouncer = requireServer('pgbouncer')
const traits = { isServerSide: true, isSigned: true, tellsExpired: true }

const servers = new AsyncDisposableStack()
let database: PostgresDatabase
let bouncer: Pgbouncer

before(async () => {
  if (postgres.skip !== false) return
  const server = servers.use(await startPostgres())
  database = await server.createDatabase()
  if (pgbouncer.skip === false) bouncer = servers.use(await startPgbouncer(server))
})
after(() => servers.disposeAsync())

describeSessionEngine('db on PostgreSQL', openStore(false), traits, { skip: postgres.skip })
describeSessionEngine('db on PostgreSQL behind pgbouncer', openStore(true), traits, {
  skip: postgres.skip || pgbouncer.skip,
})

/** The one database, with a new table that the engine makes; looked into past pgbouncer. */
function openStore(isBehindPgbouncer: boolean): OpenStore {
  return async (world) => {
    const connection = await database.connect()
    await connection.sql('DROP TABLE IF EXISTS django_session')
    const url = isBehindPgbouncer ? bouncer.urlOf(database) : database.url
    const settings = { url, create: true, poolSize: 5, pgbouncer: isBehindPgbouncer, timeoutMs: 10_000 }
    const connect = async () => openPostgresSessions({ ...world, ...settings })
    {
      await using engine = await connect()
      await engine.ping()
    }
    return {
      connect,
      async peek(key) {
        const [row] = await connection.sql('SELECT session_data FROM django_session WHERE session_key = $1', [key])
        return row && String(row.session_data)
      },
      async plant(key, text) {
        const date = new Date(world.now + 3_600_000).toISOString()
        await connection.sql('INSERT INTO django_session VALUES ($1, $2, $3)', [key, text, date])
      },
      [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
    }
  }
}
