import { readFileSync } from 'node:fs'
import type { ClientTlsConfig, Config, UpstreamConfig } from './config/config.ts'
import { openUpstream } from './proxy/forward.ts'
import type { ServerState } from './proxy/standing.ts'
import type { Upstream, UpstreamTls } from './proxy/upstream.ts'

/** Told of the upstream by name when one of its servers is left out of the choice, and when it is back. */
export type OnServerState = (upstream: string, state: ServerState) => void

/**
 * The upstreams by name. Without `onState` nobody is going to ask them: no server is checked, no certificate is read.
 *
 * @throws {Error} when a certificate cannot be used.
 */
export function openUpstreams(config: Config, onState: OnServerState | undefined): ReadonlyMap<string, Upstream> {
  const upstreams = new Map<string, Upstream>()
  for (const upstream of config.upstreams.values()) {
    const { name, servers, balance, passHost, timeouts, retries } = upstream
    const common = { name, servers, balance, passHost, timeouts, retries }
    upstreams.set(name, openUpstream({ ...common, ...(onState && whatServes(upstream, onState)) }))
  }
  return upstreams
}

function whatServes({ name, health, tls }: UpstreamConfig, onState: OnServerState) {
  return {
    ...(health === undefined ? {} : { health }),
    ...(tls === undefined ? {} : { tls: readTls(tls) }),
    onState: (state: ServerState) => onState(name, state),
  }
}

function readTls({ caFile, certFile, keyFile, serverName }: ClientTlsConfig): UpstreamTls {
  return { ca: readPem(caFile), cert: readPem(certFile), key: readPem(keyFile), serverName }
}

/** At start and nowhere else, so there is nobody whom waiting could hold up. */
function readPem(path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new Error(`the certificate file ${path} cannot be read`, { cause })
  }
}
