import type { Scheduler } from '../scheduler.ts'
import { shuffled } from './redis-client.ts'
import { type ClusterView, parseClusterNodes, parseSlotOwners } from './redis-cluster-nodes.ts'
import { RedisFailure, redisFailure } from './redis-failure.ts'
import { NoticeConnection } from './redis-notice-connection.ts'
import type { NoticeSource, NoticeSources } from './redis-notice-sources.ts'
import { garbled } from './redis-scripts.ts'
import type { RedisHost, RedisServers } from './redis-servers.ts'

export interface ClusterSourcesOptions {
  readonly servers: Extract<RedisServers, { kind: 'redis-cluster' }>
  /** What a server has to be connected to, and for its answer. */
  readonly timeoutMs: number
  readonly scheduler: Scheduler
  /** 0 up to 1, exclusive. */
  readonly random: () => number
}

/** So many servers are asked at most, before it counts as a failure. */
const MAX_GUIDES = 6

/**
 * The masters of a cluster: those that have slots, and those that have none yet, since the first keys come to a server
 * before the slot does (ASK). With each heartbeat every one of them is asked which masters there are, and who has which
 * slots. So the answer that sends a reader to a server which we do not hear is not older than a heartbeat in which that
 * server is missing, and what is read there is not believed for longer than the lease.
 */
export function createClusterSources(options: ClusterSourcesOptions): NoticeSources {
  const { servers, random } = options
  /** Who has which slots, as it was found last. */
  let layout = ''
  let known: readonly RedisHost[] = []
  let asked: NoticeConnection | undefined
  let isClosed = false

  function sourceOf(id: string, host: RedisHost): NoticeSource {
    return {
      name: `${id} ${host.host} ${host.port}`,
      socket: { kind: 'tcp', ...host },
      takesAnyKey: false,
      async check(connection) {
        const view = await viewOf(connection)
        if (view.self !== id) throw new RedisFailure('lost', 'another server answers at that address')
        return view.layout === layout
      },
    }
  }

  return {
    async find() {
      // Those of the configuration are asked too: all that we know may be of yesterday.
      const candidates = [...shuffled(known, random), ...shuffled(servers.nodes, random)]
      const { view, addresses } = await firstAnswer(candidates.slice(0, MAX_GUIDES), (host) => {
        if (isClosed) throw new RedisFailure('unsent', 'it was closed')
        asked = connectionTo(host, options)
        return asked
      })
      layout = view.layout
      known = [...addresses.values()]
      return [...addresses].map(([id, host]) => sourceOf(id, host))
    },
    beat() {},
    shownAtMs: Number.POSITIVE_INFINITY,
    close() {
      isClosed = true
      asked?.close()
    },
  }
}

interface Answer {
  readonly view: ClusterView
  /** Of each master, by its id. */
  readonly addresses: ReadonlyMap<string, RedisHost>
}

type Connecting = (host: RedisHost) => NoticeConnection

async function firstAnswer(candidates: readonly RedisHost[], connectTo: Connecting): Promise<Answer> {
  let failure = new RedisFailure('lost', 'none of these servers can be reached')
  for (const host of candidates) {
    try {
      return await answerOf(host, connectTo)
    } catch (error) {
      // One that refuses us says more than one that is not there.
      const { kind, code, message } = redisFailure(error)
      if (kind !== 'lost' && kind !== 'timeout') failure = new RedisFailure(kind, message, { code })
    }
  }
  throw failure
}

async function answerOf(host: RedisHost, connectTo: Connecting): Promise<Answer> {
  const connection = connectTo(host)
  try {
    await connection.connect()
    const [view, slots] = await Promise.all([viewOf(connection), connection.call('cluster', 'slots')])
    return { view, addresses: addressesOf(view, slots, host) }
  } finally {
    connection.close()
  }
}

function connectionTo(host: RedisHost, { servers, timeoutMs, scheduler }: ClusterSourcesOptions): NoticeConnection {
  return new NoticeConnection({
    servers,
    socket: { kind: 'tcp', ...host },
    connectTimeoutMs: timeoutMs,
    silenceMs: timeoutMs,
    scheduler,
    onEnd() {},
  })
}

async function viewOf(connection: NoticeConnection): Promise<ClusterView> {
  const view = parseClusterNodes(String(await connection.call('cluster', 'nodes')))
  if (!view) throw garbled()
  return view
}

/**
 * Where the masters are to be reached. CLUSTER SLOTS names those with slots as clients shall call them, which may be by
 * name, as their certificates do; the others are called in the same way.
 */
function addressesOf({ masters }: ClusterView, slots: unknown, asked: RedisHost): ReadonlyMap<string, RedisHost> {
  const owners = parseSlotOwners(slots)
  if (!owners) throw garbled()
  const byName = masters.some(({ id, hostname }) => hostname !== '' && owners.get(id)?.host === hostname)
  return new Map(
    masters.map(({ id, ip, port, hostname }) => {
      const own = byName && hostname !== '' ? hostname : ip
      // Empty: the address that it was asked at, because it knows no better.
      return [id, { host: owners.get(id)?.host || own || asked.host, port: owners.get(id)?.port ?? port }]
    }),
  )
}
