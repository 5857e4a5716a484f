import assert from 'node:assert/strict'
import { test } from 'node:test'
import { guardEngine } from '../../../src/sessions/guarded-engine.ts'
import { type EngineOperation, observeEngine } from '../../../src/sessions/observed-engine.ts'
import { storeUnavailable } from '../../../src/sessions/store-failure.ts'
import { turns } from '../../support/deadline.ts'
import { LocalCacheWorld, textOf } from './local-cache-world.ts'
import { createTestScheduler } from './test-scheduler.ts'

test('what is in memory is no operation of the store, neither by loadNow nor by load', async () => {
  const world = new LocalCacheWorld()
  world.store('a', '1')
  const operations: EngineOperation[] = []
  await using engine = observeEngine(world.open(), (operation) => operations.push(operation))
  assert.equal(engine.loadNow?.('a'), undefined)
  await engine.load('a')
  assert.equal(operations.length, 1)
  assert.equal(textOf(await engine.load('a')), '1')
  assert.equal(textOf(engine.loadNow?.('a')), '1')
  assert.equal(operations.length, 1)
  assert.deepEqual(world.lookups, ['miss', 'hit', 'hit'])
})

test('what is in memory is served while the store fails, for as long as the line stands', async () => {
  const world = new LocalCacheWorld()
  world.store('a', '1')
  const scheduler = createTestScheduler()
  await using engine = guardEngine(world.open(), { timeoutMs: 100, scheduler })
  await engine.load('a')
  world.holdsReads = true
  const failing = Array.from({ length: 10 }, (_, i) => assert.rejects(engine.load(`other ${i}`)))
  for (const read of world.reads.splice(0)) read.fail(storeUnavailable('gone'))
  await Promise.all(failing)
  await turns()
  await assert.rejects(engine.load('b'), { code: 'ERR_STORE_UNAVAILABLE' })
  assert.equal(textOf(engine.loadNow?.('a')), '1')
  world.fall()
  assert.equal(engine.loadNow?.('a'), undefined)
})

test('whoever waits for a read that hangs, and then for his own, waits no longer than one may take', async () => {
  const world = new LocalCacheWorld()
  world.holdsReads = true
  const scheduler = createTestScheduler()
  await using engine = guardEngine(world.open(), { timeoutMs: 1000, scheduler })
  const first = engine.load('a')
  await scheduler.pass(600)
  let answer: unknown
  engine.load('a').catch((error: unknown) => {
    answer = error
  })
  world.nextRead().answer()
  await first
  await turns()
  assert.equal(world.reads.length, 1, 'the second read is under way')
  await scheduler.pass(900)
  assert.equal(answer, undefined)
  await scheduler.pass(200)
  assert.match(String(answer), /within 1000 ms/)
})

test('an engine that remembers nothing has nothing at once', async () => {
  const world = new LocalCacheWorld()
  world.store('a', '1')
  await using engine = observeEngine(guardEngine(world.bare(), { timeoutMs: 100 }), () => {})
  assert.equal(engine.loadNow?.('a'), undefined)
  assert.equal(textOf(await engine.load('a')), '1')
})
