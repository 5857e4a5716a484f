import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { createIndexedEngine } from '../../../src/sessions/indexed-engine.ts'
import { compileUserId } from '../../../src/sessions/user-index.ts'
import { changeCache } from '../../contract/cache-double.ts'
import { sessionOf } from '../../contract/session-engine-world.ts'
import { becoming, IndexedWorld, keysOf, of } from './indexed-world.ts'

describe('an engine with an index of users', () => {
  test('finds the sessions of a user and nobody else\u2019s, in every process', async () => {
    const world = new IndexedWorld()
    const [engine, other] = [world.connect(), world.connect()]
    const mine = [await engine.create(of(7)), await other.create(of('7')), await engine.create(of(7.0))]
    await engine.create(of(77))
    await engine.create(sessionOf('{"cart":1}'))
    assert.deepEqual(await keysOf(engine, '7'), mine.toSorted())
    assert.deepEqual(await keysOf(other, '7'), mine.toSorted())
    assert.deepEqual(await keysOf(engine, '8'), [])
  })

  const ids: [why: string, json: string, userId: string | undefined][] = [
    ['text', '"Zo\\u00eb"', 'Zoë'],
    ['a number beyond 2^53', '1152921504606846976', '1152921504606846976'],
    ['a float that is an integer', '7.0', '7'],
    ['nobody', 'null', undefined],
    ['no text', '""', undefined],
    ['true', 'true', undefined],
    ['an object', '{}', undefined],
  ]
  for (const [why, json, userId] of ids) {
    test(`knows the id of a user from everything else: ${why}`, () => {
      assert.equal(compileUserId(['userInfo', 'id'])(sessionOf(`{"userInfo":{"id":${json}}}`)), userId)
    })
  }

  for (const id of ['x'.repeat(100_000), 'a\0b', '\ud800', 'line\nbreak']) {
    test(`finds by an id that no database would hold: ${JSON.stringify(id.slice(0, 10))}`, async () => {
      const world = new IndexedWorld()
      const engine = world.connect()
      const key = await engine.create(of(id))
      assert.deepEqual(await keysOf(engine, id), [key])
      assert.match(world.calls[0] ?? '', /^note sha256:[0-9a-f]{64}$/)
    })
  }

  test('notes a user before the session is stored as his', async () => {
    const world = new IndexedWorld()
    const engine = world.connect()
    const key = await engine.create(sessionOf('{}'))
    const stored: string[] = []
    world.before = async () => {
      const loaded = await world.bare.load(key)
      stored.push(loaded.found ? [...loaded.data.keys()].join() : 'gone')
    }
    assert.equal((await engine.transition(key, becoming(7))).kind, 'stored')
    assert.deepEqual(stored, [''])
    assert.deepEqual(await keysOf(engine, '7'), [key])
  })

  test('finds a session under the new user only when it has become another\u2019s', async () => {
    const engine = new IndexedWorld().connect()
    const key = await engine.create(of(7))
    await engine.transition(key, becoming(8))
    assert.deepEqual(await keysOf(engine, '7'), [])
    assert.deepEqual(await keysOf(engine, '8'), [key])
    await engine.transition(key, becoming(7))
    assert.deepEqual(await keysOf(engine, '7'), [key])
  })

  test('follows a session to its new key', async () => {
    const world = new IndexedWorld()
    const engine = world.connect()
    const key = await engine.create(of(7))
    const result = await engine.transition(key, (data) => ({ kind: 'cycle', data }))
    assert.ok(result.kind === 'stored')
    assert.deepEqual(await keysOf(world.connect(), '7'), [result.key])
    assert.deepEqual(await Array.fromAsync(world.index.keysOf('7')), [result.key])
  })

  test('drops what was deleted, here or past it', async () => {
    const world = new IndexedWorld()
    const engine = world.connect()
    const keys = [await engine.create(of(7)), await engine.create(of(7)), await engine.create(of(7))] as const
    await engine.delete(keys[0])
    assert.equal((await Array.fromAsync(world.index.keysOf('7'))).length, 2)
    await world.bare.delete(keys[1])
    assert.deepEqual(await keysOf(engine, '7'), [keys[2]])
    assert.deepEqual(await Array.fromAsync(world.index.keysOf('7')), [keys[2]])
  })

  test('finds what Django stored when it has met it once, or when it was told to look at everything', async () => {
    const world = new IndexedWorld()
    const engine = world.connect()
    const [met, unmet] = [await world.bare.create(of(7)), await world.bare.create(of(7))]
    await engine.load(met)
    assert.deepEqual(await keysOf(engine, '7'), [met])
    await world.bare.create(sessionOf('{"cart":1}'))
    const seen: number[] = []
    assert.equal(await engine.noteAll((count) => seen.push(count)), 2)
    assert.deepEqual(seen, [1, 2, 3])
    assert.deepEqual(await keysOf(engine, '7'), [met, unmet].toSorted())
  })

  test('finds what was moved here from another store', async () => {
    const engine = new IndexedWorld().connect()
    const entry = { key: 'movedsession', data: of(7), expiresAt: undefined }
    assert.equal(await engine.adopt(entry), true)
    assert.deepEqual(await keysOf(engine, '7'), ['movedsession'])
  })

  test('notes a session in use once in its age, and again after an hour', async () => {
    const world = new IndexedWorld()
    const engine = world.connect()
    const key = await engine.create(of(7))
    for (let i = 0; i < 9; i++) {
      await world.advance(100)
      await engine.load(key)
      await engine.transition(key, becoming(7))
    }
    assert.deepEqual(world.calls, ['note 7'])
    await world.advance(200)
    await engine.transition(key, becoming(7))
    assert.deepEqual(world.calls, ['note 7', 'note 7'], 'it now lives longer than was noted')
    world.nowMs += 3_600_001
    await engine.load(key)
    assert.equal(world.calls.length, 3)
  })

  test('keeps a session findable for as long as it lives, whatever its own expiry', async () => {
    const world = new IndexedWorld()
    const engine = world.connect()
    const key = await engine.create(of(7))
    await engine.transition(key, (now) => ({ kind: 'update', data: new Map(now).set('_session_expiry', '50000') }))
    await world.advance(49_999)
    assert.deepEqual(await keysOf(world.connect(), '7'), [key])
  })

  test('clears the index when no session is left to clear, and counts sessions only', async () => {
    const world = new IndexedWorld()
    const engine = world.connect()
    for (let i = 0; i < 5; i++) await engine.create(of(7))
    await world.advance(3000)
    assert.equal(await engine.clearExpired(10), 5)
    world.now -= 2500
    assert.deepEqual(await Array.fromAsync(world.index.keysOf('7')), [])
  })

  test('is not for sessions that nobody keeps', () => {
    const world = new IndexedWorld()
    const bare = { ...world.bare, isServerSide: false }
    assert.throws(() => createIndexedEngine(bare, world.index, { ...world, userIdOf: () => undefined }), TypeError)
  })
})

