import assert from 'node:assert/strict'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { loadConfig } from '../../src/config/loading.ts'
import { forEachParallel } from '../../src/lib/parallel.ts'
import { openSessionParts, type SessionParts } from '../../src/session-parts.ts'
import { sessionOf } from '../contract/session-engine-world.ts'
import { runCommand } from '../support/command.ts'
import { within } from '../support/deadline.ts'
import type { LogLine, TestGateway } from '../support/gateway.ts'
import { startPostgres } from '../support/postgres.ts'
import { startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { type OpenSocket, openSocketStage, type SocketStage, untilTold } from './socket-stage.ts'

const TOKEN = 'the-token-of-this-test-0123456789'
const USERS = 1_000
const SESSIONS_EACH = 10
/** What the documentation promises of sessions in the process and of WebSockets, and what a busy machine may add. */
const BOUND_MS = 1_000 + 3_000
const main = join(import.meta.dirname, '../../src/main.ts')

/** Two gateways on one store that holds the sessions of all users. */
interface Crowd extends AsyncDisposable {
  readonly stage: SocketStage
  readonly parts: SessionParts
  /** The keys of each user, by number. */
  readonly keys: ReadonlyMap<number, readonly string[]>
}

/** @param store The sections of the YAML that say where sessions are. */
async function gather(store: Readonly<Record<string, object>>): Promise<Crowd> {
  await using stack = new AsyncDisposableStack()
  const session = { ...store.session, user_id: 'userInfo.id', user_index: true }
  const admin = { listen: '127.0.0.1:0', token: TOKEN }
  const stage = stack.use(await openSocketStage({ ...store, session, admin }))
  await untilTold(stage)
  const { config } = await loadConfig({ path: join(stage.here.folder, 'sessiongate.yaml'), env: {} })
  const patient = { ...config, session: { ...config.session, storeTimeoutMs: 30_000 } }
  const parts = await openSessionParts(patient, { clock: Date.now })
  stack.use(parts.engine)
  const keys = new Map<number, string[]>()
  await forEachParallel(eachSession(), 10, async (user) => {
    const key = await parts.engine.create(sessionOf(`{"userInfo":{"id":${user}},"cart":[]}`))
    keys.set(user, [...(keys.get(user) ?? []), key])
  })
  const closing = stack.move()
  return { stage, parts, keys, [Symbol.asyncDispose]: () => closing.disposeAsync() }
}

async function* eachSession(): AsyncIterable<number> {
  for (let count = 0; count < USERS * SESSIONS_EACH; count++) yield count % USERS
}

async function statusesAt({ url }: TestGateway, keys: readonly string[]): Promise<number[]> {
  return await Promise.all(
    keys.map(async (key) => (await fetch(`${url}/page`, { headers: { Cookie: `sessionid=${key}` } })).status),
  )
}

async function servedFromMemory({ operatorUrl }: TestGateway): Promise<number> {
  const text = await (await fetch(`${operatorUrl}/metrics`)).text()
  return Number(/^sessiongate_session_cache_requests_total\{result="hit"\} (\d+)/m.exec(text)?.[1] ?? 0)
}

/** Has them in the memory of both gateways. */
async function warm({ here, there }: SocketStage, keys: readonly string[]): Promise<void> {
  await Promise.all([here, there].map((gateway) => warmOne(gateway, keys)))
}

/** On a busy machine the line to the store may be taken for broken for a moment, and nothing is kept then. */
async function warmOne(gateway: TestGateway, keys: readonly string[]): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const before = await servedFromMemory(gateway)
    assert.deepEqual(new Set(await statusesAt(gateway, keys)), new Set([200]))
    if ((await servedFromMemory(gateway)) - before >= keys.length) return
    assert.ok(attempt < 20, 'they are not kept in the process')
  }
}

/** Until all are refused there; gives the milliseconds that it took. */
async function refusedAfter(gateway: TestGateway, keys: readonly string[], fromMs: number): Promise<number> {
  for (;;) {
    const askedMs = performance.now()
    const statuses = await statusesAt(gateway, keys)
    if (statuses.every((status) => status === 401)) return askedMs - fromMs
    assert.ok(askedMs - fromMs < 2 * BOUND_MS, `still ${statuses.join(' ')}`)
  }
}

/** What the store holds, less what it held before. */
async function leftInStore({ parts }: Crowd): Promise<Set<string>> {
  const left = new Set<string>()
  for await (const { key, data } of parts.entries()) {
    assert.equal(data.get('cart'), '[]')
    left.add(key)
  }
  return left
}

