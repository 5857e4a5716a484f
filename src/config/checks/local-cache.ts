import { isPostgres } from '../database-url.ts'
import { resolveEngine } from '../engine-resolution.ts'
import { enginesInUse, mainEngine, readAlsoEngine } from '../engines-in-use.ts'
import { localCacheObstacle } from '../local-cache.ts'
import type { Path } from '../path.ts'
import type { CheckContext } from './context.ts'

/** Settings about sessions in the process, where none can be kept. */
export function checkLocalCache(context: CheckContext): void {
  const place = ['session', 'local_cache']
  if (context.isUnsure(place) || context.isUnsure(['session', 'engine'])) return
  const obstacle = obstacleIn(context)
  const isWanted = context.file.session.local_cache !== undefined
  if (isWanted && obstacle !== undefined && context.isWritten(place)) {
    context.warn(place, {
      message: `local_cache is without effect, since ${obstacle}`,
      hint: 'remove it: each request asks the store',
      atKey: true,
    })
  }
  const idle = isWanted ? (obstacle ?? cacheTells(context)) : 'local_cache is null'
  if (idle !== undefined) for (const path of notifyPlaces(context)) warnOfNotify(context, path, idle)
}

/** Undefined as well for a file that another check has something to say about. */
function obstacleIn({ file }: CheckContext): string | undefined {
  const directories = { working: '/', temporary: '/tmp' }
  const engine = resolveEngine(mainEngine(file), directories)
  const also = readAlsoEngine(file)
  const readAlso = also && resolveEngine(also, directories)
  if (engine === undefined || (also !== undefined && readAlso === undefined)) return undefined
  return localCacheObstacle({ engine, readAlso: readAlso && { engine: readAlso, moves: true } })
}

function cacheTells({ file }: CheckContext): string | undefined {
  return file.session.engine === 'cached_db' ? 'the cache of cached_db tells of changes' : undefined
}

/** Where a database of PostgreSQL that is in use has `notify`. On SQLite another check speaks. */
function notifyPlaces(context: CheckContext): Path[] {
  const places = new Map<string, Path>()
  for (const { database } of enginesInUse(context.file)) {
    if (database?.value.notify === undefined || !isPostgres(database.value.url)) continue
    const place = [...database.path, 'notify']
    places.set(place.join('.'), place)
  }
  return [...places.values()].filter((place) => context.isWritten(place))
}

function warnOfNotify(context: CheckContext, place: Path, idle: string): void {
  context.warn(place, { message: `notify is without effect, since ${idle}`, hint: 'remove it', atKey: true })
}
