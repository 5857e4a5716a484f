import type { ReadyReport } from '../admin/operator-listener.ts'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/loading.ts'
import { type FileSnapshot, replayFiles } from '../config/snapshot.ts'
import type { Log } from '../observe/log.ts'
import type { MetricFamily } from '../observe/metric-families.ts'
import { LineBatches } from './line-batches.ts'
import { type Done, type Order, PROTOCOL, parseOrder, type Report, type StartOrder } from './messages.ts'
import { operate, type WorkerOperations } from './operating.ts'
import type { ServerPlace } from './operation-messages.ts'

/** A gateway in a worker. */
export interface WorkerGateway extends AsyncDisposable {
  /** In the order of the configuration. */
  readonly addresses: readonly string[]
  drain(options: { readonly readinessDelayMs: number }): Promise<void>
  cut(): void
  families(only?: 'totals'): Promise<MetricFamily[]>
  readiness(): Promise<ReadyReport>
  /** What the operator can learn and do here. */
  readonly operations: WorkerOperations
  readonly log: Pick<Log, 'error'>
  /** Builds another configuration whole, beside the one in force. */
  prepare(config: Config): Promise<Prepared>
}

/** A configuration of which nothing serves yet; disposing drops it, unless it was committed. */
export interface Prepared extends AsyncDisposable {
  commit(): void
}

/** The line to the supervisor. */
export interface SupervisorLine {
  /** Resolves when the report is on its way. */
  send(report: Report): Promise<void>
  onMessage(listener: (message: unknown) => void): void
}

export interface WorkerParts {
  readonly line: SupervisorLine
  readonly version: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly openGateway: (
    config: Config,
    place: {
      readonly keepsHouse: boolean
      readonly ticketSecret: Uint8Array
      /** Servers that get nothing from the first request on. */
      readonly drained: readonly ServerPlace[]
    },
  ) => Promise<WorkerGateway>
  /** An error in one line. */
  readonly wordsOf: (error: unknown) => string
}

/** Ctrl-C and the end of a service go to the whole group; it is the supervisor who says what happens then. */
const SIGNALS_LEFT_TO_SUPERVISOR: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']

/** The line of a process that was forked; it ends with its supervisor, so that nobody serves what nobody looks after. */
export function openSupervisorLine(): SupervisorLine {
  for (const signal of SIGNALS_LEFT_TO_SUPERVISOR) process.on(signal, () => undefined)
  process.once('disconnect', () => process.exit(0))
  return {
    send: (report) => new Promise((resolve) => process.send?.(report, () => resolve())),
    onMessage: (listener) => void process.on('message', listener),
  }
}

/** Serves as the supervisor says, until it says that it is enough. Gives the exit code. */
export async function runWorker({ line, ...parts }: WorkerParts): Promise<number> {
  const started = Promise.withResolvers<StartOrder>()
  const ended = Promise.withResolvers<void>()
  let member: Member | undefined
  line.onMessage((message) => {
    const order = parseOrder(message)
    if (order?.kind === 'start') started.resolve(order)
    else if (order !== undefined) void member?.obey(order)
  })
  await line.send({ kind: 'hello', protocol: PROTOCOL, version: parts.version })
  const order = await started.promise
  try {
    const config = await configOf(order, parts)
    const ticketSecret = Buffer.from(order.ticketSecret, 'base64')
    const { keepsHouse, drained } = order
    const gateway = await parts.openGateway(config, { keepsHouse, ticketSecret, drained })
    member = new Member(gateway, { line, ...parts, onEnd: ended.resolve })
    const listeners = gateway.addresses.map((address, at) => ({ address, isTls: config.listen[at]?.tls !== undefined }))
    await line.send({ kind: 'listening', listeners })
  } catch (error) {
    await line.send({ kind: 'failed', message: parts.wordsOf(error) })
    return 1
  }
  await ended.promise
  return 0
}

/** What the supervisor has read, and not what is on the disk by now. */
async function configOf(
  { path, files }: { readonly path: string; readonly files: FileSnapshot },
  { env }: Pick<WorkerParts, 'env'>,
): Promise<Config> {
  return (await loadConfig({ path, env, readFile: replayFiles(files) })).config
}

/** A gateway that does what its supervisor says. */
class Member {
  readonly #gateway: WorkerGateway
  readonly #parts: WorkerParts & { readonly onEnd: () => void }
  readonly #batches: LineBatches
  #prepared: Prepared | undefined
  #end: Promise<void> | undefined
  #stopWatching: (() => void) | undefined

  constructor(gateway: WorkerGateway, parts: WorkerParts & { readonly onEnd: () => void }) {
    this.#gateway = gateway
    this.#parts = parts
    this.#batches = new LineBatches((batch) => parts.line.send({ kind: 'requests', ...batch }))
  }

  async obey(order: Order): Promise<void> {
    const { line } = this.#parts
    switch (order.kind) {
      case 'ping':
        await line.send({ kind: 'pong' })
        break
      case 'metrics':
        await this.#answer(order.id, await this.#gateway.families(order.only))
        break
      case 'readiness':
        await this.#answer(order.id, await this.#gateway.readiness())
        break
      case 'operate':
        await line.send({ kind: 'begun', id: order.id })
        await this.#answer(order.id, await operate(this.#gateway.operations, { ...order, log: this.#gateway.log }))
        break
      case 'watch':
        this.#watch(order.isOn)
        break
      case 'prepare':
        await this.#answer(order.id, await this.#prepare(order))
        break
      case 'commit':
        await this.#answer(order.id, this.#commit())
        break
      case 'abort':
        await this.#drop()
        break
      case 'drain':
        this.#end ??= this.#drain(order.readinessDelayMs)
        break
      case 'cut':
        this.#gateway.cut()
        this.#end ??= this.#leave()
        break
    }
  }

  async #answer(id: number, answer: unknown): Promise<void> {
    await this.#parts.line.send({ kind: 'answer', id, answer })
  }

  #watch(isOn: boolean): void {
    this.#stopWatching?.()
    this.#stopWatching = isOn ? this.#gateway.operations.watchRequests((line) => this.#batches.add(line)) : undefined
  }

  async #prepare(order: { readonly path: string; readonly files: FileSnapshot }): Promise<Done> {
    await this.#drop()
    try {
      this.#prepared = await this.#gateway.prepare(await configOf(order, this.#parts))
      return { ok: true }
    } catch (error) {
      return { ok: false, reason: this.#parts.wordsOf(error) }
    }
  }

  #commit(): Done {
    const prepared = this.#prepared
    if (prepared === undefined) return { ok: false, reason: 'nothing was prepared' }
    this.#prepared = undefined
    prepared.commit()
    return { ok: true }
  }

  async #drop(): Promise<void> {
    const prepared = this.#prepared
    this.#prepared = undefined
    await prepared?.[Symbol.asyncDispose]()
  }

  async #drain(readinessDelayMs: number): Promise<void> {
    await this.#gateway.drain({ readinessDelayMs })
    await this.#leave()
  }

  async #leave(): Promise<void> {
    await this.#drop()
    await this.#batches.flushed()
    await this.#parts.line.send({ kind: 'last', families: await this.#gateway.families() })
    await this.#gateway[Symbol.asyncDispose]()
    this.#parts.onEnd()
  }
}
