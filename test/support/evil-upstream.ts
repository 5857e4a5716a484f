import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { within } from './deadline.ts'

/** One accepted connection of an evil upstream. Text is latin1: one character a byte. */
export interface EvilConnection {
  /** 0 for the first connection accepted. */
  readonly index: number
  readonly socket: Socket
  /** Everything received so far. */
  received(): string
  /** The next request head that was not handed out yet, with its empty line; waits for it. */
  head(): Promise<string>
  /** Resolves when `received()` holds at least that many bytes. */
  bytes(count: number): Promise<string>
  /** Writes and resolves when the bytes are with the kernel. */
  send(bytes: string | Uint8Array): Promise<void>
  /** Half-closes: FIN after what was sent. */
  end(): void
  /** Cuts the connection with a RST. */
  reset(): void
  /** Resolves when the other side has finished sending or the connection is cut. */
  readonly closed: Promise<void>
}

/** What waiting on a connection ends with when the other side went first; a script need not catch it. */
export class ConnectionEnded extends Error {
  override readonly name = 'ConnectionEnded'
}

/**
 * What happens on a connection: a function, or a list of byte strings, of which each is sent whole when one more
 * request head has arrived.
 */
export type EvilScript = ((connection: EvilConnection) => Promise<void> | void) | readonly (string | Uint8Array)[]

export interface EvilUpstream extends AsyncDisposable {
  /** `http://127.0.0.1:port`. */
  readonly origin: string
  readonly port: number
  /** All connections ever accepted, in order. */
  readonly connections: readonly EvilConnection[]
  /** The connection of that index; waits for it. */
  connection(index: number): Promise<EvilConnection>
  /** Everything received on all connections, joined in the order of acceptance. */
  received(): string
}

/**
 * Starts a raw TCP server whose every byte the test decides. With several scripts the n-th connection runs the n-th
 * one, and the last script serves all that come later. That a connection ends under a script is no failure; anything
 * else that a script throws is thrown when the upstream is disposed.
 */
export async function startEvil(...scripts: EvilScript[]): Promise<EvilUpstream> {
  const connections: EvilConnection[] = []
  const waiting: (() => void)[] = []
  const failures: unknown[] = []
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const connection = openEvilConnection(connections.length, socket)
    connections.push(connection)
    for (const wake of waiting.splice(0)) wake()
    const script = scripts[Math.min(connection.index, scripts.length - 1)]
    if (script === undefined) return
    runScript(script, connection).catch((error: unknown) => {
      if (!(error instanceof ConnectionEnded)) failures.push(error)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    connections,
    async connection(index) {
      for (;;) {
        const found = connections[index]
        if (found !== undefined) return found
        await within(`connection ${index}`, new Promise<void>((resolve) => waiting.push(resolve)))
      }
    },
    received: () => connections.map((connection) => connection.received()).join(''),
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const { socket } of connections) socket.destroy()
      await closed
      if (failures.length > 0) throw failures[0]
    },
  }
}

async function runScript(script: EvilScript, connection: EvilConnection): Promise<void> {
  if (typeof script === 'function') return script(connection)
  for (const answer of script) {
    await connection.head()
    await connection.send(answer)
  }
}

function openEvilConnection(index: number, socket: Socket): EvilConnection {
  const chunks: Buffer[] = []
  const waiting: (() => void)[] = []
  const wakeAll = () => {
    for (const wake of waiting.splice(0)) wake()
  }
  const { promise: closed, resolve: resolveClosed } = Promise.withResolvers<void>()
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    wakeAll()
  })
  socket.on('error', () => {})
  const finish = () => {
    wakeAll()
    resolveClosed()
  }
  socket.on('end', finish)
  socket.on('close', finish)
  const received = () => Buffer.concat(chunks).toString('latin1')
  let handedOut = 0
  async function waitFor(what: string, isThere: (text: string) => boolean): Promise<string> {
    for (;;) {
      const text = received()
      if (isThere(text)) return text
      if (socket.readableEnded || socket.destroyed)
        throw new ConnectionEnded(`connection ${index} ended before ${what}`)
      await within(what, new Promise<void>((resolve) => waiting.push(resolve)))
    }
  }
  return {
    index,
    socket,
    received,
    closed,
    async head() {
      const from = handedOut
      const text = await waitFor('a request head', (all) => all.indexOf('\r\n\r\n', from) !== -1)
      handedOut = text.indexOf('\r\n\r\n', from) + 4
      return text.slice(from, handedOut)
    },
    bytes: (count) => waitFor(`${count} bytes`, (all) => all.length >= count),
    send: (bytes) =>
      new Promise((resolve, reject) => {
        const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
        socket.write(data, (error) => (error ? reject(new ConnectionEnded(error.message)) : resolve()))
      }),
    end: () => void socket.end(),
    reset: () => void socket.resetAndDestroy(),
  }
}
