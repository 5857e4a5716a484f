import { type Flaw, isHostName, parseSocketUrl, parseStoreUrl, type StoreAddress } from './store-url.ts'

/** What a URL of Redis says. */
export interface RedisUrl {
  readonly kind: 'redis'
  readonly address: StoreAddress
  readonly isEncrypted: boolean
  /** '' where the URL has none. */
  readonly username: string
  readonly password: string
  readonly database: number | undefined
}

/** What a server is named by in the hints, and the port that it has without one. */
export interface RedisForm {
  readonly example: string
  readonly port: number
}

/** A server that holds sessions. */
export const redisServer: RedisForm = { example: 'redis://127.0.0.1:6379/1', port: 6379 }
/** A start node of a cluster. */
export const redisNode: RedisForm = { example: 'redis://10.0.0.1:6379', port: 6379 }
/** A sentinel. */
export const redisSentinel: RedisForm = { example: 'redis://10.0.0.1:26379', port: 26379 }

/**
 * `redis://[user:password@]host[:port][/database]`, `rediss://…` for TLS, `unix:///path?db=1`: the forms of Django's
 * LOCATION, read as redis-py does. Not read: what redis-py takes behind `?` beside `db`, which has keys of its own here.
 */
export function parseRedisUrl(text: string, form: RedisForm): RedisUrl | Flaw {
  const socket = text.startsWith('unix:') ? parseSocketUrl(text) : undefined
  if (socket !== undefined) return socketUrl(socket)
  if (!/^rediss?:\/\//i.test(text)) return noServer(form)
  const url = parseStoreUrl(text, { example: form.example, parameters: ['db'] })
  if (url.kind === 'flaw') return tlsInQuery(text) ?? url
  if (!isHostName(url.host)) return noServer(form)
  const database = databaseOf(url.path, url.query.get('db'))
  if (database === false) return noDatabase(form)
  if (url.username !== '' && url.password === '') return noPassword()
  return {
    kind: 'redis',
    address: { kind: 'tcp', host: url.host, port: url.port ?? form.port },
    isEncrypted: url.scheme === 'rediss',
    username: url.username,
    password: url.password,
    database,
  }
}

function socketUrl({ path, query }: { readonly path: string; readonly query: string }): RedisUrl | Flaw {
  const database = query === '' ? undefined : /^db=(\d{1,5})$/.exec(query)?.[1]
  if (query !== '' && database === undefined) {
    const hint = 'write unix:///path/redis.sock?db=1, and a password under password:'
    return { kind: 'flaw', message: 'has something other than a database behind the path of its socket', hint }
  }
  return {
    kind: 'redis',
    address: { kind: 'unix', path },
    isEncrypted: false,
    username: '',
    password: '',
    database: database === undefined ? undefined : Number(database),
  }
}

/** The number; undefined where none is written, false for what is none. redis-py takes 0 for that without a word. */
function databaseOf(path: string, parameter: string | undefined): number | undefined | false {
  if (!/^\/?$/.test(path) && parameter !== undefined) return false
  const written = parameter ?? /^\/?(.*)$/.exec(path)?.[1] ?? ''
  if (written === '') return parameter === undefined ? undefined : false
  return /^\d{1,5}$/.test(written) ? Number(written) : false
}

function noServer({ example }: RedisForm): Flaw {
  const hint = `write ${example}, with rediss:// for TLS, or unix:///path/redis.sock`
  return { kind: 'flaw', message: 'names no Redis server', hint }
}

function noDatabase({ example }: RedisForm): Flaw {
  return { kind: 'flaw', message: 'names a database that is no number', hint: `write ${example}` }
}

function noPassword(): Flaw {
  const hint = 'a password alone stands behind a colon: redis://:password@host, or under password:'
  return { kind: 'flaw', message: 'has a user without a password', hint }
}

/** redis-py's way to say what `tls:` is for. */
function tlsInQuery(text: string): Flaw | undefined {
  if (!/[?&]ssl_/.test(text)) return undefined
  const hint = 'write rediss://host:6379/1 and tls: { ca: /path/ca.crt }'
  return { kind: 'flaw', message: 'has parameters of TLS behind "?"', hint }
}

/** `host:port`, `memcached://host:port`, `unix:/path`: one server of memcached. Without a port it is 11211. */
export function parseMemcachedAddress(text: string): StoreAddress | Flaw {
  const socket = text.startsWith('unix:') ? parseSocketUrl(text) : undefined
  if (socket?.query === '') return { kind: 'unix', path: socket.path }
  const [, bracketed, plain, digits] =
    /^(?:memcached:\/\/)?(?:\[([^\]]+)\]|([^:/@[\]]+))(?::(\d{1,5}))?\/?$/.exec(text) ?? []
  const host = bracketed ?? plain ?? ''
  const port = Number(digits ?? 11211)
  if (isHostName(host) && port > 0 && port < 65_536) return { kind: 'tcp', host, port }
  const hint = 'write 127.0.0.1:11211 or unix:/run/memcached.sock; a user and a password are not supported'
  return { kind: 'flaw', message: 'names no memcached server', hint }
}
