import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { until } from '../support/deadline.ts'
import { type Fault, type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import type { LogLine } from '../support/gateway.ts'
import { startPostgres } from '../support/postgres.ts'
import { startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { type Answer, type FaultStage, openFaultStage } from './store-fault-stage.ts'

/** A store behind a proxy, that counts what is done to it by itself. */
interface CountingStore extends AsyncDisposable {
  readonly stage: FaultStage
  readonly proxy: FaultProxy
  /** How many times sessions were written so far, by the server's own count. */
  writes(): Promise<number>
}

const stores: readonly [name: string, skip: string | false, open: () => Promise<CountingStore>][] = [
  ['Redis', requireServer('redis').skip, openRedis],
  ['PostgreSQL', requireServer('postgres').skip, openPostgres],
]

/** What is counted here are the bytes of one look-up, and everything that is written. */
const UNKEPT = 'local_cache: null'

async function openRedis(): Promise<CountingStore> {
  await using stack = new AsyncDisposableStack()
  const redis = stack.use(await startRedis())
  const proxy = stack.use(await startFaultProxy(redis.port))
  const sections = `caches: { default: { backend: redis, url: "redis://127.0.0.1:${proxy.port}" } }`
  // So that a busy machine is not taken for a fault.
  const stage = stack.use(await openFaultStage(['engine: cache', UNKEPT], { sections, timeoutMs: 3000 }))
  const closing = stack.move()
  return {
    stage,
    proxy,
    async writes() {
      const stats = String(await redis.command('INFO', 'commandstats'))
      return Number(/^cmdstat_set:calls=(\d+)/m.exec(stats)?.[1] ?? 0)
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

async function openPostgres(): Promise<CountingStore> {
  await using stack = new AsyncDisposableStack()
  const postgres = stack.use(await startPostgres())
  const database = await postgres.createDatabase()
  const proxy = stack.use(await startFaultProxy(postgres.port))
  const url = database.url.replace(`:${postgres.port}/`, `:${proxy.port}/`)
  const sections = `database: { url: "${url}", create: true, pool_size: 1 }`
  const stage = stack.use(await openFaultStage(['engine: db', UNKEPT], { sections, timeoutMs: 3000 }))
  await stage.logIn()
  await database.sql(
    'CREATE TABLE written (n int); CREATE FUNCTION note() RETURNS trigger AS ' +
      "'BEGIN INSERT INTO written VALUES (1); RETURN NULL; END' LANGUAGE plpgsql; " +
      'CREATE TRIGGER note AFTER INSERT OR UPDATE ON django_session FOR EACH ROW EXECUTE FUNCTION note()',
  )
  const closing = stack.move()
  return {
    stage,
    proxy,
    writes: async () => (await database.sql('SELECT * FROM written')).length,
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** How many bytes come down for one look-up of a session. */
async function lookUpBytes({ stage, proxy }: CountingStore, cookie: string): Promise<number> {
  // The first ones may prepare statements or load scripts.
  for (let i = 0; i < 2; i++) await stage.ask('holder', cookie, { Say: `X-Session-Set: {"warm":${i}}` })
  await stage.ask('holder', cookie)
  const before = proxy.counts.downBytes
  await stage.ask('holder', cookie)
  return proxy.counts.downBytes - before
}

/** A change that the app asks for; the fault begins when the session was read and the app has the request. */
async function changeDuring(store: CountingStore, cookie: string | undefined, fault: () => unknown): Promise<Answer> {
  const { stage } = store
  const heard = stage.app.requests.length
  const headers = { Say: 'X-Session-Set: {"userInfo":{"id":1},"cart":7}', Wait: '100' }
  const answering = stage.ask(cookie === undefined ? 'guest' : 'holder', cookie ?? '', headers)
  await until('the app has the request', () => stage.app.requests.length > heard)
  await fault()
  return await answering
}

async function assertRefusedWrite(stage: FaultStage, answer: Answer, outcome: 'failed' | 'unknown'): Promise<void> {
  assert.equal(answer.status, 503)
  assert.equal(JSON.parse(answer.body).code, 'ERR_SESSION_WRITE')
  assert.match(String(answer.headers['retry-after']), /^\d+$/)
  assert.equal(answer.headers['set-cookie'], undefined)
  const id = String(JSON.parse(answer.body).instance).replace('urn:request:', '')
  const line = await stage.gateway.logged('the request', (candidate: LogLine) => candidate['request.id'] === id)
  assert.deepEqual((line['error.facts'] as { outcome?: string }).outcome, outcome, JSON.stringify(line))
}

for (const [name, skip, open] of stores) {
  describe(`a change that is to be stored in ${name}`, { skip }, () => {
    let store: CountingStore
    before(async () => {
      store = await open()
    })
    after(() => store[Symbol.asyncDispose]())

    test('and is, but nobody hears of it: 503, the outcome is unknown, and it is not sent again', async () => {
      const { stage, proxy } = store
      const cookie = await stage.logIn()
      const bytes = await lookUpBytes(store, cookie)
      const writesBefore = await store.writes()
      const fault: Fault = { kind: 'cut', direction: 'down', afterBytes: bytes + 1 }
      const answer = await changeDuring(store, cookie, () => proxy.set(fault, 'open'))
      await assertRefusedWrite(stage, answer, 'unknown')
      const now = await stage.ask('holder', cookie)
      assert.deepEqual(JSON.parse(now.body), { userInfo: { id: 1 }, warm: 1, cart: 7 })
      assert.equal((await store.writes()) - writesBefore, 1)
      assert.deepEqual(stage.states(), [], 'one lost connection is no outage')
    })

    test('and a new session that was stored, but nobody heard of its key: 503 and no cookie', async () => {
      const { stage, proxy } = store
      await lookUpBytes(store, await stage.logIn())
      const writesBefore = await store.writes()
      const fault: Fault = { kind: 'cut', direction: 'down', afterBytes: 1 }
      const answer = await changeDuring(store, undefined, () => proxy.set(fault, 'open'))
      await assertRefusedWrite(stage, answer, 'unknown')
      assert.equal((await store.writes()) - writesBefore, 1)
    })

    test('while the store is gone: 503, it failed, and the cookie is kept', async () => {
      const { stage, proxy } = store
      const cookie = await stage.logIn()
      const writesBefore = await store.writes()
      const answer = await changeDuring(store, cookie, async () => {
        await proxy.refuse()
        proxy.kill()
      })
      await assertRefusedWrite(stage, answer, 'failed')
      await proxy.accept()
      await stage.untilServed(cookie)
      assert.equal((await stage.ask('holder', cookie)).body, '{"userInfo":{"id":1}}')
      assert.equal(await store.writes(), writesBefore)
    })
  })
}
