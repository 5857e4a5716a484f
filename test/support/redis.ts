/**
 * Real servers of Redis for tests, each on free ports and in a folder of its own, without persistence unless asked for:
 * a killed one comes back empty. Start them once per test file; give each test a key prefix of its own.
 *
 * ```ts
 * const redis = requireServer('redis')
 * describe('…', { skip: redis.skip }, () => {
 *   let server: RedisServer
 *   before(async () => { server = await startRedis() })
 *   after(() => server[Symbol.asyncDispose]())
 *   test('…', async () => {
 *     createRedisCache({ servers: server.servers, … })    // or server.port, server.socketPath
 *     await server.command('SET', 'key', 'value')          // as the user who may everything, over the Unix socket
 *     server.stop(); server.cont()                         // SIGSTOP, SIGCONT
 *     await server.kill(); await server.start()            // SIGKILL; the same ports, and no data
 *   })
 * })
 * ```
 *
 * `startRedis({ tls: true })` takes TLS only and asks for a client certificate; `startRedis({ acl: ['user app on >secret
 * ~app:* +get'] })` adds users, the default user being as the lines say. `startSentinels()` is a master, a replica and
 * three sentinels, `startCluster()` three masters; both resolve when all of them know each other, after 1 to 4 seconds.
 */
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RedisServers, RedisTls } from '../../src/sessions/caches/redis-servers.ts'
import { makeCertificates } from './certificates.ts'
import { ADMIN, ask, eventually, freePort, HOST, RedisProgram, type RedisReply } from './redis-program.ts'

export interface RedisOptions {
  /** Clients must speak TLS and show a certificate. Default false. */
  readonly tls?: boolean
  /** Lines of `redis.conf` that begin with `user`. Without one the default user may everything. */
  readonly acl?: readonly string[]
  /** Further lines of `redis.conf`: `['maxmemory 4mb']`. */
  readonly config?: readonly string[]
}

export interface RedisServer extends AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly socketPath: string
  /** What a client needs to get in; without a user. */
  readonly servers: Extract<RedisServers, { kind: 'redis' }>
  /** What the server printed so far. */
  readonly log: string
  /** As the user who may everything, on a connection of its own. */
  command(name: string, ...args: (string | number | Buffer)[]): Promise<RedisReply>
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** After `kill`: on the same ports, with an empty memory. Resolves when it answers. */
  start(): Promise<void>
  /** SIGSTOP: connections stay open, new ones are taken by the kernel, nobody answers. */
  stop(): void
  /** SIGCONT. */
  cont(): void
}

/** One server, on 127.0.0.1 and on a Unix socket. */
export async function startRedis({ tls = false, acl = [], config = [] }: RedisOptions = {}): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-redis-'))
  const port = await freePort()
  const socketPath = join(folder, 'redis.sock')
  const clientTls = tls ? await tlsIn(folder) : undefined
  const lines = [
    ...(clientTls ? clientTls.lines(port) : [`port ${port}`]),
    `bind ${HOST}`,
    `unixsocket ${socketPath}`,
    `dir ${folder}`,
    'save ""',
    'appendonly no',
    'repl-diskless-sync yes',
    'repl-diskless-sync-delay 0',
    `user ${ADMIN.username} on >${ADMIN.password} ~* &* +@all`,
    ...acl,
    ...config,
  ]
  const program = new RedisProgram(folder, lines, () => ask(socketPath, 'PING'))
  await program.start()
  return {
    host: HOST,
    port,
    socketPath,
    servers: { kind: 'redis', server: { kind: 'tcp', host: HOST, port }, ...(clientTls && { tls: clientTls.client }) },
    get log() {
      return program.log
    },
    command: (name, ...args) => ask(socketPath, name, ...args),
    kill: () => program.kill(),
    start: () => program.start(),
    stop: () => program.signal('SIGSTOP'),
    cont: () => program.signal('SIGCONT'),
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}

export interface SentinelsOptions {
  /** After so many milliseconds without an answer a sentinel takes the master for dead. Default 500. */
  readonly downAfterMs?: number
}

