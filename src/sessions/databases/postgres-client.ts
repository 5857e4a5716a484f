import { Client, type ClientConfig } from 'pg'
import { PostgresSocket } from './postgres-socket.ts'

/**
 * A connection whose socket goes when it could not be made. `pg` forgets one that failed before it was let in, for a
 * password that the URL lacks or an answer that makes no sense, and leaves its socket open: with a few attempts a second
 * until the server gives up on them, after a minute, they would use up its `max_connections`, for everybody.
 */
export class PostgresClient extends Client {
  readonly #socket: PostgresSocket

  constructor(config: ClientConfig = {}) {
    const socket = new PostgresSocket()
    super({ ...config, stream: () => socket })
    this.#socket = socket
  }

  override connect(): Promise<Client>
  override connect(callback: (error: Error | null) => void): void
  override connect(callback?: (error: Error | null) => void): Promise<Client> | undefined {
    const { promise, resolve, reject } = Promise.withResolvers<Client>()
    super.connect((error: Error | null) => {
      if (error) this.#socket.destroy()
      if (callback) callback(error)
      else if (error) reject(error)
      else resolve(this)
    })
    return callback ? undefined : promise
  }
}
