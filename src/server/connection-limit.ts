import type { Server, Socket } from 'node:net'
import { clientNetwork } from '../http/client-network.ts'

/** Which limit a connection was one too many for; a closed set, for metrics. */
export type ConnectionRefusal = 'total' | 'address'

/** Room for connections of clients. */
export interface ClientRoom {
  /** One more; false if there is no room for it. */
  takeClient(): boolean
  freeClient(): void
}

export interface ConnectionLimits {
  /** Of all clients; undefined = as many as there is room for. */
  readonly total: number | undefined
  /** Of one IPv4 address or one /64 of IPv6; undefined = any number. */
  readonly perAddress: number | undefined
  /** Whose connections are those of many: not counted by address. */
  readonly isTrusted: (address: string | undefined) => boolean
}

export interface ConnectionLimitParts {
  readonly room: ClientRoom
  /** `address`: undefined where it was not asked for. */
  readonly onRefused: (reason: ConnectionRefusal, address: string | undefined) => void
}

/**
 * Counts the connections of all listeners, and closes what is one too many: before the first byte is read, and so before
 * a TLS handshake, because that is what a crowd makes expensive. Connections on Unix sockets have no address, and are
 * counted in all only.
 */
export class ConnectionLimit {
  readonly #parts: ConnectionLimitParts
  #limits: ConnectionLimits
  readonly #byNetwork = new Map<string, number>()
  #open = 0

  constructor(limits: ConnectionLimits, parts: ConnectionLimitParts) {
    this.#limits = limits
    this.#parts = parts
  }

  /** Other limits from now on; nobody who is connected is cut for them. */
  apply(limits: ConnectionLimits): void {
    this.#limits = limits
  }

  /** A connection has come. False: it was one too many, and is closed. */
  enter(socket: Socket): boolean {
    const { room } = this.#parts
    if (this.#open >= (this.#limits.total ?? Number.POSITIVE_INFINITY) || !room.takeClient()) {
      return this.#refuse(socket, 'total', undefined)
    }
    this.#open += 1
    socket.once('close', () => {
      this.#open -= 1
      room.freeClient()
    })
    return true
  }

  /** It is known whose connection it is; undefined = one on a Unix socket. False: it was one too many, and is closed. */
  attribute(socket: Socket, address: string | undefined): boolean {
    const { perAddress, isTrusted } = this.#limits
    if (perAddress === undefined || address === undefined || isTrusted(address)) return true
    const network = clientNetwork(address)
    if (network === undefined) return true
    const count = this.#byNetwork.get(network) ?? 0
    if (count >= perAddress) return this.#refuse(socket, 'address', address)
    this.#byNetwork.set(network, count + 1)
    socket.once('close', () => this.#leave(network))
    return true
  }

  #leave(network: string): void {
    const left = (this.#byNetwork.get(network) ?? 0) - 1
    if (left > 0) this.#byNetwork.set(network, left)
    else this.#byNetwork.delete(network)
  }

  #refuse(socket: Socket, reason: ConnectionRefusal, address: string | undefined): false {
    socket.destroy()
    this.#parts.onRefused(reason, address)
    return false
  }
}

/**
 * Stands before everybody who listens for the server's connections by now: they hear of those only that are admitted.
 * `net` hands a connection to `http`, to `tls` or to a gate of ours by that event alone.
 */
export function guardConnections(server: Server, admits: (socket: Socket) => boolean): void {
  const takers = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    if (!admits(socket)) return
    for (const take of takers) take.call(server, socket)
  })
}
