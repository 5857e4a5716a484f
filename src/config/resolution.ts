import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { bareDomain } from '../http/cookies.ts'
import { headerKey } from '../http/headers.ts'
import { narrow, type WritebackRules } from '../writeback/permission.ts'
import type {
  ClientTlsConfig,
  Config,
  HealthConfig,
  LoginConfig,
  RouteConfig,
  SigningConfig,
  UpstreamConfig,
} from './config.ts'
import { type Directories, resolveEngine } from './engine-resolution.ts'
import { mainEngine, readAlsoEngine } from './engines-in-use.ts'
import { resolveLimits } from './limits-config.ts'
import { parseListenAddress } from './listen-address.ts'
import type { ListenConfig, TlsConfig } from './listen-config.ts'
import { type FileListenerTls, listenerTls } from './listener-tls.ts'
import type { FileConfig, FileRoute } from './schema/file.ts'
import { parseUpstreamServer } from './upstream-server.ts'

type FileUpstream = FileConfig['upstreams'][string]

/**
 * The configuration that a file without errors stands for.
 *
 * @throws {TypeError} for a file that the checks should have refused.
 */
export function resolveConfig(file: FileConfig, directories: Directories): Config {
  const listener = (text: string): ListenConfig => ({
    address: parseListenAddress(text, directories.working) ?? impossible(`the address ${text}`),
    text,
  })
  const { admin, probes } = file
  return {
    version: 1,
    mode: file.mode,
    listen: file.listen.map(({ address, proxy_protocol: proxyProtocol, tls, redirect_to_https: redirect }) => ({
      ...listener(address),
      proxyProtocol,
      tls: tls && resolveListenerTls(tls, directories.working),
      httpsPort: redirect === true ? 443 : redirect || undefined,
    })),
    hosts: file.hosts.map((host) => host.toLowerCase()),
    workers: file.workers === 'auto' ? availableParallelism() : file.workers,
    trustedProxies: file.trusted_proxies,
    session: resolveSession(file, directories),
    signing: resolveSigning(file),
    login: resolveLogin(file.login, {}),
    upstreams: new Map(
      Object.entries(file.upstreams).map(([name, upstream]) => [
        name,
        resolveUpstream(name, upstream, directories.working),
      ]),
    ),
    routes: file.routes.map((route) => resolveRoute(file, route)),
    limits: resolveLimits(file.limits),
    ownHeaders: ownHeaders(file.routes),
    errorPages: new Map(Object.entries(file.error_pages)),
    admin:
      admin === 'off' || admin.listen === 'off'
        ? undefined
        : {
            listen: listener(admin.listen),
            tls: admin.tls && resolveListenerTls(listenerTls(admin.tls), directories.working),
            token: admin.token,
            showsValues: admin.show_values,
          },
    probes: probes === undefined ? undefined : { listen: listener(probes.listen) },
    logging: file.logging,
    shutdown: { drainMs: file.shutdown.drain, readinessDelayMs: file.shutdown.readiness_delay },
  }
}

function resolveListenerTls(tls: FileListenerTls, working: string): TlsConfig {
  const pairs = [tls, ...tls.certificates]
  return {
    certificates: pairs.map(({ cert, key }) => ({
      name: cert,
      certFile: resolve(working, cert),
      keyFile: resolve(working, key),
    })),
    clientCa:
      tls.client_ca === undefined
        ? undefined
        : { name: tls.client_ca, file: resolve(working, tls.client_ca), isRequired: tls.client_cert === 'required' },
    minVersion: tls.min_version === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
  }
}

function resolveSession(file: FileConfig, directories: Directories): Config['session'] {
  const { session } = file
  const also = readAlsoEngine(file)
  return {
    engine: resolveEngine(mainEngine(file), directories) ?? impossible('the engine'),
    readAlso: also && {
      engine: resolveEngine(also, directories) ?? impossible('the engine of read_also'),
      moves: session.read_also?.move ?? true,
    },
    useTz: file.database.use_tz,
    cookie: {
      name: session.cookie_name,
      path: session.cookie_path,
      domain: session.cookie_domain,
      secure: session.cookie_secure,
      httpOnly: session.cookie_httponly,
      sameSite: session.cookie_samesite,
    },
    cookieAgeMs: session.cookie_age,
    expireAtBrowserClose: session.expire_at_browser_close,
    saveEveryRequest: session.save_every_request,
    secretKey: session.secret_key === undefined ? { generated: true } : { generated: false, value: session.secret_key },
    secretKeyFallbacks: session.secret_key_fallbacks,
    saltClass: session.salt_class,
    authKey: session.auth_key,
    userId: session.user_id,
    userIndex: session.user_index,
    duplicateCookies: session.duplicate_cookies,
    expiryDates: session.expiry_dates,
    maxAgeMs: session.max_age,
    maxBytes: session.max_bytes,
    storeTimeoutMs: session.store_timeout,
    localCache: session.local_cache && {
      maxAgeMs: session.local_cache.max_age,
      maxEntries: session.local_cache.max_entries,
    },
    clearExpired: session.clear_expired && { everyMs: session.clear_expired.every, batch: session.clear_expired.batch },
  }
}

function resolveSigning({ signing, keys }: FileConfig): SigningConfig {
  return {
    algorithm: signing.algorithm,
    issuer: signing.issuer,
    ttlMs: signing.ttl,
    bind: signing.bind,
    maxBytes: signing.max_bytes,
    keys:
      keys === undefined
        ? { generated: true }
        : {
            generated: false,
            keys: keys.map(({ id, created, secret, private_key: privateKey }) => {
              const dated = created === undefined ? { id } : { id, createdAt: Date.parse(created) }
              if (secret !== undefined) return { kind: 'secret', ...dated, secret }
              return { kind: 'private_key', ...dated, privateKey: privateKey ?? impossible(`the key ${id}`) }
            }),
          },
  }
}

