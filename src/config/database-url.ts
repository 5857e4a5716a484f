import { resolve } from 'node:path'
import { type Flaw, hostAndPort, isHostName, parseStoreUrl, type StoreUrl } from './store-url.ts'

/** Where the gateway keeps sessions when the file does not say. */
export const OWN_DATABASE_PATH = 'var/sessiongate.sqlite3'

/** What a `database.url` names. */
export type DatabaseUrl =
  | { readonly kind: 'sqlite' /** Absolute. */; readonly path: string; readonly isOwn: boolean }
  | PostgresUrl

export interface PostgresUrl {
  readonly kind: 'postgres'
  /** A name, an address, or the folder of the socket. */
  readonly host: string
  /** Host, port and database, for messages and to tell two databases apart: never the user, never the password. */
  readonly place: string
  readonly protection: Protection
}

/** `plain`: readable on the way. `encrypted`: not readable, but the server may be another. `verified`: neither. */
export type Protection = 'plain' | 'encrypted' | 'verified'

const sqliteForm: Flaw = {
  kind: 'flaw',
  message: 'names no database',
  hint: 'write sqlite:./path/db.sqlite3 or sqlite:/path/db.sqlite3, with one colon and no "//", or postgres://user:password@host:5432/name',
}

const postgresForm = {
  example: 'postgres://user:password@host:5432/name',
  parameters: ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'host', 'port', 'application_name', 'options'],
} as const

/**
 * `sqlite:./db.sqlite3`, `sqlite:/srv/db.sqlite3`, `postgres://user:password@host:5432/name`. Not `sqlite://…`: with
 * three slashes some programs read a relative path and others an absolute one, and a gateway that opens another file
 * than the project makes everybody log in again.
 */
export function parseDatabaseUrl(url: string, directory: string): DatabaseUrl | Flaw {
  if (/^postgres(ql)?:/i.test(url)) return parsePostgresUrl(url)
  const path = /^sqlite:(?!\/\/)([^?#\0]+)$/.exec(url)?.[1]
  if (path === undefined || path.startsWith(':') || path.endsWith('/')) return sqliteForm
  const absolute = resolve(directory, path)
  return { kind: 'sqlite', path: absolute, isOwn: absolute === resolve(directory, OWN_DATABASE_PATH) }
}

/** True for the URL of a PostgreSQL server, whether or not it can be used. */
export function isPostgres(url: string): boolean {
  return /^postgres(ql)?:/i.test(url)
}

function parsePostgresUrl(text: string): PostgresUrl | Flaw {
  // libpq has a user without a host, which the URL standard has not: postgres://user@/name?host=/folder.
  const hasNoHost = /^[^/?#]+:\/\/[^/?#]*@\//.test(text)
  const url = parseStoreUrl(hasNoHost ? text.replace('@/', `@${NO_HOST}/`) : text, postgresForm)
  if (url.kind === 'flaw') return url
  const host = hostOf(url)
  const name = url.path.slice(1)
  // With an `@` in it the user is no host and the password no port: `postgres://shop:2024/secret@host`.
  if (host === undefined || !/^[^/@]+$/.test(name)) {
    const hint = `write ${postgresForm.example}; a socket is named by its folder: postgres:///name?host=/var/run/postgresql`
    return { kind: 'flaw', message: host === undefined ? 'names no server' : 'names no database of the server', hint }
  }
  const protection = protectionOf(url, host)
  if (typeof protection !== 'string') return protection
  const port = portOf(url)
  if (port === undefined) {
    return {
      kind: 'flaw',
      message: 'has a port behind "?" that is none, or one beside it',
      hint: 'write it behind the host',
    }
  }
  const options = url.query.get('options')
  const place = `${hostAndPort(host, port)}/${name}${options === undefined ? '' : ` (${options})`}`
  return { kind: 'postgres', host, place, protection }
}

const NO_HOST = '_'

/** From the place of a host, or from `host=/folder`, as libpq has it. A second server there would be read by one of two. */
function hostOf({ host, query }: StoreUrl): string | undefined {
  const parameter = query.get('host')
  const isEmpty = host === '' || host === NO_HOST
  if (parameter !== undefined) return isEmpty && parameter.startsWith('/') ? parameter : undefined
  if (/^%2f/i.test(host)) return decodeURIComponent(host)
  return isHostName(host) && !isEmpty ? host : undefined
}

/** A socket's port stands behind `?`, since it is a part of its name. */
function portOf({ port, query }: StoreUrl): number | undefined {
  const parameter = query.get('port')
  if (parameter === undefined) return port ?? 5432
  const number = Number(parameter)
  const isOne = query.has('host') && port === undefined && /^\d{1,5}$/.test(parameter) && number > 0 && number < 65_536
  return isOne ? number : undefined
}

/**
 * What the words of `sslmode` protect from, in the meaning of libpq, as `sessions/databases/postgres-address.ts` follows
 * them. Not `allow` and `prefer`: somebody in between could talk the two out of encrypting.
 */
const protections: Readonly<Record<string, Protection>> = {
  disable: 'plain',
  require: 'encrypted',
  'verify-ca': 'verified',
  'verify-full': 'verified',
}

function protectionOf({ query }: StoreUrl, host: string): Protection | Flaw {
  const mode = query.get('sslmode')
  const hasFiles = ['sslrootcert', 'sslcert', 'sslkey'].some((name) => query.has(name))
  if (query.has('sslcert') !== query.has('sslkey')) {
    const hint = 'sslcert and sslkey are the two halves of one certificate of the gateway'
    return { kind: 'flaw', message: 'has one of sslcert and sslkey without the other', hint }
  }
  if (mode === undefined && hasFiles) {
    return { kind: 'flaw', message: 'names certificates without sslmode', hint: 'add sslmode=verify-full' }
  }
  const protection = Object.hasOwn(protections, mode ?? 'disable') ? protections[mode ?? 'disable'] : undefined
  if (protection === undefined) {
    const hint = `known are ${Object.keys(protections).join(', ')}; verify-full is the one to take`
    return { kind: 'flaw', message: 'has an sslmode that is not supported', hint }
  }
  const authority = query.get('sslrootcert')
  const hasAuthority = authority !== undefined && authority !== 'system'
  if (mode === 'verify-ca' && !hasAuthority) {
    const hint = 'name the authority: sslrootcert=/path/ca.crt'
    return { kind: 'flaw', message: 'has sslmode=verify-ca without sslrootcert', hint }
  }
  // As with libpq, an authority makes `require` ask for its certificate.
  return host.startsWith('/') || (mode === 'require' && hasAuthority) ? 'verified' : protection
}
