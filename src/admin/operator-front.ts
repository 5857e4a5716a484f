import { addressKeys, type ListenAddress } from '../lib/listening.ts'
import { failureFields } from '../observe/failure.ts'
import type { Log } from '../observe/log.ts'
import { type AdminApi, createAdminApi } from './api.ts'
import { OperationFailed, type Operations } from './operations.ts'
import { type OperatorListener, openOperatorListener, type ReadyReport } from './operator-listener.ts'

interface Place {
  readonly listen: { readonly address: ListenAddress; readonly text: string }
}

/** What it acts on of a configuration. */
export interface OperatorPlaces {
  /** Everything is there; `/api` where there is a token. `undefined` = nowhere. */
  readonly admin: (Place & { readonly token: { reveal(): string } | undefined }) | undefined
  /** The same without `/api`. */
  readonly probes: Place | undefined
}

/** What an operator is told, and what he may do. */
export interface OperatorSources {
  readonly metrics: () => Promise<string>
  readonly isReady: () => Promise<ReadyReport>
  readonly operations: Operations
  readonly version: string
  readonly log: Log
}

/** The operator's listeners of another configuration, those of the present one among them where it has the same. */
export interface PreparedOperators extends AsyncDisposable {
  /** Now they are in force, and those that it does not have take nobody any more. */
  commit(): void
}

/** The operator's listeners, that of `admin` and that of `probes`: of one process its own, of several workers their supervisor's. */
export class OperatorFront implements AsyncDisposable {
  readonly #sources: OperatorSources
  #open: ReadonlyMap<string, OperatorListener> = new Map()
  /** Those that no configuration has any more, and whose last answer is on its way. */
  readonly #leaving = new Set<OperatorListener>()

  constructor(sources: OperatorSources) {
    this.#sources = sources
  }

  /** In the order of the configuration, that of `admin` first. */
  get addresses(): readonly string[] {
    return [...this.#open.values()].map(({ address }) => address)
  }

  /** @throws {Error} the system's, when an address cannot be had. */
  async prepare({ admin, probes }: OperatorPlaces): Promise<PreparedOperators> {
    await using stack = new AsyncDisposableStack()
    const wanted = new Map<string, OperatorListener>()
    const listens = [admin?.listen, probes?.listen].filter((listen) => listen !== undefined)
    for (const [key, { address }] of addressKeys(listens)) {
      const open = this.#open.get(key)
      wanted.set(key, open ?? stack.use(await this.#listen(address)))
    }
    const adminKey = admin && [...wanted.keys()][0]
    const api = admin?.token === undefined ? undefined : this.#createApi(admin.token.reveal())
    const opened = stack.move()
    return {
      commit: () => {
        opened.move()
        const before = this.#open
        this.#open = wanted
        for (const [key, listener] of wanted) listener.useApi(key === adminKey ? api : undefined)
        for (const [key, listener] of before) if (!wanted.has(key)) void this.#leave(listener)
      },
      [Symbol.asyncDispose]: () => opened.disposeAsync(),
    }
  }

  #listen(address: ListenAddress): Promise<OperatorListener> {
    const { metrics, isReady } = this.#sources
    return openOperatorListener({ address, metrics, isReady, isLive: () => true })
  }

  #createApi(token: string): AdminApi {
    const { operations, version, log } = this.#sources
    return createAdminApi({
      operations,
      token,
      version,
      onAudit: ({ event, peer, outcome, asked, count }) =>
        log.info('audit', { event, 'network.peer.address': peer, outcome, asked, count, actor: 'admin.token' }),
      onFailure(error) {
        if (!(error instanceof OperationFailed)) log.error('an operator’s request failed', failureFields(error))
      },
    })
  }

  async #leave(listener: OperatorListener): Promise<void> {
    this.#leaving.add(listener)
    await listener.leave()
    this.#leaving.delete(listener)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#open.values(), ...this.#leaving].map((listener) => listener[Symbol.asyncDispose]()))
  }
}
