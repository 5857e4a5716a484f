import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { within } from './deadline.ts'

/** One answer as it stood on the wire. Text is latin1: one character a byte. */
export interface RawResponse {
  readonly version: string
  readonly status: number
  readonly reason: string
  /** Flat name, value, …; values without the spaces around them. */
  readonly rawHeaders: readonly string[]
  /** The values of every line of that name, in any case. */
  values(name: string): string[]
  readonly body: Buffer
  /** False if the connection ended before the body did. */
  readonly isComplete: boolean
  /** The trailer section of a chunked body, without its empty line. */
  readonly trailers: string
}

export interface ResponseOptions {
  /** The method of the request, since an answer to HEAD has no body whatever its head says. Default `GET`. */
  readonly method?: string
  readonly deadlineMs?: number
}

/** A TCP client that sends exactly the bytes it is given. */
export interface RawClient extends AsyncDisposable {
  readonly socket: Socket
  /** Sends text (latin1) or bytes, as one write. */
  send(bytes: string | Uint8Array): Promise<void>
  /**
   * The next answer, 1xx ones included. After a 101 nothing more is parsed: `data` and `rest` have what follows.
   * Rejects when the connection ends before a whole head has come.
   */
  response(options?: ResponseOptions): Promise<RawResponse>
  /** Exactly that many of the bytes not yet handed out. */
  data(count: number): Promise<Buffer>
  /** Everything not yet handed out, once the other side has finished sending or has cut the connection. */
  rest(deadlineMs?: number): Promise<Buffer>
  /** Stops reading, so that the other side meets a client that takes nothing; `resume` goes on. */
  pause(): void
  resume(): void
  /** Half-closes: FIN after what was sent. */
  end(): void
  /** Cuts the connection with a RST. */
  reset(): void
  /** Resolves when the other side has finished sending or the connection is cut. */
  readonly closed: Promise<void>
}

export interface RawClientOptions {
  readonly port: number
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** The address of this machine that it comes from. Default the system's choice. */
  readonly localAddress?: string
  /** Path of a unix socket, instead of a port. */
  readonly path?: string
  /** Speaks TLS without looking at the certificate; the name is sent as SNI. */
  readonly tlsServername?: string
}

/** Connects to a port on 127.0.0.1, or to what the options say. */
export async function connectRaw(target: number | RawClientOptions): Promise<RawClient> {
  const options: RawClientOptions = typeof target === 'number' ? { port: target } : target
  const { port, host = '127.0.0.1', path, tlsServername, localAddress } = options
  const from = localAddress === undefined ? {} : { localAddress }
  const address = path === undefined ? { port, host, ...from } : { path, port }
  const socket =
    tlsServername === undefined
      ? connect({ ...address, allowHalfOpen: true, noDelay: true })
      : connectTls({ ...address, servername: tlsServername, rejectUnauthorized: false })
  await within('a connection', once(socket, tlsServername === undefined ? 'connect' : 'secureConnect'))
  return createRawClient(socket)
}

function createRawClient(socket: Socket): RawClient {
  const inbox = createInbox(socket)
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  socket.on('end', () => resolve())
  socket.on('close', () => resolve())
  return {
    socket,
    closed,
    send: (bytes) =>
      new Promise((done, reject) => {
        const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
        socket.write(data, (error) => (error ? reject(error) : done()))
      }),
    response: ({ method = 'GET', deadlineMs } = {}) => within('an answer', readResponse(inbox, method), deadlineMs),
    data: (count) => within(`${count} bytes`, inbox.take(count)),
    rest: (deadlineMs) => within('the end of the connection', inbox.takeRest(), deadlineMs),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(),
    reset: () => void socket.resetAndDestroy(),
    async [Symbol.asyncDispose]() {
      socket.destroy()
      await closed
    },
  }
}

