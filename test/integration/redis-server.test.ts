import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { GatewayError } from '../../src/errors.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { createRedisCache, type RedisCacheOptions } from '../../src/sessions/caches/redis.ts'
import type { RedisServers } from '../../src/sessions/caches/redis-servers.ts'
import type { CachedValue, SessionCache } from '../../src/sessions/caches/session-cache.ts'
import { within } from '../support/deadline.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'

const TIMEOUT_MS = 500
/** What a test lets a call take beyond its timeout, on a busy machine. */
const MARGIN_MS = 2000

const { skip } = requireServer('redis')
const unavailable = { code: 'ERR_STORE_UNAVAILABLE' }
const bytes = (text: string) => Buffer.from(text)

function openCache(options: Pick<RedisCacheOptions, 'servers'> & Partial<RedisCacheOptions>): SessionCache {
  return createRedisCache({ timeoutMs: TIMEOUT_MS, clock: systemClock, ...options })
}

async function textAt(cache: SessionCache, key: string): Promise<string | undefined> {
  const value = await cache.get(key)
  return value && Buffer.from(value.bytes).toString()
}

/** Asks until the answer comes, and gives the time that took. */
async function recovered(cache: SessionCache): Promise<number> {
  const since = performance.now()
  for (;;) {
    try {
      await cache.ping()
      return performance.now() - since
    } catch (error) {
      assert.ok(error instanceof GatewayError && error.code === 'ERR_STORE_UNAVAILABLE')
      assert.ok(performance.now() - since < 10_000, 'the server is not found again')
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}

/** Deletes what is there, as a log-out does: what it has seen, or else what it sees now. */
async function removed(cache: SessionCache, key: string, seen: CachedValue): Promise<boolean> {
  for (let value: CachedValue | undefined = seen; value; value = await cache.get(key))
    if (await cache.remove(key, value.stamp)) return true
  return false
}

describe('sessions on a server of Redis', { skip }, () => {
  let server: RedisServer
  before(async () => {
    server = await startRedis()
  })
  after(() => server[Symbol.asyncDispose]())

  test('stores, tells the time that is left, and writes only what it has seen', async () => {
    await using cache = openCache({ servers: server.servers })
    const before = Date.now()
    assert.equal(await cache.add('a:1', bytes('one'), 100), true)
    assert.equal(await cache.add('a:1', bytes('two'), 100), false)
    const first = await cache.get('a:1')
    assert.ok(first?.expiresAt !== undefined && Math.abs(first.expiresAt - before - 100_000) < 10_000)
    const next = { stamp: first.stamp, bytes: bytes('two'), ttlSeconds: 1000 }
    assert.equal(await cache.replace('a:1', next), true)
    assert.equal(await cache.replace('a:1', { ...next, bytes: bytes('three') }), false)
    assert.equal(await cache.remove('a:1', first.stamp), false)
    const second = await cache.get('a:1')
    assert.ok(second?.expiresAt !== undefined && second.expiresAt > before + 900_000)
    assert.equal(await textAt(cache, 'a:1'), 'two')
    assert.equal(await cache.remove('a:1', second.stamp), true)
    assert.equal(await cache.remove('a:1', second.stamp), false)
    assert.equal(await cache.replace('a:1', { ...next, stamp: second.stamp }), false)
    assert.equal(await cache.get('a:1'), undefined)
    await cache.put('a:1', bytes('four'), 1)
    await cache.put('a:1', new Uint8Array([0, 255, 13, 10]), 100)
    assert.deepEqual((await cache.get('a:1'))?.bytes, Buffer.from([0, 255, 13, 10]))
    assert.equal(await cache.clearExpired(100), 0)
  })

  test('reads and changes a value that somebody has made permanent', async () => {
    await using cache = openCache({ servers: server.servers })
    await cache.put('b:1', bytes('one'), 100)
    await server.command('PERSIST', 'b:1')
    const value = await cache.get('b:1')
    assert.ok(value)
    assert.equal(value.expiresAt, undefined)
    assert.equal(await cache.replace('b:1', { stamp: value.stamp, bytes: bytes('two'), ttlSeconds: 50 }), true)
    assert.ok(Number(await server.command('TTL', 'b:1')) > 0)
  })

  test('neither fetches nor touches what is too large, or no string', async () => {
    await using cache = openCache({ servers: server.servers, maxValueBytes: 1000 })
    await cache.put('c:fits', Buffer.alloc(1000, 'x'), 100)
    assert.equal((await cache.get('c:fits'))?.bytes.length, 1000)
    await cache.put('c:large', Buffer.alloc(1001, 'x'), 100)
    await server.command('RPUSH', 'c:list', 'x')
    for (const key of ['c:large', 'c:list']) {
      const value = await cache.get(key)
      assert.equal(value?.bytes.length, 0, key)
      assert.equal(await cache.remove(key, value.stamp), false)
      assert.equal(await cache.replace(key, { stamp: value.stamp, bytes: bytes('x'), ttlSeconds: 10 }), false)
      assert.equal(await cache.replace(key, { stamp: bytes('x'), bytes: bytes('y'), ttlSeconds: 10 }), false)
      assert.equal(await cache.add(key, bytes('x'), 10), false)
      assert.equal(await server.command('EXISTS', key), 1)
    }
  })

  test('lists by the very beginning of a key, whatever Redis would make of its characters', async () => {
    await using cache = openCache({ servers: server.servers })
    const prefixes = ['d:*:', 'd:?:', 'd:[a]:', 'd:\\:', 'd:^é:', 'd:a:']
    for (const prefix of prefixes) for (let i = 0; i < 20; i++) await cache.put(`${prefix}${i}`, bytes('x'), 100)
    for (const prefix of prefixes) {
      const listed = new Set(await Array.fromAsync(cache.keys(prefix)))
      assert.equal(listed.size, 20, prefix)
    }
    assert.equal(new Set(await Array.fromAsync(cache.keys('d:'))).size, 120)
  })

  test('does not mind when the scripts are thrown away, and does nothing twice for it', async () => {
    await using cache = openCache({ servers: server.servers })
    await cache.put('e:1', bytes('0'), 100)
    for (let i = 0; i < 20; i++) {
      const value = await cache.get('e:1')
      await server.command('SCRIPT', 'FLUSH')
      assert.equal(await cache.replace('e:1', { stamp: value?.stamp, bytes: bytes(`${i}`), ttlSeconds: 100 }), true)
      await server.command('SCRIPT', 'FLUSH')
      assert.equal(await textAt(cache, 'e:1'), `${i}`)
    }
  })

  test('never brings back in 3,000 races what was deleted while it was changed', async () => {
    await using one = openCache({ servers: server.servers, timeoutMs: 20_000 })
    await using other = openCache({ servers: server.servers, timeoutMs: 20_000 })
    const race = async (i: number): Promise<[changed: boolean, deleted: boolean]> => {
      const key = `f:${i}`
      await one.add(key, bytes('old'), 100)
      const seen = await one.get(key)
      assert.ok(seen)
      const change = () => one.replace(key, { stamp: seen.stamp, bytes: bytes('new'), ttlSeconds: 100 })
      const deletion = i % 2 ? undefined : removed(other, key, seen)
      const result = await Promise.all([change(), deletion ?? removed(other, key, seen)])
      assert.equal(await one.get(key), undefined)
      assert.equal(await change(), false)
      return result
    }
    const results: [boolean, boolean][] = []
    for (let i = 0; i < 3000; i += 100) {
      results.push(...(await Promise.all(Array.from({ length: 100 }, (_, j) => race(i + j)))))
    }
    assert.ok(results.every(([, deleted]) => deleted))
    const late = results.filter(([changed]) => !changed).length
    assert.ok(late > 0 && late < results.length, `no race at all: ${late} changes came too late`)
  })
})

describe('a server of Redis that fails', { skip }, () => {
  let server: RedisServer
  before(async () => {
    server = await startRedis()
  })
  after(() => server[Symbol.asyncDispose]())

  test('that is killed fails every call at once, and is found again, empty', async () => {
    await using cache = openCache({ servers: server.servers })
    await cache.put('k', bytes('x'), 100)
    await server.kill()
    for (let i = 0; i < 50; i++) {
      await within('a call', assert.rejects(cache.get('k'), unavailable), TIMEOUT_MS + MARGIN_MS)
      await within('a call', assert.rejects(cache.put('k', bytes('y'), 1), unavailable), TIMEOUT_MS + MARGIN_MS)
    }
    await server.start()
    assert.ok((await recovered(cache)) < 1000)
    assert.equal(await cache.get('k'), undefined)
    assert.equal(await cache.add('k', bytes('z'), 100), true)
  })

  test('that was not there at the start is found when it comes', async () => {
    await server.kill()
    await using cache = openCache({ servers: server.servers })
    await assert.rejects(cache.ping(), unavailable)
    await server.start()
    assert.ok((await recovered(cache)) < 1000)
  })

  test('that was stopped lets no call wait beyond its time, and is found again when it goes on', async () => {
    await using cache = openCache({ servers: server.servers })
    await cache.put('k', bytes('x'), 100)
    server.stop()
    const calls = Array.from({ length: 20 }, () => assert.rejects(cache.get('k'), unavailable))
    await within('all calls', Promise.all(calls), TIMEOUT_MS + MARGIN_MS)
    await within('a call', assert.rejects(cache.put('k', bytes('y'), 100), unavailable), TIMEOUT_MS + MARGIN_MS)
    server.cont()
    assert.ok((await recovered(cache)) < 1000)
    assert.ok(['x', 'y'].includes((await textAt(cache, 'k')) ?? ''))
  })

  test('is not blamed when this process itself was held up', async () => {
    await using cache = openCache({ servers: server.servers })
    await cache.put('k', bytes('x'), 100)
    const call = textAt(cache, 'k')
    const until = performance.now() + 1.4 * TIMEOUT_MS
    while (performance.now() < until);
    assert.equal(await call, 'x')
  })

  test('gives no late answer to another call', async () => {
    await using proxy = await startFaultProxy(server.port)
    await using cache = openCache({ servers: { kind: 'redis', server: { kind: 'tcp', ...proxy } } })
    for (let i = 0; i < 10; i++) await cache.put(`k${i}`, bytes(`value ${i}`), 100)
    proxy.set({ kind: 'stall', direction: 'down' })
    await Promise.all(Array.from({ length: 10 }, (_, i) => assert.rejects(cache.get(`k${i}`), unavailable)))
    proxy.pass()
    await recovered(cache)
    for (let i = 9; i >= 0; i--) assert.equal(await textAt(cache, `k${i}`), `value ${i}`)
  })

  test('that is cut off at any byte of its answer gives no wrong one', async () => {
    await using direct = openCache({ servers: server.servers })
    await using proxy = await startFaultProxy(server.port)
    const servers = { kind: 'redis', server: { kind: 'tcp', ...proxy } } as const
    const counts = { stored: 0, unknown: 0 }
    // The server learns the scripts, so that their first answers are not those that are cut.
    assert.equal(await direct.replace('nothing', { stamp: bytes('x'), bytes: bytes('y'), ttlSeconds: 1 }), false)
    for (let afterBytes = 0; afterBytes < 40; afterBytes++) {
      await using cache = openCache({ servers })
      await direct.put('k', bytes('the value'), 100)
      const value = await cache.get('k')
      proxy.set({ kind: 'cut', direction: 'down', afterBytes }, 'open')
      assert.equal(await textAt(cache, 'k'), 'the value', `a read is done again, ${afterBytes} bytes`)
      proxy.set({ kind: 'cut', direction: 'down', afterBytes }, 'open')
      const next = { stamp: value?.stamp, bytes: bytes('another'), ttlSeconds: 100 }
      const result = await cache.replace('k', next).catch((error: GatewayError) => error.code)
      assert.ok(result === true || result === 'ERR_STORE_UNAVAILABLE', String(result))
      counts[result === true ? 'stored' : 'unknown']++
      const now = await textAt(cache, 'k')
      assert.ok(now === 'another' || (result !== true && now === 'the value'), `${now} after ${result}`)
    }
    assert.ok(counts.stored > 0 && counts.unknown > 0, JSON.stringify(counts))
  })

  test('that is cut off at any byte of the greeting leaves the next call unharmed', async () => {
    const tryCut = async (afterBytes: number): Promise<boolean> => {
      await using proxy = await startFaultProxy(server.port)
      const servers = { kind: 'redis', server: { kind: 'tcp', ...proxy }, database: 3 } as const
      await using cache = openCache({ servers, timeoutMs: 5000 })
      proxy.set({ kind: 'cut', direction: 'down', afterBytes }, 'next')
      const key = `greeting:${afterBytes}`
      const first = await cache.add(key, bytes('x'), 100).catch((error: GatewayError) => error.code)
      assert.ok(first === true || first === 'ERR_STORE_UNAVAILABLE', String(first))
      proxy.pass()
      await recovered(cache)
      const isNew = await cache.add(key, bytes('x'), 100)
      assert.ok(first !== true || !isNew)
      assert.equal(await textAt(cache, key), 'x')
      return first === true
    }
    const results: boolean[] = []
    for (let from = 0; from < 240; from += 24)
      results.push(...(await Promise.all(Array.from({ length: 24 }, (_, i) => tryCut(from + i)))))
    assert.ok(results.includes(true) && results.includes(false))
  })
})

describe('a server of Redis with its own rules', { skip }, () => {
  test('that is full refuses what is new, and goes on reading and deleting', async () => {
    await using server = await startRedis({ config: ['maxmemory-policy noeviction'] })
    await using cache = openCache({ servers: server.servers })
    await cache.put('k', bytes('x'), 100)
    await server.command('CONFIG', 'SET', 'maxmemory', '1mb')
    const value = await cache.get('k')
    assert.equal(await textAt(cache, 'k'), 'x')
    const next = { stamp: value?.stamp, bytes: bytes('y'), ttlSeconds: 100 }
    const isFull = (error: Error) => error instanceof GatewayError && /its memory is full/.test(error.message)
    await assert.rejects(cache.replace('k', next), isFull)
    await assert.rejects(cache.add('new', bytes('y'), 100), isFull)
    await assert.rejects(cache.put('k', bytes('y'), 100), isFull)
    assert.equal(await textAt(cache, 'k'), 'x')
    assert.equal(await cache.remove('k', value?.stamp), true)
    await server.command('CONFIG', 'SET', 'maxmemory', '0')
    assert.equal(await cache.add('new', bytes('y'), 100), true)
  })

  test('is entered over TLS with a certificate, by a user who may do what is needed and no more', async () => {
    const rights = '~app:* -@all +set +get +del +strlen +pttl +evalsha +eval +scan +select +hello'
    await using server = await startRedis({
      tls: true,
      acl: ['user default off', `user app on >app-password ${rights}`],
    })
    const servers = { ...server.servers, username: 'app', password: 'app-password', database: 2 }
    await using cache = openCache({ servers, probePrefix: 'app:' })
    await cache.ping()
    assert.equal(await cache.add('app:1', bytes('x'), 100), true)
    const value = await cache.get('app:1')
    const next = { stamp: value?.stamp, bytes: bytes('y'), ttlSeconds: 100 }
    assert.equal(await cache.replace('app:1', next), true)
    assert.deepEqual(await Array.fromAsync(cache.keys('app:')), ['app:1'])
    assert.equal(await cache.remove('app:1', bytes('y')), true)
    await assert.rejects(cache.get('other:1'), /ACL does not permit/)
    await cache.put('app:2', bytes('z'), 100)
    const together = await Promise.allSettled(['app:2', 'other:1'].map((key) => textAt(cache, key)))
    assert.deepEqual(
      together.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : 'failed')),
      ['z', 'failed'],
    )
    await cache.ping()
  })

  test('lets nobody in without the certificate, the authority or the password, and the error says which', async () => {
    await using server = await startRedis({ tls: true, acl: ['user default off', 'user app on >secret ~* +@all'] })
    const { tls, ...plain } = { ...server.servers, username: 'app', password: 'secret' }
    const strangers: [why: string, servers: RedisServers, message: RegExp][] = [
      ['no TLS', plain, /does it want TLS/],
      ['no certificate', { ...plain, tls: { ca: tls?.ca } }, /certificate/i],
      ['an unknown authority', { ...plain, tls: { cert: tls?.cert, key: tls?.key } }, /SELF_SIGNED_CERT_IN_CHAIN/],
      ['another name', { ...plain, tls: { ...tls, serverName: 'redis.example' } }, /ERR_TLS_CERT_ALTNAME_INVALID/],
      ['a wrong password', { ...plain, tls, password: 'wrong' }, /refuses the user or the password/],
      ['no user', server.servers, /wants a password/],
    ]
    for (const [why, servers, message] of strangers) {
      await using cache = openCache({ servers })
      await within(why, assert.rejects(cache.ping(), { ...unavailable, message }, why), TIMEOUT_MS + MARGIN_MS)
    }
    await using cache = openCache({ servers: { ...plain, tls: { ...tls, serverName: 'localhost' } } })
    await cache.ping()
  })

  test('is reached over a Unix socket', async () => {
    await using server = await startRedis()
    await using cache = openCache({ servers: { kind: 'redis', server: { kind: 'unix', path: server.socketPath } } })
    await cache.put('k', bytes('x'), 100)
    assert.equal(await textAt(cache, 'k'), 'x')
  })
})
