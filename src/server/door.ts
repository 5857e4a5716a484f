import { createServer, type Socket } from 'node:net'
import { addressText, type ListenAddress, listenOn } from '../lib/listening.ts'

/** An address at which the gateway listens. Who serves there may change while it stays open. */
export interface Door extends AsyncDisposable {
  /** `host:port`, or the socket's path. */
  readonly address: string
  /** Peers have no address of their own. */
  readonly isUnix: boolean
  /** From now on connections go there, those that have been waiting first. */
  lead(take: (socket: Socket) => void): void
}

/**
 * Listens. Until `lead` is called, who comes waits.
 *
 * Disposing closes the address, and whoever still waits; connections that were led somewhere are left alone.
 *
 * @throws {Error} the system's, when the address cannot be had.
 */
export async function openDoor(address: ListenAddress): Promise<Door> {
  const waiting = new Set<Socket>()
  let take = wait
  function wait(socket: Socket): void {
    waiting.add(socket)
    socket.on('error', ignore).once('close', () => waiting.delete(socket))
  }
  // As `node:http` opens its own: an answer may follow the end of what a client sends, and goes out without delay.
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => take(socket))
  await listenOn(server, address)
  return {
    address: addressText(server, address),
    isUnix: address.kind === 'unix',
    lead(next) {
      take = next
      const waited = [...waiting]
      waiting.clear()
      for (const socket of waited) if (!socket.destroyed) next(socket.off('error', ignore))
    },
    async [Symbol.asyncDispose]() {
      // Its callback would wait for the connections that somebody else has now.
      server.close()
      for (const socket of waiting) socket.destroy()
    },
  }
}

/** What goes wrong with a connection closes it, and that is told by `close`. */
function ignore(): void {}
