import { saturateMs } from '../../django/dates.ts'
import type { Clock } from '../../lib/clock.ts'
import { BATCH_TIMEOUT_MS } from '../deadline.ts'
import type { SessionEngine } from '../engine.ts'
import { createDbSessions, type DbSessionsOptions } from '../engines/db.ts'
import { createKeyQueue } from '../key-queue.ts'
import { readPostgresAddress } from './postgres-address.ts'
import { isSerializationFailure, sqlState } from './postgres-failure.ts'
import { type PostgresCall, PostgresPool, type PostgresStatement } from './postgres-pool.ts'
import { callOnTable, DJANGO_SESSION_SQL, type PostgresTableSchema, postgresDate } from './postgres-schema.ts'
import { statements } from './postgres-statements.ts'
import type { ListedRow, NewRow, RowChange, RowDecision, SessionTable, StoredRow } from './session-table.ts'

export interface PostgresTableOptions {
  /** `postgres://…`; what it may say, TLS included, is told at `readPostgresAddress`. */
  readonly url: string
  /** May the table be created where it is missing? */
  readonly create: boolean
  /** At most so many connections of this process. */
  readonly poolSize: number
  /**
   * True behind pgbouncer in transaction mode: nothing is prepared and nothing set on a connection. Then the server does
   * not know our deadline, and finishes a statement that we gave up; a `statement_timeout` of the role bounds that.
   */
  readonly pgbouncer: boolean
  /** Within which every call settles, waiting for a connection included, in milliseconds. */
  readonly timeoutMs: number
  /** The same for a batch of `deleteExpired` and a page of `rows`. Default 30 s, or `timeoutMs` if that is longer. */
  readonly batchTimeoutMs?: number
  readonly clock: Clock
}

const PAGE_ROWS = 200
/**
 * Opens the `db` engine on PostgreSQL, beside a Django project if there is one.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` when the URL, or a certificate that it names, cannot be read.
 */
export function openPostgresSessions(options: PostgresTableOptions & DbSessionsOptions): SessionEngine {
  return createDbSessions(openPostgresTable(options), options)
}

/**
 * Django's session table in PostgreSQL. Nothing is connected before the first call, so a server that is down, or has no
 * such table, shows in the calls.
 *
 * Django's USE_TZ makes no difference here: the column is `timestamp with time zone` either way, and Django sets the
 * connection's time zone so that naive local time becomes the moment that it means. (Except in the hour that comes twice in
 * autumn: there Django with USE_TZ=False takes every time for the later one, and sessions last an hour longer for it.)
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` when the URL, or a certificate that it names, cannot be read.
 */
export function openPostgresTable(options: PostgresTableOptions): SessionTable {
  return new PostgresSessionTable(options)
}

interface FoundRow extends StoredRow {
  /** See `postgres-statements.ts`. */
  readonly version: string
}

/**
 * A change reads a row and then writes on the condition that it is still that version of it, two single statements, until
 * it met no other writer. No lock is held over a round trip: a gateway that stalls or loses its network in the middle
 * stands in nobody's way, neither Django's nor a log-out's.
 */
class PostgresSessionTable implements SessionTable {
  readonly #options: PostgresTableOptions
  readonly #pool: PostgresPool
  readonly #schema: PostgresTableSchema
  readonly #inTurn = createKeyQueue<string>()

