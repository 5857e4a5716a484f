import type { Stats } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { parseSqliteDate, sqliteDateText } from '../../django/dates.ts'
import type { Clock, EpochMs } from '../../lib/clock.ts'
import type { SessionEngine } from '../engine.ts'
import { createDbSessions, type DbSessionsOptions } from '../engines/db.ts'
import { storeUnavailable } from '../store-failure.ts'
import { MAX_STORED_TEXT_BYTES } from '../stored-text.ts'
import type { ListedRow, NewRow, RowChange, RowDecision, SessionTable, StoredRow } from './session-table.ts'
import { type BusyRetry, connectSqlite, createBusyLine, inTransaction, retryWhileBusy } from './sqlite-connection.ts'
import { createMissingTable, prepareSqliteFile, type TableCreation } from './sqlite-file.ts'
import type { SqliteTableWatcher } from './sqlite-notices.ts'

export interface SqliteTableOptions {
  readonly path: string
  readonly create: TableCreation
  /** Django's USE_TZ: `expire_date` in UTC; false: naive local time of this process. */
  readonly useTz: boolean
  /** For how long a step is tried again while another process holds the lock, in milliseconds. */
  readonly busyTimeoutMs: number
  readonly clock: Clock
  /** Told of each connection and of each change that is made through it. */
  readonly watcher?: SqliteTableWatcher
}

const PAGE_ROWS = 200

/** One batch, found by Django's index on `expire_date`; without the LIMIT a large table would be locked for seconds. */
export const DELETE_EXPIRED_SQL =
  'DELETE FROM django_session WHERE session_key IN ' +
  '(SELECT session_key FROM django_session WHERE expire_date <= ? LIMIT ?)'

/** By the same index alone, and no further than the limit: a million takes about 0.1 s. */
export const COUNT_EXPIRED_SQL =
  'SELECT count(*) AS count FROM (SELECT 1 FROM django_session WHERE expire_date <= ? LIMIT ?)'

/** One row's columns; text is left out when it is none or too long, before it is copied out of the database. */
const ROW_COLUMNS =
  `CASE WHEN typeof(session_data) = 'text' AND octet_length(session_data) <= ${MAX_STORED_TEXT_BYTES} ` +
  'THEN session_data END AS text, expire_date AS expireDate'

/**
 * Opens the `db` engine on a SQLite file. The database of a stock Django project works as it is, beside Django, in
 * the journal mode that it has; `synchronous` stays FULL, so a log-out survives a power loss.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` when the file or its table is missing and may not be created.
 */
export async function openSqliteSessions(options: SqliteTableOptions & DbSessionsOptions): Promise<SessionEngine> {
  return createDbSessions(await openSqliteTable(options), options)
}

/** Opens Django's session table in a SQLite file; `create` tells what may be made where it is missing. */
export async function openSqliteTable(options: SqliteTableOptions): Promise<SessionTable> {
  const { path, create } = options
  await prepareSqliteFile(path, create)
  const file = await readFileState(path)
  return await retryWhileBusy(() => {
    const database = connectSqlite(path)
    try {
      createMissingTable(database, path, create)
      return new SqliteSessionTable({ database, file, statements: prepareStatements(database) }, options)
    } catch (error) {
      database.close()
      throw error
    }
  }, busyRetry(options))
}

/**
 * `django_session` on one connection. Every step is synchronous from lock to commit, so within the process nothing comes
 * between; between processes SQLite's own lock does the same. Dates are compared as text, as Django's SQLite backend does.
 */
class SqliteSessionTable implements SessionTable {
  readonly #options: SqliteTableOptions
  /** Two lines: with WAL a reader never waits, so it must not stand behind writers who do. */
  readonly #reading: ReturnType<typeof createBusyLine>
  readonly #writing: ReturnType<typeof createBusyLine>
  #connection: Connection

  constructor(connection: Connection, options: SqliteTableOptions) {
    this.#options = options
    this.#reading = createBusyLine(busyRetry(options))
    this.#writing = createBusyLine(busyRetry(options))
    this.#connection = connection
    options.watcher?.connected({ ...connection, path: options.path })
  }

  find(key: string): Promise<StoredRow | undefined> {
    return this.#reading(() => this.#read(key))
  }

