import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { within } from './deadline.ts'

/** What slow clients are slow with. */
export const slowKinds = ['head', 'body', 'reading'] as const
export type SlowKind = (typeof slowKinds)[number]

export interface SlowCrowdOptions {
  readonly port: number
  /** A Unix socket for the readers: of a TCP connection the system would hold megabytes for each. */
  readonly path: string
  /** Of each kind. */
  readonly count: number
  /** A byte is sent, or some are read, so often. */
  readonly everyMs: number
}

/**
 * How long the connections of each kind have lived, the longest; all of them are closed. Of readers nobody can tell here:
 * they would have to read what the system holds for them before they come to the end.
 */
export type SlowCrowdReport = Readonly<Record<Exclude<SlowKind, 'reading'>, number>>

export interface SlowCrowd extends AsyncDisposable {
  /** Every one of them is connected, and has begun. */
  readonly gathered: Promise<void>
  /** Every one of them was cut, but for the readers. */
  readonly gone: Promise<SlowCrowdReport>
}

/**
 * Slow clients in a thread of their own, so that what is measured beside them is not their doing. They ask for `/up` with
 * a body, for `/large` to read it, and for nothing that ever has a whole head.
 */
export function gatherSlowCrowd(options: SlowCrowdOptions): SlowCrowd {
  const worker = new Worker(new URL(import.meta.url), { workerData: options })
  const { promise: gathered, resolve: onGathered } = Promise.withResolvers<void>()
  const { promise: gone, resolve: onGone } = Promise.withResolvers<SlowCrowdReport>()
  worker.on('message', (message: 'gathered' | SlowCrowdReport) => {
    if (message === 'gathered') onGathered()
    else onGone(message)
  })
  return {
    gathered,
    gone,
    async [Symbol.asyncDispose]() {
      await worker.terminate()
    },
  }
}

/** Of the time in which each sends or reads once. */
const SLICES = 20

const beginnings: Readonly<Record<SlowKind, string>> = {
  head: 'GET /never HTTP/1.1\r\nHost: x\r\nX-Drops: ',
  body: 'POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n',
  reading: 'GET /large HTTP/1.1\r\nHost: x\r\n\r\n',
}

async function open(kind: SlowKind, { port, path }: SlowCrowdOptions): Promise<Socket> {
  const drops = { buffer: Buffer.alloc(100), callback: () => false }
  const socket =
    kind === 'reading' ? connect({ path, onread: drops }) : connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => undefined)
  await within('a connection', once(socket, 'connect'), 30_000)
  socket.write(beginnings[kind])
  if (kind !== 'reading') socket.resume()
  return socket
}

async function crowd(options: SlowCrowdOptions): Promise<void> {
  const { count, everyMs } = options
  const longestMs = { head: 0, body: 0 }
  const sockets = new Map<Socket, SlowKind>()
  const closed: Promise<void>[] = []
  for (let i = 0; i < count; i++) {
    for (const kind of slowKinds) {
      const startedMs = performance.now()
      const socket = await open(kind, options)
      sockets.set(socket, kind)
      if (kind === 'reading') continue
      const { promise, resolve } = Promise.withResolvers<void>()
      closed.push(promise)
      socket.once('close', () => {
        sockets.delete(socket)
        longestMs[kind] = Math.max(longestMs[kind], performance.now() - startedMs)
        resolve()
      })
      socket.once('end', () => socket.destroy())
    }
  }
  parentPort?.postMessage('gathered')
  // It also keeps the thread alive, and with it the readers, for as long as nobody ends it.
  // Each at a moment of his own: people do not breathe in step.
  let slice = 0
  setInterval(() => {
    slice = (slice + 1) % SLICES
    let at = 0
    for (const [socket, kind] of sockets) {
      if (at++ % SLICES !== slice) continue
      if (kind === 'reading') socket.resume()
      else socket.write('d')
    }
  }, everyMs / SLICES)
  await Promise.all(closed)
  parentPort?.postMessage(longestMs)
}

if (!isMainThread) await crowd(workerData as SlowCrowdOptions)
