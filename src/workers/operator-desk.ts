import { hasApi, OperatorFront, type PreparedOperators } from '../admin/operator-front.ts'
import type { OpenSpeech } from '../admin/operator-tls.ts'
import type { Config } from '../config/config.ts'
import type { TlsConfig } from '../config/listen-config.ts'
import type { ConfigSource } from '../config/reloading.ts'
import { systemClock } from '../lib/clock.ts'
import type { Log } from '../observe/log.ts'
import type { MetricFamily } from '../observe/metric-families.ts'
import { MetricHistory } from '../observe/metric-history.ts'
import { type Crew, readinessOf } from './crew.ts'
import { DrainedServers } from './drained-servers.ts'
import { createFleetOperations, type FleetState } from './fleet-operations.ts'
import type { FleetParts } from './fleet-options.ts'
import type { LineBatch } from './line-batches.ts'
import type { ServerPlace } from './operation-messages.ts'
import { SharedTail } from './shared-tail.ts'
import type { WorkerProcess } from './worker-process.ts'

export interface DeskParts
  extends Pick<FleetState, 'version' | 'config' | 'addresses' | 'inTurn'>,
    Pick<FleetParts, 'fileOperations'> {
  readonly openSpeech: OpenSpeech<TlsConfig>
  readonly crew: Crew
  readonly metrics: () => Promise<string>
  /** What the history is made of. */
  readonly totals: () => Promise<readonly MetricFamily[]>
  readonly log: Log
}

/** Where the operator of several workers is answered, and what is kept for him from one worker to the next. */
export class OperatorDesk implements AsyncDisposable {
  readonly #front: OperatorFront<TlsConfig>
  readonly #drained = new DrainedServers()
  readonly #tail: SharedTail
  readonly #history: MetricHistory
  /** Who asks for it in the moment before somebody follows the file waits for that. */
  readonly #source = Promise.withResolvers<ConfigSource>()

  constructor({ metrics, totals, log, fileOperations, openSpeech, ...parts }: DeskParts) {
    const { version, config, crew } = parts
    this.#tail = new SharedTail(crew.listening)
    this.#history = new MetricHistory({ families: totals, clock: systemClock })
    const operations = createFleetOperations({
      ...parts,
      startedAt: systemClock(),
      drained: this.#drained,
      tail: this.#tail,
      history: () => this.#history.report(),
      ofFile: fileOperations(config, () => this.#source.promise),
    })
    const isReady = () => readinessOf(crew)
    this.#front = new OperatorFront({ metrics, isReady, operations, version, log, openSpeech })
  }

  /** In the order of the configuration, that of `admin` first. */
  get addresses(): readonly string[] {
    return this.#front.addresses
  }

  /** For a worker that starts. */
  get drained(): readonly ServerPlace[] {
    return this.#drained.places
  }

  /** @throws {Error} the system's, when an address cannot be had. */
  async prepare(config: Config): Promise<PreparedOperators> {
    const prepared = await this.#front.prepare(config)
    return {
      commit: () => {
        prepared.commit()
        this.#history.run(hasApi(config))
        this.#drained.keepOnly(config)
      },
      [Symbol.asyncDispose]: () => prepared[Symbol.asyncDispose](),
    }
  }

  follow(source: ConfigSource): void {
    this.#source.resolve(source)
  }

  /** That worker listens now. */
  join(worker: Pick<WorkerProcess, 'send'>): void {
    this.#tail.join(worker)
  }

  takeRequests(batch: LineBatch): void {
    this.#tail.take(batch)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#history[Symbol.dispose]()
    return this.#front[Symbol.asyncDispose]()
  }
}
