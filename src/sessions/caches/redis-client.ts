import type { ConnectionOptions } from 'node:tls'
import { Cluster, type ClusterOptions, Command, Redis, type RedisOptions } from 'ioredis'
import { RedisFailure, redisFailure } from './redis-failure.ts'
import type { RedisArgument, RedisSender } from './redis-scripts.ts'
import type { RedisAccess, RedisHost, RedisServers, RedisTls } from './redis-servers.ts'

/**
 * One connection, or for a cluster one set of them. It is opened once, used, and thrown away when it is lost: none ever
 * connects again by itself, so nothing that was sent on one can be sent again on another behind our back.
 */
export interface RedisClient extends RedisSender {
  /**
   * Resolves when commands can be sent. Called once.
   *
   * @throws {RedisFailure} what went wrong; the client is of no use then.
   */
  connect(): Promise<void>
  readonly isReady: boolean
  /** What holds keys, one by one: the master, or the masters of the cluster as it is now. */
  masters(): Promise<readonly RedisSender[]>
  /**
   * Cuts off the server that has the key, since a call to it got no answer in time; undefined: whichever it is. False if
   * nothing would be left, and the client has to go.
   */
  cutOff(key: string | undefined): boolean
  /** At once: calls under way fail. */
  close(): void
}

export interface RedisClientOptions {
  readonly servers: RedisServers
  /** How long one server may keep silent while it is asked for something. */
  readonly silenceMs: number
  /** How long opening may take. */
  readonly connectTimeoutMs: number
  /** 0 up to 1, exclusive. */
  readonly random: () => number
  /** The client is of no use any more, whether or not it ever was. May be called more than once. */
  readonly onEnd: (failure: RedisFailure) => void
}

/** A client that is not connected yet. */
export function createRedisClient(options: RedisClientOptions): RedisClient {
  const { servers } = options
  if (servers.kind === 'redis-cluster') return createClusterClient(servers.nodes, options)
  return createServerClient(new Redis({ ...commonOptions(options), ...addressOptions(servers, options) }), options)
}

/** So many sentinels, or servers of a cluster, can be asked for the way in the time that connecting may take. */
const GUIDES = 3

/** ioredis' own type makes the two kinds of replies a type parameter; ours are always those of RESP2, whatever is spoken. */
type ConnectOptions = Omit<RedisOptions, 'replyMapping'>

/** What every connection is opened with. */
export interface ConnectionParts extends Pick<RedisClientOptions, 'silenceMs' | 'connectTimeoutMs'> {
  readonly servers: RedisAccess
}

/** Options of every connection. Each of the first five is a promise of this module that ioredis' default would break. */
export function commonOptions({ servers, silenceMs, connectTimeoutMs }: ConnectionParts): ConnectOptions {
  return {
    // Null: a connection that ends stays ended. By default it comes back and sends everything again that had no answer
    // yet, writes included: a log-out that was undone meanwhile, a value that another has replaced.
    retryStrategy: null,
    // Only of use to one that comes back. Named nevertheless, lest the line above be changed alone.
    autoResendUnfulfilledCommands: false,
    // True would keep the calls of an outage in memory and perform them long after their callers gave up.
    enableOfflineQueue: false,
    // `connect()` is called, and tells how it ended; else the constructor would do it, and tell nobody.
    lazyConnect: true,
    // Milliseconds between `end()` of a socket and its destruction. By default 2000, in which a server that wakes up still
    // gets what we had given up.
    disconnectTimeout: 0,
    // A socket that brings nothing for so long while an answer is due is destroyed, and its late answers with it.
    // `commandTimeout` would only forget the call, and leave a dead connection in use until the kernel gives up on it.
    socketTimeout: silenceMs,
    // TCP and TLS. What comes after (HELLO, SELECT) is covered by the line above, and all of it by the caller's deadline.
    connectTimeout: connectTimeoutMs,
    // INFO before the first command: a server that loads its data is polled each second at best, and a user who may not
    // ask for INFO gets a line on the console. The commands themselves answer LOADING just as well. Behind Sentinel we ask
    // for the role ourselves.
    enableReadyCheck: false,
    // Two commands at each connection that Redis knows from 7.2 on only.
    disableClientInfo: true,
    connectionName: 'sessiongate',
    // Finds out in time, before it is needed, that an idle connection was forgotten by a firewall.
    keepAlive: 10_000,
    ...(servers.username !== undefined && { username: servers.username }),
    ...(servers.password !== undefined && { password: servers.password }),
    ...(servers.tls && { tls: tlsOptions(servers.tls) }),
  }
}

