import { BlockList, isIP, isIPv6 } from 'node:net'
import { suggestion } from './suggestion.ts'

/** Why a text names no server, and the way out. Fit to be printed: neither holds anything of a password. */
export interface Flaw {
  readonly kind: 'flaw'
  /** The end of a sentence that begins with the key's name: `names no database`. */
  readonly message: string
  readonly hint: string
}

/** A server that listens on a port. */
export interface HostAddress {
  readonly kind: 'tcp'
  /** A name, or an address; IPv6 without brackets. */
  readonly host: string
  readonly port: number
}

/** Where a server listens: on a port, or on a socket of this machine. */
export type StoreAddress = HostAddress | { readonly kind: 'unix'; readonly path: string }

/** The parts of `scheme://user:password@host:port/path?query`, decoded; '' where there is none. */
export interface StoreUrl {
  readonly kind: 'url'
  readonly scheme: string
  readonly username: string
  readonly password: string
  /** As written, IPv6 without brackets, perhaps percent-encoded; '' where there is none. */
  readonly host: string
  readonly port: number | undefined
  readonly path: string
  readonly query: ReadonlyMap<string, string>
}

/** What the address of a store is made of. */
export interface StoreUrlForm {
  /** An example for the hints. */
  readonly example: string
  /** The parameters behind `?` that mean something. A misspelt `sslmode` would be a connection in plain text. */
  readonly parameters: readonly string[]
}

const NAME = /^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/

/**
 * Takes a URL apart, and refuses what one program reads otherwise than another: a `#`, a password with a bare `%`,
 * parameters that nobody knows, and those that come twice.
 */
export function parseStoreUrl(text: string, { example, parameters }: StoreUrlForm): StoreUrl | Flaw {
  const url = URL.parse(text)
  // Also `postgres:name` and its like, which have no server at all.
  if (url === null || !/^[a-z]+:\/\/[^\s#]+$/i.test(text)) return unreadable(example)
  const [username, password] = [decoded(url.username), decoded(url.password)]
  if (username === undefined || password === undefined || url.hash !== '') return unreadable(example)
  const query = new Map<string, string>()
  for (const [name, value] of url.searchParams) {
    // A password with a bare `?` in it goes on behind it, up to the `@`.
    const shown = url.search.includes('@') ? 'something' : `the parameter "${name}"`
    if (query.has(name)) return { kind: 'flaw', message: `has ${shown} twice`, hint: 'remove one of the two' }
    if (!parameters.includes(name)) return stranger(name, { shown, parameters })
    query.set(name, value)
  }
  return {
    kind: 'url',
    scheme: url.protocol.slice(0, -1),
    username,
    password,
    host: url.hostname.replace(/^\[(.+)\]$/, '$1'),
    port: url.port === '' ? undefined : Number(url.port),
    path: url.pathname,
    query,
  }
}

function unreadable(example: string): Flaw {
  const hint = `write ${example}; in a password the characters / # ? @ : and % are percent-encoded: %2F for "/"`
  return { kind: 'flaw', message: 'cannot be read as a URL', hint }
}

function stranger(
  name: string,
  { shown, parameters }: { readonly shown: string; readonly parameters: readonly string[] },
): Flaw {
  const near = suggestion(name, parameters)
  const hint = near === undefined ? `remove it; known here: ${parameters.join(', ')}` : `did you mean ${near}?`
  return { kind: 'flaw', message: `has ${shown} behind "?", which means nothing here`, hint }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** `/run/x.sock` of `unix:/run/x.sock` and of `unix:///run/x.sock`, with what follows `?`; undefined for anything else. */
export function parseSocketUrl(text: string): { readonly path: string; readonly query: string } | undefined {
  const match = /^unix:(?:\/\/)?(?!\/\/)((?:\.{0,2}\/)[^?#\0@]*[^?#\0@/])(?:\?([^#]*))?$/.exec(text)
  return match?.[1] === undefined ? undefined : { path: match[1], query: match[2] ?? '' }
}

/** True for a name or an address as a connection takes it, without brackets. */
export function isHostName(host: string): boolean {
  return isIP(host) !== 0 || NAME.test(host)
}

/** `host:port`, `[::1]:port`. */
export function hostAndPort(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`
}

const ownNetworks: readonly (readonly [address: string, prefix: number])[] = [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
  ['::1', 128],
  ['fc00::', 7],
  ['fe80::', 10],
]

const OWN_NAMES = /(^|\.)(localhost|local|internal|intranet|lan|svc|home\.arpa|consul)\.?$/i

/**
 * True for a host that is reached across networks of others: a public address, or a name of the public DNS. A name
 * without a dot, and those under `.internal`, `.local` and their like, are taken for ones of the own network.
 */
export function isForeignHost(host: string): boolean {
  const family = isIP(host)
  if (family === 0) return host.replace(/\.$/, '').includes('.') && !OWN_NAMES.test(host)
  const own = new BlockList()
  for (const [address, prefix] of ownNetworks) own.addSubnet(address, prefix, isIPv6(address) ? 'ipv6' : 'ipv4')
  return !own.check(host, family === 6 ? 'ipv6' : 'ipv4')
}
