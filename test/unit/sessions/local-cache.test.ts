import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { storeUnavailable } from '../../../src/sessions/store-failure.ts'
import { turns } from '../../support/deadline.ts'
import { become, LocalCacheWorld, MAX_AGE_MS, textOf } from './local-cache-world.ts'

describe('a session that was read is served from memory', () => {
  test('by load and by loadNow, as the store gave it, and the store is not asked again', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '"one"')
    await using cache = world.open()
    assert.equal(cache.loadNow('a'), undefined)
    const first = await cache.load('a')
    assert.equal(textOf(first), '"one"')
    assert.equal(await cache.load('a'), first)
    assert.equal(cache.loadNow('a'), first)
    assert.deepEqual(world.loads, ['a'])
    assert.deepEqual(world.lookups, ['miss', 'hit', 'hit'])
  })

  test('but not one that is not there: anybody can make up keys', async () => {
    const world = new LocalCacheWorld()
    await using cache = world.open()
    for (let i = 0; i < 3; i++) assert.equal((await cache.load('a')).found, false)
    assert.equal(world.loads.length, 3)
  })

  test('but not after its end, by the wall clock', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '1', { expiresAt: world.now + 100 })
    await using cache = world.open()
    await cache.load('a')
    world.now += 99
    assert.ok(cache.loadNow('a'))
    world.now += 1
    assert.equal(cache.loadNow('a'), undefined)
    await cache.load('a')
    assert.deepEqual(world.loads, ['a', 'a'])
    assert.deepEqual(world.lookups, ['miss', 'hit', 'stale'])
  })

  test('but not for longer than max_age, counted from when its read began', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '1')
    world.holdsReads = true
    await using cache = world.open()
    const loading = cache.load('a')
    world.now += MAX_AGE_MS - 1
    world.nextRead().answer()
    await loading
    assert.ok(cache.loadNow('a'))
    world.now += 1
    assert.equal(cache.loadNow('a'), undefined)
  })

  test('but not for longer than the store allows', async () => {
    const world = new LocalCacheWorld()
    world.store('until', '1', { keepUntil: world.now + 100 })
    world.store('never', '1', { keepUntil: Number.NEGATIVE_INFINITY })
    await using cache = world.open()
    await cache.load('until')
    await cache.load('never')
    assert.equal(cache.loadNow('never'), undefined)
    assert.ok(cache.loadNow('until'))
    world.now += 100
    assert.equal(cache.loadNow('until'), undefined)
  })

  test('but not when the clock was set back behind the moment at which it was read', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '1')
    await using cache = world.open()
    await cache.load('a')
    world.now -= 1
    assert.equal(cache.loadNow('a'), undefined)
  })

  test('but not while the line does not stand', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '1')
    await using cache = world.open()
    await cache.load('a')
    world.isCurrent = false
    assert.equal(cache.loadNow('a'), undefined)
    await cache.load('a')
    assert.deepEqual(world.loads, ['a', 'a'])
  })

  test('but not after it was told of, nor after everything was', async () => {
    const world = new LocalCacheWorld()
    for (const key of ['a', 'b', 'c']) world.store(key, '1')
    await using cache = world.open()
    for (const key of ['a', 'b', 'c']) await cache.load(key)
    world.tell('a')
    world.tell('a session that nobody has read')
    assert.deepEqual(
      ['a', 'b', 'c'].map((key) => cache.loadNow(key) !== undefined),
      [false, true, true],
    )
    world.tellEverything()
    assert.deepEqual(
      ['a', 'b', 'c'].map((key) => cache.loadNow(key) !== undefined),
      [false, false, false],
    )
  })

  test('but not when the line, being asked, tells that it was changed', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '1')
    await using cache = world.open()
    for (const tell of [() => world.tell('a'), () => world.tellEverything()]) {
      world.onAsk = () => {}
      await cache.load('a')
      world.onAsk = tell
      assert.equal(cache.loadNow('a'), undefined)
    }
  })

  test('but not one that is larger than an entry may be', async () => {
    const world = new LocalCacheWorld()
    world.store('large', 'x'.repeat(1024 * 1024))
    world.store('not so large', 'x'.repeat(1024 * 1024 - 1000))
    await using cache = world.open()
    await cache.load('large')
    await cache.load('not so large')
    assert.equal(cache.loadNow('large'), undefined)
    assert.ok(cache.loadNow('not so large'))
  })
})

