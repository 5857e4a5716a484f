import { type Stats, statSync } from 'node:fs'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { ChangeListener, ChangeNotices, NoticesState } from '../change-notices.ts'
import { type Scheduler, systemScheduler } from '../scheduler.ts'
import { isBusyError } from './sqlite-connection.ts'

/** What a table on SQLite tells of itself, as it happens. */
export interface SqliteTableWatcher {
  /** From now on the table works on this connection. `file` is what was found under `path` before it was opened. */
  connected(connection: { readonly database: DatabaseSync; readonly path: string; readonly file: Stats }): void
  /** This connection has committed a change of that session. */
  changed(key: string): void
  /** This connection has deleted sessions whose time is over. */
  swept(): void
}

export interface SqliteNotices extends ChangeNotices, SqliteTableWatcher {}

/** How often it is asked whether the path still leads to the file that is open. */
const LOOK_AT_FILE_MS = 1000

/**
 * Tells of every change in a SQLite file, without a server and without a lease: `PRAGMA data_version`, asked on the table's
 * own connection, is another number as soon as any other connection has committed anything, be it Django or a shell. It
 * takes 2 µs (6 in journal mode DELETE); reading and decoding a session takes seven times as long (three times). Which
 * session it was it does not tell, so any change from outside empties the memory. What the table's own connection changes
 * does not count there; that the table tells itself.
 *
 * While another process holds the lock of a file in mode DELETE, the number cannot be read: not current, until it can.
 */
export function createSqliteNotices(scheduler: Scheduler = systemScheduler): SqliteNotices {
  return new DataVersionNotices(scheduler)
}

interface Watched {
  readonly path: string
  readonly file: Stats
  readonly dataVersion: StatementSync
}

class DataVersionNotices implements SqliteNotices {
  readonly #scheduler: Scheduler
  #watched: Watched | undefined
  #version: unknown
  #nextLookMs = Number.NEGATIVE_INFINITY
  #listener: ChangeListener | undefined
  readonly #stateListeners: ((state: NoticesState) => void)[] = []
  #state: NoticesState = { isUp: false, reason: 'the database has not been opened yet' }

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
  }

  nameOf(key: string): string {
    return key
  }

  isCurrent(): boolean {
    if (this.#watched === undefined || this.#listener === undefined) return false
    const nowMs = this.#scheduler.nowMs()
    if (nowMs >= this.#nextLookMs) {
      if (!isSameFile(this.#watched)) return this.#lose('the database file was replaced, moved or removed')
      this.#nextLookMs = nowMs + LOOK_AT_FILE_MS
    }
    let version: unknown
    try {
      version = this.#watched.dataVersion.get()?.[0]
    } catch (error) {
      return isBusyError(error) ? false : this.#lose('the database cannot be read')
    }
    if (version !== this.#version) {
      this.#version = version
      this.#listener.everythingChanged()
    }
    if (!this.#state.isUp) this.#tell({ isUp: true })
    return true
  }

  listen(listener: ChangeListener): void {
    this.#listener = listener
    this.isCurrent()
  }

  onState(listener: (state: NoticesState) => void): void {
    this.#stateListeners.push(listener)
    listener(this.#state)
  }

  connected({ database, path, file }: Parameters<SqliteTableWatcher['connected']>[0]): void {
    const dataVersion = database.prepare('PRAGMA data_version')
    dataVersion.setReturnArrays(true) // a third less than an object
    this.#watched = { path, file, dataVersion }
    this.#version = undefined // unlike every number: all is forgotten before anything is current again
    this.#nextLookMs = Number.NEGATIVE_INFINITY
    this.isCurrent()
  }

  changed(key: string): void {
    this.#listener?.changed(key)
  }

  /** What is over is served by nobody, unless the clock is set back. */
  swept(): void {
    this.#listener?.everythingChanged()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watched = undefined
  }

  /** It may come back: a connection that can be read again tells by its number whether anything has changed. */
  #lose(reason: string): false {
    this.#listener?.everythingChanged()
    if (this.#state.isUp) this.#tell({ isUp: false, reason })
    return false
  }

  #tell(state: NoticesState): void {
    this.#state = state
    for (const listener of this.#stateListeners) listener(state)
  }
}

function isSameFile({ path, file }: Watched): boolean {
  try {
    const now = statSync(path, { throwIfNoEntry: false })
    return now !== undefined && now.ino === file.ino && now.dev === file.dev
  } catch {
    return false
  }
}
