/** A host and its port. */
export interface RedisHost {
  readonly host: string
  readonly port: number
}

/** Where one server listens. */
export type RedisSocket =
  | ({ readonly kind: 'tcp' } & RedisHost)
  | { readonly kind: 'unix' /** Path of the socket. */; readonly path: string }

/**
 * TLS to every server, sentinels included. What is left out is that of the system: its authorities, no certificate of
 * our own, the host's name. There is no way to skip the check of the server's certificate.
 */
export interface RedisTls {
  /** The authorities that may have signed the servers' certificates, PEM. */
  readonly ca?: string | undefined
  /** The certificate that we show, PEM, and its key. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** The name in the servers' certificates. Needed where servers are named by address, as in most clusters. */
  readonly serverName?: string | undefined
}

/** How one enters a server of Redis. */
export interface RedisAccess {
  /** An ACL user; undefined = the default user. */
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Number of the database; default 0. A cluster has no other. */
  readonly database?: number | undefined
  /** Undefined = no TLS. */
  readonly tls?: RedisTls | undefined
}

/** One server, one that sentinels watch over, or a cluster. */
export type RedisServers =
  | ({ readonly kind: 'redis'; readonly server: RedisSocket } & RedisAccess)
  | ({
      readonly kind: 'redis-sentinel'
      /** At least one; they are asked in random order. */
      readonly sentinels: readonly RedisHost[]
      /** The name that the sentinels know the server by. */
      readonly master: string
      readonly sentinelUsername?: string | undefined
      readonly sentinelPassword?: string | undefined
    } & RedisAccess)
  | ({
      readonly kind: 'redis-cluster' /** At least one; they name the others. */
      readonly nodes: readonly RedisHost[]
    } & RedisAccess)

/** Which servers these are, in a log line: no user, no password. */
export function redisServersName(servers: RedisServers): string {
  switch (servers.kind) {
    case 'redis':
      return servers.server.kind === 'unix' ? `Redis at ${servers.server.path}` : `Redis at ${hostText(servers.server)}`
    case 'redis-sentinel':
      return `Redis '${servers.master}' behind Sentinel`
    case 'redis-cluster':
      return `the Redis cluster of ${servers.nodes.map(hostText).join(', ')}`
  }
}

function hostText({ host, port }: RedisHost): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
