import type { Config } from './config/config.ts'
import { fingerprint } from './config/fingerprint.ts'
import type { PublicListenConfig } from './config/listen-config.ts'
import { compileTrust } from './http/addresses.ts'
import type { ChunkMeter } from './lib/chunk-memory.ts'
import { systemClock } from './lib/clock.ts'
import type { Shares } from './lib/shares.ts'
import type { Limits } from './limit-parts.ts'
import { createAccessLog } from './observe/access-log.ts'
import type { Exchange } from './observe/exchange.ts'
import { failureFields } from './observe/failure.ts'
import type { OpenLog } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import type { RequestTail } from './observe/request-tail.ts'
import type { Tracing } from './observe/tracing.ts'
import { type OpenSessions, openSessions } from './open-sessions.ts'
import type { ServerState } from './proxy/standing.ts'
import type { Upstream } from './proxy/upstream.ts'
import type { Admitted, Readmission } from './server/admission.ts'
import { RequestHandlers } from './server/handlers.ts'
import type { Handlers } from './server/listener.ts'
import { Occupancy } from './server/occupancy.ts'
import type { Tunnels } from './server/tunnels.ts'
import { Upgrade } from './server/upgrade.ts'
import { readGeneratedSigningKey } from './session-parts.ts'
import type { UpstreamCertificateWatch } from './tls-parts.ts'
import { type TakenUpstreams, takeUpstreams } from './upstream-parts.ts'
import { type Wired, wire } from './wiring.ts'

/** What stays from one configuration to the next. */
export interface House {
  readonly log: OpenLog
  readonly metrics: Metrics
  readonly tunnels: Tunnels
  /** Sessions of the same settings are the same: what is kept in memory is not lost by a reload. */
  readonly sessions: Shares<OpenSessions>
  /** So are upstreams: their connections, and what is known of their servers. */
  readonly upstreams: Shares<Upstream>
  readonly watchCertificates: UpstreamCertificateWatch
  readonly limits: Limits
  readonly onChunk: ChunkMeter
  /** Undefined where no spans are recorded. */
  readonly tracing: Tracing | undefined
  /** For those who watch requests. */
  readonly tail: Pick<RequestTail, 'tell'>
  /** Whether expired sessions are cleared here; of several workers one does it. */
  readonly keepsHouse: boolean
  /** Whether a refusal by the parser may have its line. */
  readonly mayLogRefused: () => boolean
  readonly isDraining: () => boolean
  /** The one in force: WebSockets outlive the generation under which they were opened. */
  readonly current: () => Generation
}

/** One configuration at work. Disposing lets go of what it shares with others. */
export interface Generation extends AsyncDisposable {
  readonly config: Config
  readonly sessions: OpenSessions
  readonly upstreams: ReadonlyMap<string, Upstream>
  readonly isTrusted: (address: string | undefined) => boolean
  /** Listeners that serve share their handlers; one that only sends browsers to https has its own. */
  handlersFor(listen: PublicListenConfig): Handlers
  readmit(admitted: Admitted): Promise<Readmission>
  /** No request comes any more: resolves when the last one under way has ended. */
  emptied(): Promise<void>
}

/**
 * Builds everything that a configuration needs, but for its listeners. Nothing serves yet.
 *
 * @throws {Error} when a store, a key or a certificate cannot be had.
 */
export async function openGeneration(config: Config, house: House): Promise<Generation> {
  await using stack = new AsyncDisposableStack()
  const { log, metrics } = house
  const shared = stack.use(
    await house.sessions.take(fingerprint(config.session), () =>
      openSessions(config, { log, metrics, keepsHouse: house.keepsHouse }),
    ),
  )
  const sessions = shared.value
  const generatedKey = config.signing.keys.generated ? await readGeneratedSigningKey() : undefined
  const upstreams: TakenUpstreams = stack.use(
    await takeUpstreams(config, {
      shares: house.upstreams,
      watchCertificates: house.watchCertificates,
      openRoom: house.limits.openRoom,
      onState: (upstream, state) => noteServer(log, upstream, state),
    }),
  )
  const wired = wire(config, {
    sessions: sessions.parts,
    upstreams: upstreams.byName,
    generatedKey,
    onRoute: metrics.requestRouted,
  })
  const occupancy = new Occupancy()
  const handlersFor = createHandlersFor(config, house, { wired, sessions, occupancy })
  const closing = stack.move()
  return {
    config,
    sessions,
    upstreams: upstreams.byName,
    isTrusted: compileTrust(config.trustedProxies),
    handlersFor,
    readmit: (admitted) => wired.pipeline.readmit(admitted),
    emptied: () => occupancy.emptied(),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

interface HandlerParts {
  readonly wired: Wired
  readonly sessions: OpenSessions
  readonly occupancy: Occupancy
}

function createHandlersFor(config: Config, house: House, parts: HandlerParts): Generation['handlersFor'] {
  const { log, metrics, onChunk, mayLogRefused, isDraining, tail, limits } = house
  const { wired, sessions, occupancy } = parts
  const accessLog = createAccessLog({ log, isEnabled: config.logging.access })
  const common = {
    cookie: sessions.parts.cookie,
    errorPages: wired.errorPages,
    clock: systemClock,
    occupancy,
    onChunk,
    tracing: house.tracing,
    isDraining,
    record(exchange: Exchange) {
      metrics.recordExchange(exchange)
      accessLog(exchange)
      tail.tell(exchange)
    },
    recordRefused(exchange: Exchange) {
      metrics.recordExchange(exchange)
      if (mayLogRefused()) accessLog(exchange)
    },
    recordShed(exchange: Exchange) {
      metrics.recordExchange(exchange)
      if (limits.mayLogRefusal()) accessLog(exchange)
    },
    load: limits.load,
    pace: limits.paceOf(config),
  }
  const { pipeline } = wired
  const upgrade = upgradeOf(house, parts)
  const serving = new RequestHandlers({ ...common, pipeline, upgrade: (visit, link) => upgrade.upgrade(visit, link) })
  return ({ httpsPort }) => {
    if (httpsPort === undefined) return serving
    const redirect = wired.redirectTo(httpsPort)
    return new RequestHandlers({ ...common, pipeline: redirect, upgrade: (visit) => redirect.serve(visit) })
  }
}

function upgradeOf({ metrics, tunnels, isDraining, current }: House, { wired, sessions }: HandlerParts): Upgrade {
  return new Upgrade({
    pipeline: wired.pipeline,
    tunnels,
    cookieName: sessions.parts.cookie.name,
    readmit: (admitted) => current().readmit(admitted),
    watchSession: (key, onNotice) =>
      key === undefined ? () => undefined : current().sessions.parts.store.watch(key, onNotice),
    isDraining,
    onOpen: (routeId) => metrics.webSockets.opened(routeId),
    onEnd: (routeId, reason) => metrics.webSockets.closed(routeId, reason),
  })
}

/** One line per change of state; what else failed there stands in the access log. */
function noteServer(log: OpenLog, upstream: string, { server, isUp, source, cause }: ServerState): void {
  const facts = { 'upstream.name': upstream, 'upstream.address': server, source }
  if (isUp) log.info('upstream server is up again', facts)
  else log.warn('upstream server is left out', { ...facts, ...failureFields(cause) })
}
