import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { Answer } from './answer.ts'
import type { Outbox } from './outbox.ts'
import type { Visit } from './visit.ts'

/** How much of an unwanted body is read and thrown away, and for how long, so that the answer reaches its reader. */
const LINGER_BYTES = 1024 * 1024
const LINGER_MS = 2_000
/** For how long nothing is read then: a client that only sends comes to a halt, and looks at what it was told. */
const HALT_MS = 300
/** For answers before a route is known. */
const DEFAULT_IDLE_MS = 60_000

/**
 * Writes the answer to the browser, head first, the body as it comes, never faster than the browser reads. A whole body
 * leaves with its head in one piece, by the outbox, and then there is nothing to wait for; otherwise the promise ends with the last byte
 * handed over. That the answer is out is told by the response's `close`.
 *
 * A body that breaks off ends the connection without a clean end, so that nobody takes half an answer for a whole one.
 * An answer that leaves before the request's body was read closes the connection: what is left of that body must not
 * be read as the next request.
 *
 * @throws what `node:http` says of a head that cannot be written, or what broke a body off before anybody looked at it
 * (a write to the store may have come between); nothing has been sent then.
 */
export function sendAnswer(
  response: ServerResponse,
  answer: Answer,
  { visit, outbox }: { readonly visit: Visit; readonly outbox: Outbox },
): Promise<void> | undefined {
  const { body } = answer
  const isEarly = !visit.door.isBodyRead()
  if (isEarly || visit.mustClose) response.shouldKeepAlive = false
  if (typeof body !== 'string' && body.destroyed) throw brokenOff(body)
  visit.exchange.status = answer.status
  // Nobody writes to these lines any more, and node:http only reads them.
  response.writeHead(answer.status, answer.reason, answer.headers as string[])
  if (typeof body !== 'string') return sendStream(response, body, { visit, isEarly })
  visit.exchange.responseBodyBytes = visit.method === 'HEAD' ? 0 : body.length
  if (isEarly) return sendEarly(response, body, visit)
  outbox.send({
    response,
    body,
    onSent() {
      // Nearly always the system has taken all of it by now, or, of TLS, has in a moment: to watch a reader costs more.
      if (waitingBytes(response) > 0) setImmediate(dropIfWaiting, response, visit)
    },
  })
  return undefined
}

/** Resolves when the answer is out, or will never be. */
export async function written(response: ServerResponse): Promise<void> {
  if (!response.writableFinished && !response.destroyed)
    await Promise.race([once(response, 'finish'), once(response, 'close')])
}

async function sendEarly(response: ServerResponse, body: string, visit: Visit): Promise<void> {
  dropStalledReader(response, visit)
  response.flushHeaders()
  if (body !== '') response.write(body, 'latin1')
  await discard(visit.body)
  response.end()
}

async function sendStream(
  response: ServerResponse,
  body: Readable,
  { visit, isEarly }: { readonly visit: Visit; readonly isEarly: boolean },
): Promise<void> {
  dropStalledReader(response, visit)
  // A small answer leaves in one write, head and body together; but an event stream's first byte may be minutes away,
  // and its reader wants the head now.
  const flush = setImmediate(() => response.flushHeaders())
  try {
    await pump(body, response, visit)
  } finally {
    clearImmediate(flush)
  }
  if (isEarly) await discard(visit.body)
  response.end()
}

/** All of the body, at the browser's pace. `stream.pipeline` does the same with five times the objects. */
function pump(body: Readable, response: ServerResponse, visit: Visit): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const { exchange, onChunk } = visit
  function resume(): void {
    body.resume()
  }
  function leave(): void {
    body.destroy()
    reject(new Error('the browser left in mid-answer'))
  }
  function settle(): void {
    response.off('drain', resume).off('close', leave)
  }
  response.on('drain', resume).on('close', leave)
  body.once('end', resolve)
  body.once('error', reject)
  // A body that is destroyed without a word never ends.
  body.once('close', () => reject(brokenOff(body)))
  body.on('data', (chunk: Buffer) => {
    exchange.responseBodyBytes += chunk.length
    onChunk(chunk.length)
    if (!response.write(chunk)) body.pause()
  })
  if (response.destroyed) leave()
  return promise.finally(settle)
}

function brokenOff({ errored }: Readable): Error {
  return errored ?? new Error('the answer broke off')
}

/** A reader that takes nothing for as long as the route's `idle`, or too little, holds memory and a connection for nobody. */
function dropStalledReader(response: ServerResponse, visit: Visit): void {
  const idleMs = visit.route?.idleMs ?? DEFAULT_IDLE_MS
  response.setTimeout(idleMs, () => {
    // Silence alone is no fault: an event stream may have nothing to say. Bytes that wait and are not taken are.
    if (waitingBytes(response) === 0) return
    if (visit.pace === undefined) response.destroy()
    else visit.pace.cutStalled(visit, response, idleMs)
  })
  visit.pace?.watchAnswer(visit, response)
}

function dropIfWaiting(response: ServerResponse, visit: Visit): void {
  if (waitingBytes(response) > 0) dropStalledReader(response, visit)
}

function waitingBytes({ socket }: ServerResponse): number {
  return socket?.writableLength ?? 0
}

/**
 * Reads on for a while and throws away. Closing a socket with unread bytes in it resets the connection, and a reset
 * can overtake the answer that was just written.
 */
async function discard(body: Readable): Promise<void> {
  // Still piped to an upstream that takes no more, it would wait for that one and never be read on.
  body.unpipe()
  let left = LINGER_BYTES
  const { promise, resolve } = Promise.withResolvers<void>()
  let timer = setTimeout(resolve, LINGER_MS)
  body.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left >= 0) return
    body.pause()
    clearTimeout(timer)
    timer = setTimeout(resolve, HALT_MS)
  })
  for (const event of ['end', 'close', 'error']) body.once(event, () => resolve())
  body.resume()
  if (!body.readableEnded && !body.destroyed) await promise
  clearTimeout(timer)
}
