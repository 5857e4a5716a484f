import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { storeUnavailable } from '../store-failure.ts'

/** A `postgres://` URL taken apart, as far as a driver must not read it by itself. */
export interface PostgresAddress {
  /** Where the database is, without user and password: `db.example.com:5432/shop`. For messages. */
  readonly place: string
  /** The URL without its `ssl…` parameters. */
  readonly connectionString: string
  /** `false`: no TLS; undefined: the URL says nothing. */
  readonly tls: ConnectionOptions | false | undefined
}

const tlsParameters = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'uselibpqcompat'] as const

/**
 * Reads `postgres://user:password@host:port/database?…`, with everything else that libpq's URLs have and `pg` follows:
 * `host=/var/run/postgresql` for a Unix socket, `user`, `port`, `options` (`-c search_path=…`), `application_name`; what
 * is left out comes from `PGHOST`, `PGUSER` and the like. One host only.
 *
 * TLS is the URL's `sslmode` in the meaning of libpq, and of Django: `disable`, none; `require`, with whoever answers,
 * unless `sslrootcert` names an authority; `verify-ca`, with a server whose certificate is of that authority;
 * `verify-full`, with one whose certificate is valid for the host as well (without `sslrootcert`, or with `system`, of an
 * authority that Node knows). It is never given up when the server has no TLS, so `allow` and `prefer` are refused. Without
 * `sslmode` there is none, unless `PGSSLMODE` asks for it. `sslcert` and `sslkey` are the gateway's own certificate. All
 * files are read once, at start: one that vanished later must not end the process.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` when it is no such URL, or a file that it names cannot be read.
 */
export function readPostgresAddress(text: string): PostgresAddress {
  // A URL may have no host where a parameter names a socket, but the URL standard does not permit a user without a host.
  const url = URL.parse(text) ?? URL.parse(text.replace('@/', '@localhost/'))
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol)) throw storeUnavailable('the database URL cannot be read')
  const { searchParams } = url
  const tls = readTls(searchParams)
  for (const name of tlsParameters) searchParams.delete(name)
  const host = searchParams.get('host') ?? decodeURIComponent(url.hostname)
  const port = searchParams.get('port') ?? url.port
  return { place: `${host}${port && `:${port}`}${url.pathname}`, connectionString: url.href, tls }
}

function readTls(parameters: URLSearchParams): ConnectionOptions | false | undefined {
  const mode = parameters.get('sslmode')
  const files = {
    ...readPem('ca', parameters.get('sslrootcert')),
    ...readPem('cert', parameters.get('sslcert')),
    ...readPem('key', parameters.get('sslkey')),
  }
  switch (mode) {
    case null:
      if (Object.keys(files).length === 0) return undefined
      throw storeUnavailable('the database URL names certificates without sslmode')
    case 'disable':
      return false
    case 'require':
      return 'ca' in files ? { ...files, checkServerIdentity: anyName } : { ...files, rejectUnauthorized: false }
    case 'verify-ca':
      if ('ca' in files) return { ...files, checkServerIdentity: anyName }
      throw storeUnavailable('the database URL has sslmode=verify-ca without sslrootcert')
    case 'verify-full':
      return files
    default:
      throw storeUnavailable(`the database URL has an sslmode that is not supported: ${mode}`)
  }
}

function anyName(): undefined {}

function readPem(name: 'ca' | 'cert' | 'key', path: string | null): ConnectionOptions {
  if (path === null || (name === 'ca' && path === 'system')) return {}
  try {
    return { [name]: readFileSync(path, 'utf8') }
  } catch (error) {
    throw storeUnavailable(`a certificate file that the database URL names cannot be read: ${path}`, error)
  }
}
