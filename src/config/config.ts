import type { EpochMs } from '../lib/clock.ts'
import type { AccessRule, RouteMatch } from '../rules/rule.ts'
import type { SessionCookieOptions } from '../sessions/cookie.ts'
import type { CommandName } from '../writeback/permission.ts'
import type { LimitsConfig } from './limits-config.ts'
import type { AdminConfig, ProbesConfig, PublicListenConfig } from './listen-config.ts'
import type { Secret } from './secret.ts'
import type { HostAddress, StoreAddress } from './store-url.ts'

/**
 * The configuration after everything that can go wrong with it: substituted, checked, defaults filled in, durations in
 * milliseconds, sizes in bytes, paths absolute. What is off or not set is `undefined`. Nothing below this room sees YAML.
 */
export interface Config {
  readonly version: 1
  /** The mode of the whole file. Each route carries its own in `access.mode`, already resolved. */
  readonly mode: 'enforce' | 'observe'
  /** At least one, and at least one that serves. */
  readonly listen: readonly PublicListenConfig[]
  /**
   * `hosts`, lower-case, without port, `*.example.com` for one label. Empty = those that the routes name, or any if one
   * of them names none. Otherwise every host of a route is among them.
   */
  readonly hosts: readonly string[]
  /** Processes that serve; 1 = the gateway's own, without a supervisor. `auto` is as many as there are cores. Default 1. */
  readonly workers: number
  /** CIDRs, single addresses, or the word `unix` for peers on a Unix socket; what `compileTrust` takes. Default none. */
  readonly trustedProxies: readonly string[]
  readonly session: SessionConfig
  readonly signing: SigningConfig
  /** The file's login; each route carries its own in `login`, already merged. */
  readonly login: LoginConfig
  /** By name, in file order. */
  readonly upstreams: ReadonlyMap<string, UpstreamConfig>
  /** In file order: the first that matches decides. */
  readonly routes: readonly RouteConfig[]
  readonly limits: LimitsConfig
  /**
   * The union over the whole file of the names under `headers.session` and `headers.request`, as written, one of each
   * spelling. They are cut from every request, on every route.
   */
  readonly ownHeaders: readonly string[]
  /** HTML by code, status, or `default`; the nearest counts. Default none. */
  readonly errorPages: ReadonlyMap<string, string>
  /** `undefined` = `admin: off`. */
  readonly admin: AdminConfig | undefined
  readonly probes: ProbesConfig | undefined
  readonly logging: LoggingConfig
  readonly shutdown: ShutdownConfig
}

export interface SessionConfig {
  readonly engine: EngineConfig
  /** Where sessions are looked for that the engine lacks; `undefined` = nowhere. */
  readonly readAlso: ReadAlsoConfig | undefined
  /** Django's USE_TZ, whatever the engine. Default true. */
  readonly useTz: boolean
  readonly cookie: SessionCookieOptions
  /** SESSION_COOKIE_AGE; whole seconds. Default 14 days. */
  readonly cookieAgeMs: number
  readonly expireAtBrowserClose: boolean
  readonly saveEveryRequest: boolean
  readonly secretKey: SecretKeyConfig
  /** Verify only. */
  readonly secretKeyFallbacks: readonly Secret[]
  /** Django's session class, part of the signing salt. Default `SessionStore`. */
  readonly saltClass: string
  /** Top-level key whose truthiness means "logged in". Default `userInfo`. */
  readonly authKey: string
  /** Dotted path of the user's id. */
  readonly userId: string | undefined
  /** An index of users is kept beside the sessions; only with `userId`, and not with signed_cookies. Default false. */
  readonly userIndex: boolean
  readonly duplicateCookies: 'last' | 'refuse'
  readonly expiryDates: 'iso' | 'seconds'
  /** Absolute limit of a session's life. */
  readonly maxAgeMs: number | undefined
  /** Of the JSON, before compression. Default 64 KiB. */
  readonly maxBytes: number
  /** Default 1 s. */
  readonly storeTimeoutMs: number
  /** Sessions kept in the process, where the store tells of changes; `undefined` = `local_cache: null`: none. */
  readonly localCache: { readonly maxAgeMs: number; readonly maxEntries: number } | undefined
  /** `undefined` = `clear_expired: null`: the gateway never clears. */
  readonly clearExpired: { readonly everyMs: number; readonly batch: number } | undefined
}

/** The engine in use, with what it stands on. */
export type EngineConfig =
  | { readonly kind: 'db'; readonly database: DatabaseConfig }
  | { readonly kind: 'cache'; readonly cache: CacheConfig }
  | { readonly kind: 'cached_db'; readonly database: DatabaseConfig; readonly cache: CacheConfig }
  | { readonly kind: 'file' /** Absolute. */; readonly directory: string }
  | { readonly kind: 'signed_cookies' }

