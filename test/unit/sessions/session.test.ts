import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ExpiryRules } from '../../../src/django/expiry.ts'
import { createSessionKey } from '../../../src/django/session-key.ts'
import { jsonSerializer } from '../../../src/sessions/caches/json-serializer.ts'
import { createMemoryCache } from '../../../src/sessions/caches/memory.ts'
import type { SessionEngine } from '../../../src/sessions/engine.ts'
import { createCacheSessions } from '../../../src/sessions/engines/cache.ts'
import { observeEngine } from '../../../src/sessions/observed-engine.ts'
import { MissingKeyError, type Session } from '../../../src/sessions/session.ts'
import { SessionStore } from '../../../src/sessions/session-store.ts'

const expiry: ExpiryRules = { cookieAgeSeconds: 1_209_600, expireAtBrowserClose: false, dates: 'iso', useTz: true }

function start(): { store: SessionStore; engine: SessionEngine; loads: () => number; tick: (ms: number) => void } {
  let now = Date.UTC(2026, 0, 1)
  let loads = 0
  const clock = (): number => now
  const bare = createCacheSessions(createMemoryCache({ clock }), {
    serializer: jsonSerializer,
    keyPrefix: 'test:',
    expiryRules: expiry,
    clock,
    newKey: () => createSessionKey(),
  })
  const engine = observeEngine(bare, ({ op }) => {
    if (op === 'load') loads += 1
  })
  const store = new SessionStore({ engine, expiry, identity: { authKey: 'userInfo' }, maxAgeMs: undefined, clock })
  const tick = (ms: number): void => {
    now += ms
  }
  return { store, engine, loads: () => loads, tick }
}

/** A stored session with these values, opened afresh. */
async function stored(store: SessionStore, values: Record<string, unknown>): Promise<Session> {
  const session = store.open(undefined)
  await session.update(values)
  const result = await session.save()
  assert.equal(result.kind, 'stored')
  return store.open(session.key)
}

test('the store is not asked before the first access, and only once', async () => {
  const { store, loads } = start()
  const session = await stored(store, { a: 1 })
  const before = loads()
  assert.equal(session.accessed, false)
  assert.equal(loads(), before)
  assert.equal(await session.get('a'), 1)
  assert.equal(await session.has('b'), false)
  assert.equal(loads(), before + 1)
  assert.equal(session.accessed, true)
  assert.equal(session.modified, false)
})

test('reading: get with and without a default, require that throws, has, keys, values, items', async () => {
  const { store } = start()
  const session = await stored(store, { a: 1, b: null })
  assert.equal(await session.get('a'), 1)
  assert.equal(await session.get('b', 'x'), null)
  assert.equal(await session.get('c'), undefined)
  assert.equal(await session.get('c', 'x'), 'x')
  assert.equal(await session.require('a'), 1)
  await assert.rejects(session.require('c'), MissingKeyError)
  assert.deepEqual(await session.keys(), ['a', 'b'])
  assert.deepEqual(await session.values(), [1, null])
  assert.deepEqual(await session.items(), [
    ['a', 1],
    ['b', null],
  ])
  assert.equal(session.modified, false)
})

const modifying: [why: string, act: (session: Session) => Promise<unknown>, modified: boolean][] = [
  ['set', (session) => session.set('x', 1), true],
  ['set to the same value', (session) => session.set('a', 1), true],
  ['update', (session) => session.update({ x: 1 }), true],
  ['update with nothing', (session) => session.update({}), true],
  ['pop of a key that is there', (session) => session.pop('a'), true],
  ['pop of a missing key with a default', (session) => session.pop('x', 2), false],
  ['delete', (session) => session.delete('a'), true],
  ['setDefault of a key that is there', (session) => session.setDefault('a', 2), false],
  ['setDefault of a missing key', (session) => session.setDefault('x', 2), true],
  ['clear', (session) => session.clear(), true],
  ['flush', (session) => session.flush(), true],
  ['cycleKey', (session) => session.cycleKey(), true],
  ['setExpiry with seconds', (session) => session.setExpiry(300), true],
  ['setExpiry with null where none was set', (session) => session.setExpiry(null), false],
  ['get', (session) => session.get('a'), false],
  ['setTestCookie', (session) => session.setTestCookie(), true],
]
for (const [why, act, modified] of modifying) {
  test(`${why} ${modified ? 'marks' : 'does not mark'} the session as modified`, async () => {
    const { store } = start()
    const session = await stored(store, { a: 1 })
    await act(session)
    assert.equal(session.modified, modified)
    assert.equal(session.accessed, true)
  })
}

