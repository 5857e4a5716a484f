import { readCache } from '../cache-resolution.ts'
import type { CacheConfig } from '../config.ts'
import { parseDatabaseUrl } from '../database-url.ts'
import { type EngineInUse, enginesInUse } from '../engines-in-use.ts'
import { isForeignHost } from '../store-url.ts'
import type { CheckContext } from './context.ts'

/** The way to the stores in use, and what they cannot promise. */
export function warnOfStores(context: CheckContext): void {
  for (const { database, cache } of enginesInUse(context.file)) {
    if (database !== undefined) warnOfDatabase(context, database)
    if (cache !== undefined) warnOfCache(context, cache)
  }
}

function warnOfDatabase(context: CheckContext, { value, path }: NonNullable<EngineInUse['database']>): void {
  const url = parseDatabaseUrl(value.url, '/')
  if (url.kind !== 'postgres' || !isForeignHost(url.host) || context.isUnsure([...path, 'url'])) return
  if (url.protection === 'plain') {
    context.warn([...path, 'url'], {
      message: 'sessions and the password of the database travel in plain text to a host outside of the own network',
      hint: 'add ?sslmode=verify-full to the url',
    })
  } else if (url.protection === 'encrypted') {
    context.warn([...path, 'url'], {
      message: 'sslmode=require encrypts, but takes whoever answers for the database',
      hint: 'write sslmode=verify-full, with sslrootcert=/path/ca.crt where the authority is one of your own',
    })
  }
}

function warnOfCache(context: CheckContext, { value, alias, path }: NonNullable<EngineInUse['cache']>): void {
  if (value === undefined || context.isUnsure(path)) return
  const reading = readCache({ alias, value, working: '/' })
  if (!reading.isSound) return
  const { cache } = reading
  if (cache.kind === 'memcached') {
    context.warn([...path, 'backend'], {
      message: 'memcached drops sessions when it is full or restarted, and cannot list or revoke them by public id',
      hint: 'use redis or cached_db where nobody may be logged out by that',
    })
  }
  const isPlain = cache.kind === 'memcached' || (cache.kind !== 'memory' && cache.tls === undefined)
  if (!isPlain || !hostsOf(cache).some(isForeignHost)) return
  context.warn([...path, 'url'], {
    message:
      'the cache is reached in plain text outside of the own network, and what it holds is not signed: whoever can write there can log in as anybody',
    hint: cache.kind === 'memcached' ? 'put memcached into the own network' : 'write rediss:// in the url',
  })
}

function hostsOf(cache: CacheConfig): string[] {
  switch (cache.kind) {
    case 'memory':
      return []
    case 'redis-sentinel':
      return cache.sentinels.map(({ host }) => host)
    case 'redis-cluster':
      return cache.nodes.map(({ host }) => host)
    case 'redis':
    case 'memcached':
      return cache.server.kind === 'tcp' ? [cache.server.host] : []
  }
}