describe('what was read is handed on, and not kept', () => {
  const meanwhile: [why: string, happen: (world: LocalCacheWorld) => void][] = [
    ['it was told of', (world) => world.tell('a')],
    ['everything was told of', (world) => world.tellEverything()],
    ['the line no longer stands', (world) => world.fall()],
    [
      'the line tells of it when it is asked at the end',
      (world) => {
        world.onAsk = () => {
          world.onAsk = () => {}
          world.tell('a')
        }
      },
    ],
    [
      'the line broke and stands again',
      (world) => {
        world.fall()
        world.tellEverything()
        world.isCurrent = true
      },
    ],
  ]
  for (const [why, happen] of meanwhile) {
    test(`when meanwhile ${why}`, async () => {
      const world = new LocalCacheWorld()
      world.store('a', '"old"')
      world.holdsReads = true
      await using cache = world.open()
      const loading = cache.load('a')
      world.store('a', '"new"')
      happen(world)
      world.nextRead().answer()
      assert.equal(textOf(await loading), '"old"', 'it began before the change')
      world.isCurrent = true
      assert.equal(cache.loadNow('a'), undefined)
      world.holdsReads = false
      assert.equal(textOf(await cache.load('a')), '"new"')
    })
  }

  test('when the line did not stand yet as the read began', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '"old"')
    world.holdsReads = true
    world.isCurrent = false
    await using cache = world.open()
    const loading = cache.load('a')
    world.store('a', '"new"') // before the line stands, so it will never be told
    world.isCurrent = true
    world.nextRead().answer()
    await loading
    assert.equal(cache.loadNow('a'), undefined)
  })

  test('when it is read as the cache is closed', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '1')
    world.holdsReads = true
    const cache = world.open()
    const loading = cache.load('a')
    await cache[Symbol.asyncDispose]()
    world.nextRead().answer()
    assert.equal(textOf(await loading), '1')
    assert.equal(cache.loadNow('a'), undefined)
    assert.deepEqual(world.closed, ['notices', 'engine'])
    assert.equal(world.scheduler.waiting, 0, 'no timer is left')
  })
})

describe('a change through this process', () => {
  const changes: [name: string, change: (cache: ReturnType<LocalCacheWorld['open']>) => Promise<unknown>][] = [
    ['a transition', (cache) => cache.transition('a', become('"new"'))],
    ['an adoption', (cache) => cache.adopt({ key: 'a', data: new Map([['v', '"new"']]), expiresAt: undefined })],
    ['a deletion', (cache) => cache.delete('a')],
  ]
  for (const [name, change] of changes) {
    test(`is seen by the next request without any notice: ${name}`, async () => {
      const world = new LocalCacheWorld()
      world.store('a', '"old"')
      await using cache = world.open()
      await cache.load('a')
      await change(cache)
      const after = textOf(await cache.load('a'))
      assert.equal(after, name === 'a deletion' ? undefined : '"new"')
    })
  }

  test('spoils a read that began before it and ends after it', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '"old"')
    world.holdsReads = true
    await using cache = world.open()
    const loading = cache.load('a')
    await cache.transition('a', become('"new"'))
    world.nextRead().answer()
    assert.equal(textOf(await loading), '"old"')
    assert.equal(cache.loadNow('a'), undefined)
  })

  test('drops the session as it begins, and what was read while it was under way', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '"old"')
    await using cache = world.open()
    await cache.load('a')
    const { promise: goesOn, resolve: goOn } = Promise.withResolvers<void>()
    world.duringChange = () => goesOn
    const changing = cache.transition('a', become('"new"'))
    assert.equal(cache.loadNow('a'), undefined)
    await turns()
    world.store('a', '"old"') // as a database shows it until the change is committed
    assert.equal(textOf(await cache.load('a')), '"old"')
    assert.equal(textOf(cache.loadNow('a')), '"old"')
    world.store('a', '"new"')
    goOn()
    await changing
    assert.equal(cache.loadNow('a'), undefined)
    assert.equal(textOf(await cache.load('a')), '"new"')
  })

  test('drops the session also when it fails, since it may have happened', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '"old"')
    await using cache = world.open()
    await cache.load('a')
    const failure = storeUnavailable('no answer')
    world.duringChange = async () => {
      world.store('a', '"old"')
      await cache.load('a')
      world.store('a', '"new"')
      throw failure
    }
    await assert.rejects(cache.transition('a', become('"new"')), (error) => error === failure)
    assert.equal(textOf(await cache.load('a')), '"new"')
  })

  test('leaves other sessions in memory', async () => {
    const world = new LocalCacheWorld()
    world.store('a', '1')
    world.store('b', '1')
    await using cache = world.open()
    await cache.load('b')
    await cache.delete('a')
    assert.ok(cache.loadNow('b'))
  })
})

test('two keys of one name are never both in memory: a notice would find one of them', async () => {
  const world = new LocalCacheWorld()
  world.store('a', '1')
  world.store('b', '2')
  Object.assign(world.notices, { nameOf: () => 'the same' })
  await using cache = world.open()
  await cache.load('a')
  await cache.load('b')
  assert.equal(cache.loadNow('a'), undefined)
  assert.ok(cache.loadNow('b'))
  world.holdsReads = true
  world.tell('b')
  const both = [cache.load('a'), cache.load('b')]
  world.tell('b')
  for (const read of world.reads.splice(0)) read.answer()
  await Promise.all(both)
  assert.deepEqual([cache.loadNow('a'), cache.loadNow('b')], [undefined, undefined])
})

test('sessions that nobody asks for any more are given back', async () => {
  const world = new LocalCacheWorld()
  world.store('a', '1')
  await using cache = world.open()
  await cache.load('a')
  assert.equal(world.scheduler.waiting, 1)
  world.now += MAX_AGE_MS
  await world.scheduler.pass(MAX_AGE_MS)
  assert.equal(world.scheduler.waiting, 0, 'nothing is left to be given back')
})

test('what is not about one session goes through', async () => {
  const world = new LocalCacheWorld()
  await using cache = world.open()
  assert.equal(await cache.create(new Map()), 'fresh')
  assert.equal(await cache.clearExpired(10), 0)
  await cache.ping()
  assert.deepEqual(await Array.fromAsync(cache.entries()), [])
  assert.deepEqual([cache.name, cache.isServerSide, cache.lists, cache.admits('a')], ['db', true, true, 'ask'])
})
