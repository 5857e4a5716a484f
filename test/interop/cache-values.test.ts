import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { ExpiryRules } from '../../src/django/expiry.ts'
import { type SessionData, writeSessionData } from '../../src/django/json.ts'
import { createSessionKey } from '../../src/django/session-key.ts'
import { blanksOf } from '../../src/sessions/caches/blank-code.ts'
import { jsonSerializer } from '../../src/sessions/caches/json-serializer.ts'
import { createMemcachedCache, memcachedFlags } from '../../src/sessions/caches/memcached.ts'
import { pickleSerializer } from '../../src/sessions/caches/pickle-serializer.ts'
import { createRedisCache } from '../../src/sessions/caches/redis.ts'
import { cacheKeyPrefix, type SessionCache } from '../../src/sessions/caches/session-cache.ts'
import type { SessionEngine } from '../../src/sessions/engine.ts'
import { createCacheSessions, type SessionSerializer } from '../../src/sessions/engines/cache.ts'
import { within } from '../support/deadline.ts'
import { type MemcachedServer, startMemcached } from '../support/memcached.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { commandLine } from './django-project.ts'
import { randomSources } from './random-sessions.ts'
import { Differences, sessionOf } from './shared-store.ts'

/** Sessions each way and cache. */
const COUNT = 300

const django = requireServer('django-caches')
const redis = requireServer('redis')
const memcached = requireServer('memcached')
const skip = django.skip || redis.skip || memcached.skip

const rules: ExpiryRules = { cookieAgeSeconds: 1_209_600, expireAtBrowserClose: false, dates: 'iso', useTz: true }

interface Kind {
  /** The entry in Django's CACHES. */
  readonly settings: (servers: Servers) => object
  readonly server: 'redis' | 'memcached'
  readonly serializer: SessionSerializer
  /** What Django writes has the same bytes as what we write. */
  readonly isExact: boolean
}

interface Servers {
  readonly redis: RedisServer
  readonly memcached: MemcachedServer
}

const redisUrl = ({ redis: { port } }: Servers) => `redis://127.0.0.1:${port}/1`
const stockRedis = 'django.core.cache.backends.redis.RedisCache'

const kinds: Readonly<Record<string, Kind>> = {
  RedisCache: {
    settings: (servers) => ({ BACKEND: stockRedis, LOCATION: redisUrl(servers) }),
    server: 'redis',
    serializer: pickleSerializer,
    isExact: true,
  },
  PyMemcacheCache: {
    settings: ({ memcached: { port } }) => ({
      BACKEND: 'django.core.cache.backends.memcached.PyMemcacheCache',
      LOCATION: `127.0.0.1:${port}`,
    }),
    server: 'memcached',
    serializer: pickleSerializer,
    isExact: true,
  },
  // Its pickles have protocol 4, the default of Python.
  'django-redis': {
    settings: (servers) => ({ BACKEND: 'django_redis.cache.RedisCache', LOCATION: redisUrl(servers) }),
    server: 'redis',
    serializer: pickleSerializer,
    isExact: false,
  },
  'django-redis with its JSONSerializer': {
    settings: (servers) => ({
      BACKEND: 'django_redis.cache.RedisCache',
      LOCATION: redisUrl(servers),
      OPTIONS: { SERIALIZER: 'django_redis.serializers.json.JSONSerializer' },
    }),
    server: 'redis',
    serializer: jsonSerializer,
    isExact: false,
  },
  "RedisCache with the serializer of Django's signing": {
    settings: (servers) => ({
      BACKEND: stockRedis,
      LOCATION: redisUrl(servers),
      OPTIONS: { serializer: 'django.core.signing.JSONSerializer' },
    }),
    server: 'redis',
    serializer: jsonSerializer,
    isExact: true,
  },
}

interface DjangoCaches extends AsyncDisposable {
  write(alias: string, sources: readonly string[]): Promise<{ key: string; json: string }[]>
  read(alias: string, keys: readonly string[]): Promise<(string | null)[]>
  values(alias: string, keys: readonly string[]): Promise<string[]>
}

