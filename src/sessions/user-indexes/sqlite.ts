import type { Stats } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { sqliteDateText } from '../../django/dates.ts'
import type { Clock, EpochMs } from '../../lib/clock.ts'
import { connectSqlite, createBusyLine, retryWhileBusy } from '../databases/sqlite-connection.ts'
import { createMissingUserTable, prepareSqliteFile, type TableCreation } from '../databases/sqlite-file.ts'
import { storeUnavailable } from '../store-failure.ts'
import type { UserIndex } from '../user-index.ts'

export interface SqliteUserIndexOptions {
  /** The database of the sessions. */
  readonly path: string
  readonly create: TableCreation
  /** For how long a step is tried again while another process holds the lock, in milliseconds. */
  readonly busyTimeoutMs: number
  readonly clock: Clock
}

const PAGE_ROWS = 500

/**
 * The index in a table `sessiongate_user_session` of the sessions' own SQLite file; Django leaves a table alone that it
 * does not know. About 200 bytes for each session; a note is a transaction like the change of a session. Opened when it
 * is first needed.
 */
export function createSqliteUserIndex(options: SqliteUserIndexOptions): UserIndex {
  return new SqliteUserIndex(options)
}

interface Connection {
  readonly database: DatabaseSync
  readonly statements: Statements
  /** The file as it was when it was opened: tells whether the path still leads to it. */
  readonly file: Stats
}

class SqliteUserIndex implements UserIndex {
  readonly #options: SqliteUserIndexOptions
  readonly #inLine: ReturnType<typeof createBusyLine>
  #connection: Connection | undefined
  #opening: Promise<Connection> | undefined
  #isClosed = false

  constructor(options: SqliteUserIndexOptions) {
    this.#options = options
    this.#inLine = createBusyLine({ what: `the database ${options.path}`, timeoutMs: options.busyTimeoutMs })
  }

  async note(userId: string, key: string, expiresAt: EpochMs): Promise<void> {
    await this.#run(({ note }) => note.run(userId, key, dateText(expiresAt)))
  }

  async forget(userId: string, key: string): Promise<void> {
    await this.#run(({ forget }) => forget.run(userId, key))
  }

  async *keysOf(userId: string): AsyncIterable<string> {
    let after = ''
    for (;;) {
      const rows = await this.#run(({ page }) => page.all(userId, after, dateText(this.#options.clock()), PAGE_ROWS))
      for (const row of rows) {
        after = String(row.session_key)
        yield after
      }
      if (rows.length < PAGE_ROWS) return
    }
  }

  async clearExpired(limit: number): Promise<number> {
    const now = dateText(this.#options.clock())
    return await this.#run(({ clearExpired }) => Number(clearExpired.run(now, limit).changes))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#opening?.catch(() => undefined)
    if (this.#connection?.database.isOpen) this.#connection.database.close()
  }

  async #run<T>(step: (statements: Statements) => T): Promise<T> {
    const { statements } = await this.#connected()
    return await this.#inLine(() => step(statements))
  }

  /** The file may have been replaced (a restored backup): the old one would take notes that nobody reads. */
  async #connected(): Promise<Connection> {
    const file = this.#connection && (await stat(this.#options.path).catch(() => undefined))
    const known = this.#connection?.file
    if (this.#connection && file?.ino === known?.ino && file?.dev === known?.dev) return this.#connection
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    return await this.#opening
  }

  async #open(): Promise<Connection> {
    const { path, create, busyTimeoutMs } = this.#options
    if (this.#isClosed) throw storeUnavailable(`the database ${path} is closed`)
    await prepareSqliteFile(path, create)
    const file = await stat(path)
    const opened = await retryWhileBusy(
      () => {
        const database = connectSqlite(path)
        try {
          createMissingUserTable(database, path, create)
          return { database, file, statements: prepareStatements(database) }
        } catch (error) {
          database.close()
          throw error
        }
      },
      { what: `the database ${path}`, timeoutMs: busyTimeoutMs },
    )
    if (this.#connection?.database.isOpen) this.#connection.database.close()
    this.#connection = opened
    return opened
  }
}

/** UTC throughout: unlike `django_session`, this table is ours alone. */
function dateText(at: EpochMs): string {
  return sqliteDateText(at, true)
}

interface Statements {
  readonly note: StatementSync
  readonly forget: StatementSync
  readonly page: StatementSync
  readonly clearExpired: StatementSync
}

function prepareStatements(database: DatabaseSync): Statements {
  return {
    note: database.prepare(
      'INSERT INTO sessiongate_user_session (user_id, session_key, expire_date) VALUES (?, ?, ?) ' +
        'ON CONFLICT DO UPDATE SET expire_date = max(expire_date, excluded.expire_date)',
    ),
    forget: database.prepare('DELETE FROM sessiongate_user_session WHERE user_id = ? AND session_key = ?'),
    page: database.prepare(
      'SELECT session_key FROM sessiongate_user_session WHERE user_id = ? AND session_key > ? AND expire_date > ? ' +
        'ORDER BY session_key LIMIT ?',
    ),
    clearExpired: database.prepare(
      'DELETE FROM sessiongate_user_session WHERE (user_id, session_key) IN ' +
        '(SELECT user_id, session_key FROM sessiongate_user_session WHERE expire_date <= ? LIMIT ?)',
    ),
  }
}
