import type { Clock } from '../lib/clock.ts'
import { accessFields } from './access-log.ts'
import type { Exchange } from './exchange.ts'

/** Requests as they end, for those who watch. While nobody does, it costs one comparison. */
export interface RequestTail {
  tell(exchange: Exchange): void
  /** Lines as in the access log; returns the way to stop. */
  watch(listener: (line: string) => void): () => void
}

export function createRequestTail(clock: Clock): RequestTail {
  const listeners = new Set<(line: string) => void>()
  return {
    tell(exchange) {
      if (listeners.size === 0) return
      const line = JSON.stringify({ time: new Date(clock()).toISOString(), ...accessFields(exchange) })
      for (const listener of listeners) listener(line)
    },
    watch(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
