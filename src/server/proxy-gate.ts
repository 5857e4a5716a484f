import type { Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type ProxyHeader, readProxyHeader } from '../http/proxy-protocol.ts'

/** A proxy writes its header before anything else, and waits for nobody. */
const HEADER_DEADLINE_MS = 5_000

/** Who stands behind a connection, as the proxy says. */
export interface ProxiedPeer {
  /** Undefined: a Unix socket on which the proxy speaks for itself. `unknown`, which nobody trusts, if it names nobody. */
  readonly address: string | undefined
  /** The browser's side is TLS, as the proxy says. */
  readonly isTls: boolean
}

export interface ProxyGateOptions {
  /** The address of a connection; undefined on a Unix socket. */
  readonly addressOf: (socket: Socket) => string | undefined
  readonly isTrusted: (address: string | undefined) => boolean
  /** Whether the one whom the proxy names may have a further connection; false: it has been closed. Default yes. */
  readonly admits?: ((socket: Socket, address: string | undefined) => boolean) | undefined
  /** A connection was closed before anything was read as HTTP. */
  readonly onRefused: (socket: Socket, reason: string) => void
}

export interface ProxyGate {
  /** The peer of a connection that has passed. */
  peerOf(socket: Duplex): ProxiedPeer | undefined
  /** Ends the connections that have not passed yet; nobody else knows of them. */
  close(): void
}

/**
 * Stands before a server: each of its connections must come from a trusted address and begin with a header of the PROXY
 * protocol, or it is closed. The server gets the connection when the header has been taken off, with every byte that
 * came behind it, and not one of the header's.
 *
 * Called before anybody else listens for the server's connections. It takes the place of those who do, so it serves
 * `http` and `tls` alike: a handshake is one of the bytes that come behind.
 */
export function createProxyGate(server: Server, options: ProxyGateOptions): ProxyGate {
  const peers = new WeakMap<object, ProxiedPeer>()
  const waiting = new Set<Socket>()
  const takers = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    if (!options.isTrusted(options.addressOf(socket))) {
      options.onRefused(socket, 'its address is none of trusted_proxies')
      socket.destroy()
      return
    }
    waiting.add(socket)
    socket.once('close', () => waiting.delete(socket))
    readHeader(socket, (header, reason) => {
      waiting.delete(socket)
      if (header === undefined) {
        options.onRefused(socket, reason)
        socket.destroy()
        return
      }
      const peer = peerFrom(header, options.addressOf(socket))
      if (options.admits?.(socket, peer.address) === false) return
      peers.set(socket, peer)
      for (const take of takers) take.call(server, socket)
    })
  })
  return {
    peerOf: (socket) => peers.get(socket) ?? peers.get(beneath(socket)),
    close() {
      for (const socket of waiting) socket.destroy()
    },
  }
}

/** Calls back once, with the header, or with the reason why there is none; never if the connection is cut before. */
function readHeader(socket: Socket, done: (header: ProxyHeader | undefined, reason: string) => void): void {
  let held: Buffer = Buffer.alloc(0)
  const deadline = setTimeout(() => settle(undefined, 'its PROXY header did not come in time'), HEADER_DEADLINE_MS)

  function look(): void {
    const bytes: Buffer | null = socket.read()
    if (bytes === null) return
    held = held.length === 0 ? bytes : Buffer.concat([held, bytes])
    const reading = readProxyHeader(held)
    if (reading.state === 'malformed') settle(undefined, 'it does not begin with a PROXY header')
    if (reading.state !== 'complete') return
    if (held.length > reading.length) socket.unshift(held.subarray(reading.length))
    settle(reading.header, '')
  }
  function leave(): void {
    settle(undefined, 'it ended before its PROXY header')
  }
  function stop(): void {
    clearTimeout(deadline)
  }
  function settle(header: ProxyHeader | undefined, reason: string): void {
    clearTimeout(deadline)
    socket.off('readable', look).off('end', leave).off('error', ignore).off('close', stop)
    done(header, reason)
  }
  socket.on('readable', look).on('end', leave).on('error', ignore).on('close', stop)
}

/** What goes wrong with a connection closes it, and that is told by `close`. */
function ignore(): void {}

function peerFrom(header: ProxyHeader, own: string | undefined): ProxiedPeer {
  switch (header.kind) {
    case 'relayed':
      return { address: header.address, isTls: header.isTls }
    case 'unnamed':
      return { address: 'unknown', isTls: header.isTls }
    case 'own':
      return { address: own, isTls: false }
  }
}

/** A TLS connection stands on the one that passed. */
function beneath(socket: Duplex): object {
  return '_parent' in socket && typeof socket._parent === 'object' && socket._parent !== null ? socket._parent : socket
}
