import { createHash } from 'node:crypto'
import { type OperatorListener, openOperatorListener, type ReadyReport } from './admin/operator-listener.ts'
import type { Config } from './config/config.ts'
import type { PublicListenConfig } from './config/listen-config.ts'
import { openHousekeeping } from './housekeeping.ts'
import { compileTrust } from './http/addresses.ts'
import { createChunkMeter } from './lib/chunk-memory.ts'
import { systemClock } from './lib/clock.ts'
import { explainRuntime } from './lib/runtime-floor.ts'
import { createLocalCacheStates, type LocalCacheStates } from './local-cache-states.ts'
import { createAccessLog } from './observe/access-log.ts'
import type { Exchange } from './observe/exchange.ts'
import { failureFields } from './observe/failure.ts'
import { createLineLimit } from './observe/line-limit.ts'
import { type OpenLog, openLog } from './observe/log.ts'
import { createMetrics, type Metrics } from './observe/metrics.ts'
import type { ServerState } from './proxy/standing.ts'
import type { ErrorPages } from './server/error-pages.ts'
import { RequestHandlers } from './server/handlers.ts'
import { type Handlers, type Listener, openListener } from './server/listener.ts'
import type { Pipeline } from './server/pipeline.ts'
import { createTunnels, type Tunnels } from './server/tunnels.ts'
import { Upgrade } from './server/upgrade.ts'
import { openSessionParts, readGeneratedSigningKey, type SessionParts } from './session-parts.ts'
import type { StoreState } from './sessions/guarded-engine.ts'
import { createTlsOpener } from './tls-parts.ts'
import { type Wired, wire } from './wiring.ts'

export interface GatewayOptions {
  /** Logged once the gateway listens. */
  readonly warnings: readonly { readonly message: string; readonly file: string; readonly line?: number }[]
  readonly version: string
}

/** A gateway that serves. Disposing ends it at once; `drain` first lets it end politely. */
export interface Gateway extends AsyncDisposable {
  /** Where it listens for browsers, in the order of the configuration. */
  readonly addresses: readonly string[]
  /** Where it listens for its operator; undefined with `admin: off`. */
  readonly operatorAddress: string | undefined
  /** Readiness goes first, then no new connections; running requests finish, and what is left at the deadline is cut. */
  drain(): Promise<void>
  /** Ends every connection now. */
  cut(): void
}

/** Lines about what the parser refused; a connection with a byte of rubbish costs a stranger nothing. */
const REFUSALS_LOGGED = { lines: 100, everyMs: 10_000 }

interface State {
  isDraining: boolean
}

/**
 * Opens the parts, hands them to each other, and closes them in reverse, also when a later one fails to open.
 *
 * @throws {Error} when a listener, a store or a key cannot be had.
 */
export async function openGateway(config: Config, options: GatewayOptions): Promise<Gateway> {
  await using stack = new AsyncDisposableStack()
  const state: State = { isDraining: false }
  const log = stack.use(openLog({ level: config.logging.level }))
  const metrics = createMetrics({
    build: { version: options.version, revision: '' },
    config: { hash: hashOf(config), mode: config.mode },
    droppedLogLines: () => log.droppedLines,
  })
  const storeStates = createStoreStates({ log, metrics })
  const localCache = createLocalCacheStates(log)
  const sessions = await openSessionParts(config, {
    clock: systemClock,
    observer: {
      onOperation: (operation) => metrics.stores.operation(operation),
      onState: storeStates.note,
      onCacheState: (isUp, cause) => noteCache({ log, metrics }, isUp, cause),
      // A bypass is no look into the cache, and where sessions are kept in the process, that is the cache that counts.
      onCacheLookup: (lookup) => lookup !== 'bypass' && localCache.isOff && metrics.stores.cacheRequest(lookup),
      onIndexState: (isUp, cause) => noteIndex({ log, metrics }, isUp, cause),
    },
    localCache: { onLocalCache: localCache.note, onLocalLookup: metrics.stores.cacheRequest },
  })
  stack.use(sessions.engine)
  stack.use(openHousekeeping(config.session.clearExpired, { engine: sessions.engine, log, metrics }))

  const tunnels = createTunnels()
  const generatedKey = config.signing.keys.generated ? await readGeneratedSigningKey() : undefined
  const { pipeline, redirectTo, errorPages, upstreams } = stack.use(
    wire(config, {
      sessions,
      generatedKey,
      onRoute: metrics.requestRouted,
      onServerState: (upstream, state) => noteServer(log, upstream, state),
    }),
  )
  for (const upstream of upstreams.values()) metrics.watchUpstream(upstream)
  const serving = { pipeline, redirectTo, errorPages, sessions, log, metrics, tunnels, state }
  const operators = await openOperators(config, { stack, sessions, metrics, state, localCache })
  const openTls = createTlsOpener({ log, metrics, stack })
  const handlersFor = createHandlersFor(config, serving)
  const listeners: Listener[] = []
  const proxyProtocol = { isTrusted: compileTrust(config.trustedProxies) }
  for (const listen of config.listen) {
    const options = {
      tls: listen.tls && (await openTls(listen.tls)),
      proxyProtocol: listen.proxyProtocol ? proxyProtocol : undefined,
    }
    listeners.push(stack.use(await openListener(listen.address, handlersFor(listen), options)))
  }

  announce(log, { listeners, operators, warnings: options.warnings })
  storeStates.tell()
  localCache.tell()
  const closing = stack.move()
  return gatewayOf(config, { closing, state, listeners, operators, tunnels, log })
}