  constructor(options: PostgresTableOptions) {
    const address = readPostgresAddress(options.url)
    this.#options = options
    this.#pool = new PostgresPool({ ...options, address })
    this.#schema = {
      place: address.place,
      name: 'django_session',
      statements: DJANGO_SESSION_SQL,
      create: options.create,
      wayOut: 'run "manage.py migrate" in the Django project it belongs to, or set database.create: true',
    }
  }

  async find(key: string): Promise<StoredRow | undefined> {
    return await this.#call((call) => this.#find(call, key))
  }

  async insert(key: string, row: NewRow): Promise<boolean> {
    return await this.#call((call) => this.#insert(call, key, row))
  }

  async change<T>(key: string, decide: (row: StoredRow | undefined) => RowDecision<T>): Promise<T | undefined> {
    return await this.#call((call) =>
      this.#inTurn(key, async () => {
        for (;;) {
          const row = await this.#find(call, key)
          const { change, result } = decide(row)
          const outcome = await this.#apply(call, change, row === undefined ? undefined : { key, version: row.version })
          if (outcome === 'taken') return undefined
          if (outcome === 'done') return result
        }
      }),
    )
  }

  async *rows(): AsyncIterable<ListedRow> {
    let after = ''
    for (;;) {
      const { rows: page } = await this.#batch<Columns & { key: string }>(statements.page, [
        after,
        this.#now(),
        PAGE_ROWS,
      ])
      for (const columns of page) {
        after = columns.key
        if (!columns.isExpired) yield { key: columns.key, ...toRow(columns) }
      }
      if (page.length < PAGE_ROWS) return
    }
  }

  async deleteExpired(limit: number): Promise<number> {
    return (await this.#batch(statements.deleteExpired, [this.#now(), limit])).rowCount ?? 0
  }

  async countExpired(limit: number): Promise<number> {
    const { rows } = await this.#batch<{ count: number }>(statements.countExpired, [this.#now(), limit])
    return rows[0]?.count ?? 0
  }

  async ping(): Promise<void> {
    await this.#call((call) => this.#read(call, statements.ping, []))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#pool[Symbol.asyncDispose]()
  }

  async #batch<R extends object>(statement: PostgresStatement, values: readonly unknown[]) {
    const { timeoutMs, batchTimeoutMs = Math.max(timeoutMs, BATCH_TIMEOUT_MS) } = this.#options
    const batch = { statement, values, timeoutMs: batchTimeoutMs }
    return await this.#call((call) => untilSerialized(() => this.#pool.runBatch<R>(call, batch)), batchTimeoutMs)
  }

  async #call<T>(body: (call: PostgresCall) => Promise<T>, timeoutMs?: number): Promise<T> {
    return await callOnTable(this.#pool, this.#schema, { body, timeoutMs })
  }

  async #find(call: PostgresCall, key: string): Promise<FoundRow | undefined> {
    if (!isText(key)) return undefined
    const [columns] = await this.#read<Columns & { version: string }>(call, statements.find, [key, this.#now()])
    return columns && { version: columns.version, ...toRow(columns) }
  }

  async #insert(call: PostgresCall, key: string, row: NewRow): Promise<boolean> {
    const values = [key, row.text, postgresDate(row.expiresAt)]
    return (await untilSerialized(() => this.#write(call, statements.insert, values))) === 1
  }

  /** `missed`: another writer was first, and what was decided is to be decided again. `taken`: the new key is. */
  async #apply(
    call: PostgresCall,
    change: RowChange,
    seen: { readonly key: string; readonly version: string } | undefined,
  ): Promise<'done' | 'missed' | 'taken'> {
    if (change.kind === 'keep') return 'done'
    if (seen === undefined) {
      return change.kind === 'move' && !(await this.#insert(call, change.key, change.row)) ? 'taken' : 'done'
    }
    try {
      return (await this.#write(call, statements[change.kind], valuesOf(change, seen))) === 1 ? 'done' : 'missed'
    } catch (error) {
      if (isSerializationFailure(error)) return 'missed'
      if (change.kind === 'move' && sqlState(error) === '23505') return 'taken'
      throw error
    }
  }

  async #read<R extends object>(call: PostgresCall, statement: PostgresStatement, values: readonly unknown[]) {
    return (await untilSerialized(() => this.#pool.read(call, (run) => run<R>(statement, values)))).rows
  }

  /** How many rows were written. */
  async #write(call: PostgresCall, statement: PostgresStatement, values: readonly unknown[]): Promise<number> {
    return (await this.#pool.write(call, (run) => run(statement, values))).rowCount ?? 0
  }

  #now(): string {
    return postgresDate(this.#options.clock())
  }
}

/** Again, as long as PostgreSQL rolls it back in favour of another transaction; past the deadline nothing is sent. */
async function untilSerialized<T>(task: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await task()
    } catch (error) {
      if (!isSerializationFailure(error)) throw error
    }
  }
}

interface Columns {
  readonly text: string | null
  readonly expiresAt: number
  readonly isExpired: boolean
}

function toRow({ text, expiresAt, isExpired }: Columns): StoredRow {
  return { text: text ?? undefined, expiresAt: saturateMs(expiresAt), isExpired }
}

function valuesOf(
  change: Exclude<RowChange, { kind: 'keep' }>,
  seen: { readonly key: string; readonly version: string },
) {
  const version = [seen.key, seen.version]
  switch (change.kind) {
    case 'update':
      return [...version, change.row.text, postgresDate(change.row.expiresAt)]
    case 'move':
      return [...version, change.key, change.row.text, postgresDate(change.row.expiresAt)]
    case 'delete':
      return version
  }
}

/** PostgreSQL's text holds neither NUL nor a lone surrogate, so no row has such a key. */
function isText(key: string): boolean {
  return key.isWellFormed() && !key.includes('\0')
}
