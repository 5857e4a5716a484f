import { readFileSync } from 'node:fs'
import type { ClientTlsConfig, Config, UpstreamConfig } from './config/config.ts'
import { fingerprint } from './config/fingerprint.ts'
import type { SocketRoom } from './lib/descriptor-budget.ts'
import type { Shares } from './lib/shares.ts'
import { openUpstream } from './proxy/forward.ts'
import type { ServerState } from './proxy/standing.ts'
import type { Upstream, UpstreamTls } from './proxy/upstream.ts'
import type { UpstreamCertificateWatch } from './tls-parts.ts'

/** Told of the upstream by name when one of its servers is left out of the choice, and when it is back. */
export type OnServerState = (upstream: string, state: ServerState) => void

/** The upstreams of a configuration; disposing lets go of them. */
export interface TakenUpstreams extends AsyncDisposable {
  readonly byName: ReadonlyMap<string, Upstream>
}

interface TakingParts {
  readonly shares: Shares<Upstream>
  readonly onState: OnServerState
  readonly watchCertificates: UpstreamCertificateWatch
  /** Room for the connections to one more upstream. */
  readonly openRoom: () => SocketRoom
}

/**
 * Opens the upstreams, or takes those that another configuration has opened with the same settings.
 *
 * @throws {Error} when a certificate cannot be used.
 */
export async function takeUpstreams(config: Config, { shares, ...parts }: TakingParts): Promise<TakenUpstreams> {
  await using stack = new AsyncDisposableStack()
  const byName = new Map<string, Upstream>()
  for (const [name, upstream] of config.upstreams) {
    const share = stack.use(await shares.take(fingerprint(upstream), () => openWatched(upstream, parts)))
    byName.set(name, share.value)
  }
  const taken = stack.move()
  return { byName, [Symbol.asyncDispose]: () => taken.disposeAsync() }
}

/** With its certificates, which change while it is open. */
async function openWatched(
  upstream: UpstreamConfig,
  { onState, watchCertificates, openRoom }: Omit<TakingParts, 'shares'>,
): Promise<Upstream> {
  await using stack = new AsyncDisposableStack()
  const opened = stack.use(openOne(upstream, { onState, sockets: openRoom() }))
  stack.use(await watchCertificates(upstream, opened))
  const closing = stack.move()
  return { ...opened, [Symbol.asyncDispose]: () => closing.disposeAsync() }
}

/** A server that its operator has taken out, by the names that the list of upstreams has. */
export interface DrainedServer {
  readonly upstream: string
  readonly server: string
}

export function drainedServers(upstreams: ReadonlyMap<string, Upstream>): DrainedServer[] {
  return [...upstreams.values()].flatMap((upstream) =>
    upstream
      .servers()
      .filter(({ isDrained }) => isDrained)
      .map(({ server }) => ({ upstream: upstream.name, server })),
  )
}

/** What was taken out under another configuration stays so under this one, however else its upstream has changed. */
export function drainServers(
  upstreams: ReadonlyMap<string, Pick<Upstream, 'setDrained'>>,
  drained: readonly DrainedServer[],
): void {
  for (const { upstream, server } of drained) upstreams.get(upstream)?.setDrained(server, true)
}

/** The upstreams by name, for somebody who is not going to ask them: no server is checked, no certificate is read. */
export function nameUpstreams(config: Config): ReadonlyMap<string, Upstream> {
  return new Map([...config.upstreams].map(([name, upstream]) => [name, openOne(upstream)]))
}

/** Without an `onState` nobody is going to ask it. */
function openOne(
  upstream: UpstreamConfig,
  { onState, sockets }: { readonly onState?: OnServerState; readonly sockets?: SocketRoom } = {},
): Upstream {
  const { name, servers, balance, passHost, timeouts, retries } = upstream
  const common = { name, servers, balance, passHost, timeouts, retries, ...(sockets && { sockets }) }
  return openUpstream({ ...common, ...(onState && whatServes(upstream, onState)) })
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
