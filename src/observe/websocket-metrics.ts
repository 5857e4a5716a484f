import { Counter, Gauge, type Registry } from 'prom-client'

/** Why a WebSocket ended. */
export type WebSocketEnd = 'client' | 'upstream' | 'idle' | 'session_end' | 'drain' | 'error'

export interface WebSocketMetrics {
  opened(routeId: string): void
  closed(routeId: string, reason: WebSocketEnd): void
}

export function createWebSocketMetrics(registry: Registry): WebSocketMetrics {
  const registers = [registry]
  const open = new Gauge({
    name: 'sessiongate_websocket_connections',
    help: 'Open WebSockets.',
    labelNames: ['route'],
    registers,
  })
  const closed = new Counter({
    name: 'sessiongate_websocket_closed_total',
    help: 'WebSockets that ended, by who or what ended them.',
    labelNames: ['route', 'reason'],
    registers,
  })
  return {
    opened: (route) => open.inc({ route }),
    closed(route, reason) {
      open.dec({ route })
      closed.inc({ route, reason })
    },
  }
}
