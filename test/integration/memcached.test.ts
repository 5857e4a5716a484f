import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type SessionData, writeSessionData } from '../../src/django/json.ts'
import { createSessionKey } from '../../src/django/session-key.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { createMemcachedCache } from '../../src/sessions/caches/memcached.ts'
import type { SessionEngine } from '../../src/sessions/engine.ts'
import { increment, sessionOf } from '../contract/session-engine-world.ts'
import { until, within } from '../support/deadline.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { type MemcachedServer, startMemcached } from '../support/memcached.ts'
import { requireServer } from '../support/requirement.ts'
import { connectCache, connectSessions, countElsewhere, keyPrefix } from './memcached-sessions.ts'

const memcached = requireServer('memcached')
const { skip } = memcached
const unavailable = { code: 'ERR_STORE_UNAVAILABLE' }
const bytes = (text: string) => new Uint8Array(Buffer.from(text))

let server: MemcachedServer
before(async () => {
  if (skip === false) server = await startMemcached(memcached)
})
after(() => server?.[Symbol.asyncDispose]())

/** The session's JSON; undefined if there is none. */
async function read(engine: SessionEngine, key: string): Promise<string | undefined> {
  const loaded = await engine.load(key)
  return loaded.found ? writeSessionData(loaded.data) : undefined
}

const ages: [why: string, ttlSeconds: number][] = [
  ['a minute', 60],
  ['30 days, the longest age', 30 * 86_400],
  ['a second more, as a date', 30 * 86_400 + 1],
  ['a year, as a date', 365 * 86_400],
]
for (const [why, ttlSeconds] of ages) {
  test(`a value lives as long as it should: ${why}`, { skip }, async () => {
    await using cache = connectCache(server)
    const key = keyPrefix + createSessionKey()
    await cache.add(key, bytes('{}'), ttlSeconds)
    const [, left] = /^HD t(\d+)/.exec(await server.ask(`mg ${key} t\r\n`)) ?? []
    assert.ok(Math.abs(Number(left) - ttlSeconds) <= 30, `${left} seconds left`)
  })
}

test('a value is gone when its time is over, and one behind 2038 is not gone before', { skip }, async () => {
  await using cache = connectCache(server)
  const [short, long] = [keyPrefix + createSessionKey(), keyPrefix + createSessionKey()]
  await cache.add(short, bytes('{}'), 1)
  await cache.add(long, bytes('{}'), Number.MAX_SAFE_INTEGER)
  const giveUpAt = performance.now() + 10_000
  while ((await cache.get(short)) && performance.now() < giveUpAt) await new Promise((turn) => setTimeout(turn, 20))
  assert.equal(await cache.get(short), undefined)
  assert.ok(await cache.get(long))
})

test('removing exactly what was seen leaves nothing, and the key free', { skip }, async () => {
  await using cache = connectCache(server)
  const key = keyPrefix + createSessionKey()
  await cache.add(key, bytes('first'), 100)
  const first = await cache.get(key)
  assert.ok(first)
  assert.equal(await cache.replace(key, { stamp: first.stamp, bytes: bytes('second'), ttlSeconds: 100 }), true)
  assert.equal(await cache.remove(key, first.stamp), false, 'it is another by now')
  const second = await cache.get(key)
  assert.ok(second)
  assert.equal(await cache.remove(key, second.stamp), true)
  assert.equal(await cache.get(key), undefined)
  assert.equal(await cache.remove(key, second.stamp), false, 'only one can have removed it')
  assert.equal(await cache.replace(key, { stamp: second.stamp, bytes: bytes('x'), ttlSeconds: 1 }), false)
  assert.equal(await cache.add(key, bytes('third'), 100), true)
})

