import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type SessionData, writeSessionData } from '../../src/django/json.ts'
import { createSessionCodec } from '../../src/django/session-data.ts'
import { createSessionKey } from '../../src/django/session-key.ts'
import { createTimestampSigner } from '../../src/django/signing.ts'
import type { Transition } from '../../src/sessions/engine.ts'
import {
  assertData,
  assertEnd,
  assertListed,
  countExpired,
  type EngineTraits,
  EngineWorld,
  increment,
  type Prepare,
  sessionOf,
  unexpected,
} from './session-engine-world.ts'

/** What holds where sessions are kept on a server: keys, expiry, listing, sweeping, and rows that cannot be read. */
export function describeKeptSessions(prepare: Prepare, traits: EngineTraits): void {
  test('makes keys of its own, insert only, and never gives one to two sessions', async () => {
    await using fixture = await prepare()
    const taken = await fixture.engine.create(sessionOf('{"a":1}'))
    assert.match(taken, /^[a-z0-9]{32}$/)
    fixture.world.nextKeys.push(taken, taken)
    const key = await fixture.engine.create(sessionOf('{"a":2}'))
    assert.notEqual(key, taken)
    assertData(await fixture.engine.load(taken), sessionOf('{"a":1}'))
    fixture.world.nextKeys.push(taken)
    const cycled = await fixture.engine.transition(key, (data) => ({ kind: 'cycle', data }))
    assert.ok(cycled.kind === 'stored' && cycled.key !== taken && cycled.key !== key)
    assertData(await fixture.engine.load(taken), sessionOf('{"a":1}'))
  })

  test('gives up when no key is free, instead of sharing one', async () => {
    await using fixture = await prepare()
    const taken = await fixture.engine.create(sessionOf('{"a":1}'))
    fixture.world.nextKeys.push(...Array<string>(1000).fill(taken))
    await assert.rejects(fixture.engine.create(sessionOf('{"a":2}')), { code: 'ERR_INTERNAL' })
    assertData(await fixture.engine.load(taken), sessionOf('{"a":1}'))
  })

  test('never adopts a key that it did not make', async () => {
    await using fixture = await prepare()
    const unknown = createSessionKey()
    assert.deepEqual(await fixture.engine.load(unknown), { found: false, reason: 'not_found' })
    assert.deepEqual(await fixture.engine.transition(unknown, unexpected), { kind: 'gone', reason: 'not_found' })
    assert.equal(await fixture.engine.delete(unknown), false)
    assert.equal(await fixture.store.peek(unknown), undefined)
    await assertListed(fixture, [])
  })

  test('takes no hostile key for a session, and harms none', async () => {
    await using fixture = await prepare()
    const key = await fixture.engine.create(sessionOf('{"a":1}'))
    for (const hostile of hostileKeys(key)) {
      const why = JSON.stringify(hostile.slice(0, 60))
      assert.deepEqual(await fixture.engine.load(hostile), { found: false, reason: 'not_found' }, why)
      const result = await fixture.engine.transition(hostile, unexpected)
      assert.deepEqual(result, { kind: 'gone', reason: 'not_found' }, why)
      assert.equal(await fixture.engine.delete(hostile), false, why)
    }
    await assertListed(fixture, [key])
    assertData(await fixture.engine.load(key), sessionOf('{"a":1}'))
  })

  const verdicts: [why: string, cookieValue: string, verdict: string][] = [
    ['nothing is no key', '', 'none'],
    ['seven characters are no key', 'abcdefg', 'none'],
    ['eight are asked for', 'abcdefgh', 'ask'],
    ['a usual key', createSessionKey(), 'ask'],
    ['the longest one', 'a'.repeat(128), 'ask'],
    ['one more is unknown', 'a'.repeat(129), 'unknown'],
    ['a slash', 'abcdefgh/', 'unknown'],
    ['a quote', "abcdefgh'", 'unknown'],
    ['not ASCII', 'abcdefghé', 'unknown'],
    ['a line break', 'abcdefgh\n', 'unknown'],
  ]
  for (const [why, cookieValue, verdict] of verdicts) {
    test(`knows a key from none without asking the store: ${why}`, async () => {
      await using fixture = await prepare()
      assert.equal(fixture.engine.admits(cookieValue), verdict)
    })
  }

  test('lets the old key die when it is cycled', async () => {
    await using fixture = await prepare()
    const key = await fixture.engine.create(sessionOf('{"a":1}'))
    const result = await fixture.engine.transition(key, (now) => ({ kind: 'cycle', data: new Map(now).set('b', '2') }))
    assert.ok(result.kind === 'stored')
    assert.notEqual(result.key, key)
    assert.equal(await fixture.store.peek(key), undefined)
    assert.deepEqual(await fixture.other.load(key), { found: false, reason: 'not_found' })
    assert.deepEqual(await fixture.other.transition(key, unexpected), { kind: 'gone', reason: 'not_found' })
    assertData(await fixture.other.load(result.key), sessionOf('{"a":1,"b":2}'))
    await assertListed(fixture, [result.key])
  })

  test('deletes once, for every process', async () => {
    await using fixture = await prepare()
    const key = await fixture.engine.create(sessionOf('{"a":1}'))
    assert.equal(await fixture.engine.delete(key), true)
    assert.equal(await fixture.other.delete(key), false)
    assert.equal(await fixture.store.peek(key), undefined)
    assert.deepEqual(await fixture.other.load(key), { found: false, reason: 'not_found' })
    assert.deepEqual(await fixture.engine.transition(key, unexpected), { kind: 'gone', reason: 'not_found' })
  })

  test('counts the age from the last change, and reading or keeping is none', async () => {
    await using fixture = await prepare()
    const { engine, world } = fixture
    const key = await engine.create(sessionOf('{"a":1}'))
    await world.advance(600)
    await engine.transition(key, (data) => ({ kind: 'update', data }))
    await world.advance(600)
    await engine.load(key)
    await engine.transition(key, () => ({ kind: 'keep' }))
    const loaded = await engine.load(key)
    assert.ok(loaded.found)
    assertEnd(traits, loaded.expiresAt, world.now + 400_000)
    await world.advance(400)
    assert.equal((await engine.load(key)).found, false)
  })

  const expiries: [why: string, expiry: string, livesForSeconds: number][] = [
    ['seconds of its own', '60', 60],
    ['seconds beyond the default', '5000', 5000],
    ['0 means the default on the server', '0', 1000],
    ['a fixed date', '"2026-11-23T12:01:30+00:00"', 90],
  ]
  for (const [why, expiry, livesForSeconds] of expiries) {
    test(`honours a session's own expiry: ${why}`, async () => {
      await using fixture = await prepare()
      const { engine, world } = fixture
      const key = await engine.create(sessionOf(`{"_session_expiry":${expiry}}`))
      await world.advance(livesForSeconds - 1)
      assert.ok((await engine.load(key)).found)
      await world.advance(1)
      assert.equal((await engine.load(key)).found, false, 'over at that very second')
      await assertListed(fixture, [])
    })
  }

  test('stores a session that is over already as one that nobody finds', async () => {
    await using fixture = await prepare()
    const key = await fixture.engine.create(sessionOf('{"_session_expiry":-10}'))
    assert.equal((await fixture.engine.load(key)).found, false)
    const other = await fixture.engine.create(sessionOf('{"a":1}'))
    const past = (now: SessionData): Transition => ({ kind: 'update', data: new Map(now).set('_session_expiry', '-1') })
    assert.equal((await fixture.engine.transition(other, past)).kind, 'stored')
    assert.equal((await fixture.engine.load(other)).found, false)
    await assertListed(fixture, [])
  })

  if (traits.sweeps !== false) describeSweeping(prepare)
  describeCount(prepare, traits)
  if (traits.lists !== false) describeListing(prepare, traits)

  test('is not disturbed when another engine on the store closes', async () => {
    await using fixture = await prepare()
    const key = await fixture.engine.create(sessionOf('{"a":1}'))
    await fixture.store.connect().then((engine) => engine[Symbol.asyncDispose]())
    assertData(await fixture.engine.load(key), sessionOf('{"a":1}'))
    assert.equal((await fixture.engine.transition(key, increment)).kind, 'stored')
  })

  for (const [why, corrupt, reason] of corruptTexts(traits.isSigned)) {
    test(`leaves a row that it cannot read byte for byte as it is: ${why}`, async () => {
      await using fixture = await prepare()
      const { engine, store } = fixture
      const key = createSessionKey()
      await store.plant(key, corrupt)
      const planted = await store.peek(key)
      assert.equal(planted, corrupt)
      const loaded = await engine.load(key)
      assert.ok(!loaded.found)
      if (reason !== undefined) assert.equal(loaded.reason, reason)
      assert.deepEqual(await engine.transition(key, unexpected), { kind: 'gone', reason: loaded.reason })
      assert.equal(await engine.delete(key), false)
      assert.equal(await countExpired(engine), traits.countsExpired === false ? undefined : 0)
      assert.equal(await engine.clearExpired(100), 0)
      await assertListed(fixture, [])
      assert.equal(await store.peek(key), planted)
    })
  }
}

