import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSessionKey } from '../../src/django/session-key.ts'
import { NotAdoptableError } from '../../src/sessions/engine.ts'
import {
  assertData,
  assertEnd,
  assertListed,
  type EngineTraits,
  increment,
  type Prepare,
  sessionOf,
  unexpected,
} from './session-engine-world.ts'

/** What holds where sessions come from another store: same key, same data, same end, and nobody's session overwritten. */
export function describeMovedSessions(prepare: Prepare, traits: EngineTraits): void {
  if (!traits.isServerSide) {
    test('adopts nothing, and says so', async () => {
      await using fixture = await prepare()
      const entry = { key: createSessionKey(), data: sessionOf('{"a":1}'), expiresAt: fixture.world.now + 1000 }
      await assert.rejects(fixture.engine.adopt(entry), NotAdoptableError)
    })
    return
  }

  const ends: [why: string, json: string, inSeconds: number][] = [
    ['the usual age, partly over', '{"a":1.0}', 400],
    ['a longer age than this store would give', '{"a":1}', 5000],
    ['seconds of its own, partly over', '{"_session_expiry":60,"a":1}', 20],
    ['until the browser closes', '{"_session_expiry":0,"a":1}', 700],
    ['a fixed date', '{"_session_expiry":"2026-11-23T12:01:30+00:00"}', 90],
  ]
  for (const [why, json, inSeconds] of ends) {
    test(`adopts a session with its key and its end: ${why}`, async () => {
      await using fixture = await prepare()
      const { engine, other, world } = fixture
      const key = createSessionKey()
      const expiresAt = world.now + inSeconds * 1000
      assert.equal(await engine.adopt({ key, data: sessionOf(json), expiresAt }), true)
      const loaded = await other.load(key)
      assertData(loaded, sessionOf(json))
      assertEnd(traits, loaded.found ? loaded.expiresAt : 0, expiresAt)
      await assertListed(fixture, [key])
      await world.advance(inSeconds - 1)
      assert.ok((await engine.load(key)).found)
      await world.advance(1)
      assert.equal((await engine.load(key)).found, false, 'over at that very second')
    })
  }

  test('gives an adopted session without a known end the age of a fresh one', async () => {
    await using fixture = await prepare()
    const { engine, world } = fixture
    for (const [json, age] of [
      ['{"a":1}', 1000],
      ['{"_session_expiry":60}', 60],
    ] as const) {
      const key = createSessionKey()
      assert.equal(await engine.adopt({ key, data: sessionOf(json), expiresAt: undefined }), true)
      const loaded = await engine.load(key)
      assert.ok(loaded.found)
      assertEnd(traits, loaded.expiresAt, world.now + age * 1000)
    }
  })

  test('changes, cycles and deletes an adopted session like any other', async () => {
    await using fixture = await prepare()
    const { engine, other, world } = fixture
    const key = createSessionKey()
    assert.equal(await engine.adopt({ key, data: sessionOf('{"n":1}'), expiresAt: world.now + 10_000 }), true)
    assert.equal((await other.transition(key, increment)).kind, 'stored')
    await world.advance(20)
    assertData(await engine.load(key), sessionOf('{"n":2}'))
    const cycled = await engine.transition(key, (data) => ({ kind: 'cycle', data }))
    assert.ok(cycled.kind === 'stored')
    assert.equal(await other.delete(cycled.key), true)
    assert.equal(await engine.delete(key), false)
    await assertListed(fixture, [])
  })

  test('changes a session without renewing its end, when asked to', async () => {
    await using fixture = await prepare()
    const { engine, other, world } = fixture
    for (const json of ['{"n":1}', '{"_session_expiry":500,"n":1}', '{"_session_expiry":0,"n":1}']) {
      const key = await engine.create(sessionOf(json))
      const loaded = await engine.load(key)
      const expiresAt = world.now + 400_000
      await world.advance(100)
      const result = await engine.transition(key, (data) => ({ kind: 'update', data, expiresAt }))
      assert.equal(result.kind, 'stored')
      assert.ok(loaded.found)
      const kept = await other.load(key)
      assertData(kept, loaded.data)
      assertEnd(traits, kept.found ? kept.expiresAt : 0, expiresAt)
      await world.advance(300)
      assert.equal((await engine.load(key)).found, false)
    }
  })

  test('never adopts over a session that is there', async () => {
    await using fixture = await prepare()
    const { engine, other, world, store } = fixture
    const key = await engine.create(sessionOf('{"a":1}'))
    const before = await store.peek(key)
    assert.equal(await other.adopt({ key, data: sessionOf('{"a":2}'), expiresAt: world.now + 10_000 }), false)
    assert.equal(await store.peek(key), before)
  })

  test('never adopts over what cannot be read', async () => {
    await using fixture = await prepare()
    const { engine, world, store } = fixture
    const key = createSessionKey()
    await store.plant(key, 'x')
    assert.equal(await engine.adopt({ key, data: sessionOf('{"a":2}'), expiresAt: world.now + 10_000 }), false)
    assert.equal(await store.peek(key), 'x')
  })

  if (traits.lists !== false) {
    test('tells of what it lists over because it cannot be read', async () => {
      await using fixture = await prepare()
      const { engine, world, store } = fixture
      await engine.create(sessionOf('{"_session_expiry":10}'))
      await world.advance(10)
      const readable = await engine.create(sessionOf('{"a":1}'))
      const key = createSessionKey()
      await store.plant(key, 'x')
      const [listed, unreadable]: string[][] = [[], []]
      for await (const entry of engine.entries((it) => unreadable?.push(it))) listed?.push(entry.key)
      assert.deepEqual([listed, unreadable], [[readable], [key]])
    })
  }

  if (traits.tellsExpired) {
    test('never adopts over a session that is over', async () => {
      await using fixture = await prepare()
      const { engine, world, store } = fixture
      const key = await engine.create(sessionOf('{"_session_expiry":10}'))
      await world.advance(10)
      const before = await store.peek(key)
      assert.equal(await engine.adopt({ key, data: sessionOf('{"a":2}'), expiresAt: world.now + 10_000 }), false)
      assert.equal(await store.peek(key), before)
    })
  }

  for (const [why, endsInMs] of [
    ['long ago', -3_600_000],
    ['at this moment', 0],
  ] as const) {
    test(`adopts a session that was over ${why} as one that nobody finds`, async () => {
      await using fixture = await prepare()
      const { engine, world } = fixture
      const key = createSessionKey()
      const entry = { key, data: sessionOf('{"a":1}'), expiresAt: world.now + endsInMs }
      assert.equal(await engine.adopt(entry), true)
      assert.equal((await engine.load(key)).found, false)
      assert.equal((await engine.transition(key, unexpected)).kind, 'gone')
      await assertListed(fixture, [])
    })
  }

  for (const key of [
    '',
    'short',
    'a'.repeat(129),
    'with/slash',
    'white space',
    'line\nbreak',
    'nul\0nul\0',
    'Zoëëëëëë',
  ]) {
    test(`refuses to adopt under a key that it cannot hold: ${JSON.stringify(key.slice(0, 20))}`, async () => {
      await using fixture = await prepare()
      const entry = { key, data: sessionOf('{"a":1}'), expiresAt: fixture.world.now + 10_000 }
      await assert.rejects(fixture.engine.adopt(entry), (error) => {
        assert.ok(error instanceof NotAdoptableError)
        assert.ok(key === '' || !error.message.includes(key), 'a key in a message is a stolen session')
        return true
      })
      await assertListed(fixture, [])
    })
  }

  test('lets one of several that adopt the same session at once win', async () => {
    await using fixture = await prepare()
    const { engine, other, world } = fixture
    for (let round = 0; round < 20; round++) {
      const key = createSessionKey()
      const adopt = (i: number): Promise<boolean> =>
        (i % 2 ? engine : other).adopt({ key, data: sessionOf(`{"i":${i}}`), expiresAt: world.now + 10_000 })
      const results = await Promise.all([0, 1, 2, 3].map(adopt))
      assert.equal(results.filter(Boolean).length, 1)
      assertData(await other.load(key), sessionOf(`{"i":${results.indexOf(true)}}`))
      assert.equal(await engine.delete(key), true)
    }
  })
}
