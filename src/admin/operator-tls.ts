import { type CreateOperatorServer, plainHttp } from './operator-door.ts'

/** `admin.tls`, as whoever opens it reads it. */
export interface OperatorTlsSettings {
  /** Asks clients for a certificate; whoever shows one that it vouches for may use `/api`. */
  readonly clientCa: object | undefined
}

/** Opens the certificates, which are watched until the stack is disposed; throws when one cannot be used. */
export type OpenSpeech<S> = (settings: S, stack: AsyncDisposableStack) => Promise<CreateOperatorServer>

/** What the operator's listener is to speak by another configuration. Disposing one that was not committed drops it. */
export interface PreparedOperatorTls extends AsyncDisposable {
  /** The same as before where nothing has changed: connections stay then. */
  readonly create: CreateOperatorServer
  /** Now it is in force; the certificates of before are watched no more. */
  commit(): void
}

interface Speech {
  /** Of the settings; there is no secret in them. */
  readonly print: string
  readonly create: CreateOperatorServer
  /** Watches the certificates. */
  readonly closing: AsyncDisposableStack
}

/** `admin.tls`, from one configuration to the next. */
export class OperatorTls<S extends OperatorTlsSettings> implements AsyncDisposable {
  readonly #open: OpenSpeech<S>
  #current: Speech | undefined

  constructor(open: OpenSpeech<S>) {
    this.#open = open
  }

  /** @throws {Error} when a certificate cannot be used. */
  async prepare(settings: S | undefined): Promise<PreparedOperatorTls> {
    const before = this.#current
    const next = settings && (await this.#speechOf(settings, before))
    return {
      create: next?.create ?? plainHttp,
      commit: () => {
        this.#current = next
        if (next !== before) void before?.closing.disposeAsync()
      },
      [Symbol.asyncDispose]: async () => {
        if (next !== before && next !== this.#current) await next?.closing.disposeAsync()
      },
    }
  }

  async #speechOf(settings: S, before: Speech | undefined): Promise<Speech> {
    const print = JSON.stringify(settings)
    if (print === before?.print) return before
    await using closing = new AsyncDisposableStack()
    const create = await this.#open(settings, closing)
    return { print, create, closing: closing.move() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#current?.closing.disposeAsync()
  }
}
