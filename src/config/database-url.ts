import { resolve } from 'node:path'

/** Where the gateway keeps sessions when the file does not say. */
export const OWN_DATABASE_PATH = 'var/sessiongate.sqlite3'

/** What a `database.url` names. */
export type DatabaseUrl =
  | { readonly kind: 'sqlite' /** Absolute. */; readonly path: string; readonly isOwn: boolean }
  | { readonly kind: 'postgres' }

/**
 * `sqlite:./db.sqlite3`, `sqlite:/srv/db.sqlite3`, `postgres://…`; `undefined` for anything else. Also for
 * `sqlite://…`: with three slashes some programs read a relative path and others an absolute one, and a gateway that
 * opens another file than the project makes everybody log in again.
 */
export function parseDatabaseUrl(url: string, directory: string): DatabaseUrl | undefined {
  if (/^postgres(ql)?:\/\//.test(url)) return { kind: 'postgres' }
  const path = /^sqlite:(?!\/\/)([^?#\0]+)$/.exec(url)?.[1]
  if (path === undefined || path.startsWith(':') || path.endsWith('/')) return undefined
  const absolute = resolve(directory, path)
  return { kind: 'sqlite', path: absolute, isOwn: absolute === resolve(directory, OWN_DATABASE_PATH) }
}