function resolveUpstream(name: string, upstream: FileUpstream, working: string): UpstreamConfig {
  return {
    name,
    servers: upstream.servers.map(
      (text) => parseUpstreamServer(text, working)?.origin ?? impossible(`the server of ${name}`),
    ),
    balance: upstream.balance,
    passHost: upstream.pass_host,
    sessionCookie: upstream.session_cookie,
    timeouts: {
      connectMs: upstream.timeouts.connect,
      firstByteMs: upstream.timeouts.first_byte,
      idleMs: upstream.timeouts.idle,
      minBytesPerSecond: upstream.timeouts.min_rate,
    },
    retries: upstream.retries,
    tls: upstream.tls && resolveTls(upstream.tls, working),
    health: upstream.health && resolveHealth(upstream.health),
  }
}

function resolveTls(tls: NonNullable<FileUpstream['tls']>, working: string): ClientTlsConfig {
  const absolute = (path: string | undefined): string | undefined => path && resolve(working, path)
  return {
    caFile: absolute(tls.ca),
    certFile: absolute(tls.cert),
    keyFile: absolute(tls.key),
    serverName: tls.server_name,
  }
}

function resolveHealth(health: NonNullable<FileUpstream['health']>): HealthConfig {
  return {
    path: health.path,
    host: health.host,
    intervalMs: health.interval,
    timeoutMs: health.timeout,
    unhealthyAfter: health.unhealthy_after,
    healthyAfter: health.healthy_after,
  }
}

function resolveRoute(file: FileConfig, route: FileRoute): RouteConfig {
  const upstream = file.upstreams[route.upstream]
  const { allow, commands = [] } = narrow(writebackRules(upstream?.writeback), writebackRules(route.writeback))
  return {
    ...routedRule(file, route),
    methodOverrides: route.method_overrides,
    upstream: route.upstream,
    usesSession: route.session !== 'none',
    login: resolveLogin(file.login, route.login ?? {}),
    onDeny: route.on_deny,
    onStoreError: route.on_store_error,
    // On a route `null` says "all", also where the upstream names some.
    include: (route.include === undefined ? upstream?.include : route.include) ?? undefined,
    writeback: { allow, commands },
    headers: {
      session: new Map(Object.entries(route.headers.session)),
      request: new Map(Object.entries(route.headers.request)),
      response: new Map(Object.entries(route.headers.response)),
    },
    rewrite: resolveRewrite(route.rewrite),
    maxBodyBytes: route.limits.body,
    keepPost: route.keep_post && { maxBytes: route.keep_post.max, lifetimeMs: route.keep_post.for },
    websocket:
      route.websocket === false
        ? undefined
        : { origins: route.websocket.origins.map(lowerCase), idleMs: route.websocket.idle },
  }
}

function resolveRewrite(rewrite: FileRoute['rewrite']): RouteConfig['rewrite'] {
  const domains = Object.entries(rewrite.cookie_domain).map(
    ([domain, becomes]) => [bareDomain(domain), becomes ?? undefined] as const,
  )
  return {
    stripPrefix: rewrite.strip_prefix ?? '',
    addPrefix: rewrite.add_prefix ?? '',
    location: rewrite.location,
    cookiePath: rewrite.cookie_path,
    cookieDomains: new Map(domains),
  }
}

/** The part of a route that `rules/` knows. */
export function routedRule(
  file: FileConfig,
  route: FileRoute,
): Pick<RouteConfig, 'id' | 'match' | 'access' | 'ambiguousPaths' | 'corsPreflight'> {
  return {
    id: route.id,
    match: {
      hosts: (route.match.host ?? []).map(lowerCase),
      paths: route.match.path ?? [],
      methods: route.match.method ?? [],
    },
    access: {
      auth: route.auth,
      require: route.require,
      ...(route.allow === undefined ? {} : { allow: route.allow }),
      mode: route.mode ?? file.mode,
      crossSite: route.csrf,
    },
    ambiguousPaths: route.ambiguous_paths,
    corsPreflight: route.cors_preflight,
  }
}

/** A login with what a route says over what the file says. */
export function resolveLogin(file: FileConfig['login'], route: NonNullable<FileRoute['login']>): LoginConfig {
  return {
    url: route.url ?? file.url,
    nextParam: route.next_param ?? file.next_param,
    allowedHosts: route.allowed_hosts ?? file.allowed_hosts,
    guard: route.guard ?? file.guard,
  }
}

/** `commands: undefined`, which zod makes of an absent key, is not the same as no `commands`. */
export function writebackRules(written: NonNullable<FileRoute['writeback']>): WritebackRules
export function writebackRules(written: FileRoute['writeback']): WritebackRules | undefined
export function writebackRules(written: FileRoute['writeback']): WritebackRules | undefined {
  if (written === undefined) return undefined
  return { allow: written.allow, ...(written.commands === undefined ? {} : { commands: written.commands }) }
}

function ownHeaders(routes: readonly FileRoute[]): string[] {
  const names = routes.flatMap(({ headers }) => [...Object.keys(headers.session), ...Object.keys(headers.request)])
  return [...new Map(names.map((name) => [headerKey(name), name])).values()]
}

function lowerCase(text: string): string {
  return text.toLowerCase()
}

function impossible(what: string): never {
  throw new TypeError(`${what} should have been refused by a check`)
}
