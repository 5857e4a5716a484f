import { z } from 'zod'
import { name } from './names.ts'
import { choice, count, flag, mapping, nullable, oneOrMore, secret, text } from './scalars.ts'

/** The keys of `database`, which stand under `session.read_also` too. */
export function databaseKeys() {
  return mapping({
    url: text('a URL such as sqlite:./db.sqlite3')
      .default('sqlite:./var/sessiongate.sqlite3')
      .describe('sqlite:PATH, or postgres://user:password@host:5432/name'),
    use_tz: flag().default(true).describe('USE_TZ of the Django project'),
    create: flag().default(false).describe('May the table be created in somebody else’s database'),
    pool_size: count(1, 1000).default(10).describe('PostgreSQL only: connections of a process, at most'),
    pgbouncer: flag()
      .default(false)
      .describe('PostgreSQL only: a PgBouncer in transaction mode stands between, so nothing is prepared'),
    notify: nullable(choice(['create']))
      .prefault(null)
      .describe(
        'PostgreSQL only: create = make the trigger that tells of changes, for local_cache; null = use it where it is',
      ),
  })
}

/** `database`. */
export const database = databaseKeys().prefault({}).describe('What the engines db and cached_db stand on')

const tls = mapping({
  ca: text('a path').optional().describe('PEM file with the authorities of the server; left out = those of the system'),
  cert: text('a path').optional().describe('PEM file with the certificate that the gateway shows'),
  key: text('a path').optional().describe('PEM file with the private key of cert'),
  server_name: text('a name').optional().describe('The name in the server’s certificate, where it is not that in url'),
})

const cache = mapping({
  backend: choice(['redis', 'redis-sentinel', 'redis-cluster', 'memcached', 'memory']).describe(
    'What kind of server it is; memory = this process alone',
  ),
  url: oneOrMore(text('a URL'), 'a URL such as redis://127.0.0.1:6379/1')
    .optional()
    .describe(
      'LOCATION: redis://host:6379/1, rediss:// for TLS, unix:///path?db=1; host:11211; a list of sentinels or nodes',
    ),
  username: text('a name').optional().describe('Of Redis’ access list; left out = the default user'),
  password: secret().optional().describe('Of Redis; or in url'),
  database: count(0, 99_999).optional().describe('Number of Redis’ database; or in url; default 0'),
  tls: tls.optional().describe('For rediss://'),
  master: text('a name').optional().describe('The name that the sentinels know the server by'),
  sentinel_username: text('a name').optional().describe('Of the sentinels’ own access list'),
  sentinel_password: secret().optional().describe('Of the sentinels themselves'),
  key_prefix: z.string({ error: 'text' }).default('').describe('KEY_PREFIX'),
  version: count(0, 1_000_000).default(1).describe('VERSION'),
  serializer: choice(['pickle', 'json'])
    .default('pickle')
    .describe('How the values are written: pickle = as Django does, json = as its OPTIONS say'),
})

/** `caches`, by alias. */
export const caches = z
  .record(name(), cache, { error: 'a mapping of aliases' })
  .default({})
  .describe('What the engines cache and cached_db stand on')
