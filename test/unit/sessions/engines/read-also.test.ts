import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type SessionData, writeSessionData } from '../../../../src/django/json.ts'
import { createSignedCookieCodec } from '../../../../src/django/session-data.ts'
import type { Transition } from '../../../../src/sessions/engine.ts'
import { createReadAlsoEngine } from '../../../../src/sessions/engines/read-also.ts'
import { createSignedCookieSessions } from '../../../../src/sessions/engines/signed-cookies.ts'
import {
  assertData,
  countExpired,
  increment,
  listKeys,
  sessionOf,
  unexpected,
} from '../../../contract/session-engine-world.ts'
import { atOnce, KEY, loaded, TwoStores } from '../two-stores.ts'

const cycle = (data: SessionData): Transition => ({ kind: 'cycle', data })
const end = (): Transition => ({ kind: 'delete' })
const renew = (data: SessionData): Transition => ({ kind: 'update', data })

describe('a session in the old store', () => {
  test('is found there, and stays there for as long as it is only read', async () => {
    const world = new TwoStores()
    const engine = world.connect(atOnce)
    assert.deepEqual(await engine.load(KEY), {
      found: true,
      data: sessionOf('{"n":0}'),
      expiresAt: world.now + 1_000_000,
    })
    assert.equal((await engine.transition(KEY, () => ({ kind: 'keep' }))).kind, 'kept')
    assert.deepEqual([world.old.rows.size, world.new.rows.size], [1, 0])
  })

  test('moves at its first change, with its key, and nothing is left behind', async () => {
    const world = new TwoStores()
    const result = await world.connect(atOnce).transition(KEY, increment)
    assert.deepEqual(result, { kind: 'stored', key: KEY, data: sessionOf('{"n":1}') })
    assert.equal(world.old.rows.size, 0)
    assert.deepEqual([...world.new.rows.keys()], [KEY])
    assert.deepEqual(world.new.rows.get(KEY)?.data, sessionOf('{"n":1}'), 'no mark stays in it')
  })

  test('stays where it is when the change is refused, as it was', async () => {
    const world = new TwoStores()
    const engine = world.connect(atOnce)
    await assert.rejects(engine.transition(KEY, unexpected), { message: 'nothing was there to decide about' })
    assert.deepEqual([await loaded(world.old.connect(atOnce)), world.new.rows.size], ['{"n":0}', 0])
  })

  test('keeps what the gateway has written into it, to the letter', async () => {
    const world = new TwoStores()
    const json = '{"_gw":{"created":1.0,"x":1e5},"n":0}'
    world.old.put(KEY, json)
    const engine = world.connect(atOnce)
    const seen: string[] = []
    await engine.transition(KEY, (data) => {
      seen.push(writeSessionData(data))
      return { kind: 'update', data }
    })
    assert.deepEqual(new Set(seen), new Set([json]))
    assert.equal(writeSessionData(world.new.rows.get(KEY)?.data ?? new Map()), json)
  })

  test('moves with its own end when it is taken over without a change', async () => {
    const world = new TwoStores()
    const expiresAt = world.now + 1234
    world.old.put(KEY, '{"n":0}', expiresAt)
    assert.equal(await world.mover(atOnce).take(KEY), 'moved')
    assert.deepEqual(world.new.rows.get(KEY), { data: sessionOf('{"n":0}'), expiresAt })
    world.old.put(KEY, '{"n":100}')
    assert.equal(await world.mover(atOnce).take(KEY), 'there')
    assert.deepEqual([world.old.rows.size, world.new.rows.get(KEY)?.data.get('n')], [0, '0'])
    assert.equal(await world.mover(atOnce).take('nosuchkey'), 'gone')
  })

  for (const [why, ending] of [
    ['deleted', end],
    ['given a new key', cycle],
  ] as const) {
    test(`is nowhere under its key once it is ${why}`, async () => {
      for (const moves of ['to main', 'never'] as const) {
        const world = new TwoStores()
        const engine = world.connect(atOnce, moves)
        assert.match((await engine.transition(KEY, ending)).kind, /deleted|stored/)
        assert.ok(!world.old.rows.has(KEY))
        assert.ok(!world.new.rows.has(KEY))
        assert.equal((await engine.load(KEY)).found, false)
      }
    })
  }

  test('is changed where it is under a key that the main store cannot hold', async () => {
    const world = new TwoStores({ newHasFileKeys: true })
    const key = 'Not.A-File:Key'
    world.old.put(key, '{"n":1}')
    const engine = world.connect(atOnce)
    assert.equal(engine.admits(key), 'ask')
    assert.equal((await engine.transition(key, increment)).kind, 'stored')
    assert.equal(await loaded(engine, key), '{"n":2}')
    assert.equal(await world.mover(atOnce).take(key), 'unadoptable')
    assert.equal(await engine.delete(key), true)
  })

  test('is changed where it is when something that is over stands in its place', async () => {
    const world = new TwoStores()
    world.new.put(KEY, '{"n":100}', world.now - 1)
    const engine = world.connect(atOnce)
    assert.equal((await engine.transition(KEY, increment)).kind, 'stored')
    assert.equal(await loaded(engine), '{"n":1}')
    await engine.clearExpired(10)
    assert.equal((await engine.transition(KEY, increment)).kind, 'stored')
    assert.equal(await loaded(world.new.connect(atOnce)), '{"n":2}')
  })

  test('moves although a move the other way round has left something in its place', async () => {
    const world = new TwoStores()
    world.new.put(KEY, '{"n":100,"_gw":{"moved":"long ago"}}')
    const engine = world.connect(atOnce)
    assert.equal(await loaded(engine), '{"n":0}')
    await engine.transition(KEY, increment)
    assert.equal(await loaded(world.new.connect(atOnce)), '{"n":1}')
  })
})

