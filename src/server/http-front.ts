import { createServer, type Server, type ServerOptions } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { SecureContext, SecureContextOptions, TLSSocket } from 'node:tls'
import { systemClock } from '../lib/clock.ts'
import type { Certificates, TlsSettings } from './certificates.ts'

/** A handshake must be over by then. */
const HANDSHAKE_DEADLINE_MS = 10_000

/** Why a handshake came to nothing; a closed set, for metrics. */
export type HandshakeFailure =
  | 'plain_http'
  | 'timeout'
  | 'closed'
  | 'version'
  | 'no_client_certificate'
  | 'bad_client_certificate'
  | 'refused_by_client'
  | 'other'

export interface TlsParts {
  readonly settings: TlsSettings
  readonly certificates: Certificates
  /**
   * 48 bytes that seal session tickets (RFC 5077), so that other workers know them; other ones for other authorities, or
   * whom those before have vouched for would go on being resumed. Undefined = this process's own, as new as its context.
   */
  readonly ticketKeys?: ((authorities: SecureContextOptions['ca']) => Buffer) | undefined
  /** `code`: of OpenSSL or the system. `peer`: empty on a Unix socket. */
  readonly onHandshakeFailure: (failure: { reason: HandshakeFailure; code: string; peer: string }) => void
}

export interface TlsFrontParts extends TlsParts {
  /** Who stands behind a connection; empty on a Unix socket. */
  readonly addressOf: (socket: Duplex) => string
}

/** A server for HTTP/1.1, and what its connections have gone through before the first request. */
export interface HttpFront {
  readonly server: Server
  readonly isTls: boolean
  /** Calls back with each connection on which requests may come. */
  onConnection(listener: (socket: Socket) => void): void
  /** The client's certificate as RFC 9440, section 2.1 writes it; undefined if it has shown none. */
  clientCertificate(socket: Duplex): string | undefined
  /** Cuts the connections on which no request may come yet. */
  endHandshakes(): void
}

/** Nothing listens yet. */
export function createHttpFront(options: ServerOptions, tls: TlsFrontParts | undefined): HttpFront {
  return tls === undefined ? plainFront(createServer(options)) : new TlsFront(options, tls)
}

function plainFront(server: Server): HttpFront {
  return {
    server,
    isTls: false,
    onConnection: (listener) => void server.on('connection', listener),
    clientCertificate: () => undefined,
    endHandshakes: () => undefined,
  }
}

class TlsFront implements HttpFront {
  readonly isTls = true
  readonly server: Server
  readonly #parts: TlsFrontParts
  readonly #handshakes = new Set<unknown>()
  readonly #certificates = new WeakMap<Duplex, string>()

  constructor(options: ServerOptions, parts: TlsFrontParts) {
    const { settings, certificates, ticketKeys } = parts
    this.#parts = parts
    const withTicketKeys = <O extends SecureContextOptions>(context: O): O => ({
      ...context,
      ...(ticketKeys && { ticketKeys: ticketKeys(context.ca) }),
    })
    const server = createSecureServer({
      ...options,
      ...withTicketKeys(certificates.options),
      SNICallback: (name: string, done: (error: Error | null, context?: SecureContext) => void) =>
        done(null, certificates.contextFor(name)),
      handshakeTimeout: HANDSHAKE_DEADLINE_MS,
      requestCert: settings.clientCa !== undefined,
      rejectUnauthorized: settings.clientCa?.isRequired === true,
    })
    certificates.attach({ setSecureContext: (context) => server.setSecureContext(withTicketKeys(context)) })
    // node:https would hand these to the listener for requests that cannot be parsed, and that one answers in plain text.
    server.removeAllListeners('tlsClientError')
    server.on('tlsClientError', (error, socket) => this.#failed(error, socket))
    server.on('connection', (socket: Duplex) => {
      this.#handshakes.add(socket)
      socket.once('close', () => this.#handshakes.delete(socket))
    })
    // Before node:https takes the first request off it.
    server.prependListener('secureConnection', (socket) => this.#secured(socket))
    // It has everything that a plain one has, and its types do not say so.
    this.server = server as unknown as Server
  }

  onConnection(listener: (socket: Socket) => void): void {
    this.server.on('secureConnection', listener)
  }

  clientCertificate(socket: Duplex): string | undefined {
    return this.#certificates.get(socket)
  }

  endHandshakes(): void {
    for (const socket of this.#handshakes) if (isDestroyable(socket)) socket.destroy()
  }

  #secured(socket: TLSSocket): void {
    // Should node:tls call the socket below another name one day, none is cut, and the deadline ends what hangs.
    if ('_parent' in socket) this.#handshakes.delete(socket._parent)
    else this.#handshakes.clear()
    // As plain ones have it. Not before: whoever opens and closes would be waited for until the deadline.
    socket.allowHalfOpen = true
    if (this.#parts.settings.clientCa === undefined) return
    const certificate = socket.getPeerX509Certificate()
    if (certificate === undefined) return
    // Of a session that is resumed OpenSSL says what it said when the certificate was shown.
    const hasEnded = certificate.validToDate.getTime() < systemClock()
    if (socket.authorized && !hasEnded) {
      this.#certificates.set(socket, `:${certificate.raw.toString('base64')}:`)
      return
    }
    // One that was shown and does not hold is no better where none was needed: its owner must not be taken for nobody.
    const flaw = socket.authorized ? 'CERT_HAS_EXPIRED' : textOf(socket.authorizationError)
    this.#report(socket, 'bad_client_certificate', flaw)
    socket.destroy()
  }

  #failed(error: NodeJS.ErrnoException, socket: TLSSocket): void {
    const flaw = socket.authorizationError
    // The socket below goes with it; that of a client that speaks no TLS would stay open.
    if (flaw) this.#report(socket, 'bad_client_certificate', textOf(flaw))
    else this.#report(socket, reasonOf(error.code ?? ''), error.code ?? 'unknown')
    socket.destroy()
  }

  #report(socket: TLSSocket, reason: HandshakeFailure, code: string): void {
    this.#parts.onHandshakeFailure({ reason, code, peer: this.#parts.addressOf(socket) })
  }
}

/** Types say that it is an error; it is its code. */
function textOf(authorizationError: unknown): string {
  return typeof authorizationError === 'string' ? authorizationError : 'unknown'
}

function isDestroyable(socket: unknown): socket is Duplex {
  return typeof socket === 'object' && socket !== null && 'destroy' in socket
}

const failures: Readonly<Record<string, HandshakeFailure>> = {
  ERR_SSL_HTTP_REQUEST: 'plain_http',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'timeout',
  ECONNRESET: 'closed',
  EPIPE: 'closed',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'version',
  ERR_SSL_VERSION_TOO_LOW: 'version',
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'no_client_certificate',
}

function reasonOf(code: string): HandshakeFailure {
  // An alert is the client's word: it does not know our authority, or takes the certificate for another's.
  return failures[code] ?? (code.includes('_ALERT_') ? 'refused_by_client' : 'other')
}
