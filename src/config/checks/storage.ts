import { parseDatabaseUrl } from '../database-url.ts'
import type { CheckContext } from './context.ts'

/** Directories in which every user of the machine may write, and which some systems empty at start. */
const SHARED_DIRECTORIES = ['/tmp', '/var/tmp', '/dev/shm']

/** Base64url makes four characters of three bytes; header, other claims and signature need the rest. */
const ASSERTION_OVERHEAD_BYTES = 350

/** Where sessions are kept, and how large they may become. */
export function checkStorage(context: CheckContext): void {
  const { session, database } = context.file
  if (!context.isUnsure(['database', 'url']) && parseDatabaseUrl(database.url, '/') === undefined) {
    context.error(['database', 'url'], {
      // Not the value: URLs of databases hold passwords.
      message: 'database.url names no database',
      hint: 'write sqlite:./path/db.sqlite3 or sqlite:/path/db.sqlite3, with one colon and no "//"',
    })
  }
  if (session.engine === 'cache' || session.engine === 'cached_db') checkMemory(context)
  if (session.engine === 'file') checkSharedDirectory(context)
  if (session.engine === 'signed_cookies') checkSignedCookies(context)
  checkSizes(context)
  if (session.auth_key.includes('.')) {
    context.warn(['session', 'auth_key'], {
      message: 'auth_key is one key at the top of the session, not a path: its dot is part of the name',
      hint: 'name the top-level key, and use require for what lies below it',
    })
  }
}

function checkMemory(context: CheckContext): void {
  const { caches, session, workers } = context.file
  if (caches[session.cache_alias]?.backend !== 'memory') return
  const path = ['caches', session.cache_alias, 'backend']
  if (workers !== 1) {
    context.error(path, {
      message: 'sessions in memory are known to one worker only, and there are several',
      hint: 'set workers: 1, or use another backend',
    })
  }
  context.warn(path, {
    message: 'sessions in memory are gone when the gateway restarts',
    hint: 'use the engine db for anything but a trial',
  })
}

function checkSharedDirectory(context: CheckContext): void {
  const { file_path: directory } = context.file.session
  const isShared = directory === undefined || SHARED_DIRECTORIES.includes(directory.replace(/\/+$/, ''))
  if (!isShared || context.isUnsure(['session', 'file_path'])) return
  const path = context.isWritten(['session', 'file_path']) ? ['session', 'file_path'] : ['session', 'engine']
  context.warn(path, {
    message: 'session files are kept in a temporary directory that other users of this machine share',
    hint: 'set session.file_path to a directory of your own',
  })
}

function checkSignedCookies(context: CheckContext): void {
  const { upstreams } = context.file
  if (
    !Object.values(upstreams).some(
      ({ writeback }) => (writeback?.allow.length ?? 0) + (writeback?.commands?.length ?? 0) > 0,
    )
  ) {
    return
  }
  context.warn(['session', 'engine'], {
    message:
      'with signed_cookies writeback cannot keep its promises: the last answer wins, and a log-out revokes nothing',
    hint: 'use another engine where apps write into the session',
  })
}

function checkSizes(context: CheckContext): void {
  const { session: limits, signing, routes, upstreams } = context.file
  const room = Math.floor(((signing.max_bytes - ASSERTION_OVERHEAD_BYTES) * 3) / 4)
  if (!context.isWritten(['session', 'max_bytes']) || limits.max_bytes <= room) return
  const handsOnAll = routes.some(
    ({ session, include, upstream }) =>
      session !== 'none' && (include === undefined ? upstreams[upstream]?.include : include) === null,
  )
  if (!handsOnAll) return
  context.warn(['session', 'max_bytes'], {
    message: `a session may hold ${limits.max_bytes} bytes, and an assertion of ${signing.max_bytes} bytes carries about ${Math.max(0, room)} of them`,
    hint: 'name the keys that apps need under include, raise signing.max_bytes, or lower session.max_bytes',
  })
}
