import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/** How many requests may wait on one connection for the answers before them. */
const MAX_WAITING = 16

export interface Turn {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  serve(): void
  /** The answer is out, or will never be; called once, if the turn was served. */
  onAnswered(): void
}

interface Conversation {
  /** The request that is being answered first, and those that wait behind it. */
  readonly turns: Turn[]
  /** Nothing that comes after the turns taken so far is served. */
  isEnding: boolean
  /** Nothing is read while a turn waits. */
  isPaused: boolean
}

/** One request after the other on each connection. */
export interface Conversations {
  /** Calls `serve` when every earlier request on the connection has its answer; never, if the connection ends with one of those. */
  take(turn: Turn): void
  /** The requests under way or waiting on that connection, in order. */
  under(socket: Duplex): readonly Pick<Turn, 'request' | 'response'>[]
  /**
   * Nothing is under way on that connection, and it has not been ended. Ended ones bring more, too: what stood in one
   * packet behind the last request is still parsed.
   */
  isFree(socket: Duplex): boolean
  /** Nothing that follows on the connection is served; it ends with the last answer under way, or at once. */
  end(socket: Duplex): void
}

/**
 * `node:http` hands out every request that it finds in what a client has sent, all at once. Served like that, one
 * connection costs as much as a thousand, and a request is already with the app when it turns out that the one before
 * it was ambiguous, and that what follows may be the invention of somebody else (request smuggling). So a request is
 * looked at only when the answer before it is out, and reading stops while one waits.
 */
export function createConversations(): Conversations {
  const bySocket = new WeakMap<Duplex, Conversation>()

  function conversationOn(socket: Duplex): Conversation {
    const found = bySocket.get(socket)
    if (found !== undefined) return found
    const created: Conversation = { turns: [], isEnding: false, isPaused: false }
    bySocket.set(socket, created)
    return created
  }

  function begin(socket: Duplex, conversation: Conversation): void {
    const [turn] = conversation.turns
    if (turn === undefined) return
    turn.response.on('close', () => {
      conversation.turns.shift()
      turn.onAnswered()
      // The answer said that the connection ends: what waited is not answered, and the client knows that it was not.
      // (So it does to a client of HTTP/1.0 that cannot be told the length, whatever was agreed; then node:http ends it.)
      const goesOn = socket.writable && turn.response.shouldKeepAlive
      if (!goesOn) conversation.isEnding = true
      if (conversation.turns.length === 0 && conversation.isEnding) socket.destroy()
      else if (goesOn) begin(socket, conversation)
    })
    if (conversation.isPaused && conversation.turns.length === 1) {
      conversation.isPaused = false
      socket.resume()
    }
    turn.serve()
  }

  return {
    take(turn) {
      const { socket } = turn.request
      const conversation = conversationOn(socket)
      if (conversation.isEnding) return
      if (conversation.turns.length > MAX_WAITING) {
        conversation.isEnding = true
        return
      }
      conversation.turns.push(turn)
      if (conversation.turns.length === 1) {
        begin(socket, conversation)
      } else {
        conversation.isPaused = true
        socket.pause()
      }
    },
    under: (socket) => bySocket.get(socket)?.turns ?? [],
    isFree(socket) {
      const conversation = bySocket.get(socket)
      return conversation === undefined || (conversation.turns.length === 0 && !conversation.isEnding)
    },
    end(socket) {
      const conversation = conversationOn(socket)
      conversation.isEnding = true
      if (conversation.turns.length === 0) socket.destroy()
    },
  }
}
