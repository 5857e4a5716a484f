import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { RawHeaders } from '../http/headers.ts'
import { carry } from './carrier.ts'
import { createClientEnd } from './client-end.ts'
import { createDeadline } from './deadline.ts'

/** How long the second side has to finish when the first one has, and both when the tunnel is ended, in milliseconds. */
const GRACE_MS = 1_000

/**
 * Who ended a tunnel: the side that first sent a Close frame or finished; `error` if a connection broke; `idle` if
 * nothing moved for too long; `session_end` and `drain` if the gateway did.
 */
export type TunnelEnd = 'client' | 'upstream' | 'idle' | 'session_end' | 'drain' | 'error'

/** An open WebSocket. */
export interface Tunnel {
  /** Resolves when both connections are closed. Never rejects. */
  readonly closed: Promise<{ readonly reason: TunnelEnd }>
  /**
   * Ends the tunnel: both sides get a Close frame, provided that the frame under way in their direction ends in time,
   * and one second later at most both connections are closed. Code 1008 counts as `session_end`, any other as `drain`.
   */
  end(code: number, reason: string): void
}

export interface TunnelOptions {
  readonly client: Duplex
  /** Bytes of the client that were read already; they go up first. */
  readonly head: Buffer
  readonly upstream: Socket
  /** The lines of the 101, finished. */
  readonly lines: RawHeaders
  /** The longest time in which no byte moves in either direction. */
  readonly idleMs: number
}

/** Answers the client with 101 and moves bytes, unchanged, until one side is done. */
export function startTunnel({ client, head, upstream, lines, idleMs }: TunnelOptions): Tunnel {
  const { promise: closed, resolve } = Promise.withResolvers<{ reason: TunnelEnd }>()
  const deadline = createDeadline()
  let reason: TunnelEnd | undefined
  let isEnding = false

  function blame(how: TunnelEnd): void {
    reason ??= how
  }
  function cut(): void {
    client.destroy()
    upstream.destroy()
  }
  function end(how: TunnelEnd, code: number, text: string): void {
    if (isEnding) return
    isEnding = true
    blame(how)
    deadline.set(GRACE_MS, cut)
    clientEnd.close(code, text)
  }
  function onFinish(): void {
    // What was meant for that side is with the kernel; what it still has to say must come soon.
    if (!isEnding) deadline.set(GRACE_MS, cut)
  }
  function onClosed(side: 'client' | 'upstream'): void {
    blame(side)
    if (!client.closed || !upstream.closed) return
    deadline.clear()
    resolve({ reason: reason ?? side })
  }
  function watch(socket: Duplex, side: 'client' | 'upstream'): void {
    socket.on('end', () => blame(side))
    socket.on('error', () => blame('error'))
    socket.on('finish', onFinish)
    if (socket.closed) process.nextTick(onClosed, side)
    else socket.on('close', () => onClosed(side))
  }

  const clientEnd = createClientEnd({
    client,
    head,
    onMoved: () => {
      if (!isEnding) deadline.refresh()
    },
    onClose: blame,
  })
  watch(client, 'client')
  watch(upstream, 'upstream')
  // Bytes that nobody reads would turn the FIN to the client into a RST, which costs it what is still under way.
  upstream.on('close', () => void client.resume())
  deadline.set(idleMs, () => end('idle', 1001, 'idle'))
  // One side went while the other was waiting: there is nothing to open any more.
  if (client.destroyed || upstream.destroyed) cut()
  else carry({ client: clientEnd.stream, upstream, lines })
  return { closed, end: (code, text) => end(code === 1008 ? 'session_end' : 'drain', code, text) }
}
