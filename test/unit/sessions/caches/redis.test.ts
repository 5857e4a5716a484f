import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { GatewayError } from '../../../../src/errors.ts'
import { createRedisCache, type RedisCacheOptions } from '../../../../src/sessions/caches/redis.ts'
import { within } from '../../../support/deadline.ts'
import { helloReply, type RedisScript, startScriptedRedis } from '../../../support/scripted-redis.ts'

const KEY = 'secret-session-key'
const VALUE = 'secret-session-value'
const PASSWORD = 'secret-password'
const unavailable = { code: 'ERR_STORE_UNAVAILABLE' }

/** A server that greets as every server does, and answers everything else as the script says. */
function greeting(script: RedisScript): RedisScript {
  return (name, args, socket) => {
    if (name === 'HELLO') return helloReply
    if (name === 'CLIENT' || name === 'SELECT') return '+OK\r\n'
    return script(name, args, socket)
  }
}

/** An empty server: nothing is there. */
const empty = greeting((name) => (name === 'SET' ? '+OK\r\n' : '_\r\n'))

function cacheOn(server: Pick<RedisCacheOptions, 'servers'>, options: Partial<RedisCacheOptions> = {}) {
  const servers = { ...server.servers, username: 'app', password: PASSWORD }
  return createRedisCache({ servers, timeoutMs: 300, clock: () => 0, ...options })
}

async function failureOf(promise: Promise<unknown>): Promise<GatewayError> {
  const error = await within(
    'the end of a call',
    promise.then(
      () => undefined,
      (reason: unknown) => reason,
    ),
  )
  assert.ok(error instanceof GatewayError, inspect(error))
  assert.equal(error.code, 'ERR_STORE_UNAVAILABLE')
  return error
}

