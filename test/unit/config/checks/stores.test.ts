// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorsOf, withSections } from '../../../config/sample.ts'

const SECRET = 'k'.repeat(50)

/** A file with these keys under `session`, a secret beside them, and further sections. */
function file(session: string, ...sections: string[]): string {
  const keys = `keys: [{ id: a, secret: ${SECRET} }]`
  return withSections(`session: { cookie_secure: true, secret_key: ${SECRET}, ${session} }`, keys, ...sections)
}

function cache(entry: string, session = 'engine: cache'): string {
  return file(session, `caches: { default: { ${entry} } }`)
}

const errors: [why: string, text: string, path: string, message: RegExp][] = [
  // The database
  [
    'no database',
    withSections('database: { url: "sqlite:///db.sqlite3" }'),
    'database.url',
    /^database.url names no database/,
  ],
  [
    'a password that cannot be read',
    file('engine: db', 'database: { url: "postgres://u:hunt#er2@db/shop" }'),
    'database.url',
    /cannot be read as a URL/,
  ],
  // What belongs to a backend
  ['no url', cache('backend: redis'), 'caches.default.url', /the backend redis needs a url/],
  ['no url of sentinels', cache('backend: redis-sentinel, master: m'), 'caches.default.url', /needs a url/],
  ['no url of memcached', cache('backend: memcached'), 'caches.default.url', /the backend memcached needs a url/],
  [
    'a url where there is no server',
    cache('backend: memory, url: unique-snowflake'),
    'caches.default.url',
    /the backend memory has no url/,
  ],
  [
    'a password of memcached',
    cache('backend: memcached, url: "h:1", password: hunter2'),
    'caches.default.password',
    /the backend memcached has no password/,
  ],
  [
    'a master of plain Redis',
    cache('backend: redis, url: "redis://h", master: m'),
    'caches.default.master',
    /the backend redis has no master/,
  ],
  [
    'sentinels that are asked for nobody',
    cache('backend: redis-sentinel, url: ["redis://s"]'),
    'caches.default.master',
    /not told which server/,
  ],
  // Servers
  [
    'several servers of Redis',
    cache('backend: redis, url: ["redis://a", "redis://b"]'),
    'caches.default.url[1]',
    /several servers of plain Redis/,
  ],
  [
    'several servers of memcached',
    cache('backend: memcached, url: ["a:1", "b:1"]'),
    'caches.default.url[1]',
    /several servers of memcached/,
  ],
  [
    'a url without scheme',
    cache('backend: redis, url: "h:6379"'),
    'caches.default.url',
    /the url names no Redis server/,
  ],
  [
    'a url of many that is none',
    cache('backend: redis-cluster, url: ["redis://a", "b:6379"]'),
    'caches.default.url[1]',
    /names no Redis server/,
  ],
  [
    'a server of memcached that is none',
    cache('backend: memcached, url: "redis://h"'),
    'caches.default.url',
    /no memcached server/,
  ],
  [
    'a database of a cluster',
    cache('backend: redis-cluster, url: ["redis://a/1"]'),
    'caches.default.url[0]',
    /no database but 0/,
  ],
  [
    'a database of a cluster, under its key',
    cache('backend: redis-cluster, url: ["redis://a"], database: 3'),
    'caches.default.database',
    /no database but 0/,
  ],
  [
    'a socket of several servers',
    cache('backend: redis-sentinel, url: ["unix:/r.sock"], master: m'),
    'caches.default.url[0]',
    /no place for several servers/,
  ],
  // How one enters
  [
    'a password twice',
    cache('backend: redis, url: "redis://:hunter2@h", password: hunter2'),
    'caches.default.password',
    /the password stands in the url too/,
  ],
  [
    'a user twice',
    cache('backend: redis, url: "redis://a:hunter2@h", username: a'),
    'caches.default.username',
    /the username stands in the url too/,
  ],
  [
    'a database twice',
    cache('backend: redis, url: "redis://h/1", database: 1'),
    'caches.default.database',
    /the url has a database too/,
  ],
  ['a user alone', cache('backend: redis, url: "redis://h", username: a'), 'caches.default.username', /never let in/],
  [
    'a user of the sentinels alone',
    cache('backend: redis-sentinel, url: ["redis://s"], master: m, sentinel_username: a'),
    'caches.default.sentinel_username',
    /never let in/,
  ],
  [
    'a password in a list of servers',
    cache('backend: redis-sentinel, url: ["redis://:hunter2@s"], master: m'),
    'caches.default.url[0]',
    /no url has a password/,
  ],
  // TLS
  [
    'TLS with a url that does not say so',
    cache('backend: redis, url: "redis://h", tls: { ca: ca.crt }'),
    'caches.default.tls',
    /begins with rediss/,
  ],
  [
    'TLS to some',
    cache('backend: redis-cluster, url: ["rediss://a", "redis://b"]'),
    'caches.default.url[1]',
    /and others not/,
  ],
  [
    'half a certificate',
    cache('backend: redis, url: "rediss://h", tls: { cert: c.crt }'),
    'caches.default.tls.cert',
    /of cert and key only one/,
  ],
  // Layout
  [
    'a prefix that memcached takes for two keys',
    cache('backend: memcached, url: "h:1", key_prefix: "my shop"'),
    'caches.default.key_prefix',
    /key_prefix holds spaces/,
  ],
  [
    'a prefix that leaves no room for a key',
    cache(`backend: memcached, url: "h:1", key_prefix: ${'p'.repeat(180)}`),
    'caches.default.key_prefix',
    /or more than the \d+ bytes/,
  ],
  // Memory
  [
    'memory with several workers',
    cache('backend: memory').replace('hosts:', 'workers: 4\nhosts:'),
    'caches.default.backend',
    /known to one worker only/,
  ],
  [
    'copies in memory with several workers',
    cache('backend: memory', 'engine: cached_db').replace('hosts:', 'workers: 4\nhosts:'),
    'caches.default.backend',
    /known to one worker only/,
  ],
  // The second engine
  [
    'a cache that is not there',
    file('read_also: { engine: cache, cache_alias: fast }'),
    'session.read_also.cache_alias',
    /the engine cache needs caches.fast/,
  ],
  ['no engine', file('read_also: { cache_alias: a }'), 'session.read_also.engine', /has no "engine"/],
  ['the same database', file('read_also: { engine: db }'), 'session.read_also.engine', /are in already/],
  [
    'the same database, under the other name of the driver and another user',
    file(
      'engine: db, read_also: { engine: db, database: { url: "postgresql://b:x@db:5432/shop" } }',
      'database: { url: "postgres://a@db/shop" }',
    ),
    'session.read_also.engine',
    /are in already/,
  ],
  [
    'the database that cached_db writes to',
    file('engine: cached_db, read_also: { engine: db }', 'caches: { default: { backend: redis, url: "redis://h" } }'),
    'session.read_also.engine',
    /are in already/,
  ],
  [
    'the same cache by two names',
    file(
      'engine: cache, read_also: { engine: cache, cache_alias: b }',
      'caches: { default: { backend: redis, url: "redis://h/0" }, b: { backend: redis, url: "redis://u:hunter2@h:6379" } }',
    ),
    'session.read_also.engine',
    /are in already/,
  ],
  [
    'the same folder',
    file('engine: file, file_path: ./s, read_also: { engine: file, file_path: s/ }'),
    'session.read_also.engine',
    /are in already/,
  ],
  [
    'a second engine of signed cookies',
    file('engine: signed_cookies, read_also: { engine: db }'),
    'session.read_also',
    /signed_cookies keeps none/,
  ],
  // The index of users
  ['an index of nobody', file('user_index: true'), 'session.user_index', /user_index needs user_id/],
  [
    'an index of cookies',
    file('engine: signed_cookies, user_id: userInfo.id, user_index: true'),
    'session.user_index',
    /signed_cookies keeps none/,
  ],
  [
    'a memory to move from',
    file('read_also: { engine: cache }', 'caches: { default: { backend: memory } }'),
    'caches.default.backend',
    /empty at every start/,
  ],
  [
    'a database to move from that is none',
    file('read_also: { engine: db, database: { url: "mysql://h/d" } }'),
    'session.read_also.database.url',
    /session.read_also.database.url names no database/,
  ],
]

for (const [why, text, path, message] of errors) {
  test(`an error: ${why}`, async () => {
    const found = await errorsOf(text)
    const problem = found.find((candidate) => message.test(candidate.message))
    assert.ok(problem, JSON.stringify(found, undefined, 2))
    assert.equal(problem.path, path)
    assert.ok(problem.hint, 'the way out')
    assert.ok(problem.excerpt, 'the line')
    assert.ok(!JSON.stringify(found).includes('hunt'), JSON.stringify(found))
  })
}

test('a mistake in a cache that no engine uses is one all the same', async () => {
  const [problem] = await errorsOf(withSections('caches: { old: { backend: redis, url: "localhost:6379" } }'))
  assert.match(problem?.message ?? '', /the url names no Redis server/)
})

test('the caret points at the url, and not at a number that it does not have', async () => {
  const [problem] = await errorsOf(cache('backend: redis, url: "localhost:6379"'))
  assert.equal(problem?.excerpt?.[0].slice(problem.excerpt[1].indexOf('^')).startsWith('"localhost:6379"'), true)
})
