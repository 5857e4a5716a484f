import type { Config } from './config/config.ts'
import { openHousekeeping } from './housekeeping.ts'
import { systemClock } from './lib/clock.ts'
import { createLocalCacheStates, type LocalCacheStates } from './local-cache-states.ts'
import type { Log } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import { openSessionParts, type SessionParts } from './session-parts.ts'
import { createStoreStates, noteCache, noteIndex } from './store-states.ts'

/** Sessions as a gateway serves them: watched, kept in the process, swept. */
export interface OpenSessions extends AsyncDisposable {
  readonly parts: SessionParts
  readonly localCache: LocalCacheStates
  /** From now on what becomes of the stores is logged, what has been so far first. */
  tell(): void
}

/** @throws {GatewayError} `ERR_STORE_UNAVAILABLE`, when a store is no store of that kind at all. */
export async function openSessions(
  config: Config,
  { log, metrics, keepsHouse }: { readonly log: Log; readonly metrics: Metrics; readonly keepsHouse: boolean },
): Promise<OpenSessions> {
  await using stack = new AsyncDisposableStack()
  const storeStates = createStoreStates({ log, metrics })
  const localCache = createLocalCacheStates(log)
  const parts = await openSessionParts(config, {
    clock: systemClock,
    observer: {
      onOperation: (operation) => metrics.stores.operation(operation),
      onState: storeStates.note,
      onCacheState: (isUp, cause) => noteCache({ log, metrics }, isUp, cause),
      // A bypass is no look into the cache, and where sessions are kept in the process, that is the cache that counts.
      onCacheLookup: (lookup) => lookup !== 'bypass' && localCache.isOff && metrics.stores.cacheRequest(lookup),
      onIndexState: (isUp, cause) => noteIndex({ log, metrics }, isUp, cause),
      onKeyRead: metrics.keys.sessionRead,
    },
    localCache: { onLocalCache: localCache.note, onLocalLookup: metrics.stores.cacheRequest },
  })
  stack.use(parts.engine)
  const clearing = keepsHouse ? config.session.clearExpired : undefined
  stack.use(openHousekeeping(clearing, { engine: parts.engine, log, metrics }))
  const closing = stack.move()
  return {
    parts,
    localCache,
    tell() {
      storeStates.tell()
      localCache.tell()
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** Sessions in the process make requests cheaper, and nothing else: whether all is up does not depend on them. */
export async function readinessOf({ parts: { engine }, localCache }: Pick<OpenSessions, 'parts' | 'localCache'>) {
  const isUp = await engine.ping().then(
    () => true,
    () => false,
  )
  return { isUp, checks: { [`store:${engine.name}`]: isUp ? 'up' : 'down', local_cache: localCache.text } }
}