describe('a server of Redis that refuses', () => {
  const refusals: [why: string, reply: string, says: RegExp][] = [
    ['it loads its data', 'LOADING Redis is loading the dataset in memory', /still loading/],
    ['it wants a password', 'NOAUTH Authentication required.', /wants a password/],
    ['the ACL says no', "NOPERM User app has no permissions to run the 'evalsha' command", /ACL/],
    ['it is a replica', "READONLY You can't write against a read only replica.", /read-only replica/],
    ['it is full', "OOM command not allowed when used memory > 'maxmemory'.", /memory is full/],
    [
      'it is full, as Redis 6 says it of a script',
      "ERR Error running script (call to f_0123): @user_script:2: @user_script: 2: -OOM command not allowed when used memory > 'maxmemory'.",
      /memory is full/,
    ],
    ['it cannot save', 'MISCONF Redis is configured to save RDB snapshots, but …', /cannot save/],
    [
      'it lost its master',
      "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
      /lost its master/,
    ],
    ['the cluster is down', 'CLUSTERDOWN Hash slot not served', /cluster is down/],
    ['it is one of a cluster', 'MOVED 3999 127.0.0.1:6381', /redis-cluster/],
    [
      'it is one of a cluster, asked for two keys',
      "CROSSSLOT Keys in request don't hash to the same slot",
      /redis-cluster/,
    ],
    ['it is one of a cluster, asked for a database', 'ERR SELECT is not allowed in cluster mode', /redis-cluster/],
    ['it is none of a cluster', 'ERR This instance has cluster support disabled', /backend must be redis$/],
    [
      'it has no such command',
      `ERR unknown command \`evalsha\`, with args beginning with: \`x\` \`1\` \`${KEY}\``,
      /unknown command/,
    ],
    ['something else', `ERR ${KEY} ${VALUE} ${PASSWORD}`, /'ERR'/],
  ]
  for (const [why, reply, says] of refusals) {
    test(`is unavailable, and the log tells why without a key or a value: ${why}`, async () => {
      await using server = await startScriptedRedis(greeting(() => `-${reply}\r\n`))
      await using cache = cacheOn(server)
      const calls = [
        () => cache.get(KEY),
        () => cache.ping(),
        () => cache.add(KEY, Buffer.from(VALUE), 10),
        () => cache.put(KEY, Buffer.from(VALUE), 10),
        () => cache.replace(KEY, { stamp: Buffer.from(VALUE), bytes: Buffer.from(VALUE), ttlSeconds: 10 }),
        () => cache.remove(KEY, Buffer.from(VALUE)),
        () => Array.fromAsync(cache.keys(KEY)),
      ]
      for (const call of calls) {
        const error = await failureOf(call())
        assert.match(error.message, says)
        const everything = inspect(error, { depth: 10, showHidden: true })
        for (const secret of [KEY, VALUE, PASSWORD, Buffer.from(VALUE).toString('hex')])
          assert.ok(!everything.includes(secret), everything)
      }
    })
  }

  const strangers: [why: string, reply: string][] = [
    ['no password was given', 'NOAUTH HELLO must be called with the client already authenticated'],
    ['the password is wrong', 'WRONGPASS invalid username-password pair or user is disabled.'],
  ]
  for (const [why, reply] of strangers) {
    test(`is not asked again for a second when it does not let us in: ${why}`, async () => {
      let now = 0
      await using server = await startScriptedRedis(() => `-${reply}\r\n`)
      await using cache = cacheOn(server, { monotonicMs: () => now, random: () => 0.999 })
      for (let i = 0; i < 100; i++) assert.match((await failureOf(cache.get(KEY))).message, /password/)
      assert.equal(server.connections, 1)
      now += 999
      await failureOf(cache.get(KEY))
      assert.equal(server.connections, 1)
      now += 501
      await failureOf(cache.get(KEY))
      assert.equal(server.connections, 2)
      server.script = empty
      now += 1500
      assert.equal(await cache.get(KEY), undefined)
    })
  }

  test('is not connected to anew while it loads its data, and serves as soon as it has', async () => {
    await using server = await startScriptedRedis(greeting(() => '-LOADING Redis is loading the dataset in memory\r\n'))
    await using cache = cacheOn(server)
    for (let i = 0; i < 50; i++) await failureOf(cache.get(KEY))
    server.script = empty
    assert.equal(await cache.get(KEY), undefined)
    assert.equal(server.connections, 1)
  })

  test('of a database that does not exist is not served from another', async () => {
    const script = greeting(() => '_\r\n')
    await using server = await startScriptedRedis((name, args, socket) =>
      name === 'SELECT' ? '-ERR DB index is out of range\r\n' : script(name, args, socket),
    )
    await using cache = createRedisCache({
      servers: { ...server.servers, database: 99 },
      timeoutMs: 300,
      clock: () => 0,
    })
    assert.match((await failureOf(cache.get(KEY))).message, /no database of that number/)
    assert.match((await failureOf(cache.get(KEY))).message, /no database of that number/)
    assert.ok(!server.commands.includes('EVALSHA') && !server.commands.includes('EVAL'))
  })
})

describe('a server of Redis that became a replica', () => {
  const readonly = greeting((name) =>
    name === 'SET' ? "-READONLY You can't write against a read only replica.\r\n" : '_\r\n',
  )

  test('is connected to anew, and the write that it refused is made there', async () => {
    let now = 0
    await using server = await startScriptedRedis(readonly)
    await using cache = cacheOn(server, { monotonicMs: () => now })
    assert.equal(await cache.get(KEY), undefined)
    now += 5000
    server.script = (name, args, socket) => (server.connections === 1 ? readonly : empty)(name, args, socket)
    assert.equal(await cache.add(KEY, Buffer.from(VALUE), 10), true)
    assert.equal(server.connections, 2)
  })

  test('and stays one, can be read, and is not connected to for every write', async () => {
    let now = 0
    await using server = await startScriptedRedis(readonly)
    await using cache = cacheOn(server, { monotonicMs: () => now })
    assert.equal(await cache.get(KEY), undefined)
    now += 5000
    for (let i = 0; i < 20; i++) {
      await failureOf(cache.put(KEY, Buffer.from(VALUE), 10))
      assert.equal(await cache.get(KEY), undefined)
    }
    assert.equal(server.connections, 2)
  })
})

