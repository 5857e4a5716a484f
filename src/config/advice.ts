import { notifyTriggerSql } from '../sessions/databases/postgres-notice-trigger.ts'
import type { Config } from './config.ts'
import { localCacheObstacle } from './local-cache.ts'

/** What the operator may want to do outside of the file; nothing is wrong without it. Each a text of several lines. */
export function adviceOn({ session }: Config): string[] {
  const { engine, localCache } = session
  if (localCache === undefined || localCacheObstacle(session) !== undefined) return []
  if (engine.kind !== 'db' || engine.database.kind !== 'postgres' || engine.database.createsTrigger) return []
  return [
    'Sessions are kept in the process (session.local_cache) once PostgreSQL tells of changes to them, which takes a\n' +
      'trigger. database.notify: create lets the gateway make it. Or run this as the owner of the table django_session,\n' +
      `if it is not there yet:\n\n${notifyTriggerSql()}`,
  ]
}