test('values of any bytes come back as they were, up to the size of an item', { skip }, async () => {
  await using cache = connectCache(server, { maxItemBytes: 1024 * 1024 })
  const key = keyPrefix + createSessionKey()
  for (const size of [0, 1, 256, 70_000, 1024 * 1024 - 100 - key.length]) {
    const value = Uint8Array.from({ length: size }, (_, i) => i * 7)
    await cache.put(key, value, 100)
    assert.deepEqual((await cache.get(key))?.bytes, value)
  }
  await assert.rejects(cache.put(key, new Uint8Array(1024 * 1024), 100), { ...unavailable, message: /too large/ })
  assert.equal((await cache.get(key))?.bytes.length, 1024 * 1024 - 100 - key.length, 'what was there is still there')
})

test('a session too large for the server is refused by a change, and stays what it was', { skip }, async () => {
  await using small = await startMemcached(memcached, ['-I', '2k', '-o', 'slab_chunk_max=1024'])
  await using engine = connectSessions(small)
  const key = await engine.create(sessionOf('{"a":1}'))
  const grow = (now: SessionData) => ({ kind: 'update', data: new Map(now).set('b', `"${'x'.repeat(4000)}"`) }) as const
  await assert.rejects(engine.transition(key, grow), { ...unavailable, message: /larger than its items may be/ })
  assert.equal(await read(engine, key), '{"a":1}')
})

test('a server that was killed is an error at once, and an empty one when it is back', { skip }, async () => {
  await using mortal = await startMemcached(memcached)
  await using cache = connectCache(mortal)
  await using engine = connectSessions(mortal)
  const key = await engine.create(sessionOf('{"a":1}'))
  const stale = await cache.get(keyPrefix + key)
  assert.ok(stale)
  await mortal.kill()
  await assert.rejects(within('the failure', engine.load(key)), unavailable)
  await assert.rejects(within('the failure', engine.create(sessionOf('{}'))), unavailable)
  await assert.rejects(within('the failure', engine.ping()), unavailable)
  await mortal.restart()
  await engine.ping()
  assert.equal(await read(engine, key), undefined)
  // The same key again, and the same cas number: the server counts from one.
  await mortal.plant(keyPrefix + key, { flags: 2, bytes: Buffer.from('{"b":2}') })
  assert.equal(await cache.replace(keyPrefix + key, { stamp: stale.stamp, bytes: bytes('{}'), ttlSeconds: 9 }), false)
  assert.equal(await cache.remove(keyPrefix + key, stale.stamp), false)
  assert.equal(await read(engine, key), '{"b":2}')
  assert.equal((await engine.transition(key, increment)).kind, 'stored')
})

test('calls to a stopped server end in their time, and all is well when it goes on', { skip }, async (context) => {
  const timeoutMs = 150
  await using sleepy = await startMemcached(memcached)
  await using engine = connectSessions(sleepy, { timeoutMs })
  const key = await engine.create(sessionOf('{"n":0}'))
  sleepy.stop()
  const durations: number[] = []
  for (let round = 0; round < 10; round++) {
    const calls = [engine.load(key), engine.create(sessionOf('{}')), engine.transition(key, increment), engine.ping()]
    await Promise.all(
      calls.map(async (call) => {
        const startedAt = performance.now()
        await assert.rejects(call, unavailable)
        durations.push(performance.now() - startedAt)
      }),
    )
  }
  context.diagnostic(`calls to a stopped server took up to ${Math.round(Math.max(...durations))} of ${timeoutMs} ms`)
  // The margin is for a machine that does other things; that no call waits for another is what it shows.
  assert.ok(Math.max(...durations) < timeoutMs + 1000, `${Math.max(...durations)} ms`)
  sleepy.continue()
  assert.equal(await read(engine, key), '{"n":0}', 'a change that was told to have failed is none')
  assert.equal((await engine.transition(key, increment)).kind, 'stored')
  let stats = ''
  const isTidy = async () => {
    stats = await sleepy.ask('stats\r\n')
    return Number(/STAT curr_connections (\d+)/.exec(stats)?.[1]) <= 4
  }
  for (let i = 0; i < 200 && !(await isTidy()); i++) await new Promise((turn) => setTimeout(turn, 10))
  assert.ok(await isTidy(), `connections are left over: ${stats}`)
})