describe('a server of Redis that keeps silent', () => {
  test('is given up, and its late answer reaches nobody', async () => {
    const late: (() => void)[] = []
    await using server = await startScriptedRedis(
      greeting((_name, _args, socket) => {
        late.push(() => socket.write(`*2\r\n$4\r\nlate\r\n:1000\r\n`))
        return undefined
      }),
    )
    await using cache = cacheOn(server)
    assert.match((await failureOf(cache.get(KEY))).message, /no answer in time/)
    server.script = greeting((_name, _args, socket) => {
      for (const answer of late) answer()
      return socket.writable ? '*2\r\n$5\r\nright\r\n:1000\r\n' : undefined
    })
    const value = await cache.get(KEY)
    assert.equal(value && Buffer.from(value.bytes).toString(), 'right')
    assert.equal(value?.expiresAt, 1000)
    assert.equal(server.connections, 2)
  })

  test('from the greeting on fails all who wait for it, within their time', async () => {
    await using server = await startScriptedRedis(() => undefined)
    await using cache = cacheOn(server)
    const calls = Array.from({ length: 20 }, () => failureOf(cache.get(KEY)))
    for (const error of await Promise.all(calls)) assert.match(error.message, /no answer in time/)
    assert.equal(server.connections, 1)
  })

  test('is never sent a write again', async () => {
    await using server = await startScriptedRedis(greeting(() => undefined))
    await using cache = cacheOn(server)
    await failureOf(cache.put(KEY, Buffer.from(VALUE), 10))
    server.script = empty
    assert.equal(await cache.get(KEY), undefined)
    assert.equal(server.commands.filter((name) => name === 'SET').length, 1)
  })
})

