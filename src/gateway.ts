import { setTimeout as pause } from 'node:timers/promises'
import type { Operations } from './admin/operations.ts'
import { hasApi, OperatorFront } from './admin/operator-front.ts'
import type { ReadyReport } from './admin/operator-listener.ts'
import type { Config } from './config/config.ts'
import { publicHash } from './config/fingerprint.ts'
import type { TlsConfig } from './config/listen-config.ts'
import {
  type ConfigSource,
  logWarnings,
  openReloader,
  type ReadConfig,
  type Reloader,
  type ReloadParts,
} from './config/reloading.ts'
import { ConfigSnapshot } from './config/snapshot.ts'
import { createGatewayOperations, type GatewayOperations } from './gateway-operations.ts'
import { type Generation, type House, openGeneration } from './generation.ts'
import { datedKeys, SigningHistory } from './key-views.ts'
import { createChunkMeter } from './lib/chunk-memory.ts'
import { systemClock } from './lib/clock.ts'
import { explainRuntime } from './lib/runtime-floor.ts'
import { Shares } from './lib/shares.ts'
import { openLimits } from './limit-parts.ts'
import { createLineLimit } from './observe/line-limit.ts'
import { type OpenLog, openLog } from './observe/log.ts'
import type { MetricFamily } from './observe/metric-families.ts'
import { MetricHistory } from './observe/metric-history.ts'
import { totalledMetrics } from './observe/metric-totals.ts'
import { createMetrics } from './observe/metrics.ts'
import { createRequestTail } from './observe/request-tail.ts'
import { findTracing } from './observe/tracing.ts'
import { readinessOf } from './open-sessions.ts'
import { PublicFront } from './public-front.ts'
import { createTunnels } from './server/tunnels.ts'
import { certificateNames, createSpeechOpener, createTlsOpener, createUpstreamCertificateWatch } from './tls-parts.ts'
import { type DrainedServer, drainedServers, drainServers } from './upstream-parts.ts'

export interface GatewayOptions {
  /** Logged once the gateway listens. */
  readonly warnings: readonly { readonly message: string; readonly file: string; readonly line?: number }[]
  readonly version: string
  /** Given to one of several workers: the supervisor has the operator's listener, reads the configuration, and says what listens. */
  readonly place?: WorkerPlace | undefined
}

export interface WorkerPlace {
  /** One worker of all clears expired sessions. */
  readonly keepsHouse: boolean
  /** Of 32 bytes: what seals TLS session tickets. */
  readonly ticketSecret: Uint8Array
  /** Servers that the operator had taken out when it was started. */
  readonly drained: readonly DrainedServer[]
}

/** A gateway that serves. Disposing ends it at once; `drain` first lets it end politely. */
export interface Gateway extends AsyncDisposable {
  /** Where it listens for browsers, in the order of the configuration. */
  readonly addresses: readonly string[]
  /** Where it listens for its operator; undefined with `admin: off`. */
  readonly operatorAddress: string | undefined
  readonly log: OpenLog
  /** What the operator can learn and do, for whoever he asks. */
  readonly operations: Operations
  /**
   * Builds another configuration whole, beside the one in force. One at a time.
   *
   * @throws {Error} when a listener, a store, a key or a certificate cannot be had; then nothing has changed.
   */
  prepare(config: Config): Promise<Prepared>
  /** Watches the files of the configuration in force and takes what they say when they change, until it is disposed. */
  followConfig(first: ReadConfig, read: ReloadParts['read']): Promise<Reloader>
  /** Readiness goes first, then no new connections; running requests finish, and what is left at the deadline is cut. */
  drain(options?: DrainOptions): Promise<void>
  /** Ends every connection now. */
  cut(): void
  /** What is told at `/metrics` and `/readyz`, for whoever answers there. */
  families(only?: 'totals'): Promise<MetricFamily[]>
  readiness(): Promise<ReadyReport>
}

export interface DrainOptions {
  /** For how long connections are still taken; default that of the configuration. */
  readonly readinessDelayMs?: number | undefined
}

/** Another configuration, ready to serve. Disposing one that was not committed drops it. */
export interface Prepared extends AsyncDisposable {
  /**
   * From now on it is in force: requests that begin are served by it, those under way end by the one before. WebSockets
   * stay open where it still admits them.
   */
  commit(): void
}

/** How long whoever takes the spans may take over the last of them. */
const LAST_SPANS_MS = 3_000

/** A worker's lines pass through two processes: more often would cost a fifth of a request. */
const WORKER_GATHER_MS = 25

/** Lines about what the parser refused; a connection with a byte of rubbish costs a stranger nothing. */
const REFUSALS_LOGGED = { lines: 100, everyMs: 10_000 }