export interface ReadAlsoConfig {
  /** Stands on another store than the engine of the sessions, and keeps them on a server as that one does. */
  readonly engine: EngineConfig
  /** A session moves to the first engine at its first change. Default true. */
  readonly moves: boolean
}

export type DatabaseConfig = SqliteConfig | PostgresConfig

interface DjangoTableConfig {
  /** Django's USE_TZ. Default true. */
  readonly useTz: boolean
  /** May the table be created in somebody else's database. Default false. */
  readonly create: boolean
}

export interface SqliteConfig extends DjangoTableConfig {
  readonly kind: 'sqlite'
  /** Absolute path of the database file. */
  readonly path: string
  /** True for the gateway's own file in `./var`, which it may create and set to WAL without being told. */
  readonly isOwn: boolean
}

export interface PostgresConfig extends DjangoTableConfig {
  readonly kind: 'postgres'
  /** As the file has it, with user and password. */
  readonly url: Secret
  /** `db.example.com:5432/shop`: the same for messages. */
  readonly place: string
  /** Connections of this process, at most. Default 10. */
  readonly poolSize: number
  /** A PgBouncer in transaction mode stands between. Default false. */
  readonly pgbouncer: boolean
  /** May the trigger be made that tells of changes to sessions? Default false. */
  readonly createsTrigger: boolean
}

export type CacheConfig = CacheLayoutConfig & CacheServerConfig

/** What the values of a cache are called, and how they are written. */
export interface CacheLayoutConfig {
  /** The name under `caches`. */
  readonly alias: string
  /** Django's KEY_PREFIX. Default ''. */
  readonly keyPrefix: string
  /** Django's VERSION. Default 1. */
  readonly version: number
  /** `pickle` is what Django writes unless its OPTIONS say otherwise. Memory has no use for it. */
  readonly serializer: 'pickle' | 'json'
}

/** The server of a cache. */
export type CacheServerConfig =
  | { readonly kind: 'memory' }
  | ({ readonly kind: 'redis'; readonly server: StoreAddress } & RedisAccessConfig)
  | ({
      readonly kind: 'redis-sentinel'
      /** At least one. */
      readonly sentinels: readonly HostAddress[]
      /** The name that the sentinels know the server by. */
      readonly master: string
      readonly sentinelUsername: string | undefined
      readonly sentinelPassword: Secret | undefined
    } & RedisAccessConfig)
  | ({
      readonly kind: 'redis-cluster' /** At least one. */
      readonly nodes: readonly HostAddress[]
    } & RedisAccessConfig)
  | { readonly kind: 'memcached'; readonly server: StoreAddress }

/** How one enters a Redis server. */
export interface RedisAccessConfig {
  /** `undefined` = the default user. */
  readonly username: string | undefined
  readonly password: Secret | undefined
  /** Number of the database; 0 with a cluster. */
  readonly database: number
  /** `undefined` = no TLS. It holds for the sentinels too. */
  readonly tls: ClientTlsConfig | undefined
}

/** What is left out is that of the system: its authorities, no certificate, the host's name. */
export interface ClientTlsConfig {
  /** Absolute path of a PEM file, as are the next two. */
  readonly caFile: string | undefined
  readonly certFile: string | undefined
  readonly keyFile: string | undefined
  /** The name in the server's certificate. */
  readonly serverName: string | undefined
}

/** `generated`: the file names none; the gateway makes one in `./var` at first start. Only for stores on this machine. */
export type SecretKeyConfig = { readonly generated: true } | { readonly generated: false; readonly value: Secret }

export interface SigningConfig {
  readonly algorithm: 'HS256' | 'EdDSA' | 'ES256'
  readonly issuer: string
  /** At most 60 s. */
  readonly ttlMs: number
  readonly bind: 'session' | 'request'
  readonly maxBytes: number
  readonly keys: SigningKeysConfig
}

/** Several keys verify, the first signs and fits `algorithm`. */
export type SigningKeysConfig =
  | { readonly generated: true }
  | { readonly generated: false; readonly keys: readonly SigningKeyConfig[] }

export type SigningKeyConfig =
  /** HS256: at least 32 bytes of UTF-8, no line break at its end. */
  | (DatedKey & { readonly kind: 'secret'; readonly secret: Secret })
  /** EdDSA or ES256: a private key as PKCS#8 PEM. */
  | (DatedKey & { readonly kind: 'private_key'; readonly privateKey: Secret })

interface DatedKey {
  readonly id: string
  /** Midnight UTC of the day on which it was made, as the file says; `undefined` = it does not. */
  readonly createdAt?: EpochMs | undefined
}

