import { Gauge, type Registry } from 'prom-client'
import { createCounter } from './series.ts'

/** What clients were kept from. */
export interface LimitMetrics {
  /** A connection was closed unread; the reason is from a closed set. */
  connectionRefused(reason: 'total' | 'address'): void
  /** A client was cut for being slow, with a request's body or with an answer. */
  slowClient(part: 'body' | 'answer'): void
  /** Reads the number of open connections at every scrape. */
  watchConnections(count: () => number): void
}

export function createLimitMetrics(registry: Registry): LimitMetrics {
  let connections: () => number = () => 0
  new Gauge({
    name: 'sessiongate_client_connections',
    help: 'Open connections of clients, WebSockets included.',
    registers: [registry],
    collect() {
      this.set(connections())
    },
  })
  const refused = createCounter(registry, {
    name: 'sessiongate_client_connections_refused_total',
    help: 'Connections of clients that were closed unread: one too many of all, or of one address.',
    labelNames: ['reason'],
  })
  const slow = createCounter(registry, {
    name: 'sessiongate_slow_clients_total',
    help: 'Clients that were cut because they sent a body, or took an answer, too slowly.',
    labelNames: ['part'],
  })
  return {
    connectionRefused: (reason) => refused.at(reason).add(),
    slowClient: (part) => slow.at(part).add(),
    watchConnections(count) {
      connections = count
    },
  }
}