for (const how of ['reset', 'close'] as const) {
  test(`a reply cut after any number of bytes is no value, but read again (${how})`, { skip }, async () => {
    await using proxy = await startFaultProxy(server.port)
    await using cache = connectCache(proxy)
    const key = keyPrefix + createSessionKey()
    await cache.add(key, bytes('END\r\nabc'), 100)
    const replyBytes = (await server.ask(`gets ${key}\r\n`)).length
    for (let afterBytes = 0; afterBytes < replyBytes; afterBytes++) {
      await cache.ping()
      proxy.set({ kind: 'cut', direction: 'down', afterBytes, how }, 'open')
      const value = await cache.get(key)
      assert.equal(Buffer.from(value?.bytes ?? []).toString(), 'END\r\nabc', `cut once after ${afterBytes}`)
      proxy.set({ kind: 'cut', direction: 'down', afterBytes, how })
      await assert.rejects(cache.get(key), unavailable, `cut always after ${afterBytes}`)
      proxy.pass()
    }
  })

  test(`a write whose reply or command is cut is told as failed, and done once or not at all (${how})`, {
    skip,
  }, async () => {
    await using proxy = await startFaultProxy(server.port)
    await using cache = connectCache(proxy)
    await using engine = connectSessions(server)
    const key = await engine.create(sessionOf('{"n":0}'))
    const command = Buffer.byteLength(`cas ${keyPrefix}${key} 2 100 7 1\r\n{"n":1}\r\n`)
    for (const direction of ['down', 'up'] as const) {
      const last = direction === 'down' ? 'STORED\r\n'.length : command
      for (let afterBytes = 0; afterBytes < last; afterBytes++) {
        const seen = await cache.get(keyPrefix + key)
        assert.ok(seen)
        proxy.set({ kind: 'cut', direction, afterBytes, how }, 'open')
        const next = afterBytes % 10
        const change = { stamp: seen.stamp, bytes: bytes(`{"n":${next}}`), ttlSeconds: 100 }
        await assert.rejects(cache.replace(keyPrefix + key, change), unavailable)
        const before = Buffer.from(seen.bytes).toString()
        const expected = direction === 'down' ? `{"n":${next}}` : before
        await until('the proxy has closed', () => proxy.counts.open === 0)
        assert.equal(await read(engine, key), expected, `${direction} after ${afterBytes}`)
      }
    }
  })
}

test('replies that are late by a hundred calls reach none of them', { skip }, async () => {
  await using proxy = await startFaultProxy(server.port)
  await using cache = connectCache(proxy, { timeoutMs: 400 })
  const keys = Array.from({ length: 20 }, () => keyPrefix + createSessionKey())
  for (const key of keys) await cache.add(key, bytes(key), 100)
  for (let round = 0; round < 5; round++) {
    proxy.set({ kind: 'stall', direction: 'down' })
    await Promise.all(keys.map((key) => assert.rejects(cache.get(key), unavailable)))
    proxy.pass()
    const values = await Promise.all(keys.toReversed().map((key) => cache.get(key)))
    assert.deepEqual(
      values.map((it) => Buffer.from(it?.bytes ?? []).toString()),
      keys.toReversed(),
    )
  }
})

test('with -M a full server refuses what is new, and keeps what it has', { skip }, async () => {
  await using full = await startMemcached(memcached, ['-m', '1', '-I', '512k', '-M'])
  await using cache = connectCache(full, { maxItemBytes: 512 * 1024 })
  const stored: string[] = []
  const fill = async () => {
    for (;;) {
      const key = keyPrefix + createSessionKey()
      await cache.add(key, new Uint8Array(20_000).fill(stored.length), 100)
      stored.push(key)
    }
  }
  await assert.rejects(within('a full server', fill(), 30_000), { ...unavailable, message: /no memory left/ })
  assert.ok(stored.length > 20, `${stored.length} fitted`)
  for (const [i, key] of stored.entries()) {
    const value = await cache.get(key)
    assert.deepEqual(value?.bytes, new Uint8Array(20_000).fill(i))
    const change = { stamp: value.stamp, bytes: new Uint8Array(20_000), ttlSeconds: 100 }
    if (i < 3) await assert.rejects(cache.replace(key, change), { ...unavailable, message: /no memory left/ })
    assert.deepEqual((await cache.get(key))?.bytes, value.bytes, 'a change that failed leaves the old value')
  }
})

