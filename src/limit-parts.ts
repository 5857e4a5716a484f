import type { Config } from './config/config.ts'
import { compileTrust } from './http/addresses.ts'
import { DescriptorBudget, type SocketRoom } from './lib/descriptor-budget.ts'
import { readOpenFilesLimit } from './lib/open-files.ts'
import { createLineLimit } from './observe/line-limit.ts'
import type { Log } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import { ClientPace } from './server/client-pace.ts'
import { ConnectionLimit, type ConnectionLimits } from './server/connection-limit.ts'
import { Load } from './server/load.ts'
import { PaceWatch } from './server/pace.ts'

/** Lines about what was one too many: a crowd is told of in figures. */
const REFUSALS_LOGGED = { lines: 10, everyMs: 10_000 }

/** What bounds the clients of a process; there is one of each, whatever is loaded anew. */
export interface Limits extends Disposable {
  /** Of all listeners together. */
  readonly connections: ConnectionLimit
  readonly load: Load
  /** Room for the connections to one more upstream. */
  readonly openRoom: () => SocketRoom
  /** Of the configuration that is given. */
  paceOf(config: Pick<Config, 'limits'>): ClientPace
  /** Whether a request that was refused for the load may have its line. */
  readonly mayLogRefusal: () => boolean
  /** Takes over the limits of another configuration. */
  apply(config: Pick<Config, 'limits' | 'trustedProxies'>): void
}

/** Reads what the system allows, and begins to look at the event loop. */
export function openLimits(
  config: Pick<Config, 'limits' | 'trustedProxies'>,
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
): Limits {
  const budget = new DescriptorBudget(readOpenFilesLimit())
  const watch = new PaceWatch()
  const load = new Load(config.limits)
  const mayLogConnection = createLineLimit({
    ...REFUSALS_LOGGED,
    onLeftOut: (count) => log.warn('connections refused, not each is told', { count }),
  })
  const mayLogRefusal = createLineLimit({
    ...REFUSALS_LOGGED,
    onLeftOut: (count) => log.warn('requests refused for overload, not each is told', { count }),
  })
  const connections = new ConnectionLimit(connectionLimits(config), {
    room: budget,
    onRefused(reason, address) {
      metrics.limits.connectionRefused(reason)
      if (mayLogConnection()) log.warn('connection refused', { reason, 'network.peer.address': address })
    },
  })
  metrics.limits.watchConnections(() => budget.clients)
  return {
    connections,
    load,
    openRoom: () => budget.openRoom(),
    paceOf: ({ limits }) => new ClientPace(limits, { watch, onSlow: metrics.limits.slowClient }),
    mayLogRefusal,
    apply(next) {
      connections.apply(connectionLimits(next))
      load.apply(next.limits)
    },
    [Symbol.dispose]: () => load[Symbol.dispose](),
  }
}

function connectionLimits({ limits, trustedProxies }: Pick<Config, 'limits' | 'trustedProxies'>): ConnectionLimits {
  return {
    total: limits.connections,
    perAddress: limits.connectionsPerAddress,
    isTrusted: compileTrust(trustedProxies),
  }
}