export interface LoginConfig {
  /** A path on the own host, or an absolute http(s) URL. */
  readonly url: string
  readonly nextParam: string
  readonly allowedHosts: readonly string[]
  readonly guard: boolean
}

export interface UpstreamConfig {
  readonly name: string
  /** Origins as `UpstreamServer` has them: `http://host:port`, `https://host:port`, `unix:/path`. At least one. */
  readonly servers: readonly string[]
  /** Which of them a request goes to. Default `round_robin`. */
  readonly balance: 'round_robin' | 'least_conn' | 'hash_session'
  /** Send the browser's Host; else the server's. Default true. */
  readonly passHost: boolean
  readonly sessionCookie: 'strip' | 'pass'
  readonly timeouts: UpstreamTimeoutsConfig
  /** Further attempts of idempotent methods before the first response byte. Default 1. */
  readonly retries: number
  /** For `https://`; `undefined` = the system's authorities, no certificate of ours, the name in the address. */
  readonly tls: ClientTlsConfig | undefined
  /** `undefined` = servers are not checked. */
  readonly health: HealthConfig | undefined
}

export interface UpstreamTimeoutsConfig {
  readonly connectMs: number
  readonly firstByteMs: number
  readonly idleMs: number
  /** Bytes a second of an answer's body; `undefined` = at any pace, as event streams have it. */
  readonly minBytesPerSecond: number | undefined
}

export interface HealthConfig {
  /** Default `/healthz`. */
  readonly path: string
  /** `undefined` = the server's own. */
  readonly host: string | undefined
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Checks in a row. Defaults 3 and 2. */
  readonly unhealthyAfter: number
  readonly healthyAfter: number
}

/** Satisfies `RoutedRule` of `rules/`, so the list goes into the route table as it is. */
export interface RouteConfig {
  readonly id: string
  readonly match: RouteMatch
  readonly access: AccessRule
  readonly ambiguousPaths: 'refuse' | 'allow'
  readonly corsPreflight: 'refuse' | 'allow'
  /** Contract of the method override headers: cut unless the route keeps them. */
  readonly methodOverrides: 'cut' | 'keep'
  /** A name in `Config.upstreams`. */
  readonly upstream: string
  /** False for `session: none`: no cookie is read, no assertion sent, commands are cut. */
  readonly usesSession: boolean
  /** The file's login with the route's own settings over it. */
  readonly login: LoginConfig
  readonly onDeny: 'auto' | 'redirect' | 'status'
  readonly onStoreError: 'unavailable' | 'anonymous'
  /** Top-level keys in the assertion, the route's, else the upstream's. `undefined` = all that do not begin with `_`. */
  readonly include: readonly string[] | undefined
  /** The route's, else the upstream's, else nothing. */
  readonly writeback: WritebackConfig
  readonly headers: RouteHeadersConfig
  readonly rewrite: RewriteConfig
  /** Of a request body; `undefined` = no limit, which is the default: bodies are streamed, never kept. */
  readonly maxBodyBytes: number | undefined
  /** Of forms that are kept until after a login; `undefined` = none is kept. */
  readonly keepPost: KeepPostConfig | undefined
  /** `undefined` = `websocket: false`. */
  readonly websocket: WebsocketConfig | undefined
}

/** What a route changes about paths on the way up, and about the app's addresses on the way down. */
export interface RewriteConfig {
  /** `/legacy`, without a final slash; `''` = nothing. Every path of the route lies under it. */
  readonly stripPrefix: string
  /** `/app`, without a final slash; `''` = nothing. */
  readonly addPrefix: string
  /** Default true. */
  readonly location: boolean
  /** Default true. */
  readonly cookiePath: boolean
  /** Lower-case, without a dot before it; `undefined` = the host alone. */
  readonly cookieDomains: ReadonlyMap<string, string | undefined>
}

export interface WritebackConfig {
  /** Exact top-level names; `*` = all that do not begin with `_`. Empty = none. */
  readonly allow: readonly string[]
  readonly commands: readonly CommandName[]
}

export interface RouteHeadersConfig {
  /** Header name to dotted path into the session, in file order. */
  readonly session: ReadonlyMap<string, string>
  /** Header name to value, sent to the app. */
  readonly request: ReadonlyMap<string, string>
  /** Header name to value, sent to the browser. */
  readonly response: ReadonlyMap<string, string>
}

export interface KeepPostConfig {
  /** Of a form as it is kept: compressed, sealed, and text. */
  readonly maxBytes: number
  readonly lifetimeMs: number
}

export interface WebsocketConfig {
  /** Foreign origins (`https://other.example`) that may connect beside the own one. */
  readonly origins: readonly string[]
  readonly idleMs: number
}

export interface LoggingConfig {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'
  readonly access: boolean
}

export interface ShutdownConfig {
  readonly drainMs: number
  readonly readinessDelayMs: number
}