describe('one cache for Django and the gateway', { skip }, () => {
  const stack = new AsyncDisposableStack()
  const sources = storableSources()
  let servers: Servers
  let project: DjangoCaches
  before(async () => {
    const [redisServer, memcachedServer] = await Promise.all([startRedis(), startMemcached(memcached)])
    servers = { redis: stack.use(redisServer), memcached: stack.use(memcachedServer) }
    const settings = Object.entries(kinds).map(([name, kind]) => [name, withPrefix(name, kind.settings(servers))])
    project = stack.use(startDjangoCaches(Object.fromEntries(settings)))
  })
  after(() => stack.disposeAsync())

  for (const [name, kind] of Object.entries(kinds)) {
    describe(name, () => {
      const prefix = cacheKeyPrefix({ keyPrefix: name.replaceAll(' ', '_'), version: 1 }, 'cache')
      let cache: SessionCache
      let engine: SessionEngine
      before(() => {
        cache = openCache(kind, servers)
        const { serializer } = kind
        engine = stack.use(
          createCacheSessions(cache, { serializer, keyPrefix: prefix, expiryRules: rules, clock: Date.now, newKey }),
        )
      })

      test('the gateway reads every session that Django wrote', async () => {
        const written = await project.write(name, sources)
        const differences = new Differences()
        for (const [i, { key, json }] of written.entries()) {
          const loaded = await engine.load(key)
          differences.compare(`session ${i}`, loaded.found ? writeSessionData(loaded.data) : loaded.reason, json)
          const bytes = (await cache.get(prefix + key))?.bytes ?? new Uint8Array()
          const ours = kind.serializer.encode(sessionOf(json))
          if (kind.isExact) differences.compare(`bytes of ${i}`, hex(ours), hex(bytes))
        }
        assert.ok(differences.compared >= COUNT)
        differences.assertNone()
      })

      test('Django reads every session that the gateway wrote, with a seal behind it and without', async () => {
        const spelled = await project.write(name, sources)
        const differences = new Differences()
        const keys: string[] = []
        for (const [i, source] of sources.entries()) {
          const data = sessionOf(source)
          const key = i % 2 === 0 ? await engine.create(data) : newKey()
          if (i % 2 === 1) await cache.put(prefix + key, sealed(kind.serializer, data), 3600)
          keys.push(key)
        }
        const read = await project.read(name, keys)
        for (const [i, { json }] of spelled.entries()) differences.compare(`session ${i}`, read[i], json)
        assert.equal(differences.compared, sources.length)
        differences.assertNone()
      })

      test('Django reads a marker as None, and finds no session there', async () => {
        const keys = Array.from({ length: 40 }, newKey)
        for (const key of keys) await cache.put(prefix + key, kind.serializer.marker(randomBytes(16)), 3600)
        assert.deepEqual(new Set(await project.values(name, keys)), new Set(['null']))
        assert.deepEqual(await project.values(name, [newKey()]), ['"missing"'])
        assert.deepEqual(new Set(await project.read(name, keys)), new Set([null]))
        const written = await Promise.all(keys.map(async (key) => (await cache.get(prefix + key))?.bytes))
        assert.ok(written.every((bytes) => bytes !== undefined && kind.serializer.isMarker(bytes)))
      })
    })
  }
})

const newKey = () => createSessionKey()

/** Expiries of their own are left out, since Django does not store what is over, and the tests are about values. */
function storableSources(): string[] {
  const all = randomSources(COUNT * 3, 3).filter((source) => !sessionOf(source).has('_session_expiry'))
  assert.ok(all.length >= COUNT)
  return [...all.slice(0, COUNT - 1), '{"_session_expiry":86400,"userInfo":{"id":7}}']
}

function withPrefix(name: string, settings: object): object {
  return { ...settings, KEY_PREFIX: name.replaceAll(' ', '_') }
}

function openCache({ server, serializer }: Kind, servers: Servers): SessionCache {
  const timeoutMs = 20_000
  const clock = Date.now
  if (server === 'redis') {
    return createRedisCache({ servers: { ...servers.redis.servers, database: 1 }, timeoutMs, clock })
  }
  const flags = serializer === pickleSerializer ? memcachedFlags.pickle : memcachedFlags.json
  const { host, port } = servers.memcached
  return createMemcachedCache({ server: { host, port }, keyPrefix: '', flags, timeoutMs, clock })
}

function sealed(serializer: SessionSerializer, data: SessionData): Uint8Array {
  return Buffer.concat([serializer.encode(data), blanksOf(randomBytes(20))])
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function startDjangoCaches(settings: object): DjangoCaches {
  const child = spawn(django.path, [join(import.meta.dirname, 'django_caches.py')], {
    env: { PATH: process.env.PATH, CACHES: JSON.stringify(settings), PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const call = commandLine(child)
  return {
    write: (alias, texts) => call('write', { alias, sources: texts }),
    read: (alias, keys) => call('read', { alias, keys }),
    values: (alias, keys) => call('values', { alias, keys }),
    async [Symbol.asyncDispose]() {
      child.stdin.end()
      await within('Django to end', exited).catch(async () => {
        child.kill('SIGKILL')
        await exited
      })
    },
  }
}
