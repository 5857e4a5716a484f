import { resolve } from 'node:path'
import {
  parseMemcachedAddress,
  parseRedisUrl,
  type RedisForm,
  type RedisUrl,
  redisNode,
  redisSentinel,
  redisServer,
} from './cache-address.ts'
import type { CacheConfig, CacheServerConfig, ClientTlsConfig, RedisAccessConfig } from './config.ts'
import type { FileCache } from './schema/file.ts'
import { Secret } from './secret.ts'
import type { Flaw, HostAddress, StoreAddress } from './store-url.ts'

/** What is wrong with an entry of `caches`. */
export interface CacheFlaw {
  /** Below the entry: `['url', 0]`. */
  readonly path: readonly (string | number)[]
  readonly message: string
  readonly hint: string
  readonly atKey?: boolean
}

export type CacheReading =
  | { readonly isSound: true; readonly cache: CacheConfig }
  | { readonly isSound: false; readonly flaws: readonly CacheFlaw[] }

/** An entry of `caches`. */
export interface CacheEntry {
  readonly alias: string
  readonly value: FileCache
  /** Where its relative paths start. */
  readonly working: string
}

/** What an entry of `caches` stands for, or everything that is wrong with it. No file is read, no server called. */
export function readCache(entry: CacheEntry): CacheReading {
  const { alias, value } = entry
  const flaws: CacheFlaw[] = [...strangers(value), ...tlsFlaws(value), ...layoutFlaws(value)]
  const server = servers[value.backend](entry, flaws)
  if (flaws.length > 0 || server === undefined) return { isSound: false, flaws }
  const { key_prefix: keyPrefix, version, serializer } = value
  return { isSound: true, cache: { alias, keyPrefix, version, serializer, ...server } }
}

const redisKeys = ['url', 'username', 'password', 'database', 'tls'] as const
const sentinelKeys = ['master', 'sentinel_username', 'sentinel_password'] as const

/** The keys beside the layout that mean something to a backend. */
const keysOf: Readonly<Record<FileCache['backend'], readonly (keyof FileCache)[]>> = {
  memory: [],
  memcached: ['url'],
  redis: redisKeys,
  'redis-cluster': redisKeys,
  'redis-sentinel': [...redisKeys, ...sentinelKeys],
}

/** A password that is not sent, or the name of a server that nobody asks for: a mistake about the backend. */
function strangers(value: FileCache): CacheFlaw[] {
  const known = keysOf[value.backend]
  const hint = known.length === 0 ? 'remove it' : `remove it; it has ${known.join(', ')}`
  return [...redisKeys, ...sentinelKeys]
    .filter((key) => value[key] !== undefined && !known.includes(key))
    .map((key) => ({ path: [key], message: `the backend ${value.backend} has no ${key}`, hint, atKey: true }))
}

function tlsFlaws({ tls }: FileCache): CacheFlaw[] {
  if (tls === undefined || (tls.cert === undefined) === (tls.key === undefined)) return []
  const path = ['tls', tls.cert === undefined ? 'key' : 'cert']
  const hint = 'cert and key are the two halves of one certificate of the gateway'
  return [{ path, message: 'of cert and key only one is named', hint }]
}

/** What a key of memcached leaves, beside the engine's name, a version, and the 32 characters of a session key. */
const MEMCACHED_PREFIX_BYTES = 250 - 32 - ':1000000:django.contrib.sessions.cached_db'.length

/** memcached takes neither spaces nor controls in a key, nor more than 250 bytes. */
function layoutFlaws({ backend, key_prefix: prefix }: FileCache): CacheFlaw[] {
  if (backend !== 'memcached') return []
  if (!/[\s\p{Cc}]/u.test(prefix) && Buffer.byteLength(prefix) <= MEMCACHED_PREFIX_BYTES) return []
  const hint = 'a KEY_FUNCTION of Django’s that hashes keys is not supported'
  const message = `key_prefix holds spaces, or more than the ${MEMCACHED_PREFIX_BYTES} bytes that memcached leaves for it`
  return [{ path: ['key_prefix'], message, hint }]
}

/** Gives the server, and notes what is wrong with it. */
type ServerReader = (entry: CacheEntry, flaws: CacheFlaw[]) => CacheServerConfig | undefined

const servers: Readonly<Record<FileCache['backend'], ServerReader>> = {
  memory: () => ({ kind: 'memory' }),
  memcached({ value, working }, flaws) {
    const example = '127.0.0.1:11211'
    const [server] = readUrls(value, { example, parse: parseMemcachedAddress, flaws })
    noteFurther(value, flaws, {
      message: 'several servers of memcached are not supported',
      hint: 'name one: which of several has a key is decided by a hash that differs from client to client',
    })
    return server && { kind: 'memcached', server: fromWorking(server.url, working) }
  },
  redis(entry, flaws) {
    const urls = readRedisUrls(entry.value, redisServer, flaws)
    noteFurther(entry.value, flaws, {
      message: 'several servers of plain Redis are not supported',
      hint: 'name the first: Django writes to it alone, and what it reads from the others may be older than a log-out',
    })
    const [server] = urls
    if (server === undefined) return undefined
    const access = readAccess(entry, urls, flaws)
    return { kind: 'redis', server: fromWorking(server.url.address, entry.working), ...access }
  },
  'redis-cluster'(entry, flaws) {
    const urls = readRedisUrls(entry.value, redisNode, flaws)
    const nodes = hostsOf(urls, flaws)
    const access = readAccess(entry, urls, flaws)
    if (access.database !== 0) {
      const path = entry.value.database === undefined ? ['url', 0] : ['database']
      flaws.push({ path, message: 'a cluster has no database but 0', hint: 'leave the number out' })
    }
    return { kind: 'redis-cluster', nodes, ...access }
  },
  'redis-sentinel'(entry, flaws) {
    const urls = readRedisUrls(entry.value, redisSentinel, flaws)
    const sentinels = hostsOf(urls, flaws)
    const access = readAccess(entry, urls, flaws)
    const { master, sentinel_username: sentinelUsername, sentinel_password: sentinelPassword } = entry.value
    if (sentinelUsername !== undefined && sentinelPassword === undefined) {
      flaws.push({ path: ['sentinel_username'], ...userAlone('sentinel_password') })
    }
    if (master === undefined) {
      const hint = 'add master: mymaster, the name that stands behind "sentinel monitor" in their configuration'
      flaws.push({ path: ['master'], message: 'the sentinels are not told which server to look for', hint })
      return undefined
    }
    return { kind: 'redis-sentinel', sentinels, master, sentinelUsername, sentinelPassword, ...access }
  },
}

