import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Diagnosis, fault, good, warning } from '../../lib/diagnosis.ts'
import { isErrno } from '../store-failure.ts'
import { connectSqlite, retryWhileBusy } from './sqlite-connection.ts'
import type { TableCreation } from './sqlite-file.ts'

export interface SqliteExamination {
  readonly path: string
  readonly create: TableCreation
  /** The tables that must be there. */
  readonly tables: readonly string[]
  /** For how long another process may hold the lock, in milliseconds. */
  readonly timeoutMs: number
}

/**
 * Looks at a database file as the gateway would use it, and creates nothing: whether file and folder can be written, the
 * tables, and a row, which is taken back in the same transaction.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` for what is no database, and for one that stays locked.
 */
export async function examineSqlite(options: SqliteExamination): Promise<Diagnosis[]> {
  const { path, create } = options
  const folder = await existingFolder(dirname(path))
  // SQLite writes its journal beside the file.
  const isWritable = await allows(folder, constants.W_OK | constants.X_OK)
  if (!(await exists(path))) {
    if (create === 'never') return [fault(`${path} does not exist`, 'correct database.url, or run "manage.py migrate"')]
    if (isWritable) return [good(`${path} is made at the first start`)]
    return [fault(`${path} cannot be made: ${folder} cannot be written by this user`, `give this user ${folder}`)]
  }
  const diagnoses: Diagnosis[] = []
  if (!isWritable) {
    diagnoses.push(fault(`${folder} cannot be written by this user, and SQLite writes its journal there`, ownerAdvice))
  }
  if (!(await allows(path, constants.R_OK | constants.W_OK))) {
    diagnoses.push(fault(`${path} cannot be read and written by this user`, ownerAdvice))
  }
  if (diagnoses.length > 0) return diagnoses
  return await retryWhileBusy(() => lookInside(options), { what: path, timeoutMs: options.timeoutMs })
}

const ownerAdvice = 'let the user that runs the gateway own it, or share a group with the app'

/** Within one turn of the event loop, so that the lock is held for no longer than the write takes. */
function lookInside({ path, create, tables }: SqliteExamination): Diagnosis[] {
  const startedAt = performance.now()
  using database = connectSqlite(path)
  const version = String(database.prepare('SELECT sqlite_version() AS version').get()?.version)
  const mode = String(database.prepare('PRAGMA journal_mode').get()?.journal_mode)
  const diagnoses: Diagnosis[] = tables.map((table) => {
    const isThere = database.prepare('SELECT 1 FROM sqlite_master WHERE name = ?').get(table) !== undefined
    if (isThere) return good(`${path} has ${table}`)
    if (create !== 'never') return good(`${path} has no ${table} yet; the gateway makes it`)
    return fault(
      `${path} has no table ${table}`,
      'run "manage.py migrate" in the Django project it belongs to, or set database.create: true',
    )
  })
  diagnoses.unshift(good(`SQLite ${version} opens ${path}, journal mode ${mode}`))
  if (mode !== 'wal') {
    const advice = 'manage.py shell: connection.cursor().execute("PRAGMA journal_mode=WAL"), if its app agrees'
    diagnoses.push(warning('without WAL every writer stops all readers of the file for a moment', advice))
  }
  if (diagnoses.some(({ verdict }) => verdict === 'fault')) return diagnoses
  if (database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'django_session'").get() === undefined)
    return diagnoses
  database.exec('BEGIN IMMEDIATE')
  try {
    database.exec("INSERT INTO django_session VALUES ('sessiongate-doctor', '', '2000-01-01 00:00:00')")
    diagnoses.push(good(`a row can be written (it was taken back), ${(performance.now() - startedAt).toFixed(1)} ms`))
  } finally {
    database.exec('ROLLBACK')
  }
  return diagnoses
}

/** The folder, or the nearest one above it that is there. */
async function existingFolder(folder: string): Promise<string> {
  return (await exists(folder)) || folder === dirname(folder) ? folder : await existingFolder(dirname(folder))
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false
    throw error
  }
}

async function allows(path: string, mode: number): Promise<boolean> {
  return await access(path, mode).then(
    () => true,
    () => false,
  )
}
