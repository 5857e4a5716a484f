import { once } from 'node:events'
import { type IncomingHttpHeaders, request } from 'node:http'
import { connect, isIP, type NetConnectOpts, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'

/** More is not read: nothing that is asked for is longer. */
const MAX_BODY = 512 * 1024

/** What a server said, as far as somebody wants to know who it is. */
export interface ServerAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** The first 512 KiB. */
  readonly body: string
}

/** A connection that stands, plain. @throws {Error} the system's, or an AbortError. */
export async function openSocket(target: NetConnectOpts, signal: AbortSignal): Promise<Socket> {
  // What happens to it later shows in whatever is asked on it.
  const socket = connect(target).on('error', ignore)
  try {
    await once(socket, 'connect', { signal })
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** TLS on a connection; nothing is sent before the other side is known. @throws {Error} that of OpenSSL or of the check. */
export async function secureSocket(
  socket: Socket,
  { host, ...options }: ConnectionOptions & { readonly host: string },
  signal: AbortSignal,
) {
  const name = options.servername ?? (isIP(host) === 0 ? host : '')
  const secured = connectTls({ ...options, socket, host, servername: name }).on('error', ignore)
  await once(secured, 'secureConnect', { signal })
  return secured
}

export interface Question {
  readonly method: 'GET' | 'HEAD'
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

/** Asks on a connection, once. @throws {Error} when it is cut, makes no sense, or the time is over. */
export async function askOn(socket: Socket, question: Question, signal: AbortSignal): Promise<ServerAnswer> {
  const { method, path, headers } = question
  const asked = request({ method, path, headers, createConnection: () => socket, signal })
  asked.end()
  const [response] = await once(asked, 'response', { signal })
  response.setEncoding('latin1')
  let body = ''
  for await (const text of response) {
    body += text
    if (body.length > MAX_BODY) break
  }
  socket.destroy()
  return { status: response.statusCode, headers: response.headers, body: body.slice(0, MAX_BODY) }
}

function ignore(): void {}