export interface RedisSentinels extends AsyncDisposable {
  readonly servers: Extract<RedisServers, { kind: 'redis-sentinel' }>
  readonly sentinels: readonly RedisSentinel[]
  /** The two servers; which of them is the master changes. */
  readonly pair: readonly [RedisServer, RedisServer]
  /** The one that the sentinels name now. */
  master(): Promise<RedisServer>
  /** Resolves when the sentinels name a living master, that has a replica again. */
  settled(): Promise<void>
}

export interface RedisSentinel {
  readonly port: number
  stop(): void
  cont(): void
  kill(): Promise<void>
  start(): Promise<void>
}

/** A master and its replica, watched by three sentinels of which two decide. */
export async function startSentinels({ downAfterMs = 500 }: SentinelsOptions = {}): Promise<RedisSentinels> {
  const stack = new AsyncDisposableStack()
  const name = 'mymaster'
  const first = stack.use(await startRedis())
  const second = stack.use(await startRedis())
  await second.command('REPLICAOF', HOST, first.port)
  await eventually('the replica to follow', async () => /master_link_status:up/.test(await info(second)))
  const sentinels = await Promise.all([0, 1, 2].map(() => startSentinel({ name, downAfterMs, masterPort: first.port })))
  for (const sentinel of sentinels) stack.use(sentinel)
  const pair = [first, second] as const
  const masterNamedBy = async ({ port }: RedisSentinel): Promise<RedisServer | undefined> => {
    const reply = await ask(port, 'SENTINEL', 'get-master-addr-by-name', name)
    return pair.find((server) => Array.isArray(reply) && server.port === Number(reply[1]))
  }
  const settled = () =>
    eventually('the sentinels to agree', async () => {
      const masters = await Promise.all(sentinels.map(masterNamedBy))
      const states = await Promise.all(sentinels.map(({ port }) => ask(port, 'SENTINEL', 'master', name)))
      const [master] = masters
      const knowEachOther = states.every((state) => {
        const text = String(state)
        return /flags,master,/.test(text) && /num-slaves,1,/.test(text) && /num-other-sentinels,2,/.test(text)
      })
      if (!master || !knowEachOther || masters.some((other) => other !== master)) return false
      return /role:master[\s\S]*connected_slaves:1[\s\S]*state=online/.test(await info(master))
    })
  await settled()
  return {
    servers: { kind: 'redis-sentinel', sentinels: sentinels.map(({ port }) => ({ host: HOST, port })), master: name },
    sentinels,
    pair,
    async master() {
      for (const sentinel of sentinels) {
        const master = await masterNamedBy(sentinel).catch(() => undefined)
        if (master) return master
      }
      throw new Error('no sentinel names a master')
    },
    settled,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

async function startSentinel(options: { name: string; downAfterMs: number; masterPort: number }) {
  const { name, downAfterMs, masterPort } = options
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-sentinel-'))
  const port = await freePort()
  const lines = [
    `port ${port}`,
    `bind ${HOST}`,
    `dir ${folder}`,
    `sentinel monitor ${name} ${HOST} ${masterPort} 2`,
    `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
    // How long a failover may take before another is tried, and twice that between two of them.
    `sentinel failover-timeout ${name} 1500`,
  ]
  const program = new RedisProgram(folder, lines, () => ask(port, 'PING'), ['--sentinel'])
  await program.start()
  return {
    port,
    stop: () => program.signal('SIGSTOP'),
    cont: () => program.signal('SIGCONT'),
    kill: () => program.kill(),
    start: () => program.start(),
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}

export interface RedisCluster extends AsyncDisposable {
  readonly servers: Extract<RedisServers, { kind: 'redis-cluster' }>
  readonly masters: readonly RedisServer[]
  slotOf(key: string): Promise<number>
  /** The master that has the slot, by its own word. */
  ownerOf(slot: number): Promise<RedisServer>
  /**
   * Moves a slot with all its keys, as `redis-cli --cluster reshard` does; `beforeEachKey` is called while it is under
   * way, with some of the keys here and some there.
   */
  moveSlot(slot: number, to: RedisServer, beforeEachKey?: () => Promise<void>): Promise<void>
}

/** Three masters without replicas, a third of the slots each. */
export async function startCluster(): Promise<RedisCluster> {
  const stack = new AsyncDisposableStack()
  const masters = await Promise.all([0, 1, 2].map(startClusterNode))
  for (const { server } of masters) stack.use(server)
  for (const [i, { server, busPort }] of masters.entries()) {
    await server.command('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
    const end = i === 2 ? 16_383 : (i + 1) * 5461 - 1
    await server.command('CLUSTER', 'ADDSLOTSRANGE', i * 5461, end)
    if (i > 0) await masters[0]?.server.command('CLUSTER', 'MEET', HOST, server.port, busPort)
  }
  const servers = masters.map(({ server }) => server)
  await eventually('the cluster to be complete', async () => {
    const states = await Promise.all(servers.map((server) => server.command('CLUSTER', 'INFO')))
    return states.every((state) => /cluster_state:ok[\s\S]*cluster_known_nodes:3\b/.test(String(state)))
  })
  const idOf = async (server: RedisServer) => String(await server.command('CLUSTER', 'MYID'))
  const ownerOf = async (slot: number): Promise<RedisServer> => {
    for (const server of servers) {
      const own = String(await server.command('CLUSTER', 'NODES'))
        .split('\n')
        .find((line) => line.includes('myself'))
      const ranges = (own ?? '').split(' ').slice(8)
      if (ranges.some((range) => isInRange(range, slot))) return server
    }
    throw new Error(`no master has the slot ${slot}`)
  }
  return {
    servers: { kind: 'redis-cluster', nodes: servers.map(({ port }) => ({ host: HOST, port })) },
    masters: servers,
    slotOf: async (key) => Number(await servers[0]?.command('CLUSTER', 'KEYSLOT', key)),
    ownerOf,
    async moveSlot(slot, to, beforeEachKey = async () => {}) {
      const from = await ownerOf(slot)
      await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', await idOf(from))
      await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', await idOf(to))
      for (;;) {
        await beforeEachKey()
        const [key] = (await from.command('CLUSTER', 'GETKEYSINSLOT', slot, 1)) as string[]
        if (key === undefined) break
        await from.command('MIGRATE', HOST, to.port, key, 0, 5000, 'AUTH2', ADMIN.username, ADMIN.password)
      }
      // The new owner first: were it the old one, nobody would have the slot for a moment.
      const newOwner = await idOf(to)
      await to.command('CLUSTER', 'SETSLOT', slot, 'NODE', newOwner)
      await from.command('CLUSTER', 'SETSLOT', slot, 'NODE', newOwner)
      await Promise.all(servers.map((server) => server.command('CLUSTER', 'SETSLOT', slot, 'NODE', newOwner)))
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

async function startClusterNode() {
  const busPort = await freePort()
  const config = ['cluster-enabled yes', `cluster-port ${busPort}`, 'cluster-node-timeout 2000']
  return { server: await startRedis({ config }), busPort }
}

function isInRange(range: string, slot: number): boolean {
  const [first = '', last = first] = range.split('-')
  return /^\d+$/.test(first) && Number(first) <= slot && slot <= Number(last)
}

async function info(server: RedisServer): Promise<string> {
  return String(await server.command('INFO', 'replication'))
}

async function tlsIn(folder: string): Promise<{ lines: (port: number) => string[]; client: RedisTls }> {
  const { files, ca, client } = await makeCertificates(folder)
  return {
    lines: (port) => [
      'port 0',
      `tls-port ${port}`,
      `tls-ca-cert-file ${files.ca}`,
      `tls-cert-file ${files.serverCert}`,
      `tls-key-file ${files.serverKey}`,
      'tls-auth-clients yes',
    ],
    client: { ca, ...client },
  }
}