interface Located<Url> {
  /** Its place in the list; 0 where one stands alone. */
  readonly at: number
  readonly url: Url
}

interface UrlReader<Url> {
  readonly example: string
  readonly parse: (text: string) => Url | Flaw
  readonly flaws: CacheFlaw[]
}

function readUrls<Url extends { readonly kind: string }>(
  { backend, url: texts }: FileCache,
  { example, parse, flaws }: UrlReader<Url>,
): Located<Exclude<Url, Flaw>>[] {
  if (texts === undefined) {
    flaws.push({ path: ['url'], message: `the backend ${backend} needs a url`, hint: `add url: ${example}` })
    return []
  }
  return texts.flatMap((text, at) => {
    const url = parse(text)
    if (!isFlaw(url)) return [{ at, url: url as Exclude<Url, Flaw> }]
    flaws.push({ path: ['url', at], message: `the url ${url.message}`, hint: url.hint })
    return []
  })
}

function isFlaw(url: { readonly kind: string }): url is Flaw {
  return url.kind === 'flaw'
}

function readRedisUrls(value: FileCache, form: RedisForm, flaws: CacheFlaw[]): Located<RedisUrl>[] {
  return readUrls(value, { example: form.example, parse: (text) => parseRedisUrl(text, form), flaws })
}

function noteFurther({ url }: FileCache, flaws: CacheFlaw[], flaw: Pick<CacheFlaw, 'message' | 'hint'>): void {
  if (url !== undefined && url.length > 1) flaws.push({ path: ['url', 1], ...flaw })
}

/** Sentinels and nodes: on a port each, and with what lets one in under keys of its own. */
function hostsOf(urls: readonly Located<RedisUrl>[], flaws: CacheFlaw[]): HostAddress[] {
  return urls.flatMap(({ at, url: { address, username, password } }) => {
    const path = ['url', at]
    if (username !== '' || password !== '') {
      const hint = 'write username: and password: beside url; sentinels have sentinel_username and sentinel_password'
      flaws.push({ path, message: 'in a list of servers no url has a password', hint })
    }
    if (address.kind === 'tcp') return [address]
    flaws.push({ path, message: 'a socket of this machine is no place for several servers', hint: 'name hosts' })
    return []
  })
}

/** How one enters: from the first URL or from the keys, but from one of them only. */
function readAccess(
  { value, working }: CacheEntry,
  urls: readonly Located<RedisUrl>[],
  flaws: CacheFlaw[],
): RedisAccessConfig {
  const [{ url: first } = { url: undefined }] = urls
  const note = (key: keyof FileCache, message: string, hint = 'remove one of the two'): void => {
    flaws.push({ path: [key], message, hint })
  }
  for (const key of ['username', 'password'] as const) {
    if (value.backend === 'redis' && first?.[key] && value[key] !== undefined) {
      note(key, `the ${key} stands in the url too`)
    }
  }
  if (first?.database !== undefined && value.database !== undefined) note('database', 'the url has a database too')
  const password = value.password ?? (first?.password ? new Secret(first.password) : undefined)
  if (value.username !== undefined && password === undefined)
    flaws.push({ path: ['username'], ...userAlone('password') })
  return {
    username: value.username ?? (first?.username || undefined),
    password,
    database: value.database ?? first?.database ?? 0,
    tls: readTls({ value, working, urls }, flaws),
  }
}

function userAlone(key: string): Pick<CacheFlaw, 'message' | 'hint'> {
  return { message: 'a user without a password is never let in', hint: `add ${key}: \${file:/run/secrets/redis}` }
}

function readTls(
  { value: { tls }, working, urls }: Pick<CacheEntry, 'value' | 'working'> & { urls: readonly Located<RedisUrl>[] },
  flaws: CacheFlaw[],
): ClientTlsConfig | undefined {
  const [first, ...others] = urls
  const other = others.find(({ url }) => url.isEncrypted !== first?.url.isEncrypted)
  if (other !== undefined) {
    const hint = 'write rediss:// in all of them, or redis:// in all'
    flaws.push({ path: ['url', other.at], message: 'some of the servers are spoken to in TLS, and others not', hint })
  }
  if (first?.url.isEncrypted !== true) {
    if (tls === undefined || first === undefined) return undefined
    flaws.push({
      path: ['tls'],
      message: 'tls is for a url that begins with rediss://',
      hint: 'write rediss://',
      atKey: true,
    })
    return undefined
  }
  const absolute = (path: string | undefined): string | undefined => path && resolve(working, path)
  return {
    caFile: absolute(tls?.ca),
    certFile: absolute(tls?.cert),
    keyFile: absolute(tls?.key),
    serverName: tls?.server_name,
  }
}

function fromWorking(address: StoreAddress, working: string): StoreAddress {
  return address.kind === 'unix' ? { ...address, path: resolve(working, address.path) } : address
}
