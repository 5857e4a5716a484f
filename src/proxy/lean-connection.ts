import { connect, type Socket } from 'node:net'
import type { AddressBook } from './address-book.ts'
import { connectFailure, connectTimeout, type Place } from './failure.ts'
import type { Llhttp } from './llhttp.ts'
import { ResponseParser } from './response-parser.ts'
import type { ServerAddress } from './server-address.ts'
import { type Ticker, ticksFor } from './ticker.ts'

/**
 * From this size on a piece of a body is handed on where it was read, and the connection gets another buffer. Smaller
 * ones are copied, so that nobody who reads slowly holds large buffers for the sake of a few bytes.
 */
const HANDED_ON_BYTES = 32 * 1024

/** Nothing is waited for. */
export const NEVER = Number.POSITIVE_INFINITY

/** Who has a connection at the moment. Whatever happens on it is told to him; while nobody has it, it closes. */
export interface ConnectionUser {
  onConnected(): void
  /** There will be no connection. */
  onUnreachable(error: unknown): void
  /** Bytes are in the connection's buffer, where they do not stay. Returns false to read no more for now. */
  onRead(byteCount: number): boolean
  /** Data of a chunked body is in the buffer; called from within the parser. */
  onChunkData(from: number, to: number): void
  onDrain(): void
  /** The other side has finished sending. */
  onEnd(): void
  /** The connection is gone. */
  onLost(cause: unknown): void
  /** The time that was set with `due` is over. */
  onDue(): void
}

/** What all connections to a server have in common. */
export interface ConnectionHouse {
  readonly address: Pick<ServerAddress, 'target'>
  /** Where the address is a name. */
  readonly book: AddressBook | undefined
  readonly facts: Place
  readonly connectTicks: number
  readonly maxHeaderBytes: number
  readonly ticker: Ticker
  readonly llhttp: Llhttp
  /** Reads of all connections go in here, unless one has large pieces to hand on: nothing stays in it. */
  readonly buffer: Buffer
  onReleased(connection: LeanConnection): void
  /** It is closed, or about to be; not to be used any more. */
  onGone(connection: LeanConnection): void
  onClosed(connection: LeanConnection): void
}

/**
 * One TCP connection to a server, with its parser. It is read all the time, also when nobody uses it: any byte, FIN or
 * error that comes then closes it.
 */
export class LeanConnection {
  readonly socket: Socket
  readonly parser: ResponseParser
  readonly #house: ConnectionHouse
  #buffer: Buffer
  #isHandedOn = false
  user: ConnectionUser | undefined
  /** The tick at which whoever waits has waited too long. */
  dueTick: number
  /** There was an exchange on it before. */
  isReused = false
  isConnected = false
  isGone = false
  #isRetired = false

  /** Begins to connect. */
  constructor(house: ConnectionHouse) {
    this.#house = house
    this.#buffer = house.buffer
    this.dueTick = house.ticker.count + house.connectTicks
    this.parser = new ResponseParser(house.llhttp, house.maxHeaderBytes, (from, to) => this.user?.onChunkData(from, to))
    this.socket = connect({
      ...house.address.target,
      ...(house.book === undefined ? {} : { lookup: house.book.lookup }),
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
      onread: { buffer: () => this.#nextBuffer(), callback: (byteCount) => this.#onRead(byteCount) },
    })
    this.#listen()
  }

  get facts(): Place {
    return this.#house.facts
  }

  /** What was read last. */
  get buffer(): Buffer {
    return this.#buffer
  }

  /** Bytes of the buffer, to keep. */
  take(from: number, to: number): Buffer {
    const bytes = this.#buffer.subarray(from, to)
    if (to - from < HANDED_ON_BYTES) return Buffer.from(bytes)
    this.#isHandedOn = true
    return this.#buffer === this.#house.buffer ? Buffer.from(bytes) : bytes
  }

  /** Sets the time anew, in ticks as `ticksFor` counts them. */
  due(ticks: number): void {
    this.dueTick = this.#house.ticker.count + ticks
  }

  /** The exchange was clean: the connection may serve another one, within so many milliseconds. */
  release(keepMs: number): void {
    if (this.#isRetired) {
      this.discard()
      return
    }
    this.user = undefined
    this.isReused = true
    this.#buffer = this.#house.buffer
    this.#isHandedOn = false
    this.due(ticksFor(keepMs))
    this.#house.onReleased(this)
  }

  /** Where the name does not lead here any more, the exchange under way is the last. */
  retireIfMoved(): void {
    const { book } = this.#house
    if (book === undefined || !this.isConnected || book.isCurrent(this.socket)) return
    this.#isRetired = true
    if (this.user === undefined) this.discard()
  }

  /** Closes the connection at once. Nobody is told. */
  discard(): void {
    this.user = undefined
    if (this.isGone) return
    this.isGone = true
    this.dueTick = NEVER
    this.#house.onGone(this)
    this.socket.destroy()
  }

  /** The time is over. */
  onDue(): void {
    if (this.user === undefined) this.discard()
    else if (this.isConnected) this.user.onDue()
    else this.refuse(connectTimeout(this.facts))
  }

  /** Closes the connection at once, as if the other side had. */
  cut(): void {
    this.#onLost(undefined)
  }

  /** Gives up a connection that is being made. */
  refuse(error: unknown): void {
    const { user } = this
    this.discard()
    user?.onUnreachable(error)
  }

  #onRead(byteCount: number): boolean {
    if (this.user !== undefined) return this.user.onRead(byteCount)
    this.discard()
    return false
  }

  /** Where the next read goes. */
  #nextBuffer(): Buffer {
    if (this.#isHandedOn) {
      this.#buffer = Buffer.allocUnsafeSlow(this.#house.buffer.length)
      this.#isHandedOn = false
    }
    return this.#buffer
  }

  #listen(): void {
    const { socket } = this
    socket.on('connect', () => {
      this.isConnected = true
      this.dueTick = NEVER
      this.retireIfMoved()
      this.user?.onConnected()
    })
    socket.on('drain', () => this.user?.onDrain())
    socket.on('end', () => {
      if (this.user === undefined) this.discard()
      else this.user.onEnd()
    })
    socket.on('error', (error) => this.#onLost(error))
    socket.on('close', () => {
      this.#onLost(undefined)
      // Not before: it may be discarded from within the parser.
      this.parser.free()
      this.#house.onClosed(this)
    })
  }

  #onLost(cause: unknown): void {
    if (!this.isConnected) {
      this.refuse(connectFailure(cause, this.facts))
      return
    }
    const { user } = this
    this.discard()
    user?.onLost(cause)
  }
}
