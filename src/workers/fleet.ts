import { randomBytes } from 'node:crypto'
import { logWarnings, openReloader, type ReadConfig, type Reloader, type ReloadParts } from '../config/reloading.ts'
import { ConfigSnapshot } from '../config/snapshot.ts'
import { explainRuntime } from '../lib/runtime-floor.ts'
import { createTurns } from '../lib/turns.ts'
import { type OpenLog, openLog } from '../observe/log.ts'
import { openSink, type Sink } from '../observe/sink.ts'
import { createSupervisorMetrics, type RestartReason, type SupervisorMetrics } from '../observe/supervisor-metrics.ts'
import { agreeOn } from './agreement.ts'
import type { FleetConfig, FleetOptions, FleetParts } from './fleet-options.ts'
import { relayLines } from './log-relay.ts'
import type { WorkerListener } from './messages.ts'
import { createMetricSums, type MetricSums } from './metric-sums.ts'
import { OperatorDesk } from './operator-desk.ts'
import { createRestartSchedule, type RestartSchedule } from './restart-schedule.ts'
import { type Lost, newSlot, type Slot } from './slot.ts'
import { defaultWorkerTimes, WorkerProcess } from './worker-process.ts'

/** Several workers that serve. Disposing ends them at once; `drain` first lets them end politely. */
export interface Fleet extends AsyncDisposable {
  /** Where the workers listen for browsers, in the order of the configuration. */
  readonly addresses: readonly string[]
  readonly operatorAddress: string | undefined
  /** Readiness goes first, then no new connections; running requests finish, and what is left at the deadline is cut. */
  drain(): Promise<void>
  /** Ends every connection now. */
  cut(): void
  /**
   * Replaces one worker after the other: a new one serves before the old one ends. Stops at the first that does not
   * start, and says so in the log.
   */
  roll(): Promise<void>
  /**
   * Puts another configuration into force in all workers, or in none.
   *
   * @throws {Error} with the reason; then the one before stays in force.
   */
  apply(next: FleetConfig): Promise<void>
  /** Watches the files of the configuration in force and takes what they say when they change, until it is disposed. */
  followConfig(first: ReadConfig, read: ReloadParts['read']): Promise<Reloader>
}

/** After the time for draining is up, a worker that has not ended is killed. */
const GRACE_MS = 3_000
/** A worker that is to end at once is given so long to do it. */
const CUT_MS = 1_000
/** How many lines may wait, in characters. */
const MAX_WAITING = 4 * 1024 * 1024

/** Starts the workers. @throws {Error} with the words of the first that cannot start; then none is left. */
export async function openFleet(options: FleetOptions, parts: FleetParts): Promise<Fleet> {
  const fleet = new Supervisor(options, parts)
  try {
    await fleet.begin(options.warnings)
  } catch (error) {
    await fleet[Symbol.asyncDispose]()
    throw error
  }
  return fleet
}

class Supervisor implements Fleet {
  readonly #parts: FleetParts
  readonly #sink: Sink
  readonly #log: OpenLog
  readonly #schedule: RestartSchedule
  readonly #metrics: SupervisorMetrics
  readonly #sums: MetricSums
  readonly #ticketSecret = randomBytes(32).toString('base64')
  readonly #stack = new AsyncDisposableStack()
  /** Every process that has not ended, those that start and those that drain too. */
  readonly #all = new Set<WorkerProcess>()
  #slots: Slot[] = []
  #current: FleetConfig
  #state: 'open' | 'draining' | 'closed' = 'open'
  /** Starts and changes of the configuration wait for each other: nobody starts with what is just being replaced. */
  readonly #inTurn = createTurns()
  #rolling: Promise<void> | undefined
  #listeners: readonly WorkerListener[] = []
  readonly #desk: OperatorDesk
  #isAnnounced = false