/** His sockets and one neighbour's, on each of the two. */
async function openSockets(stage: SocketStage, his: readonly string[], hers: string) {
  const open = async (keys: readonly string[]): Promise<OpenSocket[]> =>
    await Promise.all([stage.here, stage.there].flatMap((gateway) => keys.map((key) => stage.open(gateway, key))))
  return { his: await open(his.slice(0, 3)), hers: await open([hers]) }
}

/** Ends the sessions of that user, and holds what comes of it to what is promised. */
async function assertGoneEverywhere(crowd: Crowd, user: number, revoke: (id: string) => Promise<void>): Promise<void> {
  const { stage, keys } = crowd
  const { here, there } = stage
  const [his = [], hers = []] = [keys.get(user), keys.get(user + 1)]
  assert.equal(his.length, SESSIONS_EACH)
  await warm(stage, [...his, ...hers])
  const sockets = await openSockets(stage, his, hers[0] ?? '')
  const before = await leftInStore(crowd)

  await revoke(String(user))

  const revokedMs = performance.now()
  const tookMs = await Promise.all([here, there].map((gateway) => refusedAfter(gateway, his, revokedMs)))
  assert.ok(Math.max(...tookMs) < BOUND_MS, `refused after ${tookMs.map(Math.round).join(' and ')} ms`)
  for (const { closed } of sockets.his) {
    const { code, atMs } = await within('the end of a WebSocket', closed)
    assert.equal(code, 1008)
    assert.ok(atMs - revokedMs < BOUND_MS, `closed after ${Math.round(atMs - revokedMs)} ms`)
  }
  assert.deepEqual(await leftInStore(crowd), before.difference(new Set(his)))
  for (const gateway of [here, there])
    assert.deepEqual(new Set(await statusesAt(gateway, hers)), new Set([200]), 'a neighbour is logged out')
  for (const socket of sockets.hers) {
    assert.equal(await socket.isAlive(), true)
    socket.socket.terminate()
  }
}

function auditLines({ log }: TestGateway): readonly LogLine[] {
  return log.filter(({ msg }) => msg === 'audit')
}

async function assertRevocations(crowd: Crowd): Promise<void> {
  const { stage } = crowd
  const { here, there } = stage
  assert.equal((await leftInStore(crowd)).size, USERS * SESSIONS_EACH)

  await assertGoneEverywhere(crowd, 7, async (user) => {
    const answer = await fetch(`${here.operatorUrl}/api/sessions/revoke`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ user }),
    })
    assert.deepEqual([answer.status, ((await answer.json()) as { revoked: number }).revoked], [200, SESSIONS_EACH])
    // What has answered knows it already.
    const statuses = await statusesAt(here, crowd.keys.get(Number(user)) ?? [])
    assert.deepEqual(new Set(statuses), new Set([401]))
  })
  const { time: _, level: __, ...told } = await here.logged('the audit line', ({ msg }) => msg === 'audit')
  const who = { 'network.peer.address': '127.0.0.1', actor: 'admin.token' }
  assert.deepEqual(told, { msg: 'audit', event: 'admin_revoke', outcome: 'done', asked: ['user'], count: 10, ...who })
  assert.deepEqual([auditLines(here).length, auditLines(there).length], [1, 0])
  const metrics = await (await fetch(`${here.operatorUrl}/metrics`)).text()
  assert.match(metrics, /^sessiongate_sessions_revoked_total\{source="admin"\} 10$/m)

  await assertGoneEverywhere(crowd, 11, async (user) => {
    const args = ['sessions', 'revoke', '--user', user, '--config', join(here.folder, 'sessiongate.yaml')]
    const { code, stdout, stderr } = await runCommand(process.execPath, [main, ...args], { cwd: here.folder })
    assert.deepEqual([code, stdout.match(/^revoked [\w-]{22}$/gm)?.length], [0, SESSIONS_EACH], stderr)
    const [, audit = '{}'] = stderr.split('\n')
    const { event, count, actor } = JSON.parse(audit)
    assert.deepEqual([event, count, actor], ['admin_revoke', SESSIONS_EACH, `os:${userInfo().username}`])
  })
}

const [redis, postgres] = [requireServer('redis'), requireServer('postgres')]

describe('of 10,000 sessions of 1,000 users, those of one are ended everywhere, and nobody else’s', () => {
  test('in Redis', { skip: redis.skip }, async () => {
    await using server = await startRedis()
    const caches = { default: { backend: 'redis', url: `redis://127.0.0.1:${server.port}` } }
    await using crowd = await gather({ session: { engine: 'cache' }, caches })
    await assertRevocations(crowd)
  })

  test('in PostgreSQL', { skip: postgres.skip }, async () => {
    await using server = await startPostgres()
    const { url } = await server.createDatabase()
    await using crowd = await gather({ session: { engine: 'db' }, database: { url, create: true, notify: 'create' } })
    await assertRevocations(crowd)
  })
})
