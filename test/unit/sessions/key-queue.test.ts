import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createKeyQueue } from '../../../src/sessions/key-queue.ts'
import { turns } from '../../support/deadline.ts'

test('tasks of one key run one after another, in the order of the calls', async () => {
  const inTurn = createKeyQueue<string>()
  const order: string[] = []
  const task = (name: string) => async () => {
    order.push(`${name} begins`)
    await turns(1)
    order.push(`${name} ends`)
    return name
  }
  const results = await Promise.all([inTurn('k', task('a')), inTurn('k', task('b')), inTurn('k', task('c'))])
  assert.deepEqual(results, ['a', 'b', 'c'])
  assert.deepEqual(order, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
})

test('tasks of different keys run at once', async () => {
  const inTurn = createKeyQueue<string>()
  const { promise, resolve } = Promise.withResolvers<void>()
  const waiting = inTurn('a', () => promise)
  assert.equal(await inTurn('b', async () => 7), 7)
  resolve()
  await waiting
})

test('a task that fails fails alone', async () => {
  const inTurn = createKeyQueue<string>()
  const failing = inTurn('k', () => Promise.reject(new Error('failed')))
  const next = inTurn('k', async () => 7)
  await assert.rejects(failing, /failed/)
  assert.equal(await next, 7)
})
