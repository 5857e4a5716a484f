import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMemcachedAddress, parseRedisUrl, redisSentinel, redisServer } from '../../../src/config/cache-address.ts'
import { isForeignHost } from '../../../src/config/store-url.ts'

const local = { kind: 'tcp', host: '127.0.0.1', port: 6379 }
const plain = { kind: 'redis', isEncrypted: false, username: '', password: '', database: undefined }

const servers: [why: string, text: string, expected: object][] = [
  ['the smallest form', 'redis://127.0.0.1', { ...plain, address: local }],
  ['Django’s example', 'redis://127.0.0.1:6379', { ...plain, address: local }],
  ['a database', 'redis://127.0.0.1:6379/1', { ...plain, address: local, database: 1 }],
  ['a database, as redis-py has it too', 'redis://127.0.0.1?db=2', { ...plain, address: local, database: 2 }],
  ['a password', 'redis://:pw@127.0.0.1', { ...plain, address: local, password: 'pw' }],
  [
    'a user, and a password with signs',
    'redis://us%65r:p%40w%2F@127.0.0.1/',
    { ...plain, address: local, username: 'user', password: 'p@w/' },
  ],
  [
    'TLS',
    'rediss://cache.example.com:6380/0',
    { ...plain, isEncrypted: true, database: 0, address: { kind: 'tcp', host: 'cache.example.com', port: 6380 } },
  ],
  ['IPv6', 'redis://[::1]/', { ...plain, address: { kind: 'tcp', host: '::1', port: 6379 } }],
  ['a socket', 'unix:/run/redis.sock', { ...plain, address: { kind: 'unix', path: '/run/redis.sock' } }],
  [
    'a socket and a database',
    'unix:///run/redis.sock?db=1',
    { ...plain, database: 1, address: { kind: 'unix', path: '/run/redis.sock' } },
  ],
  ['a socket of the working directory', 'unix:./r.sock', { ...plain, address: { kind: 'unix', path: './r.sock' } }],
]

for (const [why, text, expected] of servers) {
  test(`the Redis server ${text} is read: ${why}`, () => {
    assert.deepEqual(parseRedisUrl(text, redisServer), expected)
  })
}

test('a sentinel has a port of its own', () => {
  const url = parseRedisUrl('redis://sentinel-1', redisSentinel)
  assert.deepEqual(url.kind === 'redis' && url.address, { kind: 'tcp', host: 'sentinel-1', port: 26379 })
})

const refused: [why: string, text: string, message: RegExp][] = [
  ['no scheme', '127.0.0.1:6379', /names no Redis server/],
  ['another scheme', 'http://127.0.0.1:6379', /names no Redis server/],
  ['no host', 'redis:///1', /names no Redis server/],
  ['several hosts in one', 'redis://a,b', /names no Redis server/],
  ['a socket that is no path', 'unix://run/redis.sock', /names no Redis server/],
  ['a socket with a user', 'unix://hunter2@/run/redis.sock', /names no Redis server/],
  ['a directory', 'unix:/run/', /names no Redis server/],
  ['a database that is a word', 'redis://h/sessions', /names a database that is no number/],
  ['a path', 'redis://h/1/2', /names a database that is no number/],
  ['two databases', 'redis://h/1?db=2', /names a database that is no number/],
  ['no database behind db', 'redis://h?db=', /names a database that is no number/],
  ['a password where the user stands', 'redis://hunter2@h', /a user without a password/],
  ['a password behind the question mark', 'redis://h?password=hunter2', /the parameter "password"/],
  ['a password behind that of a socket', 'unix:/r.sock?password=hunter2', /other than a database/],
  ['redis-py’s way to say TLS', 'rediss://h?ssl_cert_reqs=none', /parameters of TLS/],
  ['a password that ends the URL', 'redis://:hunt#er2@h', /cannot be read as a URL/],
  ['a password with a bare percent sign', 'redis://:hunt%er2@h', /cannot be read as a URL/],
  ['a port that is none', 'redis://h:99999', /cannot be read as a URL/],
]

for (const [why, text, message] of refused) {
  test(`the Redis server ${text} is refused: ${why}`, () => {
    const url = parseRedisUrl(text, redisServer)
    assert.equal(url.kind, 'flaw')
    if (url.kind !== 'flaw') return
    assert.match(url.message, message)
    assert.notEqual(url.hint, '')
    assert.doesNotMatch(url.message + url.hint, /hunt/)
  })
}

const memcached: [text: string, expected: object | undefined][] = [
  ['127.0.0.1:11211', { kind: 'tcp', host: '127.0.0.1', port: 11211 }],
  ['memcached://cache:11212', { kind: 'tcp', host: 'cache', port: 11212 }],
  ['memcached://cache/', { kind: 'tcp', host: 'cache', port: 11211 }],
  ['cache', { kind: 'tcp', host: 'cache', port: 11211 }],
  ['[::1]:11211', { kind: 'tcp', host: '::1', port: 11211 }],
  ['unix:/run/memcached.sock', { kind: 'unix', path: '/run/memcached.sock' }],
  ['::1:11211', undefined],
  ['127.0.0.1:0', undefined],
  ['127.0.0.1:99999', undefined],
  ['memcached://user:hunter2@cache', undefined],
  ['a:1,b:1', undefined],
  ['/run/memcached.sock', undefined],
  ['unix:/run/memcached.sock?x=1', undefined],
  ['redis://cache', undefined],
]

for (const [text, expected] of memcached) {
  test(`the memcached server ${text} is ${expected ? 'read' : 'refused'}`, () => {
    const address = parseMemcachedAddress(text)
    if (expected !== undefined) assert.deepEqual(address, expected)
    else assert.equal(address.kind, 'flaw')
    assert.doesNotMatch(JSON.stringify(address), /hunter2/)
  })
}

const hosts: [isForeign: boolean, names: string[]][] = [
  [false, ['127.0.0.1', '10.1.2.3', '172.31.0.1', '192.168.1.1', '100.64.0.1', '::1', 'fd00::1', 'fe80::1']],
  [false, ['localhost', 'redis', 'my_db', 'cache.internal', 'db.default.svc.cluster.local', 'redis.prod.svc']],
  [true, ['8.8.8.8', '172.32.0.1', '2001:db8::1', 'cache.example.com', 'internal.example.com', '::ffff:8.8.8.8']],
]

for (const [isForeign, names] of hosts) {
  test(`${names.join(', ')} are ${isForeign ? 'of other networks' : 'of the own network'}`, () => {
    assert.deepEqual(
      names.filter((name) => isForeignHost(name) !== isForeign),
      [],
    )
  })
}
