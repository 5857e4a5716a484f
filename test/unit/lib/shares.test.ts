import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Shares } from '../../../src/lib/shares.ts'

interface Thing extends AsyncDisposable {
  readonly name: string
}

function newStage() {
  const events: string[] = []
  const shares = new Shares<Thing>()
  const take = (key: string, name: string) =>
    shares.take(key, () => {
      events.push(`open ${name}`)
      return { name, [Symbol.asyncDispose]: async () => void events.push(`close ${name}`) }
    })
  return { events, shares, take }
}

test('what has the same key is opened once, and closed when the last one has let go', async () => {
  const { events, take } = newStage()
  const [first, second] = await Promise.all([take('a', 'one'), take('a', 'two')])
  assert.equal(first.value, second.value)
  await first[Symbol.asyncDispose]()
  const third = await take('a', 'three')
  assert.equal(third.value.name, 'one')
  await second[Symbol.asyncDispose]()
  await third[Symbol.asyncDispose]()
  assert.deepEqual(events, ['open one', 'close one'])
  await take('a', 'four')
  assert.deepEqual(events, ['open one', 'close one', 'open four'])
})

test('letting go twice counts once', async () => {
  const { events, take } = newStage()
  const first = await take('a', 'one')
  const second = await take('a', 'two')
  await first[Symbol.asyncDispose]()
  await first[Symbol.asyncDispose]()
  assert.deepEqual(events, ['open one'])
  await second[Symbol.asyncDispose]()
  assert.deepEqual(events, ['open one', 'close one'])
})

test('what cannot be opened is not kept: all who wait are told, and the next one tries again', async () => {
  const { events, shares, take } = newStage()
  const fail = () => shares.take('a', () => Promise.reject(new Error('no')))
  const outcomes = await Promise.allSettled([fail(), take('a', 'one')])
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  const share = await take('a', 'two')
  assert.equal(share.value.name, 'two')
  assert.deepEqual(events, ['open two'])
})