interface HandlerParts {
  readonly pipeline: Pipeline
  readonly redirectTo: Wired['redirectTo']
  readonly errorPages: ErrorPages
  readonly sessions: SessionParts
  readonly log: OpenLog
  readonly metrics: Metrics
  readonly tunnels: Tunnels
  readonly state: State
}

/** Listeners that serve share their handlers; one that only sends browsers to https has its own. */
function createHandlersFor(config: Config, parts: HandlerParts): (listen: PublicListenConfig) => Handlers {
  const { pipeline, redirectTo, errorPages, sessions, log, metrics, state } = parts
  const accessLog = createAccessLog({ log, isEnabled: config.logging.access })
  const mayWriteRefused = createLineLimit({
    ...REFUSALS_LOGGED,
    onLeftOut: (count) => log.warn('requests refused by the parser, not each is told', { count }),
  })
  const common = {
    cookie: sessions.cookie,
    errorPages,
    clock: systemClock,
    onChunk: createChunkMeter(),
    isDraining: () => state.isDraining,
    record(exchange: Exchange) {
      metrics.recordExchange(exchange)
      accessLog(exchange)
    },
    recordRefused(exchange: Exchange) {
      metrics.recordExchange(exchange)
      if (mayWriteRefused()) accessLog(exchange)
    },
  }
  const upgrade = upgradeOf(parts)
  const serving = new RequestHandlers({ ...common, pipeline, upgrade: (visit, link) => upgrade.upgrade(visit, link) })
  return ({ httpsPort }) => {
    if (httpsPort === undefined) return serving
    const redirect = redirectTo(httpsPort)
    return new RequestHandlers({ ...common, pipeline: redirect, upgrade: (visit) => redirect.serve(visit) })
  }
}

function upgradeOf({ pipeline, sessions, metrics, tunnels, state }: HandlerParts): Upgrade {
  const { cookie, store } = sessions
  return new Upgrade({
    pipeline,
    tunnels,
    cookieName: cookie.name,
    watchSession: (visit, onNotice) => {
      const key = visit.cookie?.value
      return key === undefined ? () => undefined : store.watch(key, onNotice)
    },
    isDraining: () => state.isDraining,
    onOpen: (routeId) => metrics.webSockets.opened(routeId),
    onEnd: (routeId, reason) => metrics.webSockets.closed(routeId, reason),
  })
}

interface OperatorParts {
  readonly stack: AsyncDisposableStack
  readonly sessions: SessionParts
  readonly metrics: Metrics
  readonly state: State
  readonly localCache: LocalCacheStates
}

async function openOperators(config: Config, parts: OperatorParts): Promise<readonly OperatorListener[]> {
  const isReady = async (): Promise<ReadyReport> => await readiness(parts)
  const opened: OperatorListener[] = []
  for (const listen of [config.admin?.listen, config.probes?.listen]) {
    if (listen === undefined) continue
    const listener = await openOperatorListener({
      address: listen.address,
      metrics: () => parts.metrics.text(),
      isReady,
      isLive: () => true,
    })
    opened.push(parts.stack.use(listener))
  }
  return opened
}

/** Sessions in the process make requests cheaper, and nothing else: readiness does not depend on them. */
async function readiness({ sessions: { engine }, state, localCache }: OperatorParts): Promise<ReadyReport> {
  const isStoreUp = await engine.ping().then(
    () => true,
    () => false,
  )
  return {
    isReady: isStoreUp && !state.isDraining,
    checks: {
      [`store:${engine.name}`]: isStoreUp ? 'up' : 'down',
      listener: state.isDraining ? 'draining' : 'up',
      local_cache: localCache.text,
    },
  }
}