test('without -M a full server drops what was not used for longest, which logs those sessions out', {
  skip,
}, async () => {
  await using full = await startMemcached(memcached, ['-m', '1', '-I', '512k'])
  await using engine = connectSessions(full, { maxItemBytes: 512 * 1024 })
  const big = sessionOf(`{"a":"${'x'.repeat(20_000)}"}`)
  const first = await engine.create(big)
  let last = first
  for (let i = 0; i < 500; i++) last = await engine.create(big)
  assert.deepEqual(await engine.load(first), { found: false, reason: 'not_found' })
  assert.ok((await engine.load(last)).found)
})

test('three thousand races of a log-out against changes bring nothing back', { skip }, async () => {
  await using one = connectSessions(server)
  await using two = connectSessions(server)
  const race = async () => {
    const key = await one.create(sessionOf('{"n":0}'))
    const cycle = (data: SessionData) => ({ kind: 'cycle', data }) as const
    const [, isDeleted, , cycled] = await Promise.all([
      one.transition(key, increment),
      two.delete(key),
      one.transition(key, increment),
      two.transition(key, cycle),
    ])
    // Either the deletion won, or the session moved on to another key before.
    assert.equal(isDeleted, cycled.kind === 'gone')
    assert.equal(await server.peek(keyPrefix + key), undefined)
    assert.equal(await read(one, key), undefined)
    assert.equal((await one.transition(key, increment)).kind, 'gone')
  }
  for (let round = 0; round < 60; round++) await Promise.all(Array.from({ length: 50 }, race))
})

test('two processes with fifty writers each lose none of their changes to one session', { skip }, async () => {
  await using engine = connectSessions(server)
  const key = await engine.create(sessionOf('{}'))
  const task = { place: { host: server.host, port: server.port }, key, writers: 50, times: 20 }
  await Promise.all([countElsewhere({ ...task, name: 'a' }), countElsewhere({ ...task, name: 'b' })])
  const loaded = await engine.load(key)
  assert.ok(loaded.found)
  const names = ['a', 'b'].flatMap((name) => Array.from({ length: 50 }, (_, i) => [`${name}${i}`, '20'] as const))
  assert.deepEqual([...loaded.data].toSorted(), names.toSorted())
})

test('a server behind a Unix socket', { skip }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-memcached-'))
  const path = join(folder, 'socket')
  const relay = createServer((socket) => {
    const onward = connect(server)
    socket.on('error', () => onward.destroy())
    onward.on('error', () => socket.destroy())
    socket.pipe(onward).pipe(socket)
  }).listen(path)
  await once(relay, 'listening')
  await using stack = new AsyncDisposableStack()
  stack.defer(() => void relay.close())
  const options = { keyPrefix, flags: 1, timeoutMs: 150, clock: systemClock }
  await using cache = createMemcachedCache({ ...options, server: { path } })
  await using nowhere = createMemcachedCache({ ...options, server: { path: `${path}-not` } })
  await assert.rejects(nowhere.ping(), { ...unavailable, message: /socket-not: the connection failed/ })
  const key = keyPrefix + createSessionKey()
  await cache.add(key, bytes('abc'), 100)
  assert.equal(Buffer.from((await cache.get(key))?.bytes ?? []).toString(), 'abc')
  assert.deepEqual(await server.peek(key), { flags: 1, bytes: Buffer.from('abc') })
  server.stop()
  await assert.rejects(cache.get(key), { ...unavailable, message: /no reply within 150 ms/ })
  server.continue()
  assert.ok(await cache.get(key))
  await cache[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})
