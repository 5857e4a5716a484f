import { setTimeout } from 'node:timers/promises'
import type { CacheConfig, DatabaseConfig, EngineConfig, SessionConfig } from './config/config.ts'
import { localCacheObstacle } from './config/local-cache.ts'
import type { Clock } from './lib/clock.ts'
import { openRedisNotices } from './sessions/caches/redis-notices.ts'
import { cacheKeyPrefix } from './sessions/caches/session-cache.ts'
import type { ChangeNotices, NoticesState } from './sessions/change-notices.ts'
import { openPostgresNotices } from './sessions/databases/postgres-notices.ts'
import { createSqliteNotices } from './sessions/databases/sqlite-notices.ts'
import type { SessionEngine } from './sessions/engine.ts'
import { createLocalCache, type LocalLookup } from './sessions/local-cache.ts'
import { type WatchedNotices, watchNotices } from './sessions/watched-notices.ts'
import { redisServers, type StoreWatcher } from './store-parts.ts'

/** What sessions in the process come to. `off` without a reason: by `local_cache: null`. */
export type LocalCacheState =
  | { readonly is: 'off'; readonly reason: string | undefined }
  | { readonly is: 'on' }
  /** Nothing is served from memory until the store tells of changes again. */
  | { readonly is: 'broken'; readonly reason: string }

export interface LocalCacheObserver {
  /** Told at the start, and then once per change. */
  readonly onLocalCache: (state: LocalCacheState) => void
  /** Told once per load, where sessions are kept. */
  readonly onLocalLookup: (lookup: LocalLookup) => void
}

/** The line on which a store tells of changes, opened and not listened to yet. */
export interface NoticesParts extends AsyncDisposable {
  readonly notices: WatchedNotices
  /** For the store that the notices are about. */
  readonly watcher: StoreWatcher
}

/**
 * Opens the line on which the store of the sessions tells of changes; undefined where none is wanted, or there is none, and
 * the observer is told why.
 *
 * @throws {Error} when a file with a certificate cannot be read.
 */
export async function openNotices(
  session: Pick<SessionConfig, 'engine' | 'readAlso' | 'localCache'>,
  observer: LocalCacheObserver,
): Promise<NoticesParts | undefined> {
  const reason = session.localCache && localCacheObstacle(session)
  const parts = session.localCache && reason === undefined ? await openNoticesOf(session.engine) : undefined
  if (parts === undefined) {
    observer.onLocalCache({ is: 'off', reason })
    return undefined
  }
  const notices = watchNotices(parts.notices)
  return { notices, watcher: parts.watcher, [Symbol.asyncDispose]: () => notices[Symbol.asyncDispose]() }
}

interface OpenedNotices extends Pick<NoticesParts, 'watcher'> {
  readonly notices: ChangeNotices
}

/** Of `cached_db` it is the cache: what is in memory is a copy of what is there (`sessions/engines/cached-db.ts`). */
async function openNoticesOf(engine: EngineConfig): Promise<OpenedNotices | undefined> {
  switch (engine.kind) {
    case 'db':
      return openDatabaseNotices(engine.database)
    case 'cache':
    case 'cached_db':
      return await openCacheNotices(engine.cache, engine.kind)
    default:
      return undefined
  }
}

function openDatabaseNotices(database: DatabaseConfig): OpenedNotices {
  if (database.kind === 'postgres') {
    const notices = openPostgresNotices({ url: database.url.reveal(), create: database.createsTrigger })
    return { notices, watcher: {} }
  }
  const notices = createSqliteNotices()
  return { notices, watcher: { table: notices } }
}

async function openCacheNotices(cache: CacheConfig, engine: 'cache' | 'cached_db'): Promise<OpenedNotices | undefined> {
  if (cache.kind === 'memory' || cache.kind === 'memcached') return undefined
  const notices = openRedisNotices({ servers: await redisServers(cache), prefix: cacheKeyPrefix(cache, engine) })
  return { notices, watcher: { onCacheConnected: () => notices.renew() } }
}

/** For so long the start waits for the store, and then for the line to stand, at most. */
const FIRST_STATE_MS = 1000

export interface LocalCacheParts {
  readonly engine: SessionEngine
  /** Resolves when the line stands or has failed once, or after a second. */
  readonly stands: Promise<unknown>
}

/**
 * The engine with sessions in memory. The store is asked first: a line to Redis that is older than the connection on which
 * sessions are read has to begin anew.
 */
export async function openLocalCache(
  engine: SessionEngine,
  { notices }: NoticesParts,
  options: LocalCacheObserver & { readonly session: Pick<SessionConfig, 'localCache'>; readonly clock: Clock },
): Promise<LocalCacheParts> {
  const { session, clock, onLocalLookup: onLookup, onLocalCache } = options
  if (session.localCache === undefined) return { engine, stands: Promise.resolve() }
  await Promise.race([engine.ping().catch(ignore), soon()])
  const cache = createLocalCache(engine, notices, { ...session.localCache, clock, onLookup })
  const { promise: settled, resolve: settle } = Promise.withResolvers<void>()
  let isFirst = true
  notices.onState((state) => {
    if (state.isUp || !isFirst) settle()
    isFirst = false
    onLocalCache(stateOf(state))
  })
  return { engine: cache, stands: Promise.race([settled, soon()]) }
}

function stateOf(state: NoticesState): LocalCacheState {
  return state.isUp ? { is: 'on' } : { is: 'broken', reason: state.reason }
}

function soon(): Promise<void> {
  return setTimeout(FIRST_STATE_MS, undefined, { ref: false })
}

function ignore(): void {}
