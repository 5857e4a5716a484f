import { createContext } from './attempt.ts'
import { Roster } from './roster.ts'
import { Forwarding, Upgrading } from './sending.ts'
import type { Upstream, UpstreamOptions, UpstreamRequest, UpstreamStats } from './upstream.ts'

/** Opens an upstream; connections are made when they are needed. Disposing cuts all of them. */
export function openUpstream(options: UpstreamOptions): Upstream {
  const { name, retries } = options
  if (options.servers.length === 0) throw new TypeError(`upstream ${name} has no server`)
  const roster = new Roster(options)
  const ways = { roster, retries }

  return {
    name,
    forward(request) {
      return new Promise((resolve, reject) => new Forwarding(request, ways, { resolve, reject }).begin())
    },
    upgrade(request) {
      const asGet: UpstreamRequest = { ...request, method: 'GET', body: null }
      return new Promise((resolve, reject) => new Upgrading(asGet, ways, { resolve, reject }).begin())
    },
    renewCertificates(certificates) {
      const context = createContext(name, certificates)
      for (const member of roster.members) member.renewContext(context)
    },
    stats: () => sumOf(roster),
    servers: () =>
      roster.members.map(({ address, standing }) => ({
        server: address.label,
        isUp: standing.isUp,
        isDrained: standing.isDrained,
        ejections: standing.ejections,
      })),
    setDrained: (server, isDrained) => roster.setDrained(server, isDrained),
    [Symbol.asyncDispose]: () => roster[Symbol.asyncDispose](),
  }
}

function sumOf({ members }: Roster): UpstreamStats {
  const sum = { active: 0, idle: 0, pending: 0 }
  for (const server of members.flatMap(({ forwarder, upgrader }) => [forwarder, upgrader])) {
    const { active, idle, pending } = server.stats()
    sum.active += active
    sum.idle += idle
    sum.pending += pending
  }
  return sum
}
