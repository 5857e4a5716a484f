import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createReads, type ReadTogether } from '../../../../src/sessions/caches/redis-reads.ts'
import type { RedisValue } from '../../../../src/sessions/caches/redis-scripts.ts'

/** What stands under a key is the key; nothing under those that begin with `no`. */
const valueAt = (key: string): RedisValue | undefined =>
  key.startsWith('no') ? undefined : { bytes: Buffer.from(key), leftMs: 1000 }

function start(answer: ReadTogether = async (keys) => keys.map(valueAt)) {
  const departures: (readonly string[])[] = []
  const read = createReads((keys) => {
    departures.push(keys)
    return answer(keys)
  })
  return { departures, read }
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

test('reads of one turn are one, and each caller gets what is under his key', async () => {
  const { departures, read } = start()
  const keys = ['a', 'none', 'b', 'a']
  assert.deepEqual(await Promise.all(keys.map(read)), keys.map(valueAt))
  assert.deepEqual(departures, [keys])
})

test('a read never joins one that has departed: what that brings may be older than the call', async () => {
  const { departures, read } = start()
  const first = read('a')
  await nextTurn()
  const second = read('a')
  await Promise.all([first, second])
  assert.deepEqual(departures, [['a'], ['a']])
})

test('a command has no more than fifty keys', async () => {
  const { departures, read } = start()
  const keys = Array.from({ length: 101 }, (_, i) => `k${i}`)
  assert.deepEqual(await Promise.all(keys.map(read)), keys.map(valueAt))
  assert.deepEqual(
    departures.map(({ length }) => length),
    [50, 50, 1],
  )
})

test('what fails fails for all that were read together, and for nobody else', async () => {
  const failure = new Error('lost')
  const { read } = start(async (keys) => (keys.includes('a') ? Promise.reject(failure) : keys.map(valueAt)))
  const failed = await Promise.allSettled(['a', 'b'].map(read))
  assert.deepEqual(
    failed.map((outcome) => outcome.status === 'rejected' && outcome.reason),
    [failure, failure],
  )
  assert.deepEqual(await read('b'), valueAt('b'))
})

test('a value may come later than those that were asked for with it, or not at all', async () => {
  const failure = new Error('refused')
  const { read } = start(async (keys) =>
    keys.map((key) => (key === 'bad' ? Promise.reject(failure) : nextTurn().then(() => valueAt(key)))),
  )
  const [good, bad] = await Promise.allSettled(['good', 'bad'].map(read))
  assert.deepEqual(good, { status: 'fulfilled', value: valueAt('good') })
  assert.deepEqual(bad, { status: 'rejected', reason: failure })
})
