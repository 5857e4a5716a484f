import { link, mkdir, mkdtemp, open, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { syncFolder } from '../folder-sync.ts'
import { isErrno, storeUnavailable } from '../store-failure.ts'
import { connectSqlite, inTransaction } from './sqlite-connection.ts'

/**
 * Who may create the table. `ours`: only in a file that did not exist, or that we made ourselves (Django's table and
 * index, WAL, folder 0700, file 0600). `always`: also in an existing database of somebody else, whose journal mode
 * stays as it is. `never`: not at all, and a missing file is an error.
 */
export type TableCreation = 'ours' | 'always' | 'never'

/** "sgat" in ASCII: SQLite's `application_id` of the files that we made. */
const APPLICATION_ID = 0x73676174

/** Byte for byte what `manage.py migrate` of Django 5.2 leaves in `sqlite_master`, so that a project can take over. */
const TABLE_SQL =
  'CREATE TABLE IF NOT EXISTS "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, ' +
  '"session_data" text NOT NULL, "expire_date" datetime NOT NULL)'
const INDEX_SQL = 'CREATE INDEX IF NOT EXISTS "django_session_expire_date_a5c62663" ON "django_session" ("expire_date")'

/** By user first, so that a user's sessions lie side by side; the second index is for the sweep. */
const USER_TABLE_SQL =
  'CREATE TABLE IF NOT EXISTS "sessiongate_user_session" ("user_id" varchar(200) NOT NULL, ' +
  '"session_key" varchar(128) NOT NULL, "expire_date" datetime NOT NULL, PRIMARY KEY ("user_id", "session_key")) ' +
  'WITHOUT ROWID; CREATE INDEX IF NOT EXISTS "sessiongate_user_session_expire_date" ' +
  'ON "sessiongate_user_session" ("expire_date")'

/**
 * Makes sure that a file with the table is there, as far as `create` permits.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE`: no such file, no table in somebody else's database, or no access.
 */
export async function prepareSqliteFile(path: string, create: TableCreation): Promise<void> {
  if (!(await exists(path))) {
    if (create === 'never') throw storeUnavailable(`the database ${path} does not exist`)
    await makeOwnFile(path)
  }
}

/**
 * Creates the table in an existing database where `create` permits it.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` where it does not, naming the command that does.
 */
export function createMissingTable(database: DatabaseSync, path: string, create: TableCreation): void {
  if (hasTable(database, 'django_session')) return
  if (!mayCreate(database, create)) {
    throw storeUnavailable(
      `the database ${path} has no table django_session: run "manage.py migrate" in the Django project it belongs to, ` +
        'or set database.create: true',
    )
  }
  createTable(database)
}

/**
 * The same for the index of users, of which Django knows nothing.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` where it may not be created, with the statements that do.
 */
export function createMissingUserTable(database: DatabaseSync, path: string, create: TableCreation): void {
  if (hasTable(database, 'sessiongate_user_session')) return
  if (!mayCreate(database, create)) {
    throw storeUnavailable(
      `the database ${path} has no table sessiongate_user_session, which session.user_index needs: set database.create: ` +
        `true, or run ${USER_TABLE_SQL}`,
    )
  }
  inTransaction(database, () => database.exec(USER_TABLE_SQL))
}

function hasTable(database: DatabaseSync, name: string): boolean {
  return database.prepare('SELECT 1 FROM sqlite_master WHERE name = ?').get(name) !== undefined
}

function mayCreate(database: DatabaseSync, create: TableCreation): boolean {
  if (create !== 'ours') return create === 'always'
  return database.prepare('PRAGMA application_id').get()?.application_id === APPLICATION_ID
}

/**
 * Makes the file beside its place and links it in when it is complete: another worker that starts at the same moment
 * sees no file or a whole one, and a crash in between leaves nothing that could be taken for somebody else's database.
 */
async function makeOwnFile(path: string): Promise<void> {
  const folder = dirname(path)
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const workshop = await mkdtemp(join(folder, `.${basename(path)}-`))
    try {
      const draft = join(workshop, 'new.sqlite3')
      await (await open(draft, 'wx', 0o600)).close()
      using database = connectSqlite(draft)
      database.exec(`PRAGMA journal_mode = WAL; PRAGMA application_id = ${APPLICATION_ID}`)
      createTable(database)
      database.close()
      await link(draft, path)
      await syncFolder(folder)
    } finally {
      await rm(workshop, { recursive: true, force: true })
    }
  } catch (error) {
    // Another worker was first, with a file just as complete.
    if (await exists(path)) return
    throw storeUnavailable(`the database ${path} could not be created`, error)
  }
}

function createTable(database: DatabaseSync): void {
  inTransaction(database, () => database.exec(`${TABLE_SQL}; ${INDEX_SQL}`))
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false
    throw storeUnavailable(`the database ${path} cannot be reached`, error)
  }
}
