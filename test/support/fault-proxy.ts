import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/**
 * `up` is from the client to the server (commands), `down` from the server to the client (replies).
 */
export type Direction = 'up' | 'down'

/**
 * What happens to the bytes of a connection. `direction` default: both. Byte counts run for each connection from the
 * moment the fault is set on it (for a new connection: from its first byte).
 *
 * - `pass`: nothing. What a former fault held back goes out at once, in order.
 * - `delay`: every chunk arrives `delayMs` later, give or take `jitterMs`; the order stays.
 * - `stall`: bytes, FIN and RST are taken and held, as by a stopped process or a network that lost its way. Neither
 *   side hears of the other. A later `pass` delivers them: the late reply that must reach nobody.
 * - `swallow`: bytes are taken and lost; what comes after a later `pass` is a stream with a hole in it.
 * - `throttle`: so many bytes a second.
 * - `corrupt`: every `everyBytes`-th byte (default: each) is inverted; `offset` says which is the first.
 * - `duplicate`: every chunk arrives twice.
 * - `cut`: after `afterBytes` bytes of that direction both sides lose the connection, by RST (`how: 'reset'`, default)
 *   or by FIN (`'close'`). With 0 when the first byte would have been passed on: `{ direction: 'down', afterBytes: 0 }`
 *   is a server that did what it was asked and could not say so.
 * - `halfClose`: after `afterBytes` bytes (default 0: at once) that direction ends with a FIN; the other goes on.
 * - `reset`: open connections get an RST, new ones when they are accepted; a client may see that as a failure to
 *   connect.
 */
export type Fault =
  | { readonly kind: 'pass' }
  | { readonly kind: 'delay'; readonly delayMs: number; readonly jitterMs?: number; readonly direction?: Direction }
  | { readonly kind: 'stall'; readonly direction?: Direction }
  | { readonly kind: 'swallow'; readonly direction?: Direction }
  | { readonly kind: 'throttle'; readonly bytesPerSecond: number; readonly direction?: Direction }
  | { readonly kind: 'corrupt'; readonly everyBytes?: number; readonly offset?: number; readonly direction?: Direction }
  | { readonly kind: 'duplicate'; readonly direction?: Direction }
  | {
      readonly kind: 'cut'
      readonly afterBytes: number
      readonly direction: Direction
      readonly how?: 'reset' | 'close'
    }
  | { readonly kind: 'halfClose'; readonly afterBytes?: number; readonly direction: Direction }
  | { readonly kind: 'reset' }

/** Which connections a fault is for: the open and the future ones (default), only one of these, or the very next one alone. */
export type FaultScope = 'all' | 'open' | 'new' | 'next'

export interface FaultCounts {
  /** Connections accepted so far, those reset on arrival included. */
  readonly accepted: number
  /** Connections that the client has neither closed nor half-closed yet. */
  readonly open: number
  /** Bytes passed on to the server and to the clients so far. */
  readonly upBytes: number
  readonly downBytes: number
}

/** Where the real server listens; a number is a port on 127.0.0.1. */
export type FaultTarget = number | { readonly host?: string; readonly port: number } | { readonly path: string }

/**
 * A TCP proxy between a client under test and a real server, which fails as it is told.
 *
 * ```ts
 * await using proxy = await startFaultProxy(redis.port)
 * const client = createClient({ port: proxy.port })
 * proxy.set({ kind: 'delay', delayMs: 50, direction: 'down' })              // from now on, everywhere
 * proxy.set({ kind: 'cut', direction: 'down', afterBytes: 3 }, 'open')      // each open connection, once; new ones are as before
 * proxy.set({ kind: 'reset' }, 'next')                                      // the next connection only
 * proxy.set({ kind: 'stall' })                                              // SIGSTOP, as the client sees it
 * await proxy.refuse(); …; await proxy.accept()                             // nobody listens on the port
 * proxy.kill()                                                              // RST for all that are open
 * proxy.pass()                                                              // all is well again
 * ```
 */
export interface FaultProxy extends AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly counts: FaultCounts
  set(fault: Fault, scope?: FaultScope): void
  /** `set({ kind: 'pass' })`. */
  pass(): void
  /** Cuts every open connection by RST; new ones are served. */
  kill(): void
  /** Closes the port: new connections get ECONNREFUSED. Open ones stay as they are. */
  refuse(): Promise<void>
  /** Opens the same port again. */
  accept(): Promise<void>
}