/** What holds where expired sessions stay until somebody clears them. */
function describeSweeping(prepare: Prepare): void {
  test('clears what is over in batches, and nothing else', async () => {
    await using fixture = await prepare()
    const { engine, world } = fixture
    for (let i = 0; i < 25; i++) await engine.create(sessionOf('{"_session_expiry":10}'))
    await world.advance(10)
    const alive = await engine.create(sessionOf('{"a":1}'))
    assert.equal(await engine.clearExpired(10), 10)
    assert.equal(await engine.clearExpired(10), 10)
    assert.equal(await engine.clearExpired(10), 5)
    assert.equal(await engine.clearExpired(10), 0)
    assertData(await engine.load(alive), sessionOf('{"a":1}'))
    for (let i = 0; i < 10; i++) await engine.create(sessionOf('{"_session_expiry":10}'))
    assert.equal(await engine.clearExpired(10), 0)
    await world.advance(10)
    assert.equal(await engine.clearExpired(10), 10)
    for (let i = 0; i < 3; i++) await engine.create(sessionOf('{"_session_expiry":10}'))
    await world.advance(10)
    assert.equal(await engine.clearExpired(10), 3, 'none is overlooked after a batch that was exactly full')
  })

  test('clears each session once when two clear at the same time', async () => {
    await using fixture = await prepare()
    const { engine, other, world } = fixture
    for (let i = 0; i < 20; i++) await engine.create(sessionOf('{"_session_expiry":10}'))
    await world.advance(10)
    const counts = await Promise.all([engine.clearExpired(15), engine.clearExpired(15), other.clearExpired(15)])
    assert.equal(
      counts.reduce((sum, count) => sum + count),
      20,
    )
  })
}

