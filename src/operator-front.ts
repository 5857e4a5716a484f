import { type OperatorListener, openOperatorListener, type ReadyReport } from './admin/operator-listener.ts'
import type { Config } from './config/config.ts'
import { addressKeys } from './public-front.ts'

/** What an operator is told. */
export interface OperatorSources {
  readonly metrics: () => Promise<string>
  readonly isReady: () => Promise<ReadyReport>
}

/** The operator's listeners of another configuration, those of the present one among them where it has the same. */
export interface PreparedOperators extends AsyncDisposable {
  /** Now they are in force, and those that it does not have are closed. */
  commit(): void
}

/** The operator's listeners: that of `admin`, and that of `probes`. */
export class OperatorFront implements AsyncDisposable {
  readonly #sources: OperatorSources
  #open: ReadonlyMap<string, OperatorListener> = new Map()

  constructor(sources: OperatorSources) {
    this.#sources = sources
  }

  /** In the order of the configuration, that of `admin` first. */
  get addresses(): readonly string[] {
    return [...this.#open.values()].map(({ address }) => address)
  }

  /** @throws {Error} the system's, when an address cannot be had. */
  async prepare({ admin, probes }: Config): Promise<PreparedOperators> {
    await using stack = new AsyncDisposableStack()
    const wanted = new Map<string, OperatorListener>()
    const listens = [admin?.listen, probes?.listen].filter((listen) => listen !== undefined)
    for (const [key, { address }] of addressKeys(listens)) {
      const open = this.#open.get(key)
      wanted.set(key, open ?? stack.use(await openOperatorListener({ ...this.#sources, address, isLive: () => true })))
    }
    const opened = stack.move()
    return {
      commit: () => {
        opened.move()
        const before = this.#open
        this.#open = wanted
        for (const [key, listener] of before) if (!wanted.has(key)) void listener[Symbol.asyncDispose]()
      },
      [Symbol.asyncDispose]: () => opened.disposeAsync(),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#open.values()].map((listener) => listener[Symbol.asyncDispose]()))
  }
}