interface StoreStates {
  readonly note: (state: StoreState) => void
  /** From now on states are logged, those noted before first. */
  tell(): void
}

/** The first look at the store comes before anything listens, and the line about it after the one that says so. */
function createStoreStates({ log, metrics }: { log: OpenLog; metrics: Metrics }): StoreStates {
  let held: StoreState[] | undefined = []
  function write({ store, isUp, wasUp, cause, lastedMs }: StoreState): void {
    if (isUp && wasUp === false) log.info('session store is up again', { store, down_ms: Math.round(lastedMs) })
    if (!isUp) log.error('session store is down', { store, ...failureFields(cause) })
  }
  return {
    note(state) {
      metrics.stores.up(state.store, state.isUp)
      if (held === undefined) write(state)
      else held.push(state)
    },
    tell() {
      for (const state of held ?? []) write(state)
      held = undefined
    },
  }
}

/** The cache of `cached_db`: the database has the sessions, so it is no error, and readiness does not depend on it. */
function noteCache({ log, metrics }: { log: OpenLog; metrics: Metrics }, isUp: boolean, cause: unknown): void {
  metrics.stores.up('cache', isUp)
  if (isUp) log.info('session cache is up again')
  else log.warn('session cache is down, the database answers', failureFields(cause))
}

/** The index of users: log-ins fail without it, and what they answer says why; of sessions that are only read nobody hears. */
function noteIndex({ log, metrics }: { log: OpenLog; metrics: Metrics }, isUp: boolean, cause: unknown): void {
  metrics.stores.up('user_index', isUp)
  if (isUp) log.info('index of users is up again')
  else log.error('index of users is down, it may lack sessions', failureFields(cause))
}

/** One line per change of state; what else failed there stands in the access log. */
function noteServer(log: OpenLog, upstream: string, { server, isUp, source, cause }: ServerState): void {
  const facts = { 'upstream.name': upstream, 'upstream.address': server, source }
  if (isUp) log.info('upstream server is up again', facts)
  else log.warn('upstream server is left out', { ...facts, ...failureFields(cause) })
}

/** The first line on stdout is the one that supervisors and tests wait for; warnings come after it. */
function announce(
  log: OpenLog,
  about: {
    listeners: readonly Listener[]
    operators: readonly OperatorListener[]
    warnings: GatewayOptions['warnings']
  },
): void {
  for (const { address, isTls } of about.listeners) log.info('listening', { address, tls: isTls || undefined })
  for (const { address } of about.operators) log.info('operator listening', { address })
  const flaw = explainRuntime(process.versions.node)
  if (flaw !== undefined) log.warn('old runtime', { warning: flaw })
  for (const { message, file, line } of about.warnings)
    log.warn('configuration warning', { warning: message, file, line })
}

interface Running {
  readonly closing: AsyncDisposableStack
  readonly state: State
  readonly listeners: readonly Listener[]
  readonly operators: readonly OperatorListener[]
  readonly tunnels: Tunnels
  readonly log: OpenLog
}

function gatewayOf(config: Config, running: Running): Gateway {
  const { drainMs, readinessDelayMs } = config.shutdown
  const cut = (): void => {
    for (const listener of running.listeners) listener.closeNow()
    running.tunnels.endAll()
  }
  return {
    addresses: running.listeners.map(({ address }) => address),
    operatorAddress: running.operators[0]?.address,
    cut,
    async drain() {
      running.state.isDraining = true
      running.log.info('draining')
      // Not even a turn of the event loop: whoever has read the line would still be let in.
      if (readinessDelayMs > 0) await pause(readinessDelayMs)
      const deadline = setTimeout(cut, drainMs)
      await Promise.all(running.listeners.map((listener) => listener.drain()))
      clearTimeout(deadline)
    },
    async [Symbol.asyncDispose]() {
      cut()
      await running.closing.disposeAsync()
    },
  }
}

function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs).unref())
}

/** Says which configuration runs, not what is in it: secrets print as `[redacted]`. */
function hashOf(config: Config): string {
  return createHash('sha256').update(JSON.stringify(config, mapsAsLists)).digest('hex').slice(0, 12)
}

/** JSON has no maps, and would say the same of every one. */
function mapsAsLists(_name: string, value: unknown): unknown {
  return value instanceof Map ? [...value] : value
}