/** What can be said of expired sessions before somebody clears them. */
function describeCount(prepare: Prepare, { countsExpired = true }: EngineTraits): void {
  if (!countsExpired) {
    test('says that nothing waits to be cleared, as the store forgets by itself', async () => {
      await using fixture = await prepare()
      await fixture.engine.create(sessionOf('{"_session_expiry":10}'))
      await fixture.world.advance(11)
      assert.equal(await countExpired(fixture.engine), undefined)
    })
    return
  }

  test('counts what waits to be cleared, as far as it is asked to, and none that lives', async () => {
    await using fixture = await prepare()
    const { engine, other, world } = fixture
    const alive = await engine.create(sessionOf('{"a":1}'))
    assert.equal(await countExpired(engine), 0)
    for (let i = 0; i < 19; i++) await (i % 2 ? engine : other).create(sessionOf('{"_session_expiry":10}'))
    await world.advance(9)
    assert.equal(await countExpired(engine), 0, 'they are not over yet')
    await world.advance(1)
    assert.deepEqual([await countExpired(engine), await countExpired(other)], [19, 19])
    for (const limit of [1, 18, 19, 20]) assert.equal(await countExpired(engine, limit), Math.min(limit, 19))
    assert.equal(await engine.clearExpired(7), 7)
    assert.deepEqual([await countExpired(engine), await countExpired(other)], [12, 12])
    assert.equal(await engine.clearExpired(100), 12)
    assert.equal(await countExpired(engine), 0)
    assertData(await engine.load(alive), sessionOf('{"a":1}'))
  })
}

