import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createMemoryCache } from '../../../../src/sessions/caches/memory.ts'

const bytes = (text: string) => Buffer.from(text)

describe('the memory cache', () => {
  test('holds copies: nobody writes into it from outside', async () => {
    const cache = createMemoryCache({ clock: () => 0 })
    const given = bytes('abc')
    await cache.add('key', given, 10)
    given.fill(0)
    const first = await cache.get('key')
    assert.deepEqual(first && Buffer.from(first.bytes), bytes('abc'))
    first?.bytes.fill(0)
    const second = await cache.get('key')
    assert.deepEqual(second && Buffer.from(second.bytes), bytes('abc'))
  })

  test('writes and removes only what it is shown the stamp of', async () => {
    const cache = createMemoryCache({ clock: () => 0 })
    await cache.add('key', bytes('1'), 10)
    const first = await cache.get('key')
    assert.equal(await cache.add('key', bytes('2'), 10), false)
    assert.equal(await cache.replace('key', { stamp: first?.stamp, bytes: bytes('2'), ttlSeconds: 10 }), true)
    assert.equal(await cache.replace('key', { stamp: first?.stamp, bytes: bytes('3'), ttlSeconds: 10 }), false)
    assert.equal(await cache.remove('key', first?.stamp), false)
    const second = await cache.get('key')
    assert.equal(second && String.fromCharCode(...second.bytes), '2')
    assert.equal(await cache.remove('key', second?.stamp), true)
    assert.equal(await cache.remove('key', second?.stamp), false)
    assert.equal(await cache.replace('key', { stamp: second?.stamp, bytes: bytes('3'), ttlSeconds: 10 }), false)
    assert.equal(await cache.get('key'), undefined)
  })

  test('knows a value made anew from the one that was there before', async () => {
    const cache = createMemoryCache({ clock: () => 0 })
    await cache.add('key', bytes('same'), 10)
    const first = await cache.get('key')
    await cache.remove('key', first?.stamp)
    await cache.add('key', bytes('same'), 10)
    assert.equal(await cache.replace('key', { stamp: first?.stamp, bytes: bytes('x'), ttlSeconds: 10 }), false)
  })

  test('refuses new values when it is full, and evicts none', async () => {
    let now = 0
    const cache = createMemoryCache({ clock: () => now, maxEntries: 2 })
    await cache.add('a', bytes('1'), 10)
    await cache.add('b', bytes('1'), 100)
    await assert.rejects(cache.add('c', bytes('1'), 10), { code: 'ERR_STORE_UNAVAILABLE' })
    const a = await cache.get('a')
    assert.equal(await cache.replace('a', { stamp: a?.stamp, bytes: bytes('2'), ttlSeconds: 10 }), true)
    now = 10_000
    assert.equal(await cache.add('c', bytes('1'), 10), true, 'the time of a was over')
    assert.deepEqual((await Array.fromAsync(cache.keys(''))).toSorted(), ['b', 'c'])
  })

  test('lists by the beginning of the key', async () => {
    const cache = createMemoryCache({ clock: () => 0 })
    for (const key of ['app:1', 'app:2', 'other:1']) await cache.add(key, bytes('1'), 10)
    assert.deepEqual(await Array.fromAsync(cache.keys('app:')), ['app:1', 'app:2'])
  })
})
