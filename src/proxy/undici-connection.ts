import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { connect as connectTls, TLSSocket } from 'node:tls'
import { Client } from 'undici'
import type { SocketRoom } from '../lib/descriptor-budget.ts'
import type { AddressBook } from './address-book.ts'
import type { ServerTls } from './attempt.ts'
import { connectFailure, connectTimeout, noSocketLeft, type Place, shuttingDown } from './failure.ts'
import type { ServerAddress } from './server-address.ts'
import { ClientGoneError, type Departure } from './upstream.ts'

/**
 * How long an unused connection is kept, in milliseconds, where the server does not say (`Keep-Alive: timeout=`): less
 * than the 5 s after which most servers close theirs, since a request that crosses with a close is lost.
 */
const KEEP_ALIVE_MS = 4_000

export interface ConnectionOptions {
  readonly address: ServerAddress
  /** Where the address is a name. */
  readonly book: AddressBook | undefined
  /** Undefined: without TLS. */
  readonly tls: ServerTls | undefined
  readonly connectMs: number
  readonly maxHeaderBytes: number
  /** Undefined: any number of connections. */
  readonly sockets: SocketRoom | undefined
  readonly facts: Place
}

/**
 * One connection to a server, with the undici client that speaks HTTP on it. One client per connection, and not
 * undici's pool, so that each exchange knows its own socket: only so can it be closed when the exchange was not clean.
 */
export interface Connection {
  readonly client: Client
  readonly socket: Socket
  readonly facts: Place
  /** True if there was an exchange on it before. */
  readonly isReused: boolean
  /** The exchange was clean: the connection may serve another one. */
  release(): void
  /** Closes the connection at once. */
  discard(): void
  /** It speaks another protocol now, and outlives the pool: whoever has its socket closes it. */
  handOver(): void
}

export interface ConnectionPool extends AsyncDisposable {
  /**
   * The connection used last, or a new one. With `isFresh` always a new one.
   *
   * @throws {GatewayError} `ERR_UPSTREAM_UNREACHABLE`, `ERR_UPSTREAM_TIMEOUT`, `ERR_OVERLOADED`
   * @throws {ClientGoneError}
   */
  acquire(options: { readonly isFresh: boolean; readonly client: Departure }): Promise<Connection>
  stats(): { readonly active: number; readonly idle: number; readonly pending: number }
}

/**
 * Creates an empty pool for one server. How many connections there may be is bounded where clients are accepted, and by the
 * room that all upstreams share.
 */
export function createConnectionPool(options: ConnectionOptions): ConnectionPool {
  const idle: Connection[] = []
  const connecting = new Set<Socket>()
  const connected = new Set<Socket>()
  const handedOver = new WeakSet<Socket>()
  const room = createPlaces(options.sockets, idle)
  let isClosed = false
  options.book?.watch(() => {
    for (const { socket, discard } of [...idle]) if (hasMoved(socket, options)) discard()
  })

  async function open(client: Departure): Promise<Socket> {
    if (isClosed) throw shuttingDown()
    if (!room.take()) throw noSocketLeft(options.facts)
    const socket = room.give(createSocket(options))
    connecting.add(socket)
    try {
      await untilConnected(socket, options, client)
      return socket
    } catch (error) {
      options.book?.doubt()
      throw isClosed ? shuttingDown() : error
    } finally {
      connecting.delete(socket)
    }
  }
  function keep(socket: Socket): Connection {
    connected.add(socket)
    socket.once('close', () => {
      connected.delete(socket)
      const at = idle.findIndex((other) => other.socket === socket)
      if (at !== -1) idle.splice(at, 1)
    })
    return connectionOn({ socket, client: createClient(socket, options), options, idle, handedOver }, false)
  }

  return {
    async acquire({ isFresh, client }) {
      while (!isFresh) {
        const connection = idle.pop()
        if (connection === undefined) break
        // undici waits one turn before it writes on a kept connection, but a turn that began before the bytes of a
        // stray answer came does not see them. Two turns have a look at the socket between them.
        await nextTurn()
        if (!connection.socket.destroyed) return connection
      }
      return keep(await open(client))
    },
    stats: () => ({ active: connected.size - idle.length, idle: idle.length, pending: connecting.size }),
    async [Symbol.asyncDispose]() {
      isClosed = true
      room.leave()
      const own = [...connected].filter((socket) => !handedOver.has(socket))
      await Promise.all([...connecting, ...own].map(close))
    },
  }
}