describe('a server of Redis that answers oddly', () => {
  test('is served in RESP2 if it knows no other', async () => {
    await using server = await startScriptedRedis((name) => {
      if (name === 'HELLO') return "-ERR unknown command 'HELLO'\r\n"
      return name === 'EVALSHA' ? '*2\r\n$1\r\nx\r\n:5\r\n' : '+OK\r\n'
    })
    await using cache = cacheOn(server)
    assert.equal((await cache.get(KEY))?.expiresAt, 5)
    assert.ok(server.commands.includes('AUTH'))
  })

  const odd: [why: string, reply: string][] = [
    ['a number', ':7\r\n'],
    ['a list of one', '*1\r\n$1\r\nx\r\n'],
    ['a list without a time', '*2\r\n$1\r\nx\r\n$1\r\nx\r\n'],
    ['no RESP at all', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
  ]
  for (const [why, reply] of odd) {
    test(`is not believed, and not trusted further: ${why}`, async () => {
      await using server = await startScriptedRedis(greeting(() => reply))
      await using cache = cacheOn(server)
      await failureOf(cache.get(KEY))
      await failureOf(cache.add(KEY, Buffer.from(VALUE), 10))
      server.script = empty
      assert.equal(await cache.get(KEY), undefined)
      assert.ok(server.connections >= 2)
    })
  }

  test('sends what nobody asked for, and is left for another connection', async () => {
    await using server = await startScriptedRedis(empty)
    await using cache = cacheOn(server)
    assert.equal(await cache.get(KEY), undefined)
    server.script = greeting(() => '_\r\n+OK\r\n')
    await cache.get(KEY)
    server.script = greeting(() => '*2\r\n$5\r\nright\r\n:1000\r\n')
    const value = await cache.get(KEY)
    assert.equal(value && Buffer.from(value.bytes).toString(), 'right')
  })
})

describe('sentinels of Redis', () => {
  const sentinel = (reply: string) => greeting((name) => (name === 'SENTINEL' ? reply : '_\r\n'))
  const address = (port: number) => `*2\r\n$9\r\n127.0.0.1\r\n$${String(port).length}\r\n${port}\r\n`
  const info = (role: string) => `$${role.length + 5}\r\nrole:${role}\r\n`
  const behind = (port: number): RedisCacheOptions['servers'] => ({
    kind: 'redis-sentinel',
    sentinels: [{ host: '127.0.0.1', port }],
    master: 'mymaster',
  })

  test('are not believed when the user may not ask who the master is', async () => {
    await using server = await startScriptedRedis(
      greeting((name) => (name === 'INFO' ? '-NOPERM this user has no permissions\r\n' : '*2\r\n$1\r\nx\r\n:5\r\n')),
    )
    await using guide = await startScriptedRedis(sentinel(address(server.port)))
    await using cache = createRedisCache({ servers: behind(guide.port), timeoutMs: 1000, clock: () => 0 })
    assert.match((await failureOf(cache.get(KEY))).message, /does not permit INFO/)
    assert.ok(!server.commands.includes('EVALSHA'))
  })

  test('are not believed when they name a replica', async () => {
    const role = { now: 'slave' }
    await using server = await startScriptedRedis(
      greeting((name) => (name === 'INFO' ? info(role.now) : '*2\r\n$1\r\nx\r\n:5\r\n')),
    )
    await using guide = await startScriptedRedis(sentinel(address(server.port)))
    let now = 0
    const options = { servers: behind(guide.port), timeoutMs: 1000, clock: () => 0, monotonicMs: () => now }
    await using cache = createRedisCache(options)
    assert.match((await failureOf(cache.get(KEY))).message, /'mymaster'.* not the master/)
    assert.ok(!server.commands.includes('EVALSHA'))
    role.now = 'master'
    now += 1000
    assert.equal((await cache.get(KEY))?.expiresAt, 5)
  })

  const cases: [why: string, reply: string, says: RegExp][] = [
    ['they do not know the master', '*-1\r\n', /the sentinels know no master of that name/],
    ['they want a password', '-NOAUTH Authentication required.\r\n', /do not let us in/],
  ]
  for (const [why, reply, says] of cases) {
    test(`are named when they are of no help: ${why}`, async () => {
      await using guide = await startScriptedRedis(sentinel(reply))
      await using cache = createRedisCache({ servers: behind(guide.port), timeoutMs: 1000, clock: () => 0 })
      assert.match((await failureOf(cache.get(KEY))).message, says)
    })
  }
})

describe('a cluster of Redis that does not let us in', () => {
  test('is not asked again for a second', async () => {
    await using server = await startScriptedRedis(() => '-NOAUTH Authentication required.\r\n')
    const nodes = [{ host: '127.0.0.1', port: server.port }]
    let now = 0
    const options = { timeoutMs: 1000, clock: () => 0, monotonicMs: () => now, random: () => 0 }
    await using cache = createRedisCache({ servers: { kind: 'redis-cluster', nodes }, ...options })
    for (let i = 0; i < 50; i++) assert.match((await failureOf(cache.get(KEY))).message, /wants a password/)
    const { connections } = server
    assert.ok(connections <= 2, `${connections} connections`)
    now += 1000
    await failureOf(cache.get(KEY))
    assert.ok(server.connections > connections)
  })
})

describe('the cache on Redis', () => {
  test('connects to nobody before the first call, and refuses calls once it is closed', async () => {
    await using server = await startScriptedRedis(empty)
    const cache = cacheOn(server)
    assert.equal(server.connections, 0)
    await cache.ping()
    assert.equal(server.connections, 1)
    await cache[Symbol.asyncDispose]()
    await cache[Symbol.asyncDispose]()
    await assert.rejects(cache.get(KEY), unavailable)
    assert.equal(server.connections, 1)
  })

  test('asks for a key that our user may read, to know that the server answers', async () => {
    const keys: string[] = []
    await using server = await startScriptedRedis(
      greeting((name, args) => {
        if (name === 'EVALSHA') keys.push(...args.slice(2, 2 + Number(args[1])))
        return '_\r\n'
      }),
    )
    await using cache = cacheOn(server, { probePrefix: ':1:django.contrib.sessions.cache' })
    await cache.ping()
    assert.deepEqual(keys, [':1:django.contrib.sessions.cacheping0', ':1:django.contrib.sessions.cachepong0'])
  })
})
