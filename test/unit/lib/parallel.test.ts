import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachParallel } from '../../../src/lib/parallel.ts'

async function* numbers(count: number, onEnd = () => {}): AsyncIterable<number> {
  try {
    for (let i = 0; i < count; i++) yield i
  } finally {
    onEnd()
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('all items are done, never more than the limit at once', async () => {
  const done: number[] = []
  let [running, most] = [0, 0]
  await forEachParallel(numbers(100), 5, async (item) => {
    most = Math.max(most, ++running)
    await turn()
    running -= 1
    done.push(item)
  })
  assert.deepEqual([done.length, most], [100, 5])
})

test('the first failure is thrown after what runs, and no more items are taken', async () => {
  const done: number[] = []
  let hasEnded = false
  const items = numbers(100, () => {
    hasEnded = true
  })
  const failure = new Error('the third')
  const all = forEachParallel(items, 3, async (item) => {
    await turn()
    if (item === 2) throw failure
    await turn()
    done.push(item)
  })
  await assert.rejects(all, (error) => error === failure)
  assert.ok(hasEnded, 'the source was told to end')
  assert.ok(done.includes(0) && done.includes(1))
  assert.ok(done.length < 8, `${done.length}`)
})

test('a source that fails is waited for with what it has given', async () => {
  const done: number[] = []
  async function* broken(): AsyncIterable<number> {
    yield 1
    throw new Error('no more')
  }
  const all = forEachParallel(broken(), 3, async (item) => {
    await turn()
    done.push(item)
  })
  await assert.rejects(all, { message: 'no more' })
  assert.deepEqual(done, [1])
})
