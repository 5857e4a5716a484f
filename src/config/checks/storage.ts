import { isPostgres, parseDatabaseUrl } from '../database-url.ts'
import { placeOf, resolveEngine } from '../engine-resolution.ts'
import { type EngineInUse, enginesInUse, mainEngine, readAlsoEngine } from '../engines-in-use.ts'
import { pathText } from '../path.ts'
import type { CheckContext } from './context.ts'

/** Directories in which every user of the machine may write, and which some systems empty at start. */
const SHARED_DIRECTORIES = ['/tmp', '/var/tmp', '/dev/shm']

/** Base64url makes four characters of three bytes; header, other claims and signature need the rest. */
const ASSERTION_OVERHEAD_BYTES = 350

/** Where sessions are kept, and how large they may become. */
export function checkStorage(context: CheckContext): void {
  const { session, database } = context.file
  checkDatabase(context, { value: database, path: ['database'] })
  if (session.read_also?.database !== undefined) {
    checkDatabase(context, { value: session.read_also.database, path: ['session', 'read_also', 'database'] })
  }
  for (const engine of enginesInUse(context.file)) {
    checkMemory(context, engine)
    if (engine.name === 'file') checkSharedDirectory(context, engine)
    if (engine.database !== undefined) warnOfPostgresKeys(context, engine.database)
  }
  checkReadAlso(context)
  if (session.engine === 'signed_cookies') checkSignedCookies(context)
  checkSizes(context)
  if (session.auth_key.includes('.')) {
    context.warn(['session', 'auth_key'], {
      message: 'auth_key is one key at the top of the session, not a path: its dot is part of the name',
      hint: 'name the top-level key, and use require for what lies below it',
    })
  }
}

function checkDatabase(context: CheckContext, { value, path }: NonNullable<EngineInUse['database']>): void {
  const place = [...path, 'url']
  const url = parseDatabaseUrl(value.url, '/')
  if (context.isUnsure(place) || url.kind !== 'flaw') return
  // Not the value: URLs of databases hold passwords.
  context.error(place, { message: `${pathText(place)} ${url.message}`, hint: url.hint })
}

/** Settings for another kind of database than the one that is named. */
function warnOfPostgresKeys(context: CheckContext, { value, path }: NonNullable<EngineInUse['database']>): void {
  if (isPostgres(value.url) || context.isUnsure([...path, 'url'])) return
  for (const key of ['pool_size', 'pgbouncer', 'notify'] as const) {
    const place = [...path, key]
    if (!context.isWritten(place) || value[key] === false || value[key] === undefined) continue
    context.warn(place, {
      message: `${key} is for PostgreSQL, and without effect on SQLite`,
      hint: 'remove it',
      atKey: true,
    })
  }
}

function checkMemory(context: CheckContext, { name, cache, path }: EngineInUse): void {
  const { workers } = context.file
  if (cache?.value?.backend !== 'memory' || context.isUnsure([...cache.path, 'backend'])) return
  const place = [...cache.path, 'backend']
  if (path.length > 1 && name === 'cache') {
    context.error(place, {
      message: 'read_also looks into a memory that is empty at every start',
      hint: 'name the engine that the sessions are in, or remove read_also',
    })
    return
  }
  if (workers !== 1) {
    context.error(place, {
      message: 'sessions in memory are known to one worker only, and there are several',
      hint: 'set workers: 1, or use another backend',
    })
  }
  if (name === 'cached_db') {
    context.warn(place, {
      message:
        'a cache in memory hears of nothing that Django or another gateway does: a session that they end is served for up to a minute more',
      hint: 'use the engine db, or a cache that all of them share',
    })
    return
  }
  context.warn(place, {
    message: 'sessions in memory are gone when the gateway restarts',
    hint: 'use the engine db for anything but a trial',
  })
}

/** The second engine is another store than the first, and the first is one that sessions can be put into. */
function checkReadAlso(context: CheckContext): void {
  const { file } = context
  const also = readAlsoEngine(file)
  if (also === undefined || context.isUnsure(['session', 'engine']) || context.isUnsure(also.path)) return
  if (file.session.engine === 'signed_cookies') {
    context.error(also.path, {
      message: 'read_also moves sessions into the engine, and signed_cookies keeps none',
      hint: 'remove it, or use another engine',
      atKey: true,
    })
    return
  }
  const directories = { working: '/', temporary: '/tmp' }
  const [to, from] = [resolveEngine(mainEngine(file), directories), resolveEngine(also, directories)]
  if (to === undefined || from === undefined || placeOf(to) !== placeOf(from)) return
  context.error([...also.path, 'engine'], {
    message: 'read_also names the store that the sessions are in already',
    hint: 'name the one that they come from, or remove read_also',
  })
}

function checkSharedDirectory(context: CheckContext, { path: engine, filePath: directory }: EngineInUse): void {
  const isShared = directory === undefined || SHARED_DIRECTORIES.includes(directory.replace(/\/+$/, ''))
  const named = [...engine, 'file_path']
  if (!isShared || context.isUnsure(named)) return
  context.warn(context.isWritten(named) ? named : [...engine, 'engine'], {
    message: 'session files are kept in a temporary directory that other users of this machine share',
    hint: 'set file_path to a directory of your own',
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
