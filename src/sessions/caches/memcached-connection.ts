import { connect, type Socket } from 'node:net'
import { type MemcachedReply, MemcachedReplyReader } from './memcached-replies.ts'

/** Where a memcached server listens: TCP, or a Unix socket (`-s`). */
export type MemcachedAddress = { readonly host: string; readonly port: number } | { readonly path: string }

/** The connection could not be made, or broke: nothing is known of what was under way on it. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
}

interface Waiter {
  readonly accepts: (reply: MemcachedReply) => boolean
  readonly resolve: (reply: MemcachedReply) => void
  readonly reject: (error: Error) => void
}

/** What may wait in this process to be taken by the server; more means that it has stopped reading. */
const MAX_UNSENT_BYTES = 16 * 1024 * 1024

/**
 * One connection with commands in flight one behind another, which the server answers in order. It begins to connect
 * when it is made, and ends once and for all with the first oddity: a reply that is none, or none of this command, a
 * reply to nothing, an error of the socket, a call that waited too long ({@link fail}). All that waits fails then, and
 * no late reply can reach anybody.
 *
 * Written here because no client on npm can be made safe (read and tried: memcache-client 1.0.5, memjs 1.3.2,
 * memcache 1.10.0). memcache-client throws out of its socket's data handler, which ends the process, at a reply that
 * nobody asked for and at a size that is no number or too big; it swallows what it does not understand and goes on, so
 * that a later reply answers an earlier call; it gives the value of another key as absence; its time limit is looked at
 * every 50 to 250 ms by the wall clock; and its flags are its own (its "compressed" is Python's "pickle"). memjs sends a
 * command again after a time-out, a write included, and has no compare-and-set. memcache knows strings only.
 */
export class MemcachedConnection {
  readonly #socket: Socket
  readonly #isTcp: boolean
  readonly #reader = new MemcachedReplyReader()
  readonly #opened = Promise.withResolvers<void>()
  readonly #waiting: Waiter[] = []
  #isOpened = false
  #failure: Error | undefined

  constructor(address: MemcachedAddress) {
    this.#isTcp = 'port' in address
    this.#socket = connect({ ...address, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 })
    // Those who wait are told by `ask`; with nobody waiting, a rejection must not end the process.
    this.#opened.promise.catch(() => {})
    this.#socket.on('connect', () => {
      this.#isOpened = true
      this.#opened.resolve()
    })
    this.#socket.on('data', (piece: Buffer) => this.#receive(piece))
    this.#socket.on('error', (error) => this.fail(new ConnectionLost('the connection failed', { cause: error })))
    this.#socket.on('end', () => this.fail(new ConnectionLost('the server closed the connection')))
    this.#socket.on('close', () => this.fail(new ConnectionLost('the connection was closed')))
  }

  /** False once it has ended; it does not come back. */
  get isUsable(): boolean {
    return this.#failure === undefined
  }

  /** The server once answered the call to connect. */
  get wasOpened(): boolean {
    return this.#isOpened
  }

  /**
   * Sends a whole command when the connection stands, and resolves with its reply. Rejects with the reason for which the
   * connection ended. There is no time limit here: whoever waits too long calls {@link fail}.
   *
   * @param accepts Whether this may be a reply to this command; anything else ends the connection.
   */
  async ask(command: Uint8Array, accepts: (reply: MemcachedReply) => boolean): Promise<MemcachedReply> {
    await this.#opened.promise
    if (this.#failure) throw this.#failure
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) throw new Error('the server does not take what it is sent')
    const { promise, resolve, reject } = Promise.withResolvers<MemcachedReply>()
    this.#waiting.push({ accepts, resolve, reject })
    this.#socket.write(command)
    return await promise
  }

  /** Ends the connection; all that waits is rejected with this error. Only the first call counts. */
  fail(error: Error): void {
    if (this.#failure) return
    this.#failure = error
    this.#opened.reject(error)
    for (const { reject } of this.#waiting.splice(0)) reject(error)
    // By RST: with a FIN the system would go on delivering what a stopped server has not yet taken in, and the server
    // would do it when it wakes up, long after everybody was told that it failed.
    if (this.#isTcp && this.#isOpened && !this.#socket.destroyed) this.#socket.resetAndDestroy()
    else this.#socket.destroy()
  }

  #receive(piece: Uint8Array): void {
    try {
      for (const reply of this.#reader.read(piece)) {
        if (this.#failure) return
        const waiter = this.#waiting.shift()
        if (!waiter) throw new Error('a reply that nobody asked for')
        if (!waiter.accepts(reply)) {
          const error = new Error('a reply that does not belong to the command')
          waiter.reject(error)
          throw error
        }
        waiter.resolve(reply)
      }
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error('the replies could not be read', { cause: error }))
    }
  }
}