/** Bytes that arrived and were not handed out yet. */
interface Inbox {
  /** Up to and including the mark; rejects if the connection ends first. */
  takeThrough(mark: string): Promise<string>
  /** Exactly so many bytes; rejects if the connection ends first. */
  take(count: number): Promise<Buffer>
  /** At most so many bytes: fewer if the connection ends first. */
  takeUpTo(count: number): Promise<Buffer>
  takeRest(): Promise<Buffer>
}

function createInbox(socket: Socket): Inbox {
  let chunks: Buffer[] = []
  let length = 0
  let hasEnded = false
  let wake = () => {}
  const finish = () => {
    hasEnded = true
    wake()
  }
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    length += chunk.length
    wake()
  })
  socket.on('end', finish)
  socket.on('close', finish)
  socket.on('error', () => {})

  const arrival = () =>
    new Promise<void>((resolve) => {
      wake = resolve
    })
  function whole(): Buffer {
    const all = Buffer.concat(chunks)
    chunks = [all]
    return all
  }
  function cut(count: number): Buffer {
    const all = whole()
    chunks = [all.subarray(count)]
    length = all.length - count
    return all.subarray(0, count)
  }
  async function takeUpTo(count: number): Promise<Buffer> {
    while (length < count && !hasEnded) await arrival()
    return cut(Math.min(count, length))
  }
  return {
    takeUpTo,
    async take(count) {
      const bytes = await takeUpTo(count)
      if (bytes.length < count) throw new Error(`the connection ended after ${bytes.length} of ${count} bytes`)
      return bytes
    },
    async takeThrough(mark) {
      for (;;) {
        const at = whole().indexOf(mark, 0, 'latin1')
        if (at !== -1) return cut(at + mark.length).toString('latin1')
        if (hasEnded) throw new Error(`the connection ended after ${JSON.stringify(whole().toString('latin1'))}`)
        await arrival()
      }
    },
    async takeRest() {
      while (!hasEnded) await arrival()
      return cut(length)
    },
  }
}

async function readResponse(inbox: Inbox, method: string): Promise<RawResponse> {
  const head = await inbox.takeThrough('\r\n\r\n')
  const [statusLine = '', ...lines] = head.slice(0, -4).split('\r\n')
  const [, version = '', status = '', reason = ''] = /^(HTTP\/\d\.\d) (\d{3}) ?(.*)$/s.exec(statusLine) ?? []
  if (version === '') throw new Error(`not a status line: ${JSON.stringify(statusLine)}`)
  const rawHeaders = lines.flatMap((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')]
  })
  const values = (name: string) =>
    rawHeaders.filter((_value, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name.toLowerCase())
  const statusCode = Number(status)
  const hasBody = method !== 'HEAD' && statusCode >= 200 && statusCode !== 204 && statusCode !== 304
  const framed = hasBody ? await readBody(inbox, values) : { body: Buffer.alloc(0), isComplete: true, trailers: '' }
  return { version, status: statusCode, reason, rawHeaders, values, ...framed }
}

async function readBody(inbox: Inbox, values: (name: string) => string[]) {
  if (values('transfer-encoding').length > 0) return readChunked(inbox)
  const [contentLength] = values('content-length')
  if (contentLength === undefined) return { body: await inbox.takeRest(), isComplete: true, trailers: '' }
  const body = await inbox.takeUpTo(Number(contentLength))
  return { body, isComplete: body.length === Number(contentLength), trailers: '' }
}

async function readChunked(inbox: Inbox) {
  const parts: Buffer[] = []
  try {
    for (;;) {
      const size = Number.parseInt(await inbox.takeThrough('\r\n'), 16)
      if (size === 0) break
      parts.push(await inbox.take(size))
      await inbox.takeThrough('\r\n')
    }
    let trailers = ''
    for (;;) {
      const line = await inbox.takeThrough('\r\n')
      if (line === '\r\n') return { body: Buffer.concat(parts), isComplete: true, trailers }
      trailers += line
    }
  } catch {
    return { body: Buffer.concat(parts), isComplete: false, trailers: '' }
  }
}