  insert(key: string, row: NewRow): Promise<boolean> {
    return this.#writing(() => {
      const isNew = this.#insert(key, row)
      if (isNew) this.#options.watcher?.changed(key)
      return isNew
    })
  }

  change<T>(key: string, decide: (row: StoredRow | undefined) => RowDecision<T>): Promise<T | undefined> {
    return this.#writing(() => {
      let isChange = false
      const settled = inTransaction(this.#connection.database, () => {
        const { change, result } = decide(this.#read(key))
        isChange = change.kind !== 'keep'
        return this.#apply(key, change) ? result : undefined
      })
      if (isChange) this.#options.watcher?.changed(key)
      return settled
    })
  }

  async *rows(): AsyncIterable<ListedRow> {
    let after = 0
    for (;;) {
      const { page } = this.#connection.statements
      const rows = await this.#reading(() => page.all(after, this.#now(), PAGE_ROWS))
      for (const columns of rows) {
        after = Number(columns.position)
        yield { key: String(columns.key), ...this.#toRow(columns) }
      }
      if (rows.length < PAGE_ROWS) return
    }
  }

  deleteExpired(limit: number): Promise<number> {
    return this.#writing(() => {
      const deleted = Number(this.#connection.statements.deleteExpired.run(this.#now(), limit).changes)
      if (deleted > 0) this.#options.watcher?.swept()
      return deleted
    })
  }

  countExpired(limit: number): Promise<number> {
    return this.#reading(() => Number(this.#connection.statements.countExpired.get(this.#now(), limit)?.count))
  }

  /** Also notices that the file was replaced (a restored backup): the old one would take writes that nobody reads. */
  async ping(): Promise<void> {
    const file = await readFileState(this.#options.path)
    await this.#reading(() => {
      if (file.ino !== this.#connection.file.ino || file.dev !== this.#connection.file.dev) this.#reconnect(file)
      this.#connection.statements.ping.get()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#connection.database.isOpen) this.#connection.database.close()
  }

  #read(key: string): StoredRow | undefined {
    const columns = this.#connection.statements.find.get(this.#now(), key)
    return columns && this.#toRow(columns)
  }

  #insert(key: string, row: NewRow): boolean {
    return this.#connection.statements.insert.run(key, row.text, this.#dateText(row.expiresAt)).changes === 1
  }

  #apply(key: string, change: RowChange): boolean {
    switch (change.kind) {
      case 'keep':
        return true
      case 'update':
        this.#connection.statements.update.run(change.row.text, this.#dateText(change.row.expiresAt), key)
        return true
      case 'move':
        if (!this.#insert(change.key, change.row)) return false
        this.#connection.statements.delete.run(key)
        return true
      case 'delete':
        this.#connection.statements.delete.run(key)
        return true
    }
  }

  #toRow(columns: Columns): StoredRow {
    const { text, expireDate, isExpired } = columns
    return {
      text: typeof text === 'string' ? text : undefined,
      expiresAt: typeof expireDate === 'string' ? parseSqliteDate(expireDate, this.#options.useTz) : undefined,
      isExpired: isExpired !== 0,
    }
  }

  #now(): string {
    return this.#dateText(this.#options.clock())
  }

  #dateText(at: EpochMs): string {
    return sqliteDateText(at, this.#options.useTz)
  }

  #reconnect(file: Stats): void {
    const database = connectSqlite(this.#options.path)
    try {
      const { path, watcher } = this.#options
      const fresh = { database, file, statements: prepareStatements(database) }
      watcher?.connected({ database, path, file })
      this.#connection.database.close()
      this.#connection = fresh
    } catch (error) {
      database.close()
      throw error
    }
  }
}

function busyRetry({ path, busyTimeoutMs }: SqliteTableOptions): BusyRetry {
  return { what: `the database ${path}`, timeoutMs: busyTimeoutMs }
}

interface Connection {
  readonly database: DatabaseSync
  readonly statements: Statements
  /** The file as it was when the connection was opened; tells whether the path still leads to it. */
  readonly file: Stats
}

async function readFileState(path: string): Promise<Stats> {
  try {
    return await stat(path)
  } catch (error) {
    throw storeUnavailable(`the database ${path} cannot be reached`, error)
  }
}

type Columns = Readonly<Record<string, unknown>>

interface Statements {
  readonly find: StatementSync
  readonly insert: StatementSync
  readonly update: StatementSync
  readonly delete: StatementSync
  readonly page: StatementSync
  readonly deleteExpired: StatementSync
  readonly countExpired: StatementSync
  readonly ping: StatementSync
}

function prepareStatements(database: DatabaseSync): Statements {
  return {
    find: database.prepare(
      `SELECT ${ROW_COLUMNS}, expire_date <= ? AS isExpired FROM django_session WHERE session_key = ?`,
    ),
    insert: database.prepare(
      'INSERT INTO django_session (session_key, session_data, expire_date) VALUES (?, ?, ?) ' +
        'ON CONFLICT (session_key) DO NOTHING',
    ),
    update: database.prepare('UPDATE django_session SET session_data = ?, expire_date = ? WHERE session_key = ?'),
    delete: database.prepare('DELETE FROM django_session WHERE session_key = ?'),
    page: database.prepare(
      `SELECT rowid AS position, session_key AS key, ${ROW_COLUMNS}, 0 AS isExpired FROM django_session ` +
        'WHERE rowid > ? AND expire_date > ? ORDER BY rowid LIMIT ?',
    ),
    deleteExpired: database.prepare(DELETE_EXPIRED_SQL),
    countExpired: database.prepare(COUNT_EXPIRED_SQL),
    ping: database.prepare('SELECT 1 FROM django_session LIMIT 1'),
  }
}
