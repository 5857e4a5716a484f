import type { UpstreamView } from '../admin/views.ts'

/** How a worker sees its upstreams. */
export interface UpstreamsOfWorker {
  readonly pid: number
  readonly upstreams: readonly UpstreamView[]
}

type ServerView = UpstreamView['servers'][number]

/**
 * How they are seen together: connections and ejections are summed, and of a server is true what is true of it in all.
 * While a configuration changes, a worker may not know of an upstream or a server yet; it has no say then.
 */
export function sumUpstreams(workers: readonly UpstreamsOfWorker[]): UpstreamView[] {
  const views = workers.flatMap(({ pid, upstreams }) => upstreams.map((view) => ({ pid, ...view })))
  return [...Map.groupBy(views, ({ name }) => name)].map(([name, seen]) => ({
    name,
    balance: seen[0]?.balance ?? '',
    connections: {
      active: sum(seen.map(({ connections }) => connections.active)),
      idle: sum(seen.map(({ connections }) => connections.idle)),
      pending: sum(seen.map(({ connections }) => connections.pending)),
    },
    servers: sumServers(seen.flatMap(({ pid, servers }) => servers.map((view) => ({ pid, ...view })))),
  }))
}

function sumServers(views: readonly (ServerView & { readonly pid: number })[]): ServerView[] {
  return [...Map.groupBy(views, ({ server }) => server)].map(([server, seen]) => {
    const without = seen.filter(({ drained }) => !drained).map(({ pid }) => pid)
    return {
      server,
      up: seen.every(({ up }) => up),
      drained: without.length === 0,
      ejections: sum(seen.map(({ ejections }) => ejections)),
      ...(without.length > 0 && without.length < seen.length ? { not_drained_in: without } : {}),
    }
  })
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