test('pop gives the value and takes it out; without a default a missing key throws', async () => {
  const { store } = start()
  const session = await stored(store, { a: 1 })
  assert.equal(await session.pop('a'), 1)
  assert.equal(await session.has('a'), false)
  assert.equal(await session.pop('a', undefined), undefined)
  await assert.rejects(session.pop('a'), MissingKeyError)
  await assert.rejects(session.delete('a'), MissingKeyError)
})

test('setDefault gives what is there, or sets and gives the default', async () => {
  const { store } = start()
  const session = await stored(store, { a: 1 })
  assert.equal(await session.setDefault('a', 2), 1)
  assert.equal(await session.setDefault('b', 2), 2)
  assert.equal(await session.get('b'), 2)
})

test('a made-up key is never adopted: a later save creates a fresh one', async () => {
  const { store } = start()
  const session = store.open('abcdefgh01234567')
  assert.equal(await session.get('a'), undefined)
  assert.equal(session.key, undefined)
  assert.equal(session.resolution, 'not_found')
  await session.set('a', 1)
  const result = await session.save()
  assert.equal(result.kind, 'stored')
  assert.notEqual(session.key, 'abcdefgh01234567')
})

test('what is saved is read again, and the cookie’s reason tells new, refreshed and rotated apart', async () => {
  const { store } = start()
  const session = store.open(undefined)
  await session.set('a', 1)
  const first = await session.save()
  await session.set('a', 2)
  const second = await session.save()
  await session.cycleKey()
  const third = await session.save()
  assert.deepEqual(
    [first, second, third].map((result) => result.kind === 'stored' && result.reason),
    ['new', 'refreshed', 'rotated'],
  )
  assert.equal(await store.open(session.key).get('a'), 2)
})

test('saving without a change stores nothing', async () => {
  const { store } = start()
  assert.deepEqual(await store.open(undefined).save(), { kind: 'unchanged' })
  assert.deepEqual(await (await stored(store, { a: 1 })).save(), { kind: 'unchanged' })
})

test('flush ends the session: row gone, key gone, empty at once', async () => {
  const { store, engine } = start()
  const session = await stored(store, { a: 1 })
  const key = session.key ?? ''
  await session.flush()
  assert.equal(session.key, undefined)
  assert.equal(session.isEmpty, true)
  assert.deepEqual(await session.save(), { kind: 'deleted' })
  assert.equal((await engine.load(key)).found, false)
})

test('flush, then set: a new session under a new key, the old one gone', async () => {
  const { store, engine } = start()
  const session = await stored(store, { a: 1 })
  const key = session.key ?? ''
  await session.flush()
  await session.set('b', 2)
  assert.deepEqual(await session.items(), [['b', 2]])
  await session.save()
  assert.notEqual(session.key, key)
  assert.deepEqual(await store.open(session.key).items(), [['b', 2]])
  assert.equal((await engine.load(key)).found, false)
})

test('two sessions opened at once keep each other’s keys', async () => {
  const { store } = start()
  const session = await stored(store, { a: 1 })
  const one = store.open(session.key)
  const other = store.open(session.key)
  await one.set('one', 1)
  await other.set('other', 2)
  await one.save()
  await other.save()
  assert.deepEqual(await store.open(session.key).items(), [
    ['a', 1],
    ['one', 1],
    ['other', 2],
  ])
})

