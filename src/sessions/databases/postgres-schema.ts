import { saturateMs } from '../../django/dates.ts'
import type { EpochMs } from '../../lib/clock.ts'
import { storeUnavailable } from '../store-failure.ts'
import { sqlState } from './postgres-failure.ts'
import type { PostgresCall, PostgresPool } from './postgres-pool.ts'

/** What makes a table, and who may. */
export interface PostgresTableSchema {
  /** Where it would be, for the message. */
  readonly place: string
  readonly name: string
  /** Each with `IF NOT EXISTS`. */
  readonly statements: readonly string[]
  /** May it be created where it is missing? */
  readonly create: boolean
  /** What the operator can do, where it may not. */
  readonly wayOut: string
}

/**
 * Statement for statement what `manage.py migrate` of Django 5.2 runs, so that a project can take the table over with
 * `migrate --fake-initial`.
 */
export const DJANGO_SESSION_SQL: readonly string[] = [
  'CREATE TABLE IF NOT EXISTS "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, ' +
    '"session_data" text NOT NULL, "expire_date" timestamp with time zone NOT NULL)',
  'CREATE INDEX IF NOT EXISTS "django_session_session_key_c0390e0f_like" ' +
    'ON "django_session" ("session_key" varchar_pattern_ops)',
  'CREATE INDEX IF NOT EXISTS "django_session_expire_date_a5c62663" ON "django_session" ("expire_date")',
]

/**
 * "sgat" in ASCII, and freed with the transaction, as which PostgreSQL runs a text of several statements. Workers that start
 * together stand in line: `IF NOT EXISTS` alone lets two of them create at once, and one fail.
 */
const CREATION_LOCK_SQL = `SELECT pg_advisory_xact_lock(${0x73676174})`

/**
 * A call on the pool, and once more when the table was missing and could be created.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` with the way out where it is missing and may not be created.
 */
export async function callOnTable<T>(
  pool: PostgresPool,
  schema: PostgresTableSchema,
  { body, timeoutMs }: { readonly body: (call: PostgresCall) => Promise<T>; readonly timeoutMs?: number | undefined },
): Promise<T> {
  return await pool.call(async (call) => {
    try {
      return await body(call)
    } catch (error) {
      if (sqlState(error) !== '42P01') throw error
      await createTable(pool, call, { schema, cause: error })
      return await body(call)
    }
  }, timeoutMs)
}

async function createTable(
  pool: PostgresPool,
  call: PostgresCall,
  { schema, cause }: { readonly schema: PostgresTableSchema; readonly cause: unknown },
): Promise<void> {
  const { place, name, statements, create, wayOut } = schema
  if (!create) {
    // The driver's error alone: the one around it says nothing that this one does not.
    const driverError = cause instanceof Error ? (cause.cause ?? cause) : cause
    throw storeUnavailable(`PostgreSQL at ${place} has no table ${name}: ${wayOut}`, driverError)
  }
  await pool.write(call, (run) => run({ text: [CREATION_LOCK_SQL, ...statements].join('; ') }))
}

/** A date for a parameter: read the same by every date style and in every time zone. */
export function postgresDate(at: EpochMs): string {
  return new Date(saturateMs(at)).toISOString()
}