/** Who has a place in the room; each is given back once, when its socket is destroyed or closed. */
function createPlaces(sockets: SocketRoom | undefined, idle: Connection[]) {
  const placed = new Set<Socket>()
  function takeBack(socket: Socket): void {
    if (placed.delete(socket)) sockets?.free()
  }
  const leave = sockets?.addKeeper(() => {
    const oldest = idle.shift()
    if (oldest === undefined) return false
    oldest.discard()
    takeBack(oldest.socket)
    return true
  })
  return {
    take: () => sockets?.take() !== false,
    give(socket: Socket): Socket {
      placed.add(socket)
      return socket.once('close', () => takeBack(socket))
    },
    leave: () => leave?.(),
  }
}

interface Kept {
  readonly socket: Socket
  readonly client: Client
  readonly options: ConnectionOptions
  /** Where the connection goes when it is released. */
  readonly idle: Connection[]
  readonly handedOver: WeakSet<Socket>
}

function connectionOn(kept: Kept, isReused: boolean): Connection {
  const { socket, client, options, idle, handedOver } = kept
  return {
    client,
    socket,
    facts: options.facts,
    isReused,
    release() {
      if (socket.destroyed) return
      if (hasMoved(socket, options)) socket.destroy()
      else idle.push(connectionOn(kept, true))
    },
    discard: () => void socket.destroy(),
    handOver: () => void handedOver.add(socket),
  }
}

/** The name does not lead there any more. */
function hasMoved(socket: Socket, { book }: ConnectionOptions): boolean {
  return book?.isCurrent(socket) === false
}

function close(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()).destroy())
}

/** undici's own deadlines are switched off: they are up to a second late. The experimental parser stays off as well. */
function createClient(socket: Socket, { maxHeaderBytes }: ConnectionOptions): Client {
  let unused: Socket | undefined = socket
  // The scheme is always http: TLS is done already, and with https undici would close the connection whenever the
  // Host of a request differs from that of the one before.
  return new Client('http://upstream', {
    connect(_options, callback) {
      const next = unused
      unused = undefined
      // undici does not look for work if it is called back at once.
      queueMicrotask(() => {
        if (next === undefined) callback(new Error('the connection is closed'), null)
        else callback(null, next)
      })
    },
    pipelining: 1,
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    allowH2: false,
    useMilo: false,
  })
}

function createSocket({ address: { target }, book, tls }: ConnectionOptions): Socket {
  const where = book === undefined ? target : { ...target, lookup: book.lookup }
  const socket =
    tls === undefined
      ? connectTcp({ ...where, keepAlive: true, keepAliveInitialDelay: 60_000 })
      : connectTls({ ...where, ...nameFor(target, tls), secureContext: tls.context, ALPNProtocols: ['http/1.1'] })
  // It stays for the life of the socket: undici listens only while it owns it.
  return socket.setNoDelay(true).on('error', () => {})
}

/** The name that the server is asked for; where none is said, addresses have none (RFC 6066, section 3). */
function nameFor(target: ServerAddress['target'], { serverName }: ServerTls): { servername?: string } {
  const servername = serverName ?? ('host' in target && isIP(target.host) === 0 ? target.host : undefined)
  return servername === undefined ? {} : { servername }
}

function untilConnected(socket: Socket, { connectMs, facts }: ConnectionOptions, client: Departure): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(() => fail(connectTimeout(facts)), connectMs)
  const onError = (error: Error) => fail(connectFailure(error, facts))
  const onClose = () => fail(connectFailure(undefined, facts))
  function settle(): void {
    clearTimeout(timer)
    client.watcher = undefined
    socket.off('error', onError).off('close', onClose)
  }
  function fail(error: unknown): void {
    settle()
    socket.destroy()
    reject(error)
  }
  socket.on('error', onError).on('close', onClose)
  socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', () => {
    settle()
    resolve()
  })
  client.watcher = { onGone: () => fail(new ClientGoneError()) }
  return promise
}
