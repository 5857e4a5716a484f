import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Answer } from './answer.ts'
import type { Visit } from './visit.ts'

/** How much of an unwanted body is read and thrown away, and for how long, so that the answer reaches its reader. */
const LINGER_BYTES = 1024 * 1024
const LINGER_MS = 2_000
/** For answers before a route is known. */
const DEFAULT_IDLE_MS = 60_000

/**
 * Writes the answer to the browser, head first, the body as it comes, never faster than the browser reads.
 *
 * A body that breaks off ends the connection without a clean end, so that nobody takes half an answer for a whole one.
 * An answer that leaves before the request's body was read closes the connection: what is left of that body must not
 * be read as the next request.
 */
export async function sendAnswer(response: ServerResponse, answer: Answer, visit: Visit): Promise<void> {
  const { body } = answer
  const isEarly = !visit.isBodyRead()
  if (isEarly || visit.mustClose) response.shouldKeepAlive = false
  visit.exchange.status = answer.status
  dropStalledReader(response, visit)
  response.writeHead(answer.status, answer.reason, [...answer.headers])
  if (body === undefined || typeof body === 'string') {
    visit.exchange.responseBodyBytes = visit.method === 'HEAD' ? 0 : Buffer.byteLength(body ?? '')
    if (isEarly) {
      response.flushHeaders()
      if (body !== undefined && body !== '') response.write(body)
      await discard(visit.body)
      response.end()
    } else {
      response.end(body)
    }
    await written(response)
    return
  }
  body.on('data', (chunk: Buffer) => {
    visit.exchange.responseBodyBytes += chunk.length
    visit.onChunk(chunk.length)
  })
  // A small answer leaves in one write, head and body together; but an event stream's first byte may be minutes away,
  // and its reader wants the head now.
  const flush = setImmediate(() => response.flushHeaders())
  await pipeline(body, response, { end: !isEarly }).finally(() => clearImmediate(flush))
  if (isEarly) {
    await discard(visit.body)
    response.end()
    await written(response)
  }
}

/** A reader that takes nothing for as long as the route's `idle` holds memory and a connection for nobody. */
function dropStalledReader(response: ServerResponse, visit: Visit): void {
  const idleMs = visit.route?.idleMs ?? DEFAULT_IDLE_MS
  response.setTimeout(idleMs, () => {
    // Silence alone is no fault: an event stream may have nothing to say. Bytes that wait and are not taken are.
    if ((response.socket?.writableLength ?? 0) > 0) response.destroy()
  })
}

async function written(response: ServerResponse): Promise<void> {
  if (!response.writableFinished && !response.destroyed)
    await Promise.race([once(response, 'finish'), once(response, 'close')])
}

/**
 * Reads on for a while and throws away. Closing a socket with unread bytes in it resets the connection, and a reset
 * can overtake the answer that was just written.
 */
async function discard(body: Readable): Promise<void> {
  let left = LINGER_BYTES
  const done = new AbortController()
  const timer = setTimeout(() => done.abort(), LINGER_MS)
  body.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) done.abort()
  })
  for (const event of ['end', 'close', 'error']) body.once(event, () => done.abort())
  body.resume()
  if (!body.readableEnded && !body.destroyed && !done.signal.aborted) await once(done.signal, 'abort')
  clearTimeout(timer)
}
