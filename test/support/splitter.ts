import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'

/** A TCP proxy that hands on the same bytes in other pieces. */
export interface Splitter extends AsyncDisposable {
  readonly port: number
  /** How many pieces have gone through so far, both ways. */
  readonly pieces: number
}

/**
 * Starts one in front of a port of 127.0.0.1. `sizeOf` gives the length of the next piece, 1 or more; each is a write of its
 * own, with a turn of the event loop behind it, so that the reader gets many of them one by one.
 */
export async function startSplitter(port: number, sizeOf: () => number): Promise<Splitter> {
  const sockets = new Set<Socket>()
  let pieces = 0
  async function carry(from: Socket, to: Socket): Promise<void> {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length; pieces++) {
        const size = Math.max(1, sizeOf())
        if (!to.write(chunk.subarray(at, at + size))) await once(to, 'drain')
        at += size
        await setImmediate()
      }
    }
    to.end()
  }
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('close', () => sockets.delete(from))
      // One side that is cut cuts the other.
      carry(from, to).catch(() => to.destroy())
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    get pieces() {
      return pieces
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
