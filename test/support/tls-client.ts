import type { X509Certificate } from 'node:crypto'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { DEADLINE_MS, within } from './deadline.ts'

/** What came of one connection in TLS, with one request on it. */
export interface TlsAnswer {
  /** The certificate that the server has shown; undefined where a session was resumed and none was. */
  readonly certificate: X509Certificate | undefined
  readonly protocol: string
  readonly alpn: string | false | null
  readonly isReused: boolean
  /** The session to resume, where the server has given one. */
  readonly session: Buffer | undefined
  /** Everything that was answered. */
  readonly text: string
}

export interface TlsRequest extends ConnectionOptions {
  readonly port: number
  /** The whole request; default a GET of `/` that ends the connection. */
  readonly request?: string
}

/**
 * Connects, asks once, reads to the end. The certificate must be good for `servername` by `ca`.
 *
 * @throws {Error} whatever becomes of the handshake or the connection.
 */
export async function askTls({ request, ...options }: TlsRequest): Promise<TlsAnswer> {
  const name = options.servername ?? 'localhost'
  const text = request ?? `GET / HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const socket: TLSSocket = connect({ host: '127.0.0.1', servername: name, ...options })
  const chunks: Buffer[] = []
  let session: Buffer | undefined
  let shown: Omit<TlsAnswer, 'text' | 'session'> | undefined
  socket.on('session', (ticket: Buffer) => {
    session = ticket
  })
  socket.once('secureConnect', () => {
    shown = {
      certificate: socket.getPeerX509Certificate(),
      protocol: socket.getProtocol() ?? '',
      alpn: socket.alpnProtocol,
      isReused: socket.isSessionReused(),
    }
    socket.write(text, 'latin1')
  })
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.once('error', reject)
  socket.once('close', () => resolve(Buffer.concat(chunks).toString('latin1')))
  try {
    const answered = await within('an answer in TLS', promise, DEADLINE_MS)
    if (shown === undefined) throw new Error('the connection ended before the handshake did')
    // In TLS 1.3 a client is done before the server has looked at its certificate.
    if (answered === '') throw new Error('the connection ended without an answer')
    return { ...shown, session, text: answered }
  } finally {
    socket.destroy()
  }
}
