import type { AddressBook } from './address-book.ts'
import type { Attempt, Server, ServerOptions } from './attempt.ts'
import { noSocketLeft, shuttingDown } from './failure.ts'
import { type ConnectionHouse, LeanConnection, NEVER } from './lean-connection.ts'
import { createExchangeTimes, type ExchangeTimes, LeanExchange } from './lean-exchange.ts'
import { Llhttp } from './llhttp.ts'
import { LookedAt } from './looked-at.ts'
import { requestHead } from './request-head.ts'
import type { ServerAddress } from './server-address.ts'
import { createTicker, ticksFor } from './ticker.ts'
import type { UpstreamStats } from './upstream.ts'

/** What one read takes at most. */
const READ_BYTES = 64 * 1024

/**
 * One server of plain HTTP, with the connections to it. How many there may be is bounded where clients are accepted, and by
 * the room that all upstreams share.
 */
export class LeanServer implements Server, ConnectionHouse {
  readonly address: ServerAddress
  readonly book: AddressBook | undefined
  readonly facts: { readonly upstream: string; readonly server: string }
  readonly connectTicks: number
  readonly maxHeaderBytes: number
  readonly ticker = createTicker(() => this.#onTick())
  readonly llhttp = new Llhttp(READ_BYTES)
  readonly buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  readonly #times: ExchangeTimes
  readonly #sockets: ServerOptions['sockets']
  readonly #leaveRoom: (() => void) | undefined
  readonly #lookedAt = new LookedAt()
  /** The one used last is at the end. */
  readonly #idle: LeanConnection[] = []
  readonly #open = new Set<LeanConnection>()
  readonly #closing = new Set<LeanConnection>()
  #onAllClosed: (() => void) | undefined
  #isClosed = false

  constructor({ name, address, book, timeouts, maxHeaderBytes, sockets }: ServerOptions) {
    this.address = address
    this.book = book
    book?.watch(() => {
      for (const connection of this.#open) connection.retireIfMoved()
    })
    this.facts = { upstream: name, server: address.label }
    this.connectTicks = ticksFor(timeouts.connectMs)
    this.maxHeaderBytes = maxHeaderBytes
    this.#times = createExchangeTimes(timeouts)
    this.#sockets = sockets
    this.#leaveRoom = sockets?.addKeeper(() => this.#closeUnused())
  }

  send(attempt: Attempt): void {
    const head = requestHead(attempt.request, attempt.ownHost)
    if (this.#isClosed) throw shuttingDown()
    const kept = attempt.isFresh ? undefined : this.#idle.pop()
    if (kept === undefined && this.#sockets?.take() === false) {
      attempt.failed({ error: noSocketLeft(this.facts), isUnused: false, isUnconnected: true, wasCutUnanswered: false })
      return
    }
    const connection = kept ?? this.#connect()
    const exchange = new LeanExchange({ attempt, connection, head, times: this.#times })
    connection.user = exchange
    if (kept === undefined) return
    kept.dueTick = NEVER
    this.#lookedAt.add(exchange)
  }

  get load(): number {
    return this.#open.size - this.#idle.length
  }

  stats(): UpstreamStats {
    let pending = 0
    for (const { isConnected } of this.#open) if (!isConnected) pending += 1
    return { active: this.#open.size - pending - this.#idle.length, idle: this.#idle.length, pending }
  }

  onReleased(connection: LeanConnection): void {
    this.#idle.push(connection)
  }

  onGone(connection: LeanConnection): void {
    if (!connection.isConnected) this.book?.doubt()
    this.#open.delete(connection)
    this.#sockets?.free()
    this.#closing.add(connection)
    const at = this.#idle.lastIndexOf(connection)
    if (at !== -1) this.#idle.splice(at, 1)
    if (this.#open.size === 0) this.ticker.stop()
  }

  onClosed(connection: LeanConnection): void {
    this.#closing.delete(connection)
    if (this.#closing.size === 0) this.#onAllClosed?.()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#leaveRoom?.()
    for (const connection of this.#open) {
      if (connection.isConnected) connection.cut()
      else connection.refuse(shuttingDown())
    }
    if (this.#closing.size === 0) return
    await new Promise<void>((resolve) => {
      this.#onAllClosed = resolve
    })
  }

  /** Somebody else needs a socket. The one that has waited longest is the least likely to be missed. */
  #closeUnused(): boolean {
    const oldest = this.#idle[0]
    oldest?.discard()
    return oldest !== undefined
  }

  #connect(): LeanConnection {
    const connection = new LeanConnection(this)
    this.#open.add(connection)
    this.ticker.start()
    return connection
  }

  #onTick(): void {
    const { count } = this.ticker
    for (const connection of this.#open) if (connection.dueTick <= count) connection.onDue()
  }
}
