import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { startPostgres } from '../support/postgres.ts'
import { startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { assertPromise, type FaultStage, openFaultStage } from './store-fault-stage.ts'

const skip = requireServer('redis').skip || requireServer('postgres').skip

describe('sessions in PostgreSQL with a cache in Redis before it', { skip }, () => {
  const stack = new AsyncDisposableStack()
  let database: FaultProxy
  let cache: FaultProxy
  let stage: FaultStage
  before(async () => {
    const postgres = stack.use(await startPostgres())
    const redis = stack.use(await startRedis())
    database = stack.use(await startFaultProxy(postgres.port))
    cache = stack.use(await startFaultProxy(redis.port))
    const url = (await postgres.createDatabase()).url.replace(`:${postgres.port}/`, `:${database.port}/`)
    const sections =
      `database: { url: "${url}", create: true }\n` +
      `caches: { default: { backend: redis, url: "redis://127.0.0.1:${cache.port}" } }`
    stage = stack.use(await openFaultStage(['engine: cached_db'], { sections, timeoutMs: 1500 }))
  })
  after(() => stack.disposeAsync())
  const visitors = ['holder', 'guest', 'none', 'lenient'] as const

  for (const [why, fault] of [
    ['hangs', { kind: 'stall' }],
    ['resets every connection', { kind: 'reset' }],
  ] as const) {
    test(`a cache that ${why} costs nobody the session, and the store counts as up`, async () => {
      const cookie = await stage.logIn()
      const statesBefore = stage.states().length
      const cacheLines = () => stage.gateway.log.filter(({ msg }) => msg.startsWith('session cache is'))
      const before = cacheLines().length
      cache.set(fault)
      const answers = await stage.load({ cookie, visitors, ratePerSecond: 100, durationMs: 1000 })
      assert.equal(await stage.readyz(), 200)
      cache.pass()
      assertPromise(answers, { mayServeHolders: true })
      assert.deepEqual(
        answers.filter(({ status }) => status !== 200),
        [],
      )
      // The cache is tried by the requests that need it, reads and writes each.
      for (let i = 0; cacheLines().length < before + 2; i++) {
        const saved = await stage.ask('holder', cookie, { Say: `X-Session-Set: {"a":${i}}` })
        assert.equal(saved.status, 200)
        assert.ok(i < 500, 'the cache is not used again')
        await delay(20)
      }
      assert.equal(stage.states().length, statesBefore)
    })
  }

  test('without its database nobody is logged out or taken for another, and nothing is changed', async () => {
    const cookie = await stage.logIn()
    await stage.ask('holder', cookie)
    await database.refuse()
    database.kill()
    const answers = await stage.load({ cookie, visitors, ratePerSecond: 100, durationMs: 1000 })
    assertPromise(answers, { mayServeHolders: true })
    const changing = await stage.ask('holder', cookie, { Say: 'X-Session-Set: {"a":2}' })
    assert.equal(changing.status, 503)
    assert.equal(changing.headers['set-cookie'], undefined)
    assert.equal(await stage.readyz(), 503)
    await database.accept()
    await stage.toldOften(2)
    assert.deepEqual(stage.states(), ['session store is down', 'session store is up again'])
    assert.equal((await stage.ask('holder', cookie)).body, '{"userInfo":{"id":1}}')
  })
})
