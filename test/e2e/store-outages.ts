import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { type FaultProxy, type Fault as ProxyFault, startFaultProxy } from '../support/fault-proxy.ts'
import { startMemcached } from '../support/memcached.ts'
import { startPostgres } from '../support/postgres.ts'
import { startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import {
  assertPromise,
  type FaultStage,
  type FaultStageOptions,
  openFaultStage,
  STORE_TIMEOUT_MS,
  summary,
} from './store-fault-stage.ts'

/** How a store begins to fail, and how that ends. */
export interface Outage {
  begin(): unknown
  end(): unknown
  /** It comes back empty, so nobody is logged in any more. */
  readonly forgets?: boolean
}

/** What a noisy machine may add to the times that the gateway promises, beside what it adds to requests without a session. */
const NOISE_MS = 500

/** An outage under load, from before the first call that fails until the first that works again. */
export async function assertOutage(t: TestContext, stage: FaultStage, outage: Outage): Promise<void> {
  const cookie = await stage.logIn()
  const statesBefore = stage.states().length
  const states = () => stage.states().slice(statesBefore)
  const load = { cookie, visitors: ['holder', 'guest', 'none', 'lenient'], ratePerSecond: 120 } as const
  await outage.begin()
  const begun = await stage.load({ ...load, durationMs: STORE_TIMEOUT_MS + 200 })
  await stage.toldOften(statesBefore + 1)
  const open = await stage.load({ ...load, durationMs: 300 })
  assert.deepEqual([await stage.readyz(), await stage.storeUp(), states()], [503, 0, ['session store is down']])
  await outage.end()
  const endedMs = performance.now()
  await stage.toldOften(statesBefore + 2)
  const noticedMs = Math.round(performance.now() - endedMs)
  const back = await stage.ask('holder', cookie)
  assert.deepEqual([back.status, back.body], [200, outage.forgets === true ? '{}' : '{"userInfo":{"id":1}}'])
  assert.deepEqual([await stage.readyz(), await stage.storeUp()], [200, 1])
  assert.deepEqual(states(), ['session store is down', 'session store is up again'])
  assertPromise(begun, { mayServeHolders: true })
  assertPromise(open)
  assertQuick(t, { begun: summary(begun), open: summary(open), noticedMs })
}

type Summary = ReturnType<typeof summary>

function assertQuick(t: TestContext, seen: { begun: Summary; open: Summary; noticedMs: number }): void {
  const { begun, open, noticedMs } = seen
  t.diagnostic(
    `store_timeout ${STORE_TIMEOUT_MS} ms: 503 within p99 ${begun.holder.p99} ms (without a session ${begun.guest.p99}); ` +
      `circuit open: p50 ${open.holder.p50} ms (${open.guest.p50}); back ${noticedMs} ms after the end`,
  )
  assert.ok(begun.holder.p99 < STORE_TIMEOUT_MS + begun.guest.p99 + NOISE_MS, `p99 ${begun.holder.p99} ms`)
  assert.ok(open.holder.p50 < 2 * open.guest.p50 + 30, `an open circuit refuses at once, not in ${open.holder.p50} ms`)
  assert.ok(noticedMs < 3000, `noticed ${noticedMs} ms after the end`)
}

/** What a network, or a process that misbehaves, does to the connections to a server. */
export const networkFaults = {
  'nothing comes back': { kind: 'stall', direction: 'down' },
  'nothing gets there': { kind: 'stall', direction: 'up' },
  'it is slower than store_timeout': { kind: 'delay', delayMs: STORE_TIMEOUT_MS + 50 },
  'every connection is reset': { kind: 'reset' },
  'every reply is cut': { kind: 'cut', direction: 'down', afterBytes: 3 },
  'every reply is garbled': { kind: 'corrupt', direction: 'down' },
} as const satisfies Record<string, ProxyFault>

/** A server, the proxy before it, and a gateway that knows only the proxy. */
export interface ServerStage extends AsyncDisposable {
  readonly stage: FaultStage
  readonly proxy: FaultProxy
  /** What can happen to it, `networkFaults` included, in words that follow "when". */
  readonly outages: Readonly<Record<string, Outage>>
  /** Another gateway on the same server. */
  open(options: FaultStageOptions): Promise<FaultStage>
}

export type OutageName = keyof typeof networkFaults | 'nobody listens any more' | 'it is stopped' | 'it is killed'

interface Server extends AsyncDisposable {
  readonly port: number
  /** The YAML that leads to it by another port. */
  yaml(port: number): Promise<{ readonly session: readonly string[]; readonly sections: string }>
  readonly stopped: Outage
  readonly killed: Outage
}

export const serverKinds = {
  Redis: { skip: requireServer('redis').skip, start: redisServer },
  memcached: { skip: requireServer('memcached').skip, start: memcachedServer },
  PostgreSQL: { skip: requireServer('postgres').skip, start: postgresServer },
} as const

export async function openServerStage(kind: keyof typeof serverKinds): Promise<ServerStage> {
  await using stack = new AsyncDisposableStack()
  const server = stack.use(await serverKinds[kind].start())
  const proxy = stack.use(await startFaultProxy(server.port))
  const { session, sections } = await server.yaml(proxy.port)
  const open = (options: FaultStageOptions) => openFaultStage(session, { sections, ...options })
  const stage = stack.use(await open({}))
  const closing = stack.move()
  const byProxy = Object.entries(networkFaults).map(([why, fault]): [string, Outage] => [
    why,
    { begin: () => proxy.set(fault), end: () => proxy.pass() },
  ])
  const refused: Outage = {
    async begin() {
      await proxy.refuse()
      proxy.kill()
    },
    end: () => proxy.accept(),
  }
  return {
    stage,
    proxy,
    outages: {
      ...Object.fromEntries(byProxy),
      'nobody listens any more': refused,
      'it is stopped': server.stopped,
      'it is killed': server.killed,
    },
    open,
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

async function redisServer(): Promise<Server> {
  const redis = await startRedis()
  return {
    port: redis.port,
    yaml: async (port) => ({
      session: ['engine: cache'],
      sections: `caches: { default: { backend: redis, url: "redis://127.0.0.1:${port}" } }`,
    }),
    stopped: { begin: () => redis.stop(), end: () => redis.cont() },
    killed: { begin: () => redis.kill(), end: () => redis.start(), forgets: true },
    [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
  }
}

async function memcachedServer(): Promise<Server> {
  const memcached = await startMemcached(requireServer('memcached'))
  return {
    port: memcached.port,
    yaml: async (port) => ({
      session: ['engine: cache'],
      sections: `caches: { default: { backend: memcached, url: "127.0.0.1:${port}" } }`,
    }),
    stopped: { begin: () => memcached.stop(), end: () => memcached.continue() },
    killed: { begin: () => memcached.kill(), end: () => memcached.restart(), forgets: true },
    [Symbol.asyncDispose]: () => memcached[Symbol.asyncDispose](),
  }
}

async function postgresServer(): Promise<Server> {
  const postgres = await startPostgres()
  return {
    port: postgres.port,
    async yaml(port) {
      const { url } = await postgres.createDatabase()
      const throughProxy = url.replace(`:${postgres.port}/`, `:${port}/`)
      return { session: ['engine: db'], sections: `database: { url: "${throughProxy}", create: true }` }
    },
    stopped: { begin: () => postgres.pause(), end: () => postgres.resume() },
    killed: { begin: () => postgres.stop('immediate'), end: () => postgres.start() },
    [Symbol.asyncDispose]: () => postgres[Symbol.asyncDispose](),
  }
}