/**
 * Opens the parts, hands them to each other, and closes them in reverse, also when a later one fails to open.
 *
 * @throws {Error} when a listener, a store or a key cannot be had.
 */
export async function openGateway(config: Config, options: GatewayOptions): Promise<Gateway> {
  const gateway = new RunningGateway(config, options)
  try {
    const prepared = await gateway.prepare(config)
    prepared.commit()
  } catch (error) {
    await gateway[Symbol.asyncDispose]()
    throw error
  }
  gateway.announce(options.warnings)
  return gateway
}

class RunningGateway implements Gateway {
  readonly log: OpenLog
  readonly operations: GatewayOperations
  readonly #house: House
  readonly #place: WorkerPlace | undefined
  readonly #public: PublicFront
  readonly #operators: OperatorFront<TlsConfig>
  readonly #history: MetricHistory
  readonly #signing = new SigningHistory(systemClock)
  /** Who asks for it in the moment before somebody follows the file waits for that. */
  readonly #source = Promise.withResolvers<ConfigSource>()
  #generation: Generation | undefined
  /** Generations whose last requests are under way. */
  readonly #leaving = new Set<Generation>()
  #isDraining = false
  #isAnnounced = false

  constructor(config: Config, { version, place }: GatewayOptions) {
    this.#place = place
    const log = openLog({ level: config.logging.level, ...(place && { gatherMs: WORKER_GATHER_MS }) })
    const metrics = createMetrics({
      build: { version, revision: '' },
      config: configInfo(config),
      isWorker: place !== undefined,
      droppedLogLines: () => log.droppedLines,
    })
    const tail = createRequestTail(systemClock)
    this.log = log
    this.#house = {
      log,
      metrics,
      tunnels: createTunnels(),
      keepsHouse: place?.keepsHouse !== false,
      sessions: new Shares(),
      upstreams: new Shares(),
      watchCertificates: createUpstreamCertificateWatch({ log, metrics }),
      limits: openLimits(config, { log, metrics }),
      onChunk: createChunkMeter(),
      tracing: findTracing(version),
      tail,
      mayLogRefused: createLineLimit({
        ...REFUSALS_LOGGED,
        onLeftOut: (count) => log.warn('requests refused by the parser, not each is told', { count }),
      }),
      isDraining: () => this.#isDraining,
      current: () => this.#current,
    }
    const openTls = createTlsOpener({ log, metrics, ticketSecret: place?.ticketSecret })
    this.#public = new PublicFront({
      openTls,
      isTrusted: (address) => this.#current.isTrusted(address),
      connections: this.#house.limits.connections,
    })
    this.#history = new MetricHistory({ families: () => this.families('totals'), clock: systemClock })
    this.operations = createGatewayOperations({
      version,
      startedAt: systemClock(),
      current: () => this.#current,
      addresses: () => this.addresses,
      readiness: () => this.readiness(),
      watchRequests: (listener) => tail.watch(listener),
      signing: this.#signing,
      onRevoked: (count) => metrics.sessionsRevoked('admin', count),
      history: () => this.#history.report(),
      source: () => this.#source.promise,
    })
    this.#operators = new OperatorFront({
      metrics: () => metrics.text(),
      isReady: () => this.readiness(),
      operations: this.operations,
      version,
      log,
      openSpeech: createSpeechOpener(openTls),
    })
  }

  get addresses(): readonly string[] {
    return this.#public.addresses
  }

  get operatorAddress(): string | undefined {
    return this.#current.config.admin === undefined ? undefined : this.#operators.addresses[0]
  }

  async prepare(config: Config): Promise<Prepared> {
    await using stack = new AsyncDisposableStack()
    const generation = stack.use(await openGeneration(config, this.#house))
    const here = this.#place === undefined ? config : { ...config, admin: undefined, probes: undefined }
    const operators = stack.use(await this.#operators.prepare(here))
    const front = stack.use(await this.#public.prepare(config.listen, config.limits))
    if (this.#isDraining) throw new Error('the gateway is shutting down')
    const opened = stack.move()
    return {
      commit: () => {
        opened.move()
        const before = this.#generation
        drainServers(generation.upstreams, before ? drainedServers(before.upstreams) : (this.#place?.drained ?? []))
        this.#generation = generation
        operators.commit()
        front.commit(generation.handlersFor, config.shutdown.drainMs)
        this.#tell(generation, front.newAddresses)
        if (before === undefined) return
        // The first ones were opened with it.
        this.#house.limits.apply(config)
        void this.#leave(before)
      },
      [Symbol.asyncDispose]: () => opened.disposeAsync(),
    }
  }

  async followConfig(first: ReadConfig, read: ReloadParts['read']): Promise<Reloader> {
    const reloader = await openReloader({
      first,
      read,
      log: this.log,
      apply: async ({ config }) => {
        if (config.workers !== 1) throw new Error('workers other than 1 need a supervisor, and that a restart')
        await using prepared = await this.prepare(config)
        prepared.commit()
      },
      onEnd: (isSuccess) => this.#house.metrics.reloads.ended(isSuccess),
    })
    const [path = ''] = first.snapshot.files.keys()
    this.#source.resolve({ path, read: () => read(new ConfigSnapshot()), reload: () => reloader.reload() })
    return reloader
  }

  announce(warnings: GatewayOptions['warnings']): void {
    this.#isAnnounced = true
    if (this.#place === undefined) this.#tellStart(warnings)
    this.#house.metrics.reloads.ended(true)
    if (this.#house.tracing !== undefined) this.log.info('spans are recorded')
    this.#current.sessions.tell()
  }

  cut(): void {
    this.#public.cut()
    this.#house.tunnels.endAll()
  }

  async drain(options: DrainOptions = {}): Promise<void> {
    const { drainMs, readinessDelayMs: usualDelayMs } = this.#current.config.shutdown
    const { readinessDelayMs = usualDelayMs } = options
    this.#isDraining = true
    // Of several workers the supervisor tells it, once.
    if (this.#place === undefined) this.log.info('draining')
    // Not even a turn of the event loop: whoever has read the line would still be let in.
    if (readinessDelayMs > 0) await pause(readinessDelayMs, undefined, { ref: false })
    const deadline = setTimeout(() => this.cut(), drainMs)
    await this.#public.drain()
    clearTimeout(deadline)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDraining = true
    this.cut()
    await this.#public[Symbol.asyncDispose]()
    await this.#operators[Symbol.asyncDispose]()
    await this.operations[Symbol.asyncDispose]()
    this.#history[Symbol.dispose]()
    const generations = [...this.#leaving, this.#generation].filter((generation) => generation !== undefined)
    for (const generation of generations) await generation[Symbol.asyncDispose]()
    this.#house.limits[Symbol.dispose]()
    await this.#house.tracing?.flush(LAST_SPANS_MS)
    await this.log[Symbol.asyncDispose]()
  }

  get #current(): Generation {
    if (this.#generation === undefined) throw new Error('the gateway has no configuration yet')
    return this.#generation
  }

  #tell(
    { config, upstreams, sessions }: Generation,
    newAddresses: readonly { address: string; isTls: boolean }[],
  ): void {
    const { metrics, tunnels, log } = this.#house
    this.#signing.note(config)
    metrics.keys.dated(datedKeys(config))
    metrics.configured(configInfo(config))
    this.#history.run(this.#place === undefined && hasApi(config))
    metrics.watchUpstreams([...upstreams.values()])
    metrics.tls.keepOnly(certificateNames(config))
    tunnels.renew()
    if (!this.#isAnnounced) return
    log.setLevel(config.logging.level)
    if (this.#place === undefined)
      for (const { address, isTls } of newAddresses) log.info('listening', { address, tls: isTls || undefined })
    sessions.tell()
  }

  families(only?: 'totals'): Promise<MetricFamily[]> {
    const { metrics } = this.#house
    return only === undefined ? metrics.families() : metrics.familiesOf(totalledMetrics)
  }

  /** The first line on stdout is the one that supervisors and tests wait for; warnings come after it. */
  #tellStart(warnings: GatewayOptions['warnings']): void {
    const { log } = this
    this.#public.addresses.forEach((address, at) => {
      log.info('listening', { address, tls: this.#current.config.listen[at]?.tls !== undefined || undefined })
    })
    const isTls = this.#current.config.admin?.tls !== undefined
    this.#operators.addresses.forEach((address, at) => {
      log.info('operator listening', { address, tls: (isTls && at === 0) || undefined })
    })
    const flaw = explainRuntime(process.versions.node)
    if (flaw !== undefined) log.warn('old runtime', { warning: flaw })
    logWarnings(log, warnings)
  }

  async #leave(before: Generation): Promise<void> {
    this.#leaving.add(before)
    await before.emptied()
    this.#leaving.delete(before)
    await before[Symbol.asyncDispose]()
  }

  async readiness(): Promise<ReadyReport> {
    const { isUp, checks } = await readinessOf(this.#current.sessions)
    const isDraining = this.#isDraining
    return { isReady: isUp && !isDraining, checks: { ...checks, listener: isDraining ? 'draining' : 'up' } }
  }
}

function configInfo(config: Config) {
  return { hash: publicHash(config), mode: config.mode }
}