/** Starts a proxy on a free port of 127.0.0.1; nothing fails yet. The server need not be there. */
export async function startFaultProxy(target: FaultTarget): Promise<FaultProxy> {
  const connections = new Set<Connection>()
  const totals = { accepted: 0, upBytes: 0, downBytes: 0 }
  const faults: { standing: Fault; next: Fault | undefined } = { standing: { kind: 'pass' }, next: undefined }
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    totals.accepted += 1
    const connection = new Connection(client, connectTo(target), (direction, bytes) => {
      totals[direction === 'up' ? 'upBytes' : 'downBytes'] += bytes
    })
    connections.add(connection)
    connection.closed.then(() => connections.delete(connection))
    connection.set(faults.next ?? faults.standing)
    faults.next = undefined
  })
  const listen = async (port: number): Promise<number> => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
  const port = await listen(0)
  const set = (fault: Fault, scope: FaultScope = 'all'): void => {
    if (scope === 'next') faults.next = fault
    if (scope === 'all' || scope === 'new') faults.standing = fault
    if (scope === 'all' || scope === 'open') for (const connection of [...connections]) connection.set(fault)
  }
  return {
    host: '127.0.0.1',
    port,
    get counts() {
      return { ...totals, open: [...connections].filter((connection) => connection.isOpen).length }
    },
    set,
    pass: () => set({ kind: 'pass' }),
    kill: () => set({ kind: 'reset' }, 'open'),
    // Closing waits for the open connections; the port itself is given up at once.
    async refuse() {
      if (server.listening) server.close()
    },
    async accept() {
      if (!server.listening) await listen(port)
    },
    async [Symbol.asyncDispose]() {
      if (server.listening) server.close()
      await Promise.all([...connections].map((connection) => connection.destroy()))
    },
  }
}

function connectTo(target: FaultTarget): Socket {
  const address = typeof target === 'number' ? { host: '127.0.0.1', port: target } : target
  return connect({ host: '127.0.0.1', ...address, allowHalfOpen: true, noDelay: true })
}

type OnBytes = (direction: Direction, bytes: number) => void

class Connection {
  readonly #client: Socket
  readonly #server: Socket
  readonly #lanes: readonly Lane[]
  /** Resolves when both sides are closed. */
  readonly closed: Promise<unknown>