function describeListing(prepare: Prepare, traits: EngineTraits): void {
  test('lists what is alive, also what another process stored', async () => {
    await using fixture = await prepare()
    const { engine, other, world } = fixture
    await engine.create(sessionOf('{"_session_expiry":10}'))
    await world.advance(10)
    const expected = new Map<string, string>()
    for (let i = 0; i < 7; i++) {
      const from = i % 2 ? engine : other
      expected.set(await from.create(sessionOf(`{"i":${i}.0}`)), `{"i":${i}.0}`)
    }
    const listed = new Map<string, string>()
    for await (const { key, data, expiresAt } of engine.entries()) {
      assertEnd(traits, expiresAt, world.now + 1_000_000)
      listed.set(key, writeSessionData(data))
    }
    assert.deepEqual([...listed].toSorted(), [...expected].toSorted())
  })
}

function hostileKeys(known: string): readonly string[] {
  return [
    '',
    'short',
    'a'.repeat(129),
    'a'.repeat(100_000),
    '__proto__',
    'constructor',
    'hasOwnProperty',
    '../../../../etc/passwd',
    `../${known}`,
    `./${known}`,
    `${known}/`,
    `${known} `,
    ` ${known}`,
    `${known}\0`,
    `${known}\0.txt`,
    `${known}\n`,
    `${known}\r\n`,
    `${known}_out_abcdefgh`,
    `${known}:x`,
    known.slice(0, -1),
    known.toUpperCase() === known ? 'AAAAAAAA' : known.toUpperCase(),
    `${known.slice(0, -1)}%`,
    '%%%%%%%%',
    '________',
    "' OR 1=1; --",
    `${known}' --`,
    '\ud800\ud800\ud800\ud800\ud800\ud800\ud800\ud800',
    '\u{1f511}'.repeat(8),
    '.sessiongate-locks',
    '*\r\nSET x y\r\n',
  ]
}

function corruptTexts(isSigned: boolean): readonly [why: string, text: string, reason: string | undefined][] {
  if (!isSigned) {
    return [
      ['no JSON', 'x', 'malformed'],
      ['nothing', '', undefined],
      ['a list', '[1]', 'malformed'],
    ]
  }
  const { codec, secretKey } = new EngineWorld()
  const good = codec.encode(sessionOf('{"a":1}'), Date.UTC(2026, 10, 23))
  const signer = createTimestampSigner({ secretKey, salt: 'django.contrib.sessions.SessionStore' })
  const stranger = createSessionCodec({ secretKey: 'somebody else' })
  const signed = (payload: string) => signer.sign(Buffer.from(payload).toString('base64url'), Date.UTC(2026, 10, 23))
  return [
    ['nothing', '', undefined],
    ['nonsense', 'x', 'bad_signature'],
    ['separators only', '::', 'bad_signature'],
    ['a character changed', good.replace('e', 'f'), 'bad_signature'],
    ['cut off', good.slice(0, -1), 'bad_signature'],
    ['a line break behind it', `${good}\n`, 'bad_signature'],
    ['signed with another key', stranger.encode(sessionOf('{"a":1}'), 0), 'bad_signature'],
    ['a signed list', signed('[1]'), 'malformed'],
    ['signed nonsense', signed('{"a":'), 'malformed'],
    ['too long to be one', 'x'.repeat(3 * 1024 * 1024), 'malformed'],
  ]
}
