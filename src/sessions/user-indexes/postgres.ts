import type { Clock, EpochMs } from '../../lib/clock.ts'
import { readPostgresAddress } from '../databases/postgres-address.ts'
import { type PostgresCall, PostgresPool, type PostgresStatement } from '../databases/postgres-pool.ts'
import { callOnTable, type PostgresTableSchema, postgresDate } from '../databases/postgres-schema.ts'
import { BATCH_TIMEOUT_MS } from '../deadline.ts'
import type { UserIndex } from '../user-index.ts'

export interface PostgresUserIndexOptions {
  /** The database of the sessions, as `readPostgresAddress` takes it. */
  readonly url: string
  /** May the table be created where it is missing? */
  readonly create: boolean
  /** Connections of its own, opened when they are needed. Default 2: there is one note for dozens of changes. */
  readonly poolSize?: number
  readonly pgbouncer: boolean
  /** Within which every call settles, in milliseconds. */
  readonly timeoutMs: number
  readonly clock: Clock
}

const PAGE_ROWS = 500
const USER_TABLE_SQL = [
  'CREATE TABLE IF NOT EXISTS "sessiongate_user_session" ("user_id" varchar(200) NOT NULL, ' +
    '"session_key" varchar(128) NOT NULL, "expire_date" timestamp with time zone NOT NULL, ' +
    'PRIMARY KEY ("user_id", "session_key"))',
  'CREATE INDEX IF NOT EXISTS "sessiongate_user_session_expire_date" ON "sessiongate_user_session" ("expire_date")',
]

const statements = {
  note: {
    name: 'sessiongate_user_note',
    text:
      'INSERT INTO sessiongate_user_session AS known (user_id, session_key, expire_date) ' +
      'VALUES ($1, $2, $3::timestamptz) ON CONFLICT (user_id, session_key) DO UPDATE ' +
      'SET expire_date = excluded.expire_date WHERE known.expire_date < excluded.expire_date',
  },
  forget: {
    name: 'sessiongate_user_forget',
    text: 'DELETE FROM sessiongate_user_session WHERE user_id = $1 AND session_key = $2',
  },
  page: {
    name: 'sessiongate_user_page',
    text:
      'SELECT session_key AS key FROM sessiongate_user_session ' +
      'WHERE user_id = $1 AND session_key > $2 AND expire_date > $3::timestamptz ORDER BY session_key LIMIT $4',
  },
  /** Not prepared, and one ARRAY, for the reasons that stand at the statement for sessions. */
  clearExpired: {
    text:
      'DELETE FROM sessiongate_user_session WHERE ctid = ANY (ARRAY(SELECT ctid FROM sessiongate_user_session ' +
      'WHERE expire_date <= $1::timestamptz ORDER BY expire_date LIMIT $2 FOR UPDATE SKIP LOCKED))',
  },
} as const satisfies Record<string, PostgresStatement>

/**
 * The index in a table `sessiongate_user_session` beside Django's, which Django does not mind: 150 to 250 bytes for each
 * session, its indexes included. A note is one statement.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` when the URL, or a certificate that it names, cannot be read.
 */
export function createPostgresUserIndex(options: PostgresUserIndexOptions): UserIndex {
  return new PostgresUserIndex(options)
}

class PostgresUserIndex implements UserIndex {
  readonly #options: PostgresUserIndexOptions
  readonly #pool: PostgresPool
  readonly #schema: PostgresTableSchema

  constructor(options: PostgresUserIndexOptions) {
    const address = readPostgresAddress(options.url)
    this.#options = options
    this.#pool = new PostgresPool({ ...options, poolSize: options.poolSize ?? 2, address })
    this.#schema = {
      place: address.place,
      name: 'sessiongate_user_session',
      statements: USER_TABLE_SQL,
      create: options.create,
      wayOut: `session.user_index needs it; set database.create: true, or run ${USER_TABLE_SQL.join('; ')}`,
    }
  }

  async note(userId: string, key: string, expiresAt: EpochMs): Promise<void> {
    await this.#write(statements.note, [userId, key, postgresDate(expiresAt)])
  }

  async forget(userId: string, key: string): Promise<void> {
    await this.#write(statements.forget, [userId, key])
  }

  async *keysOf(userId: string): AsyncIterable<string> {
    let after = ''
    for (;;) {
      const values = [userId, after, postgresDate(this.#options.clock()), PAGE_ROWS]
      const { rows } = await this.#call((call) =>
        this.#pool.read(call, (run) => run<{ key: string }>(statements.page, values)),
      )
      for (const { key } of rows) {
        after = key
        yield key
      }
      if (rows.length < PAGE_ROWS) return
    }
  }

  async clearExpired(limit: number): Promise<number> {
    const timeoutMs = Math.max(this.#options.timeoutMs, BATCH_TIMEOUT_MS)
    const values = [postgresDate(this.#options.clock()), limit]
    const batch = { statement: statements.clearExpired, values, timeoutMs }
    return (await this.#call((call) => this.#pool.runBatch(call, batch), timeoutMs)).rowCount ?? 0
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#pool[Symbol.asyncDispose]()
  }

  async #write(statement: PostgresStatement, values: readonly unknown[]): Promise<void> {
    await this.#call((call) => this.#pool.write(call, (run) => run(statement, values)))
  }

  async #call<T>(body: (call: PostgresCall) => Promise<T>, timeoutMs?: number): Promise<T> {
    return await callOnTable(this.#pool, this.#schema, { body, timeoutMs })
  }
}
