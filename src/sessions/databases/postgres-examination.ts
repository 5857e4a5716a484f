import { randomBytes } from 'node:crypto'
import { type Diagnosis, diagnoseClock, fault, good, warning } from '../../lib/diagnosis.ts'
import { readPostgresAddress } from './postgres-address.ts'
import { PostgresPool, type RunStatement } from './postgres-pool.ts'

export interface PostgresExamination {
  readonly url: string
  readonly pgbouncer: boolean
  /** May a missing table be created? */
  readonly create: boolean
  /** The tables that must be there. */
  readonly tables: readonly string[]
  /** For all of it, in milliseconds. */
  readonly timeoutMs: number
}

/** The oldest major version that its makers still mend. */
const OLDEST_SUPPORTED = 14

const LOOK_SQL = `SELECT current_setting('server_version') AS version,
  current_setting('server_version_num')::int AS number,
  (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now,
  pg_is_in_recovery() AS "isReplica",
  has_schema_privilege(current_schema(), 'CREATE') AS "mayCreate"`

const RIGHTS_SQL = `SELECT to_regclass($1)::text AS name, CASE WHEN to_regclass($1) IS NULL THEN NULL ELSE
  concat_ws(', ', CASE WHEN NOT has_table_privilege(to_regclass($1), 'SELECT') THEN 'SELECT' END,
    CASE WHEN NOT has_table_privilege(to_regclass($1), 'INSERT') THEN 'INSERT' END,
    CASE WHEN NOT has_table_privilege(to_regclass($1), 'UPDATE') THEN 'UPDATE' END,
    CASE WHEN NOT has_table_privilege(to_regclass($1), 'DELETE') THEN 'DELETE' END) END AS lacks`

interface Look {
  readonly version: string
  readonly number: number
  readonly now: number
  readonly isReplica: boolean
  readonly mayCreate: boolean | null
}

/**
 * Looks at a database as the gateway would use it: whether it answers and how fast, which server it is, its clock, the
 * tables, and whether a row can be written. The row is taken back in the same transaction, so nobody ever sees it.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` when it cannot be reached, or does not answer in time.
 */
export async function examinePostgres(options: PostgresExamination): Promise<Diagnosis[]> {
  const address = readPostgresAddress(options.url)
  await using pool = new PostgresPool({ ...options, poolSize: 1, address })
  return await pool.call((call) =>
    pool.write(call, async (run) => {
      const from = Date.now()
      const startedAt = performance.now()
      const look = (await run<Look & Record<string, unknown>>({ text: LOOK_SQL })).rows[0]
      const latencyMs = performance.now() - startedAt
      if (look === undefined) return [fault(`PostgreSQL at ${address.place} gave no answer that makes sense`)]
      const diagnoses = [
        good(`PostgreSQL ${look.version} at ${address.place} answers in ${latencyMs.toFixed(1)} ms`),
        ...versionOf(look),
        diagnoseClock('PostgreSQL', look.now, [from, Date.now()]),
      ]
      if (look.isReplica) {
        diagnoses.push(fault(`${address.place} is a replica, which takes no changes`, 'name the primary server'))
        return diagnoses
      }
      for (const table of options.tables) diagnoses.push(await examineTable(run, { ...options, table, look }))
      return diagnoses
    }),
  )
}

function versionOf({ number, version }: Look): Diagnosis[] {
  if (Math.floor(number / 10_000) >= OLDEST_SUPPORTED) return []
  return [
    warning(`PostgreSQL ${version} gets no more fixes from its makers`, `plan a move to ${OLDEST_SUPPORTED} or newer`),
  ]
}

async function examineTable(
  run: RunStatement,
  { table, create, look }: PostgresExamination & { readonly table: string; readonly look: Look },
): Promise<Diagnosis> {
  const { rows } = await run<{ name: string | null; lacks: string | null }>({ text: RIGHTS_SQL }, [table])
  const { name = null, lacks = null } = rows[0] ?? {}
  if (name === null) {
    if (!create) {
      const advice = 'run "manage.py migrate" in the Django project it belongs to, or set database.create: true'
      return fault(`there is no table ${table}`, advice)
    }
    if (look.mayCreate === true) return good(`there is no table ${table} yet; the gateway makes it (database.create)`)
    return fault(`there is no table ${table}, and this user may not create it`, 'GRANT CREATE ON SCHEMA … TO the user')
  }
  if (lacks !== null && lacks !== '') {
    return fault(`this user may not ${lacks} on ${table}`, `as its owner: GRANT ${lacks} ON ${table} TO the user`)
  }
  return await tryWriting(run, table)
}

/** Django's table has these columns; others of ours are written in the same way, so their rights say enough. */
async function tryWriting(run: RunStatement, table: string): Promise<Diagnosis> {
  if (table !== 'django_session') return good(`${table} is there and can be written`)
  await run({ text: 'BEGIN' })
  try {
    await run({ text: `INSERT INTO ${table} (session_key, session_data, expire_date) VALUES ($1, '', now())` }, [
      `doctor${randomBytes(12).toString('hex')}`,
    ])
    return good(`${table} is there, and a row can be written (it was taken back)`)
  } catch (error) {
    const words = error instanceof Error ? error.message : 'it was refused'
    return fault(`a row cannot be written into ${table}: ${words}`, 'see the words of PostgreSQL')
  } finally {
    await run({ text: 'ROLLBACK' })
  }
}