function addressOptions(
  servers: Exclude<RedisServers, { kind: 'redis-cluster' }>,
  { connectTimeoutMs, random }: RedisClientOptions,
): ConnectOptions {
  const db = servers.database ?? 0
  if (servers.kind === 'redis') {
    const { server } = servers
    return server.kind === 'unix' ? { path: server.path, db } : { host: server.host, port: server.port, db }
  }
  const { sentinels, master, sentinelUsername, sentinelPassword, tls } = servers
  return {
    db,
    name: master,
    sentinels: shuffled(sentinels, random),
    // One round through the sentinels, then the attempt has failed; when there is another is not ioredis' to say.
    sentinelRetryStrategy: () => null,
    // One that hangs must leave time to ask another, and the master.
    sentinelCommandTimeout: Math.ceil(connectTimeoutMs / GUIDES),
    // What it learned would be lost with the client, and costs a round trip.
    updateSentinels: false,
    ...(sentinelUsername !== undefined && { sentinelUsername }),
    ...(sentinelPassword !== undefined && { sentinelPassword }),
    ...(tls && { enableTLSForSentinelMode: true, sentinelTLS: tlsOptions(tls) }),
  }
}

function tlsOptions({ ca, cert, key, serverName }: RedisTls): ConnectionOptions {
  return {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(serverName !== undefined && { servername: serverName }),
  }
}

function createServerClient(redis: Redis, { servers, onEnd }: RedisClientOptions): RedisClient {
  let failure: RedisFailure | undefined
  // Without a listener ioredis writes them to the console. None of them leaves a connection that can be trusted: after a
  // reply that belongs to no command, all others may be off by one.
  redis.on('error', (error: Error) => {
    failure ??= serverFailure(servers, error, words)
    close()
  })
  // What the sentinels said to us, if any said something.
  const words: SentinelWords = { refusal: undefined, isNameUnknown: false }
  redis.on('sentinelError', (error: Error) => {
    words.refusal ??= / because (NOAUTH|WRONGPASS|NOPERM) /.exec(error.message)?.[1]
    words.isNameUnknown ||= error.message.endsWith(' invalid reply: null')
  })
  redis.on('end', () => onEnd(failure ?? new RedisFailure('lost', 'the connection ended')))
  let isClosed = false
  function close(): void {
    if (isClosed) return
    isClosed = true
    redis.disconnect()
    // `disconnect()` leaves a socket that is still connecting to do so.
    redis.stream?.destroy()
  }
  const client: RedisClient = {
    async connect() {
      await redis.connect().catch((error: unknown) => {
        throw failure ?? serverFailure(servers, error, words)
      })
      // After a SELECT that was refused ioredis only emits an error, and goes on in database 0: somebody else's sessions.
      if (failure) throw failure
      if (servers.kind === 'redis-sentinel') await assertMaster(redis)
    },
    get isReady() {
      return redis.status === 'ready'
    },
    send: (command, ...args) => send(redis, command, args),
    masters: async () => [client],
    cutOff: () => false,
    close,
  }
  return client
}

/**
 * What Sentinel names may have been demoted a moment ago, and be a replica that reads the past. Asked here, since ioredis'
 * own check takes whatever it is for the master when the user may not ask for INFO.
 */
async function assertMaster(redis: Redis): Promise<void> {
  const info = await redis.info('replication').catch((error: unknown) => {
    const failure = redisFailure(error)
    if (failure.code !== 'NOPERM') throw failure
    throw new RedisFailure('refused', "the user's ACL does not permit INFO, which tells the master", { code: 'NOPERM' })
  })
  if (!/^role:master\r?$/m.test(info))
    throw new RedisFailure('lost', 'the server that Sentinel names is not the master (yet)')
}

interface SentinelWords {
  /** The code with which one of them refused us. */
  refusal: string | undefined
  /** One of them knows no master of that name. */
  isNameUnknown: boolean
}

/** What an error of a connection means. Behind Sentinel, ioredis tells some of them in a sentence only. */
function serverFailure(
  { kind }: RedisServers,
  error: unknown,
  { refusal, isNameUnknown }: SentinelWords,
): RedisFailure {
  const message = kind === 'redis-sentinel' && error instanceof Error ? error.message : ''
  if (!message.startsWith('All sentinels are unreachable')) return redisFailure(error)
  if (refusal !== undefined) return new RedisFailure('auth', 'the sentinels do not let us in', { code: refusal })
  if (isNameUnknown) return new RedisFailure('lost', 'the sentinels know no master of that name')
  return new RedisFailure('lost', 'no sentinel can be reached')
}

