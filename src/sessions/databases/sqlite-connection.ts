import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { GatewayError } from '../../errors.ts'
import { createKeyQueue } from '../key-queue.ts'
import { storeMistaken, storeUnavailable } from '../store-failure.ts'

/** SQLITE_BUSY and SQLITE_LOCKED: another connection is in the way, and a later try may succeed. */
const busyCodes: ReadonlySet<number | undefined> = new Set([5, 6])

/** SQLITE_NOTADB: another kind of file. */
const NOT_A_DATABASE = 26

const sqliteErrors: ReadonlySet<unknown> = new Set(['ERR_SQLITE_ERROR', 'ERR_INVALID_STATE'])

/**
 * Short and always the same: with growing pauses, whoever has waited longest would look least often, and a newcomer would
 * take the lock every time.
 */
const PAUSE_MS = 1

/**
 * Opens an existing database file and never creates one. The connection never waits for a lock: SQLite waits by
 * sleeping, and every other request of the process would sleep with it. {@link retryWhileBusy} waits instead.
 */
export function connectSqlite(path: string): DatabaseSync {
  const url = pathToFileURL(path)
  url.searchParams.set('mode', 'rw')
  return new DatabaseSync(url, { timeout: 0 })
}

export interface BusyRetry {
  /** What is locked, for the log. */
  readonly what: string
  /** For how long to try again, in milliseconds of the monotonic clock. The step runs at least once. */
  readonly timeoutMs: number
}

/**
 * Runs a step that takes one turn of the event loop, again and again for as long as another process holds the lock.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` with SQLite's error as `cause`, at once or, for a lock, after
 * `timeoutMs`. What is no error of SQLite comes out unchanged.
 */
export async function retryWhileBusy<T>(step: () => T, { what, timeoutMs }: BusyRetry): Promise<T> {
  const startedAt = performance.now()
  for (;;) {
    try {
      return step()
    } catch (error) {
      if (!isSqliteError(error)) throw error
      if (!isBusy(error)) throw failureOf(what, error)
      if (performance.now() - startedAt >= timeoutMs) throw storeUnavailable(`${what} stayed locked`, error)
    }
    await delay(PAUSE_MS)
  }
}

/**
 * A line of waiters before one lock: as long as nobody waits, a step runs at once; otherwise the first in line tries for
 * all. Several hundred requests that each look every millisecond would leave no time for anything else.
 */
export function createBusyLine({ what, timeoutMs }: BusyRetry): <T>(step: () => T) => Promise<T> {
  const inTurn = createKeyQueue<'lock'>()
  let waiting = 0
  return async function run(step) {
    const deadlineMs = performance.now() + timeoutMs
    if (waiting === 0) {
      try {
        return step()
      } catch (error) {
        if (!isSqliteError(error)) throw error
        if (!isBusy(error)) throw failureOf(what, error)
      }
    }
    waiting++
    try {
      return await inTurn('lock', () => retryWhileBusy(step, { what, timeoutMs: deadlineMs - performance.now() }))
    } finally {
      waiting--
    }
  }
}

/**
 * `BEGIN IMMEDIATE` … `COMMIT`: the write lock is taken before anything is read, so what `body` reads is what it changes.
 * Whatever is thrown rolls back. A commit that finds readers in the way (journal mode DELETE, as in a stock Django
 * project) is rolled back as well: a transaction left open would swallow the next request's writes.
 */
export function inTransaction<T>(database: DatabaseSync, body: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = body()
    database.exec('COMMIT')
    return result
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

/** An error of SQLite itself, or (`ERR_INVALID_STATE`) of a connection that was closed meanwhile. */
function isSqliteError(error: unknown): error is Error & { readonly errcode?: number } {
  return error instanceof Error && 'code' in error && sqliteErrors.has(error.code)
}

function failureOf(what: string, error: { readonly errcode?: number }): GatewayError {
  if (primaryCode(error) === NOT_A_DATABASE) return storeMistaken(`${what} is none of SQLite's`, error)
  return storeUnavailable(`${what} failed`, error)
}

/** The primary code is the lower byte of the extended one (SQLITE_BUSY_SNAPSHOT, SQLITE_BUSY_RECOVERY …). */
function primaryCode({ errcode }: { readonly errcode?: number }): number | undefined {
  return errcode === undefined ? undefined : errcode & 0xff
}

/** True for SQLite's error that another connection is in the way. */
export function isBusyError(error: unknown): boolean {
  return isSqliteError(error) && isBusy(error)
}

function isBusy(error: { readonly errcode?: number }): boolean {
  return busyCodes.has(primaryCode(error))
}
