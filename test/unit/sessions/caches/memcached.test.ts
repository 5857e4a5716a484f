import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import { createMemcachedCache, type MemcachedCacheOptions } from '../../../../src/sessions/caches/memcached.ts'
import type { SessionCache } from '../../../../src/sessions/caches/session-cache.ts'
import { within } from '../../../support/deadline.ts'

/** What the scripted server does with a piece that arrives: text to answer, nothing, or something with the socket. */
type Script = (command: string, socket: Socket) => string | undefined

interface Stage extends AsyncDisposable {
  readonly cache: SessionCache
  /** Every piece that arrived, one line of `|` between connections. */
  readonly heard: string[]
  /** How many connections were made. */
  readonly count: { connections: number }
  script: Script
}

const now = Date.UTC(2026, 10, 23)
const value = (text: string, cas = 7) => `VALUE p:key 1 ${text.length} ${cas}\r\n${text}\r\nEND\r\n`

/** A server that says what it is told to say, and a cache that talks to it. */
async function makeStage(script: Script, changes: Partial<MemcachedCacheOptions> = {}): Promise<Stage> {
  const heard: string[] = []
  const count = { connections: 0 }
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    count.connections++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (piece) => {
      const command = piece.toString('latin1')
      heard.push(command)
      const answer = stage.script(command, socket)
      if (answer !== undefined) socket.write(answer, 'latin1')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const cache = createMemcachedCache({
    server: { host: '127.0.0.1', port },
    keyPrefix: 'p:',
    flags: 1,
    timeoutMs: 5000,
    clock: () => now,
    ...changes,
  })
  const stage: Stage = {
    cache,
    heard,
    count,
    script,
    async [Symbol.asyncDispose]() {
      await cache[Symbol.asyncDispose]()
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
  return stage
}

const bytes = (text: string) => new Uint8Array(Buffer.from(text))
const unavailable = { code: 'ERR_STORE_UNAVAILABLE' }

test('sends a value with the flags it was made with, and the age in seconds', async () => {
  await using stage = await makeStage(() => 'STORED\r\n', { flags: 5 })
  assert.equal(await stage.cache.add('p:key', bytes('{}'), 60), true)
  await stage.cache.put('p:key', bytes('{"a":1}'), 1)
  assert.deepEqual(stage.heard, ['add p:key 5 60 2\r\n{}\r\n', 'set p:key 5 1 7\r\n{"a":1}\r\n'])
})

const seconds = now / 1000
const ages: [why: string, ttlSeconds: number, exptime: number][] = [
  ['a second', 1, 1],
  ['30 days are still an age', 2_592_000, 2_592_000],
  ['one more is a date', 2_592_001, seconds + 2_592_001],
  ['a year', 31_536_000, seconds + 31_536_000],
  ['no date behind that of 32 bits, which would be in the past', 1e10, 2 ** 31 - 1],
  ['nor behind all', Number.MAX_SAFE_INTEGER, 2 ** 31 - 1],
  ['a fraction counts down, not below a second', 0.5, 1],
]
for (const [why, ttlSeconds, exptime] of ages) {
  test(`knows how memcached counts: ${why}`, async () => {
    await using stage = await makeStage(() => 'STORED\r\n')
    await stage.cache.put('p:key', bytes(''), ttlSeconds)
    assert.deepEqual(stage.heard, [`set p:key 1 ${exptime} 0\r\n\r\n`])
  })
}

test('when 32 bits hold no date in the future any more, an age of 30 days is the longest', async () => {
  await using stage = await makeStage(() => 'STORED\r\n', { clock: () => Date.UTC(2038, 0, 20) })
  await stage.cache.put('p:key', bytes(''), 1e8)
  assert.deepEqual(stage.heard, ['set p:key 1 2592000 0\r\n\r\n'])
})

test('changes and removes exactly the value that was seen', async () => {
  await using stage = await makeStage((command) => (command.startsWith('gets') ? value('abc', 42) : 'STORED\r\n'))
  const seen = await stage.cache.get('p:key')
  assert.ok(seen)
  assert.equal(Buffer.from(seen.bytes).toString(), 'abc')
  assert.equal(seen.expiresAt, undefined)
  assert.equal(await stage.cache.replace('p:key', { stamp: seen.stamp, bytes: bytes('d'), ttlSeconds: 9 }), true)
  assert.equal(await stage.cache.remove('p:key', seen.stamp), true)
  assert.deepEqual(stage.heard, ['gets p:key\r\n', 'cas p:key 1 9 1 42\r\nd\r\n', 'cas p:key 1 -1 0 42\r\n\r\n'])
})

for (const answer of ['EXISTS\r\n', 'NOT_FOUND\r\n']) {
  test(`says that nothing was changed or removed: ${answer.trim()}`, async () => {
    await using stage = await makeStage((command) => (command.startsWith('gets') ? value('abc') : answer))
    const stamp = (await stage.cache.get('p:key'))?.stamp
    assert.equal(await stage.cache.replace('p:key', { stamp, bytes: bytes('d'), ttlSeconds: 9 }), false)
    assert.equal(await stage.cache.remove('p:key', stamp), false)
  })
}

test('reads what a Python client compressed, and hands on as it is what does not inflate, or inflates too far', async () => {
  const answers = [deflateSync('abc'), Buffer.from('xyz'), deflateSync(Buffer.alloc(3_000_000))]
  const replies = answers.map((it) => `VALUE p:key 9 ${it.length} 1\r\n${it.toString('latin1')}\r\nEND\r\n`)
  await using stage = await makeStage(() => replies.shift())
  const read = async () => Buffer.from((await stage.cache.get('p:key'))?.bytes ?? [])
  assert.equal((await read()).toString(), 'abc')
  assert.equal((await read()).toString(), 'xyz')
  assert.deepEqual(await read(), answers[2])
})

test('knows no key that memcached could not hold, and asks for none', async () => {
  await using stage = await makeStage(() => 'END\r\n')
  for (const key of [
    'p:a b',
    'p:a\r\nflush_all',
    'p:a\0',
    `p:${'a'.repeat(249)}`,
    `p:${'é'.repeat(125)}`,
    'p:\x7f',
    '',
  ]) {
    assert.equal(await stage.cache.get(key), undefined, JSON.stringify(key))
    await assert.rejects(stage.cache.add(key, bytes(''), 1), unavailable)
  }
  assert.deepEqual(stage.heard, [])
  assert.equal(await stage.cache.get(`p:${'é'.repeat(124)}`), undefined)
  assert.equal(stage.heard.length, 1)
})

test('refuses a value that is larger than an item before the server hears of it, since a failed set deletes', async () => {
  await using stage = await makeStage(() => 'STORED\r\n', { maxItemBytes: 2000 })
  await stage.cache.put('p:key', new Uint8Array(1895), 1)
  const tooLarge = { ...unavailable, message: /a session of 1896 bytes is too large; its items may have 2000 bytes/ }
  await assert.rejects(stage.cache.put('p:key', new Uint8Array(1896), 1), tooLarge)
  await assert.rejects(stage.cache.add('p:key', new Uint8Array(1896), 1), tooLarge)
  assert.equal(stage.heard.length, 1)
})

const wrong: [why: string, changes: Partial<MemcachedCacheOptions>][] = [
  ['a prefix with a blank', { keyPrefix: 'my site:' }],
  ['with a line break', { keyPrefix: 'a\r\n' }],
  ['so long that no key fits behind it', { keyPrefix: 'a'.repeat(219) }],
  ['flags of more than 32 bits', { flags: 2 ** 32 }],
  ['negative ones', { flags: -1 }],
  ['items that no memcached has', { maxItemBytes: 10 }],
]
for (const [why, changes] of wrong) {
  test(`is not made with what memcached cannot have: ${why}`, () => {
    const options = { server: { host: '127.0.0.1', port: 1 }, keyPrefix: '', flags: 1, timeoutMs: 1, clock: () => now }
    assert.throws(() => createMemcachedCache({ ...options, ...changes }), TypeError)
  })
}

test('refuses to work with a server that compares nothing (-C)', async () => {
  await using stage = await makeStage(() => value('abc', 0))
  await assert.rejects(stage.cache.get('p:key'), { ...unavailable, message: /without compare-and-set/ })
})

const refusals: [reply: string, message: RegExp][] = [
  ['SERVER_ERROR object too large for cache', /larger than its items/],
  ['SERVER_ERROR out of memory storing object', /no memory/],
  ['SERVER_ERROR what it would not say: p:key', /refused the command$/],
]
for (const [reply, message] of refusals) {
  test(`tells why the server refused a value, and goes on over the same connection: ${reply}`, async () => {
    await using stage = await makeStage(() => `${reply}\r\n`)
    await assert.rejects(stage.cache.add('p:key', bytes('abc'), 1), { ...unavailable, message })
    stage.script = () => 'STORED\r\n'
    assert.equal(await stage.cache.add('p:key', bytes('abc'), 1), true)
    assert.equal(stage.count.connections, 1)
  })
}

const oddities: [why: string, reply: string][] = [
  ['another key', 'VALUE p:other 1 3 7\r\nabc\r\nEND\r\n'],
  ['the reply to another command', 'STORED\r\n'],
  ['an error for a read', 'SERVER_ERROR out of memory writing get response\r\n'],
  ['no reply at all', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
  ['a value that is longer than it said', 'VALUE p:key 1 2 7\r\nabc\r\nEND\r\n'],
  ['more memory than there is', 'VALUE p:key 1 99999999999999999999 7\r\n'],
  ['binary', '\x81\x0c\0\0\0\0\0\0'.repeat(100)],
]
for (const [why, reply] of oddities) {
  test(`gives no value out of a reply that is odd, and starts anew: ${why}`, async () => {
    await using stage = await makeStage(() => reply)
    const error = await within(
      'the failure',
      stage.cache.get('p:key').catch((failure: unknown) => failure),
    )
    assert.ok(error instanceof Error && 'code' in error && error.code === unavailable.code)
    assert.ok(!error.message.includes('p:key') && !error.message.includes('abc'), error.message)
    stage.script = () => value('fine')
    assert.equal(Buffer.from((await stage.cache.get('p:key'))?.bytes ?? []).toString(), 'fine')
    assert.equal(stage.count.connections, 2)
  })
}

test('survives replies that nobody asked for, and hands them to no later call', async () => {
  await using stage = await makeStage(() => `${value('mine')}${value('nobody’s')}STORED\r\n`)
  assert.equal(Buffer.from((await stage.cache.get('p:key'))?.bytes ?? []).toString(), 'mine')
  stage.script = () => 'END\r\n'
  assert.equal(await stage.cache.get('p:key'), undefined)
  assert.equal(stage.count.connections, 2)
})

test('ends the connection of a call that waited too long, so that its late reply reaches nobody', async () => {
  const late: Socket[] = []
  const hold: Script = (_command, socket) => {
    late.push(socket)
    return undefined
  }
  await using stage = await makeStage(hold, { timeoutMs: 30 })
  await assert.rejects(stage.cache.get('p:key'), { ...unavailable, message: /no reply within 30 ms/ })
  stage.script = () => value('new')
  for (const socket of late) if (!socket.destroyed) socket.write(value('late'))
  assert.equal(Buffer.from((await stage.cache.get('p:key'))?.bytes ?? []).toString(), 'new')
  assert.equal(stage.count.connections, 2)
})

test('reads once more when the connection turns out to be broken, and only once', async () => {
  const cut: Script = (_command, socket) => {
    socket.destroy()
    return undefined
  }
  await using stage = await makeStage(() => 'END\r\n')
  await stage.cache.get('p:key')
  stage.script = (_command, socket) => {
    stage.script = () => value('abc')
    socket.destroy()
    return undefined
  }
  assert.ok(await stage.cache.get('p:key'))
  assert.deepEqual(stage.heard.length, 3)
  stage.script = cut
  await assert.rejects(stage.cache.get('p:key'), unavailable)
  assert.equal(stage.heard.length, 5)
})

test('never sends a write twice', async () => {
  await using stage = await makeStage(() => value('abc'))
  const { cache } = stage
  const stamp = (await cache.get('p:key'))?.stamp
  stage.script = (_command, socket) => {
    socket.destroy()
    return undefined
  }
  await assert.rejects(cache.replace('p:key', { stamp, bytes: bytes('d'), ttlSeconds: 1 }), unavailable)
  await assert.rejects(cache.add('p:key', bytes('d'), 1), unavailable)
  await assert.rejects(cache.put('p:key', bytes('d'), 1), unavailable)
  assert.equal(stage.heard.length, 4)
})

test('takes a stamp of an ended connection for no stamp: a restarted server counts anew', async () => {
  await using stage = await makeStage(() => value('abc', 7))
  const { cache } = stage
  const stamp = (await cache.get('p:key'))?.stamp
  stage.script = () => 'nonsense\r\n'
  await assert.rejects(cache.get('p:key'), unavailable)
  stage.script = (command) => (command.startsWith('gets') ? value('another', 7) : 'STORED\r\n')
  assert.equal(await cache.remove('p:key', stamp), false)
  assert.equal(await cache.replace('p:key', { stamp, bytes: bytes('d'), ttlSeconds: 1 }), false)
  await cache.get('p:key')
  assert.equal(await cache.remove('p:key', stamp), false)
  assert.ok(!stage.heard.some((command) => command.startsWith('cas')))
})

test('fails at once while nobody listens, and sends nothing of it later', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  const place = { host: '127.0.0.1', port }
  await using cache = createMemcachedCache({
    server: place,
    keyPrefix: '',
    flags: 1,
    timeoutMs: 60_000,
    clock: () => now,
  })
  for (const call of [cache.get('k'), cache.add('k', bytes('v'), 1), cache.put('k', bytes('v'), 1), cache.ping()])
    await assert.rejects(within<unknown>('the failure', call), { ...unavailable, message: /the connection failed/ })
  const heard: string[] = []
  const late = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (piece) => {
      heard.push(piece.toString())
      socket.write('VERSION 1\r\n')
    })
  }).listen(port, '127.0.0.1')
  await once(late, 'listening')
  await cache.ping()
  assert.deepEqual(heard, ['version\r\n'])
  await cache[Symbol.asyncDispose]()
  late.close()
})