test('a session that ended meanwhile is not brought back', async () => {
  const { store, engine } = start()
  const session = await stored(store, { a: 1 })
  const slow = store.open(session.key)
  await slow.set('b', 2)
  await engine.delete(session.key ?? '')
  assert.deepEqual(await slow.save(), { kind: 'gone' })
  assert.equal(slow.key, undefined)
})

test('a login whose session vanished meanwhile gets a session of its own', async () => {
  const { store, engine } = start()
  const session = await stored(store, { cart: 1 })
  const slow = store.open(session.key)
  await slow.set('userInfo', 'alice')
  await engine.delete(session.key ?? '')
  const result = await slow.save({ beganAnonymous: true })
  assert.equal(result.kind, 'stored')
  assert.deepEqual(await store.open(slow.key).items(), [['userInfo', 'alice']])
})

test('who comes late with a key that was just cycled gets no session that would overwrite its successor', async () => {
  const { store } = start()
  const session = await stored(store, { a: 1 })
  const old = session.key
  await session.cycleKey()
  await session.save()
  const late = store.open(old)
  await late.set('b', 2)
  assert.equal(late.isSuperseded, true)
  assert.deepEqual(await late.save(), { kind: 'gone' })
})

test('a refused change stores nothing', async () => {
  const { store } = start()
  const session = await stored(store, { a: 1 })
  await session.set('b', 2)
  const check = (): never => {
    throw new RangeError('too large')
  }
  await assert.rejects(session.save({ check }), RangeError)
  assert.deepEqual(await store.open(session.key).items(), [['a', 1]])
})

test('expiry: seconds, zero, a date, and back to the default', async () => {
  const { store, tick } = start()
  const session = await stored(store, { a: 1 })
  assert.equal(await session.getExpiryAge(), 1_209_600)
  assert.equal(await session.getExpireAtBrowserClose(), false)
  await session.setExpiry(300)
  assert.equal(await session.getExpiryAge(), 300)
  assert.deepEqual(await session.getExpiryDate(), new Date(Date.UTC(2026, 0, 1, 0, 5)))
  await session.setExpiry(0)
  assert.equal(await session.getExpiryAge(), 1_209_600)
  assert.equal(await session.getExpireAtBrowserClose(), true)
  await session.setExpiry(new Date(Date.UTC(2026, 0, 1, 1)))
  assert.equal(await session.getExpiryAge(), 3600)
  await session.setExpiry(null)
  assert.equal(await session.has('_session_expiry'), false)
  await session.setExpiry(300)
  await session.save()
  tick(299_000)
  assert.equal(await store.open(session.key).has('a'), true)
  tick(2_000)
  const expired = store.open(session.key)
  assert.equal(await expired.has('a'), false)
  assert.notEqual(expired.resolution, 'hit')
})

test('the test cookie works once it was stored, and can be taken away', async () => {
  const { store } = start()
  const session = store.open(undefined)
  assert.equal(await session.testCookieWorked(), false)
  await session.setTestCookie()
  await session.save()
  const next = store.open(session.key)
  assert.equal(await next.testCookieWorked(), true)
  await next.deleteTestCookie()
  assert.equal(await next.testCookieWorked(), false)
})

test('whoever watches a key is told of its change and its end, not of a mere renewal', async () => {
  const { store } = start()
  const session = await stored(store, { a: 1 })
  const notices: string[] = []
  const stop = store.watch(session.key ?? '', () => void notices.push('notice'))
  await session.set('b', 1)
  await session.save()
  await store.touch(session.key ?? '')
  await session.flush()
  await session.save()
  assert.equal(notices.length, 2)
  stop()
})

test('a session that the app names must exist', async () => {
  const { store } = start()
  const foreign = store.openExisting('abcdefgh01234567')
  await foreign.set('a', 1)
  assert.deepEqual(await foreign.save(), { kind: 'gone' })
})