describe('a session in both stores', () => {
  const copied = (): TwoStores => {
    const world = new TwoStores()
    world.new.put(KEY, '{"n":10}')
    return world
  }

  test('is what the main store has', async () => {
    const world = copied()
    assert.equal(await loaded(world.connect(atOnce)), '{"n":10}')
    assert.equal(await loaded(world.connect(atOnce, 'never')), '{"n":10}')
    assert.deepEqual(await listKeys(world.connect(atOnce)), [KEY])
  })

  test('ends when it ends there, however long the other one would have lived', async () => {
    const world = copied()
    const engine = world.connect(atOnce)
    await engine.transition(KEY, (data) => ({ kind: 'update', data, expiresAt: world.now + 60_000 }))
    world.now += 60_000
    assert.equal((await engine.load(KEY)).found, false)
    assert.equal(await engine.clearExpired(10), 1)
    assert.equal((await engine.load(KEY)).found, false)
  })

  test('ends in both', async () => {
    const world = copied()
    assert.equal(await world.connect(atOnce).delete(KEY), true)
    assert.deepEqual([world.old.rows.size, world.new.rows.size], [0, 0])
  })

  test('is deleted where Django has put it back', async () => {
    const world = new TwoStores()
    const engine = world.connect(atOnce)
    await engine.transition(KEY, increment)
    world.old.put(KEY, '{"n":100}')
    await engine.transition(KEY, increment)
    assert.equal(await loaded(engine), '{"n":2}', 'what Django wrote is not looked at')
    assert.equal(await engine.delete(KEY), true)
    assert.deepEqual([world.old.rows.size, world.new.rows.size], [0, 0])
  })
})

describe('the two as one', () => {
  test('lists what is in either, once, and no placeholder', async () => {
    const world = new TwoStores()
    const engine = world.connect(atOnce)
    const made = await engine.create(sessionOf('{"n":1}'))
    world.old.put('movedalready', '{"n":2}')
    await engine.transition('movedalready', increment)
    world.new.put('placeholder', '{"_gw":{"moving":"x"}}')
    world.old.put('deadclaim', '{"_gw":{"moved":"y"},"n":3}')
    assert.deepEqual(await listKeys(engine), ['movedalready', made, KEY].toSorted())
  })

  test('counts and clears what is over in both, no more than it was asked to', async () => {
    const world = new TwoStores()
    for (const [i, store] of [world.new, world.new, world.old, world.old, world.old].entries()) {
      store.put(`overalready${i}`, '{}', world.now)
    }
    const engine = world.connect(atOnce)
    const waiting = [await countExpired(engine), await countExpired(engine, 4), await countExpired(engine, 1)]
    assert.deepEqual(waiting, [5, 4, 1])
    const counts = [await engine.clearExpired(2), await engine.clearExpired(2), await engine.clearExpired(2)]
    assert.deepEqual(counts, [2, 2, 1])
    assert.equal(await loaded(engine), '{"n":0}')
  })

  test('closes both, also when one does not close', async () => {
    const world = new TwoStores()
    const closed: string[] = []
    const engines = (['main', 'also'] as const).map((name) => ({
      ...world.old.connect(atOnce),
      async [Symbol.asyncDispose]() {
        closed.push(name)
        throw new Error(name)
      },
    }))
    const [main = assert.fail(), also = assert.fail()] = engines
    const engine = createReadAlsoEngine(main, also, { moves: 'to main', clock: Date.now, newKey: () => 'x' })
    await assert.rejects(async () => await engine[Symbol.asyncDispose]())
    assert.deepEqual(closed.toSorted(), ['also', 'main'])
  })

  test('are refused when they turn out to be one store under two names, before anything is deleted', async () => {
    const world = new TwoStores()
    const options = { moves: 'to main', clock: () => world.now, newKey: () => 'probekey' } as const
    const engine = createReadAlsoEngine(world.old.connect(atOnce), world.old.connect(atOnce), options)
    assert.equal(await loaded(engine), '{"n":0}')
    for (const change of [renew, cycle, end]) {
      await assert.rejects(engine.transition(KEY, change), TypeError)
      assert.equal(await loaded(engine), '{"n":0}')
    }
    assert.deepEqual([...world.old.rows.keys()], [KEY])
  })

  test('are no two of which one keeps its sessions in cookies', () => {
    const world = new TwoStores()
    const engine = world.old.connect(atOnce)
    const cookies = createSignedCookieSessions({
      codec: createSignedCookieCodec({ secretKey: 'a secret key', maxAgeSeconds: 10 }),
      cookieName: 'sessionid',
      cookieAgeSeconds: 10,
      clock: Date.now,
    })
    const options = { moves: 'to main', clock: Date.now, newKey: () => 'x' } as const
    assert.throws(() => createReadAlsoEngine(engine, cookies, options), TypeError)
    assert.throws(() => createReadAlsoEngine(cookies, engine, options), TypeError)
  })

  test('says of a session what either store knows of its end', async () => {
    const world = new TwoStores()
    const engine = world.connect(atOnce)
    world.now += 1_000_000
    assert.deepEqual(await engine.load(KEY), { found: false, reason: 'expired' })
    assertData(await engine.load(await engine.create(sessionOf('{"a":1}'))), sessionOf('{"a":1}'))
  })
})
