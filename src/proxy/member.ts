import type { SecureContext } from 'node:tls'
import type { AddressBook } from './address-book.ts'
import { type Server, type ServerTls, serverOptions } from './attempt.ts'
import { type Candidate, hashOf } from './balance.ts'
import { isOwnShortage } from './failure.ts'
import { startHealthChecks } from './health-checks.ts'
import { LeanServer } from './lean-server.ts'
import type { ServerAddress } from './server-address.ts'
import { type ServerState, Standing } from './standing.ts'
import { createUndiciServer } from './undici-server.ts'
import type { UpstreamOptions } from './upstream.ts'

/** One server of an upstream with all that there is of it: two clients, and what is held of it. */
export class Member implements Candidate, AsyncDisposable {
  readonly address: ServerAddress
  /** The Host that goes up; undefined: the request's. */
  readonly ownHost: string | undefined
  readonly seed: number
  readonly standing: Standing
  /** For requests. */
  readonly forwarder: Server
  /** For what asks for a change of the protocol. */
  readonly upgrader: Server
  readonly #book: AddressBook | undefined
  readonly #tls: ServerTls | undefined
  readonly #stopChecks: () => void = () => undefined

  constructor(origin: string, options: UpstreamOptions, onState: (state: ServerState) => void) {
    const own = serverOptions(origin, options)
    const isLean = options.implementation !== 'undici' && !own.address.isTls
    this.address = own.address
    this.#book = own.book
    this.#tls = own.tls
    this.ownHost = options.passHost === false ? own.address.authority : undefined
    this.seed = hashOf(own.address.origin)
    this.standing = new Standing({ server: own.address.label, thresholds: options.health ?? NEVER_CHECKED, onState })
    this.forwarder = isLean ? new LeanServer(own) : createUndiciServer(own)
    this.upgrader = createUndiciServer(own)
    if (options.health !== undefined) {
      const { standing } = this
      this.#stopChecks = startHealthChecks(this.forwarder, options.health, (cause) => {
        if (!isOwnShortage(cause)) standing.onCheck(cause)
      })
    }
  }

  /** New connections begin with it; without TLS there are none that could. */
  renewContext(context: SecureContext): void {
    if (this.#tls !== undefined) this.#tls.context = context
  }

  get load(): number {
    return this.forwarder.load + this.upgrader.load
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopChecks()
    this.#book?.[Symbol.dispose]()
    await Promise.all([this.forwarder[Symbol.asyncDispose](), this.upgrader[Symbol.asyncDispose]()])
  }
}

const NEVER_CHECKED = { unhealthyAfter: 1, healthyAfter: 1 }