function createClusterClient(nodes: readonly RedisHost[], options: RedisClientOptions): RedisClient {
  const { onEnd, random } = options
  const cluster = new Cluster(shuffled(nodes, random), clusterOptions(options))
  const cut = new WeakSet<Redis>()
  let failure: RedisFailure | undefined
  cluster.on('error', (error: Error) => {
    failure = redisFailure(error)
  })
  cluster.on('+node', calmAsking)
  cluster.on('end', () => onEnd(new RedisFailure('lost', 'no server of the cluster is left')))
  return {
    async connect() {
      await cluster.connect().catch((error: unknown) => {
        const { kind, code } = failure ?? redisFailure(error)
        // Why each of them could not be reached, ioredis does not tell.
        if (kind === 'lost' && code === 'LOST') throw new RedisFailure('lost', 'none of these servers can be reached')
        throw failure ?? redisFailure(error)
      })
    },
    get isReady() {
      return cluster.status === 'ready'
    },
    send: (command, ...args) => send(cluster, command, args),
    async masters() {
      // The map of slots is only renewed by a command that was sent to the wrong server; a listing is sent to all.
      await new Promise<void>((resolve, reject) =>
        cluster.refreshSlotsCache((error) => (error ? reject(error) : resolve())),
      )
      return cluster.nodes('master').map((node) => ({ send: (command, ...args) => send(node, command, args) }))
    },
    cutOff(key) {
      // Which one it was is not told where no key is: `socketTimeout` finds out.
      if (key === undefined) return true
      const slot = new Command('get', [key]).getSlot()
      const [address] = cluster.slots[slot ?? -1] ?? []
      const node = cluster.nodes('all').find(({ options: { host, port } }) => `${host}:${port}` === address)
      if (node && !cut.has(node)) {
        cut.add(node)
        node.disconnect()
        node.stream?.destroy()
      }
      return true
    },
    close() {
      if (cluster.status !== 'end' && cluster.status !== 'disconnecting') cluster.disconnect()
    },
  }
}

function clusterOptions(options: RedisClientOptions) {
  return {
    lazyConnect: true,
    // The whole set is thrown away when no server of it is left, as a single connection is.
    clusterRetryStrategy: null,
    // False would refuse what comes while a server's connection is being opened, which happens at its first use. The
    // queue lives no longer than that: it is emptied when the connection fails ('connectTimeout', 'socketTimeout'), is
    // cut off after a timeout, or the whole set ends.
    enableOfflineQueue: true,
    // 0: not again. By default a command whose connection was lost is sent to a random other server after 100 ms, also
    // if it was a write, and had been done.
    retryDelayOnFailover: 0,
    // 0: the refusal is the answer. By default it is sent again up to 16 times, longer than our caller waits.
    retryDelayOnClusterDown: 0,
    // MOVED and ASK: refused before anything was done, and sent to the server that was named, at once.
    maxRedirections: 8,
    // One server is asked after the other for the map of the slots, each on a connection of its own: one that hangs must
    // not use up the time.
    slotsRefreshTimeout: Math.ceil(options.connectTimeoutMs / GUIDES),
    // A cluster in which some slots have no server still serves the others. CLUSTERDOWN comes with the commands.
    enableReadyCheck: false,
    // By default names become addresses before they are connected to, and no certificate matches these.
    dnsLookup: (name, callback) => callback(null, name),
    redisOptions: omitForNodes(commonOptions(options)),
  } satisfies ClusterOptions
}

/** Without what ioredis sets for the servers of a cluster itself. */
function omitForNodes(options: ConnectOptions): Omit<ConnectOptions, 'retryStrategy' | 'enableOfflineQueue'> {
  const { retryStrategy: _retryStrategy, enableOfflineQueue: _enableOfflineQueue, ...rest } = options
  return rest
}

/**
 * Before a command that a slot's new server is asked for out of turn, ioredis sends ASKING and forgets the promise. When
 * the connection ends before its answer, nobody has handled that rejection, and it would end the process.
 */
function calmAsking(node: Redis): void {
  const asking = node.asking.bind(node)
  node.asking = () => {
    const answer = asking()
    answer.catch(() => {})
    return answer
  }
}

async function send(redis: Redis | Cluster, command: string, args: readonly RedisArgument[]): Promise<unknown> {
  return await redis.callBuffer(command, ...args)
}

/** Fisher and Yates. In the order of the configuration, one that hangs would cost every process the same time each time. */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const order = [...items]
  for (let i = order.length - 1; i > 0; i--) {
    const [picked] = order.splice(Math.floor(random() * (i + 1)), 1)
    if (picked !== undefined) order.push(picked)
  }
  return order
}
