import { isIP, type Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { SocketRoom } from '../lib/descriptor-budget.ts'
import { AddressBook } from './address-book.ts'
import type { AnswerHead } from './answer-head.ts'
import { readServerAddress, type ServerAddress } from './server-address.ts'
import type {
  ShownCertificates,
  UpstreamOptions,
  UpstreamRequest,
  UpstreamStats,
  UpstreamTimeouts,
} from './upstream.ts'

/** How an attempt failed, as far as it decides whether there may be another one. */
export interface AttemptFailure {
  readonly error: unknown
  /** A kept connection turned out to be closed before anything was written: that was no attempt. */
  readonly isUnused: boolean
  /** No connection came to stand: nothing of the request, and of its body, has left the house. */
  readonly isUnconnected: boolean
  /** The connection was refused, or was cut before the first byte of an answer. */
  readonly wasCutUnanswered: boolean
}

/** One attempt to send a request to one server, and who is told how it went: one of the three, once. */
export interface Attempt {
  readonly request: UpstreamRequest
  /** On a new connection only. */
  readonly isFresh: boolean
  /** Asks for a change to the WebSocket protocol. */
  readonly isUpgrade: boolean
  /** The Host that goes up; undefined: the request's. */
  readonly ownHost: string | undefined
  /** A text is the whole body, and then the exchange is over; a stream may still fail. */
  answered(head: AnswerHead, body: Readable | string): void
  switched(headers: readonly string[], socket: Socket): void
  failed(failure: AttemptFailure): void
}

/** One server of an upstream and the connections to it. */
export interface Server extends AsyncDisposable {
  readonly address: ServerAddress
  /** Connections in use or being opened. */
  readonly load: number
  /** Never throws, but for a request that must not leave the house. */
  send(attempt: Attempt): void
  stats(): UpstreamStats
}

export interface ServerOptions {
  /** The upstream's name, for the facts of errors. */
  readonly name: string
  readonly address: ServerAddress
  /** Undefined where the address has no name to resolve. */
  readonly book: AddressBook | undefined
  /** Undefined where the address has no TLS. */
  readonly tls: ServerTls | undefined
  readonly timeouts: UpstreamTimeouts
  readonly maxHeaderBytes: number
  /** Undefined: any number of connections. */
  readonly sockets: SocketRoom | undefined
}

/** `UpstreamTls`, made ready once: reading certificates costs more than a handshake. */
export interface ServerTls {
  /** For connections from now on; another one when the certificates are replaced. */
  context: SecureContext
  readonly serverName: string | undefined
}

const DEFAULT_MAX_HEADER_BYTES = 32 * 1024

/**
 * What one of the servers of an upstream needs to know of it.
 *
 * @throws {Error} for certificates that OpenSSL does not take.
 */
export function serverOptions(origin: string, options: UpstreamOptions): ServerOptions {
  const { name, timeouts, maxHeaderBytes = DEFAULT_MAX_HEADER_BYTES, sockets } = options
  const address = readServerAddress(origin)
  const book = bookOf(address, options)
  return { name, address, book, tls: tlsOf(address, options), timeouts, maxHeaderBytes, sockets }
}

function bookOf({ target }: ServerAddress, { resolution }: UpstreamOptions): AddressBook | undefined {
  return 'host' in target && isIP(target.host) === 0 ? new AddressBook(target.host, resolution) : undefined
}

function tlsOf({ isTls }: ServerAddress, { name, tls }: UpstreamOptions): ServerTls | undefined {
  if (!isTls) return undefined
  return { context: createContext(name, tls ?? {}), serverName: tls?.serverName }
}

/** @throws {Error} for certificates that OpenSSL does not take; `name` is the upstream's. */
export function createContext(name: string, { ca, cert, key }: Partial<ShownCertificates>): SecureContext {
  try {
    return createSecureContext({ ca, cert, key })
  } catch (cause) {
    throw new Error(`a certificate, key or authority of the upstream ${name} cannot be used`, { cause })
  }
}