test('whatever three processes do at once, every living session is found under its user, and under no other', async () => {
  const step = fc.record({
    kind: fc.constantFrom('become', 'become', 'cycle', 'delete', 'load', 'list'),
    user: fc.integer({ min: 1, max: 2 }),
  })
  const script = fc.array(fc.array(step, { maxLength: 4 }), { minLength: 3, maxLength: 3 })
  const check = fc.asyncProperty(fc.scheduler(), script, async (scheduler, scripts) => {
    const world = new IndexedWorld()
    const wait = async (name: string): Promise<void> => {
      await scheduler.schedule(Promise.resolve(), name)
    }
    const keys = [await world.bare.create(of(1)), await world.bare.create(of(2))]
    const { cache } = world
    const slow = changeCache(cache, {
      get: async (key) => wait('get').then(() => cache.get(key)),
      replace: async (key, replacement) => wait('replace').then(() => cache.replace(key, replacement)),
      remove: async (key, stamp) => wait('remove').then(() => cache.remove(key, stamp)),
    })
    world.before = wait
    const run = async (steps: (typeof scripts)[number]): Promise<void> => {
      const engine = world.connect(slow)
      for (const [i, { kind, user }] of steps.entries()) {
        const key = keys[i % 2] ?? ''
        if (kind === 'become') await engine.transition(key, becoming(user))
        if (kind === 'delete') await engine.delete(key)
        if (kind === 'load') await engine.load(key)
        if (kind === 'list') await keysOf(engine, `${user}`)
        if (kind === 'cycle') {
          const result = await engine.transition(key, (data) => ({ kind: 'cycle', data }))
          if (result.kind === 'stored') keys[i % 2] = result.key
        }
      }
      // What this process met it has noted.
      for (const key of [...keys]) await engine.load(key)
    }
    await scheduler.waitFor(Promise.all(scripts.map(run)))
    world.before = async () => {}
    const fresh = world.connect()
    for (const user of ['1', '2']) {
      const truth: string[] = []
      for await (const { key, data } of world.bare.entries()) {
        if (compileUserId(['userInfo', 'id'])(data) === user) truth.push(key)
      }
      assert.deepEqual(await keysOf(fresh, user), truth.toSorted())
    }
  })
  await fc.assert(check, { numRuns: 500 })
})
