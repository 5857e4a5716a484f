import { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type { ClientEnd } from './carrier.ts'
import { closeFrame, createFrameTracker, type FrameTracker } from './frames.ts'

/** Bytes that wait here in each direction, beside what the two sockets hold themselves. */
const BUFFER_BYTES = 16 * 1024

export interface ClientEndOptions {
  readonly client: Duplex
  /** Bytes of the client that were read already; they go up first. */
  readonly head: Buffer
  /** Bytes were read from the client or taken by it. */
  readonly onMoved: () => void
  /** A Close frame of that side has gone through. */
  readonly onClose: (from: 'client' | 'upstream') => void
}

/** The client's end of a tunnel, through which all bytes go, with the means to put a Close frame in. */
export interface WatchedEnd {
  readonly stream: ClientEnd
  /**
   * Ends both directions, each where its frame under way ends: with a Close frame, if there was none, and a FIN. What
   * comes after that is read and dropped. A frame that never ends is for the caller's deadline.
   */
  close(code: number, reason: string): void
}

/** Wraps the client's connection. The first thing written to it is the head of the 101; all that follows is frames. */
export function createClientEnd({ client, head, onMoved, onClose }: ClientEndOptions): WatchedEnd {
  let goodbye: { readonly code: number; readonly reason: string } | undefined
  let isHeadWritten = false
  let isDownOver = false
  let isUpOver = false
  const down = createFrameTracker()
  const up = createFrameTracker()

  function finishDown(): void {
    if (goodbye === undefined || isDownOver || !isHeadWritten || !down.isBetweenFrames()) return
    isDownOver = true
    if (!client.writable) return
    if (!down.hasClosed()) client.write(closeFrame({ ...goodbye, isMasked: false }))
    client.end()
  }
  function finishUp(): void {
    if (goodbye === undefined || isUpOver || !up.isBetweenFrames()) return
    isUpOver = true
    if (!up.hasClosed()) stream.push(closeFrame({ ...goodbye, isMasked: true }))
    stream.push(null)
    client.resume()
  }
  function onData(chunk: Buffer): void {
    onMoved()
    if (isUpOver) return
    const part = take(chunk, up, goodbye !== undefined)
    if (up.hasClosed()) onClose('client')
    if (!stream.push(part)) client.pause()
    finishUp()
  }

  const stream = createStream(client, {
    write(chunk, done) {
      if (isDownOver) return done()
      const part = isHeadWritten ? take(chunk, down, goodbye !== undefined) : chunk
      isHeadWritten = true
      if (down.hasClosed()) onClose('upstream')
      writeTo(client, part, () => {
        onMoved()
        done()
      })
      finishDown()
    },
  })
  client.pause().on('data', onData)
  client.on('close', () => void stream.destroy())
  client.on('end', () => {
    if (!isUpOver) stream.push(null)
    isUpOver = true
  })
  if (head.length > 0) onData(head)
  return {
    stream,
    close(code, reason) {
      goodbye ??= { code, reason }
      finishDown()
      finishUp()
    },
  }
}

/** Calls back when the client takes more. */
function writeTo(client: Duplex, bytes: Uint8Array, done: () => void): void {
  if (client.write(bytes)) done()
  else client.once('drain', done)
}

/** Follows the frames of a chunk; when the direction is to end, no further than to the end of the frame under way. */
function take(chunk: Buffer, tracker: FrameTracker, isEnding: boolean): Buffer {
  let at = 0
  while (at < chunk.length) {
    at = tracker.advance(chunk, at)
    if (isEnding && tracker.isBetweenFrames()) break
  }
  return at === chunk.length ? chunk : chunk.subarray(0, at)
}

interface StreamParts {
  readonly write: (chunk: Buffer, done: () => void) => void
}

function createStream(client: Duplex, { write }: StreamParts): ClientEnd {
  const stream = new Duplex({
    readableHighWaterMark: BUFFER_BYTES,
    writableHighWaterMark: BUFFER_BYTES,
    // The head of the 101 is written as text, and header values are latin1.
    defaultEncoding: 'latin1',
    read: () => void client.resume(),
    write: (chunk, _encoding, done) => write(chunk, done),
    final(done) {
      client.end()
      done()
    },
  })
  stream.on('error', () => {})
  const socket = client instanceof Socket ? client : undefined
  return Object.assign(stream, {
    setTimeout: (delayMs: number) => socket?.setTimeout(delayMs),
    setNoDelay: (isOn: boolean) => socket?.setNoDelay(isOn),
    setKeepAlive: (isOn: boolean, initialDelayMs: number) => socket?.setKeepAlive(isOn, initialDelayMs),
    // http-proxy-3 calls it when the upstream's connection fails: what came before that is still delivered.
    destroySoon: () => void stream.end(),
  })
}
