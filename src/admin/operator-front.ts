import { addressKeys, type ListenAddress } from '../lib/listening.ts'
import { failureFields } from '../observe/failure.ts'
import type { Log } from '../observe/log.ts'
import { type AdminApi, createAdminApi } from './api.ts'
import { OperationFailed, type Operations } from './operations.ts'
import { plainHttp } from './operator-door.ts'
import { type OperatorListener, openOperatorListener, type ReadyReport } from './operator-listener.ts'
import { type OpenSpeech, OperatorTls, type OperatorTlsSettings } from './operator-tls.ts'

interface Place {
  readonly listen: { readonly address: ListenAddress; readonly text: string }
}

interface AdminPlace<S> extends Place {
  readonly token: { reveal(): string } | undefined
  readonly tls?: S | undefined
}

/** What it acts on of a configuration. */
export interface OperatorPlaces<S extends OperatorTlsSettings> {
  /** Everything is there; `/api` where there is a token, or an authority of client certificates. `undefined` = nowhere. */
  readonly admin: AdminPlace<S> | undefined
  /** The same without `/api`. */
  readonly probes: Place | undefined
}

/** Whether somebody can show what opens `/api`. */
export function hasApi<S extends OperatorTlsSettings>({ admin }: Pick<OperatorPlaces<S>, 'admin'>): boolean {
  return admin?.token !== undefined || admin?.tls?.clientCa !== undefined
}

/** What an operator is told, and what he may do. */
export interface OperatorSources<S extends OperatorTlsSettings> {
  readonly metrics: () => Promise<string>
  readonly isReady: () => Promise<ReadyReport>
  readonly operations: Operations
  readonly version: string
  readonly log: Log
  readonly openSpeech: OpenSpeech<S>
}

/** The operator's listeners of another configuration, those of the present one among them where it has the same. */
export interface PreparedOperators extends AsyncDisposable {
  /** Now they are in force, and those that it does not have take nobody any more. */
  commit(): void
}

/** The operator's listeners, that of `admin` and that of `probes`: of one process its own, of several workers their supervisor's. */
export class OperatorFront<S extends OperatorTlsSettings> implements AsyncDisposable {
  readonly #sources: OperatorSources<S>
  readonly #tls: OperatorTls<S>
  #open: ReadonlyMap<string, OperatorListener> = new Map()
  /** Those that no configuration has any more, and whose last answer is on its way. */
  readonly #leaving = new Set<OperatorListener>()

  constructor(sources: OperatorSources<S>) {
    this.#sources = sources
    this.#tls = new OperatorTls(sources.openSpeech)
  }

  /** In the order of the configuration, that of `admin` first. */
  get addresses(): readonly string[] {
    return [...this.#open.values()].map(({ address }) => address)
  }

  /** @throws {Error} when an address cannot be had, or a certificate cannot be used. */
  async prepare({ admin, probes }: OperatorPlaces<S>): Promise<PreparedOperators> {
    await using stack = new AsyncDisposableStack()
    const wanted = new Map<string, OperatorListener>()
    const listens = [admin?.listen, probes?.listen].filter((listen) => listen !== undefined)
    for (const [key, { address }] of addressKeys(listens)) {
      const open = this.#open.get(key)
      wanted.set(key, open ?? stack.use(await this.#listen(address)))
    }
    const adminKey = admin && [...wanted.keys()][0]
    const speech = stack.use(await this.#tls.prepare(admin?.tls))
    const api = hasApi({ admin }) ? this.#createApi(admin?.token?.reveal()) : undefined
    const opened = stack.move()
    return {
      commit: () => {
        opened.move()
        const before = this.#open
        this.#open = wanted
        for (const [key, listener] of wanted) {
          listener.useApi(key === adminKey ? api : undefined)
          listener.speak(key === adminKey ? speech.create : plainHttp)
        }
        speech.commit()
        for (const [key, listener] of before) if (!wanted.has(key)) void this.#leave(listener)
      },
      [Symbol.asyncDispose]: () => opened.disposeAsync(),
    }
  }

  #listen(address: ListenAddress): Promise<OperatorListener> {
    const { metrics, isReady } = this.#sources
    return openOperatorListener({ address, metrics, isReady, isLive: () => true })
  }

  #createApi(token: string | undefined): AdminApi {
    const { operations, version, log } = this.#sources
    return createAdminApi({
      operations,
      token,
      version,
      onAudit: ({ peer, ...audit }) => log.info('audit', { ...audit, 'network.peer.address': peer }),
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
    await this.#tls[Symbol.asyncDispose]()
  }
}