test('answers every call with its own reply when many are under way', async () => {
  await using stage = await makeStage((commands) =>
    commands
      .split('\r\n')
      .filter((line) => line !== '')
      .map((line) => `VALUE ${line.slice(5)} 1 ${line.length - 5} 7\r\n${line.slice(5)}\r\nEND\r\n`)
      .join(''),
  )
  const keys = Array.from({ length: 500 }, (_, i) => `p:${i}`)
  const values = await Promise.all(keys.map((key) => stage.cache.get(key)))
  assert.deepEqual(
    values.map((it) => Buffer.from(it?.bytes ?? []).toString()),
    keys,
  )
  assert.equal(stage.count.connections, 1)
})

test('lists nothing and clears nothing', async () => {
  await using stage = await makeStage(() => value('abc'))
  assert.deepEqual(await Array.fromAsync(stage.cache.keys('p:')), [])
  assert.equal(await stage.cache.clearExpired(10), 0)
  assert.deepEqual(stage.heard, [])
})

test('a closed cache fails its calls, those under way too, and connects no more', async () => {
  await using stage = await makeStage(() => undefined)
  const pending = stage.cache.get('p:key')
  const failing = assert.rejects(pending, unavailable)
  await stage.cache[Symbol.asyncDispose]()
  await stage.cache[Symbol.asyncDispose]()
  await failing
  await assert.rejects(stage.cache.get('p:key'), { ...unavailable, message: /is closed/ })
  await assert.rejects(stage.cache.ping(), unavailable)
})