  constructor(options: FleetOptions, parts: FleetParts) {
    this.#current = options
    this.#parts = parts
    this.#sink = parts.sink ?? openSink(1, { maxWaiting: MAX_WAITING, gatherMs: 5 })
    this.#log = this.#stack.use(openLog({ level: options.config.logging.level, sink: this.#sink }))
    this.#schedule = parts.schedule ?? createRestartSchedule()
    const counts = () => ({ up: this.#serving.length, configured: this.#slots.length })
    this.#metrics = createSupervisorMetrics(counts)
    this.#sums = createMetricSums(() => this.#metrics.families())
    this.#desk = this.#stack.use(this.#createDesk(options.version))
  }

  #createDesk(version: string): OperatorDesk {
    return new OperatorDesk({
      version,
      config: () => this.#current.config,
      addresses: () => this.addresses,
      inTurn: this.#inTurn,
      fileOperations: this.#parts.fileOperations,
      openSpeech: this.#parts.openSpeech({ log: this.#log, metrics: this.#metrics }),
      metrics: () => this.#sums.text(),
      totals: () => this.#sums.totals(),
      log: this.#log,
      crew: {
        serving: () => this.#slots.flatMap(({ number, worker }) => (worker === undefined ? [] : [{ number, worker }])),
        listening: () => [...this.#all].filter(({ isListening }) => isListening),
        configured: () => this.#slots.length,
        isDraining: () => this.#state !== 'open',
      },
    })
  }

  get addresses(): readonly string[] {
    return this.#listeners.map(({ address }) => address)
  }

  get operatorAddress(): string | undefined {
    return this.#current.config.admin === undefined ? undefined : this.#desk.addresses[0]
  }

  get #serving(): readonly WorkerProcess[] {
    return this.#slots.map(({ worker }) => worker).filter((worker) => worker !== undefined)
  }

  async begin(warnings: FleetOptions['warnings']): Promise<void> {
    const { config } = this.#current
    this.#slots = Array.from({ length: config.workers }, (_, number) => newSlot(number))
    const [first, ...others] = this.#slots.map((slot) => ({ slot, worker: this.#fork(slot) }))
    // First alone: what is wrong is told once, and files that are made at the first start are made once.
    if (first !== undefined) this.#listeners = await this.#fill(first.slot, first.worker)
    await Promise.all(others.map(({ slot, worker }) => this.#fill(slot, worker)))
    const prepared = await this.#desk.prepare(config)
    prepared.commit()
    this.#announce(warnings)
  }

  /** The first line on stdout is the one that supervisors of ours and tests wait for. */
  #announce(warnings: FleetOptions['warnings']): void {
    const log = this.#log
    for (const { address, isTls } of this.#listeners) log.info('listening', { address, tls: isTls || undefined })
    for (const address of this.#desk.addresses) log.info('operator listening', { address })
    for (const slot of this.#slots) this.#tellStart(slot)
    this.#isAnnounced = true
    this.#metrics.reloads.ended(true)
    for (const worker of this.#all) relayLines(worker.child.stdout, this.#sink)
    const flaw = explainRuntime(process.versions.node)
    if (flaw !== undefined) log.warn('old runtime', { warning: flaw })
    logWarnings(log, warnings)
  }

  #tellStart({ number, worker }: Slot): void {
    this.#log.info('worker started', { worker: number, pid: worker?.pid })
  }

  /** Has the worker of an empty slot start. */
  async #fill(slot: Slot, worker = this.#fork(slot)): Promise<readonly WorkerListener[]> {
    const listeners = await this.#start(slot, worker)
    slot.worker = worker
    return listeners
  }

  /** A process that waits for the word to start. */
  #fork(slot: Slot): WorkerProcess {
    const times = { ...defaultWorkerTimes, ...this.#parts.times }
    const worker = new WorkerProcess(this.#parts.fork(), times, (batch) => this.#desk.takeRequests(batch))
    this.#all.add(worker)
    this.#sums.add(worker)
    // Before that, its lines wait in the pipe: the first line is ours.
    if (this.#isAnnounced) relayLines(worker.child.stdout, this.#sink)
    void worker.ended.then((ending) => {
      this.#all.delete(worker)
      if (slot.worker === worker) this.#lost(slot, { worker, ...ending })
    })
    return worker
  }

  async #start({ number }: Slot, worker: WorkerProcess): Promise<readonly WorkerListener[]> {
    const { path, files } = this.#current
    const part = { keepsHouse: number === 0, ticketSecret: this.#ticketSecret, drained: this.#desk.drained }
    const listeners = await worker.start({ kind: 'start', path, files, ...part })
    this.#desk.join(worker)
    // Nobody has told it that everything ends.
    if (this.#state !== 'open') worker.kill()
    return listeners
  }

  #lost(slot: Slot, { worker, servedMs, isStalled, code, signal }: Lost): void {
    slot.worker = undefined
    if (this.#state !== 'open') return
    const fields = { worker: slot.number, pid: worker.pid, code: code ?? undefined, signal: signal ?? undefined }
    const message = isStalled ? 'worker stood still and was killed' : 'worker ended, it is replaced'
    this.#log.error(message, { ...fields, served_ms: Math.round(servedMs) })
    this.#replaceLater(slot, { reason: isStalled ? 'stall' : 'crash', servedMs })
  }

  #replaceLater(slot: Slot, { reason, servedMs }: { reason: RestartReason; servedMs: number }): void {
    const replace = async (): Promise<void> => {
      if (this.#state !== 'open' || slot.worker !== undefined || !this.#slots.includes(slot)) return
      this.#metrics.restarted(reason)
      try {
        await this.#fill(slot)
        this.#tellStart(slot)
      } catch (error) {
        this.#notStarted(slot, error)
      }
    }
    slot.timer = setTimeout(() => void this.#inTurn(replace), this.#schedule.waitMs(slot.number, servedMs))
  }

  #notStarted(slot: Slot, error: unknown): void {
    if (this.#state !== 'open') return
    this.#log.error('worker does not start', { worker: slot.number, reason: messageOf(error) })
    this.#replaceLater(slot, { reason: 'crash', servedMs: 0 })
  }

  roll(): Promise<void> {
    const before = this.#rolling ?? Promise.resolve()
    const rolling = before.then(() => this.#roll())
    this.#rolling = rolling
    return rolling
  }

  async #roll(): Promise<void> {
    if (this.#state !== 'open') return
    this.#log.info('rolling restart begins', { workers: this.#slots.length })
    for (const slot of [...this.#slots]) {
      try {
        const old = await this.#inTurn(() => this.#exchange(slot))
        if (old !== undefined) await this.#retire(old)
      } catch (error) {
        const reason = messageOf(error)
        this.#log.error('rolling restart stopped, the workers before stay', { worker: slot.number, reason })
        return
      }
      if (this.#state !== 'open') return
    }
    this.#log.info('rolling restart ended', { version: this.#slots[0]?.worker?.version })
  }

  /** Gives back the worker that has no more slot. */
  async #exchange(slot: Slot): Promise<WorkerProcess | undefined> {
    if (this.#state !== 'open') return undefined
    const worker = this.#fork(slot)
    await this.#start(slot, worker)
    clearTimeout(slot.timer)
    const old = slot.worker
    slot.worker = worker
    this.#metrics.restarted('roll')
    this.#log.info('worker replaced', { worker: slot.number, pid: worker.pid, pid_before: old?.pid })
    return old
  }

  /** Lets a worker end politely, without a delay: the others go on taking connections. */
  async #retire(worker: WorkerProcess): Promise<void> {
    worker.send({ kind: 'drain', readinessDelayMs: 0 })
    await worker.endWithin(this.#current.config.shutdown.drainMs + GRACE_MS)
  }

  async followConfig(first: ReadConfig, read: ReloadParts['read']): Promise<Reloader> {
    const { path } = this.#current
    const reloader = await openReloader({
      first,
      read,
      log: this.#log,
      apply: ({ config, snapshot }) => this.apply({ config, path, files: snapshot.pack() }),
      onEnd: (isSuccess) => this.#metrics.reloads.ended(isSuccess),
    })
    const [file = path] = first.snapshot.files.keys()
    this.#desk.follow({ path: file, read: () => read(new ConfigSnapshot()), reload: () => reloader.reload() })
    return reloader
  }

  async apply(next: FleetConfig): Promise<void> {
    await this.#inTurn(() => this.#apply(next))
  }

  async #apply(next: FleetConfig): Promise<void> {
    if (this.#state !== 'open') throw new Error('the gateway is shutting down')
    if (next.config.workers === 1)
      throw new Error('workers: 1 is one process without a supervisor, and needs a restart')
    await using operators = await this.#desk.prepare(next.config)
    const agreement = await agreeOn(this.#serving, next)
    this.#current = next
    operators.commit()
    this.#log.setLevel(next.config.logging.level)
    for (const worker of await agreement.commit()) {
      this.#log.error('worker did not take the configuration, it is replaced', { pid: worker.pid })
      worker.kill()
    }
    this.#resize(next.config.workers)
  }

  #resize(count: number): void {
    for (const slot of this.#slots.splice(count)) {
      clearTimeout(slot.timer)
      const { worker } = slot
      slot.worker = undefined
      if (worker !== undefined) void this.#retire(worker)
    }
    while (this.#slots.length < count) {
      const slot = newSlot(this.#slots.length)
      this.#slots.push(slot)
      void this.#inTurn(() => this.#fill(slot)).then(
        () => this.#tellStart(slot),
        (error: unknown) => this.#notStarted(slot, error),
      )
    }
  }

  async drain(): Promise<void> {
    if (this.#state === 'open') this.#state = 'draining'
    this.#log.info('draining')
    for (const { timer } of this.#slots) clearTimeout(timer)
    const { drainMs, readinessDelayMs } = this.#current.config.shutdown
    await Promise.all(
      [...this.#all].map(async (worker) => {
        // Of one that is just starting nobody has had anything yet; one that drains already goes on with that.
        if (worker.isListening) worker.send({ kind: 'drain', readinessDelayMs })
        else worker.kill()
        await worker.endWithin(readinessDelayMs + drainMs + GRACE_MS)
      }),
    )
  }

  cut(): void {
    this.#state = 'closed'
    for (const worker of this.#all) {
      worker.send({ kind: 'cut' })
      void worker.endWithin(CUT_MS)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { timer } of this.#slots) clearTimeout(timer)
    const left = [...this.#all]
    this.cut()
    await Promise.all(left.map((worker) => worker.endWithin(CUT_MS)))
    await this.#stack.disposeAsync()
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
