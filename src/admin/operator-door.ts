import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import { createServer as createTcpServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { addressText, type ListenAddress, listenOn } from '../lib/listening.ts'

/** A server that speaks http, or https, on connections that are handed to it. */
export interface OperatorServer {
  readonly server: Server
  readonly isTls: boolean
  /** As RFC 9440, section 2.1 writes it; undefined: the client has shown none that the authorities in force vouch for. */
  clientCertificate(socket: Duplex): string | undefined
  /** Cuts the connections on which no request may come yet. */
  endHandshakes(): void
}

/** Nothing listens yet. */
export type CreateOperatorServer = (options: ServerOptions) => OperatorServer

/** What is spoken where nothing else is wanted. */
export function plainHttp(options: ServerOptions): OperatorServer {
  return {
    server: createServer(options),
    isTls: false,
    clientCertificate: () => undefined,
    endHandshakes: () => undefined,
  }
}

/** `certificate`: see {@link OperatorServer.clientCertificate}. */
type Serve = (request: IncomingMessage, response: ServerResponse, certificate: string | undefined) => Promise<void>

export interface OperatorDoorOptions {
  readonly address: ListenAddress
  readonly server: ServerOptions
  /** Connections on which nothing happens are closed after one to two times this. */
  readonly idleMs: number
  readonly serve: Serve
}

/** An address of the operator's. What is spoken there may change while it stays open. */
export class OperatorDoor {
  readonly #options: OperatorDoorOptions
  readonly #door = createTcpServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#take(socket))
  /** Those that speak no more have connections yet. */
  readonly #servers = new Set<OperatorServer>()
  #create: CreateOperatorServer = plainHttp
  #current: OperatorServer
  #isLeaving = false
  #address = ''

  constructor(options: OperatorDoorOptions) {
    this.#options = options
    this.#current = this.#open(plainHttp)
  }

  /** @throws {Error} the system's, when the address cannot be had. */
  async listen(): Promise<void> {
    await listenOn(this.#door, this.#options.address)
    this.#address = addressText(this.#door, this.#options.address)
  }

  /** `host:port`, or the socket's path; the same when it is closed. */
  get address(): string {
    return this.#address
  }

  /** Connections that come from now on are of such a server; those of before end as they would. */
  speak(create: CreateOperatorServer): void {
    if (create === this.#create) return
    this.#create = create
    close(this.#current)
    this.#current = this.#open(create)
  }

  /** Takes nobody any more; resolves when the last connection is closed, after `idleMs` at the latest. */
  async leave(): Promise<void> {
    this.#isLeaving = true
    const cut = setTimeout(() => this.cut(), this.#options.idleMs)
    const closed = new Promise((resolve) => this.#door.close(resolve))
    for (const one of this.#servers) close(one)
    await closed
    clearTimeout(cut)
  }

  /** Ends every connection. */
  cut(): void {
    for (const one of this.#servers) {
      one.server.closeAllConnections()
      one.endHandshakes()
    }
  }

  #take(socket: Socket): void {
    // A handshake is not waited for by somebody who has finished sending.
    if (this.#current.isTls) socket.allowHalfOpen = false
    this.#current.server.emit('connection', socket)
  }

  #open(create: CreateOperatorServer): OperatorServer {
    const { server: options, idleMs, serve } = this.#options
    const opened = create(options)
    this.#servers.add(opened)
    opened.server.on('request', (request, response) => {
      // A connection that is kept after its answer would be served on by a server that speaks no more.
      response.once('finish', () => {
        if (opened !== this.#current || this.#isLeaving) opened.server.closeIdleConnections()
      })
      void serve(request, response, opened.clientCertificate(request.socket))
    })
    opened.server.setTimeout(idleMs)
    // It is the door that listens. Without this `node:http` would not look for heads that are never completed.
    opened.server.emit('listening')
    return opened
  }
}

/** The connections on which nothing is asked end. */
function close(one: OperatorServer): void {
  one.server.close()
  one.endHandshakes()
}
