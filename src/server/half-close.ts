import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Conversations } from './conversation.ts'

/**
 * When a client that has finished sending is looked at, counted from the look before. Most answers are out before the
 * first look; the second is the one that finds out about somebody near, and the later ones about those whose reset takes
 * longer to come.
 */
const LOOKS_MS = [20, 40, 500, 5_000] as const

/**
 * Told when a client has finished sending (FIN) with answers still due to it. Two kinds do that: those that wait for the
 * answer (RFC 9293, section 3.6: a close of one direction), and those that are gone. TCP tells them apart only when
 * something is sent: who is gone answers with a reset, which the write after that one meets.
 *
 * So a client whose answer has not begun is sent `100 Continue`, which RFC 9110, section 15.2 has every client of
 * HTTP/1.1 take and forget, and gets its answer if it is still there. Once an answer has begun, its own bytes tell; but an
 * answer that has nothing to say when the client finishes may stay silent for minutes (an event stream), and its reader
 * is taken to be gone. So is a client of HTTP/1.0, which knows no interim answers.
 */
export function createHalfCloseWatch(conversations: Pick<Conversations, 'under'>): (socket: Socket) => void {
  return function watch(socket) {
    const turns = conversations.under(socket)
    const [first] = turns
    // With a request that did not come whole, it is the parser that ends the connection.
    if (first === undefined || !socket.writable || !turns.every(({ request }) => request.complete)) return
    if (first.request.httpVersion !== '1.1') {
      socket.end()
      return
    }
    const last = turns.at(-1)?.response
    if (last !== undefined && !last.headersSent) last.shouldKeepAlive = false
    const hasBegun = first.response.headersSent
    let writtenBytes = socket.bytesWritten
    let looks = 0
    let timer: NodeJS.Timeout | undefined
    socket.once('close', () => clearTimeout(timer))
    wait()

    function wait(): void {
      timer = setTimeout(look, LOOKS_MS[Math.min(looks, LOOKS_MS.length - 1)]).unref()
      looks += 1
    }

    function look(): void {
      const response = conversations.under(socket)[0]?.response
      if (response === undefined || socket.destroyed) return
      if (!response.headersSent) response.writeContinue()
      else if (hasBegun && looks > 1 && isSilent(response)) {
        socket.destroy()
        return
      }
      writtenBytes = socket.bytesWritten
      wait()
    }

    /** Bytes that wait to be taken are no silence: the system tells when nobody will. */
    function isSilent(response: ServerResponse): boolean {
      return !response.writableEnded && socket.writableLength === 0 && socket.bytesWritten === writtenBytes
    }
  }
}