  constructor(client: Socket, server: Socket, onBytes: OnBytes) {
    this.#client = client
    this.#server = server
    this.closed = Promise.all([client, server].map((socket) => new Promise((done) => socket.once('close', done))))
    const cut = (how: 'reset' | 'close'): void => this.#cut(how)
    this.#lanes = [
      new Lane({ direction: 'up', from: client, to: server, onBytes, cut }),
      new Lane({ direction: 'down', from: server, to: client, onBytes, cut }),
    ]
  }

  get isOpen(): boolean {
    return !this.#client.closed && !this.#client.readableEnded
  }

  set(fault: Fault): void {
    if (fault.kind === 'reset') this.#cut('reset')
    else for (const lane of this.#lanes) lane.set(fault)
  }

  async destroy(): Promise<void> {
    for (const lane of this.#lanes) lane.stop()
    this.#client.destroy()
    this.#server.destroy()
    await this.closed
  }

  #cut(how: 'reset' | 'close'): void {
    for (const lane of this.#lanes) lane.stop()
    for (const socket of [this.#client, this.#server]) {
      if (how === 'reset') reset(socket)
      else socket.destroySoon()
    }
  }
}

/** Behind a FIN the system resets no more, and Node then never tells that the socket is closed. */
const reset = (socket: Socket): Socket => (socket.writableEnded ? socket.destroy() : socket.resetAndDestroy())

interface LaneParts {
  readonly direction: Direction
  readonly from: Socket
  readonly to: Socket
  readonly onBytes: OnBytes
  readonly cut: (how: 'reset' | 'close') => void
}

/** Something on its way: bytes, the FIN (`end`), or the loss of the connection. */
interface Parcel {
  readonly what: Buffer | 'end' | 'lost'
  readonly arrivedAtMs: number
  /** -1 to 1: how much of the jitter is this one's. */
  readonly luck: number
}

/** How much one direction of one connection holds back before it stops taking more. */
const HELD_LIMIT_BYTES = 16 * 1024 * 1024
const THROTTLE_STEP_MS = 10

/** One direction of one connection: what comes in is held, and let out as the fault says. */
class Lane {
  readonly #parts: LaneParts
  #fault: Fault = { kind: 'pass' }
  #held: Parcel[] = []
  #heldBytes = 0
  /** Bytes let out since the fault was set. */
  #passedBytes = 0
  /** The FIN went out: nothing may follow but the loss of the connection. */
  #hasEnded = false
  #isOver = false
  #timer: NodeJS.Timeout | undefined

  constructor(parts: LaneParts) {
    this.#parts = parts
    const { from } = parts
    from.on('data', (bytes: Buffer) => {
      this.#heldBytes += bytes.length
      if (this.#heldBytes > HELD_LIMIT_BYTES) from.pause()
      this.#take(bytes)
    })
    from.on('end', () => this.#take('end'))
    // After an error, or when the side went without a FIN, the other one loses the connection too.
    from.on('error', () => {})
    from.on('close', (hadError) => {
      if (hadError || !from.readableEnded) this.#take('lost')
    })
  }

  set(fault: Fault): void {
    const isMine = !('direction' in fault) || fault.direction === undefined || fault.direction === this.#parts.direction
    this.#fault = isMine ? fault : { kind: 'pass' }
    this.#passedBytes = 0
    this.#pump()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#isOver = true
    this.#held = []
  }

  #take(what: Parcel['what']): void {
    if (this.#isOver || (this.#hasEnded && what !== 'lost')) return
    this.#held.push({ what, arrivedAtMs: performance.now(), luck: Math.random() * 2 - 1 })
    this.#pump()
  }

  #pump(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const fault = this.#fault
    if (this.#isOver || fault.kind === 'stall') return
    if (fault.kind === 'delay') this.#pumpLate(fault.delayMs, fault.jitterMs ?? 0)
    else if (fault.kind === 'throttle') this.#pumpSlowly(fault.bytesPerSecond)
    else this.#pumpAll()
  }

  #pumpAll(): void {
    const fault = this.#fault
    if (fault.kind === 'halfClose' && (fault.afterBytes ?? 0) <= this.#passedBytes) this.#letOut('end')
    for (let parcel = this.#held.shift(); parcel !== undefined; parcel = this.#held.shift()) this.#letOut(parcel.what)
  }

  #pumpLate(delayMs: number, jitterMs: number): void {
    const first = this.#held[0]
    if (first === undefined) return
    const leftMs = first.arrivedAtMs + delayMs + first.luck * jitterMs - performance.now()
    if (leftMs <= 0) {
      this.#held.shift()
      this.#letOut(first.what)
      this.#pump()
    } else {
      this.#timer = setTimeout(() => this.#pump(), Math.ceil(leftMs))
    }
  }

  #pumpSlowly(bytesPerSecond: number): void {
    const first = this.#held.shift()
    if (first === undefined) return
    const stepMs = Math.max(THROTTLE_STEP_MS, 1000 / bytesPerSecond)
    const count = Math.max(1, Math.floor((bytesPerSecond * stepMs) / 1000))
    if (typeof first.what !== 'string' && first.what.length > count) {
      this.#held.unshift({ ...first, what: first.what.subarray(count) })
      this.#letOut(first.what.subarray(0, count))
    } else {
      this.#letOut(first.what)
    }
    this.#timer = setTimeout(() => this.#pump(), stepMs)
  }

  /** Hands one parcel on, changed or shortened as the fault says. */
  #letOut(what: Parcel['what']): void {
    const { to } = this.#parts
    if (what === 'lost') {
      this.stop()
      reset(to)
    } else if (what === 'end') {
      if (!this.#hasEnded) to.end()
      this.#hasEnded = true
    } else {
      this.#letOutBytes(what)
    }
  }

  #letOutBytes(bytes: Buffer): void {
    const { from, cut } = this.#parts
    const fault = this.#fault
    this.#heldBytes -= bytes.length
    if (this.#heldBytes <= HELD_LIMIT_BYTES && from.isPaused()) from.resume()
    if (this.#hasEnded) return
    const limit = fault.kind === 'cut' || fault.kind === 'halfClose' ? (fault.afterBytes ?? 0) : Infinity
    const left = Math.max(0, limit - this.#passedBytes)
    // The bytes before the end must arrive, and an RST overtakes what is not written yet.
    this.#write(bytes.subarray(0, left), () => {
      if (left <= bytes.length && fault.kind === 'cut') cut(fault.how ?? 'reset')
    })
    if (left <= bytes.length && fault.kind === 'halfClose') this.#letOut('end')
  }

  #write(bytes: Buffer, whenWritten: () => void = () => {}): void {
    const { direction, to, onBytes } = this.#parts
    const fault = this.#fault
    const startedAt = this.#passedBytes
    this.#passedBytes += bytes.length
    if (fault.kind === 'swallow' || !to.writable) return
    const changed = fault.kind === 'corrupt' ? corrupted(bytes, fault, startedAt) : bytes
    const sent = fault.kind === 'duplicate' ? Buffer.concat([changed, changed]) : changed
    onBytes(direction, sent.length)
    to.write(sent, whenWritten)
  }
}

function corrupted(bytes: Buffer, fault: { everyBytes?: number; offset?: number }, startedAt: number): Buffer {
  const { everyBytes = 1, offset = 0 } = fault
  return Buffer.from(bytes.map((byte, i) => ((startedAt + i - offset) % everyBytes === 0 ? byte ^ 0xff : byte)))
}
