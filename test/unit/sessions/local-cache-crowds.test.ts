import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { storeUnavailable } from '../../../src/sessions/store-failure.ts'
import { turns } from '../../support/deadline.ts'
import { LocalCacheWorld, textOf } from './local-cache-world.ts'

describe('many requests for one session that is not in memory', () => {
  test('a thousand at once cost one read', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '1')
    world.holdsReads = true
    await using cache = world.open()
    const loading = Array.from({ length: 1000 }, () => cache.load('a'))
    world.nextRead().answer()
    for (const loaded of await Promise.all(loading)) assert.equal(textOf(loaded), '1')
    assert.equal(world.loads.length, 1)
    assert.deepEqual(new Set(world.lookups.slice(1)), new Set(['coalesced']))
    assert.equal(world.lookups[0], 'miss')
  })

  test('cost two, one after the other, when the first may be too old for those who came later', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '"old"')
    world.holdsReads = true
    await using cache = world.open()
    const first = cache.load('a')
    world.store('a', '"new"')
    world.tell('a')
    const others = Array.from({ length: 999 }, () => cache.load('a'))
    await turns()
    assert.equal(world.reads.length, 1, 'one in flight at a time')
    world.nextRead().answer()
    assert.equal(textOf(await first), '"old"')
    await turns()
    assert.equal(world.reads.length, 1)
    world.nextRead().answer()
    for (const loaded of await Promise.all(others)) assert.equal(textOf(loaded), '"new"')
    assert.equal(world.loads.length, 2)
  })

  test('cost two as well while the line does not stand', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '1')
    world.isCurrent = false
    await using cache = world.open()
    await Promise.all(Array.from({ length: 1000 }, () => cache.load('a')))
    assert.equal(world.loads.length, 2)
  })

  test('hear of it when the read fails, and the next one reads again', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '1')
    world.holdsReads = true
    await using cache = world.open()
    const first = assert.rejects(cache.load('a'), /broken/)
    const second = cache.load('a')
    world.nextRead().fail(storeUnavailable('broken'))
    await first
    await turns()
    world.nextRead().answer()
    assert.equal(textOf(await second), '1')
  })

  test('do not hold up those of another', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '1')
    world.store('b', '2')
    world.holdsReads = true
    await using cache = world.open()
    const first = cache.load('a')
    const other = cache.load('b')
    assert.deepEqual(
      world.reads.map(({ key }) => key),
      ['a', 'b'],
    )
    for (const read of world.reads.splice(0)) read.answer()
    assert.deepEqual([textOf(await first), textOf(await other)], ['1', '2'])
  })
})
