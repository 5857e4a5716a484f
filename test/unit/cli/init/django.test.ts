import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CommandError } from '../../../../src/cli/context.ts'
import { draftForDjango } from '../../../../src/cli/init/django.ts'
import type { DjangoCache, DjangoDatabase, DjangoSettings } from '../../../../src/cli/init/django-settings.ts'
import type { Draft } from '../../../../src/cli/init/draft.ts'
import { checkDraft } from '../../../../src/cli/init/writing.ts'
import { config, loaded, secrets, yamlOf } from './draft-loading.ts'

const secretKey = 'django-insecure-$#{}"\\\'é 0123456789abcdefghijk'

const stock: DjangoSettings = {
  django: '5.2.17',
  module: 'shop.settings',
  secretKey,
  fallbacks: [],
  engine: 'django.contrib.sessions.backends.db',
  sessionClass: { base: 'db', saltClass: 'SessionStore', table: 'django_session' },
  serializer: 'django.contrib.sessions.serializers.JSONSerializer',
  cookie: {
    name: 'sessionid',
    age: 1_209_600,
    domain: null,
    path: '/',
    secure: false,
    httponly: true,
    samesite: 'Lax',
  },
  saveEveryRequest: false,
  expireAtBrowserClose: false,
  filePath: null,
  database: {
    ...{ engine: 'django.db.backends.sqlite3', name: '/srv/shop/db.sqlite3', user: '', password: '', host: '' },
    ...{ port: '', options: {} },
  },
  cacheAlias: 'default',
  cache: null,
  loginUrl: '/accounts/login/',
  loginIsThere: true,
  adminLogin: '/admin/login/',
  openPaths: [],
  allowedHosts: ['www.example.com'],
  useTz: true,
  staticUrl: '/static/',
  hasAuth: true,
  knowsHttps: true,
}

const postgres: DjangoDatabase = {
  ...{ engine: 'django.db.backends.postgresql', name: 'shop', user: 'shop', password: 'p@ss/w:rd%', host: 'db' },
  ...{ port: '5433', options: {} },
}

const redis: DjangoCache = {
  backend: 'django.core.cache.backends.redis.RedisCache',
  location: ['redis://127.0.0.1:6379/1'],
  keyPrefix: '',
  version: 1,
  options: {},
  hasDjangoKeys: true,
}

const inCache = (cache: Partial<DjangoCache> = {}): Partial<DjangoSettings> => ({
  engine: 'django.contrib.sessions.backends.cache',
  sessionClass: { base: 'cache', saltClass: 'SessionStore', keyPrefix: 'django.contrib.sessions.cache' },
  cache: { ...redis, ...cache },
})

function drafted(settings: Partial<DjangoSettings> = {}): Draft {
  const answers = { folder: '/srv/shop', app: 'http://127.0.0.1:8000', hosts: [], listen: '127.0.0.1:8080' }
  return draftForDjango({ ...answers, settings: { ...stock, ...settings }, login: undefined, config, secrets })
}

describe('a draft for a Django project', () => {
  test('shares the sessions of a stock project, with every secret in a file of its own', async () => {
    const draft = drafted()
    const { session, routes, hosts, upstreams, login } = await loaded(draft)
    assert.ok(!session.secretKey.generated && session.secretKey.value.reveal() === secretKey)
    assert.deepEqual(session.engine, {
      kind: 'db',
      database: { kind: 'sqlite', path: '/srv/shop/db.sqlite3', isOwn: false, useTz: true, create: false },
    })
    assert.equal(session.authKey, '_auth_user_id')
    assert.deepEqual(hosts, ['www.example.com'])
    assert.equal(login.url, '/accounts/login/')
    assert.equal(upstreams.get('django')?.sessionCookie, 'pass')
    assert.deepEqual(
      routes.map(({ id, access, match }) => [id, access.auth, match.paths]),
      [
        ['static', 'optional', ['/static/*']],
        ['login', 'public', ['/accounts/login', '/accounts/login/']],
        ['app', 'required', ['/*']],
      ],
    )
    assert.ok(!yamlOf(draft).includes('insecure'))
    assert.deepEqual(
      draft.files.map(({ kind, path }) => `${kind} ${path}`),
      [`secret ${secrets}/django-secret-key`, `yaml ${config}`],
    )
  })

  test('follows every setting of the cookie and of ages', async () => {
    const cookie = {
      ...stock.cookie,
      name: '__Secure-$hop',
      domain: '.example.com',
      path: '/',
      secure: true,
      httponly: true,
      age: 60,
      samesite: 'None',
    }
    const { session } = await loaded(
      drafted({
        cookie,
        saveEveryRequest: true,
        expireAtBrowserClose: true,
        useTz: false,
        django: '3.2.25',
        fallbacks: ['old-'.repeat(12)],
      }),
    )
    assert.deepEqual(session.cookie, {
      ...{ name: '__Secure-$hop', domain: '.example.com', path: '/', secure: true, httpOnly: true, sameSite: 'None' },
    })
    assert.deepEqual(
      [session.cookieAgeMs, session.saveEveryRequest, session.expireAtBrowserClose],
      [60_000, true, true],
    )
    assert.deepEqual([session.useTz, session.expiryDates, session.secretKeyFallbacks.length], [false, 'seconds', 1])
  })

  test('PostgreSQL: the password is in a file, whatever signs it has', async () => {
    const draft = drafted({
      database: { ...postgres, options: { sslmode: 'verify-full', sslrootcert: '/etc/my ca.crt' } },
    })
    const { session, signing } = await loaded(draft)
    assert.ok(session.engine.kind === 'db' && session.engine.database.kind === 'postgres')
    const url = new URL(session.engine.database.url.reveal())
    assert.equal(decodeURIComponent(url.password), postgres.password)
    assert.deepEqual(
      [url.host, url.pathname, url.searchParams.get('sslrootcert')],
      ['db:5433', '/shop', '/etc/my ca.crt'],
    )
    assert.ok(!signing.keys.generated)
    assert.ok(!yamlOf(draft).includes('p@ss') && !yamlOf(draft).includes('p%40ss'))
  })

  test('PostgreSQL: over a socket, without a password, and with an sslmode that protects from nobody', async () => {
    const local = { ...postgres, host: '/run/pg', port: '', password: '' }
    const { session } = await loaded(drafted({ database: local }))
    assert.ok(session.engine.kind === 'db' && session.engine.database.kind === 'postgres')
    assert.equal(session.engine.database.url.reveal(), 'postgres://shop@/shop?host=%2Frun%2Fpg')
    const { notes } = drafted({ database: { ...postgres, options: { sslmode: 'prefer' } } })
    assert.match(notes.join(), /sslmode prefer protects from nobody/)
  })

  test('Redis: address, key layout, and how values are written', async () => {
    const cases: [why: string, cache: Partial<DjangoCache>, kept: Partial<Record<string, unknown>>][] = [
      ['stock', {}, { serializer: 'pickle', keyPrefix: '', version: 1, database: 1 }],
      ['layout', { keyPrefix: 'shop', version: 3 }, { keyPrefix: 'shop', version: 3 }],
      [
        'django-redis',
        {
          backend: 'django_redis.cache.RedisCache',
          options: {
            CLIENT_CLASS: 'django_redis.client.DefaultClient',
            SERIALIZER: 'django_redis.serializers.json.JSONSerializer',
          },
        },
        { serializer: 'json' },
      ],
      [
        'options',
        { location: ['redis://127.0.0.1:6379'], options: { db: 4, username: 'u', password: 'secret!' } },
        { database: 4, username: 'u' },
      ],
      ['in the url', { location: ['redis://u:secret!@127.0.0.1:6379/5'] }, { database: 5, username: 'u' }],
    ]
    for (const [why, cache, kept] of cases) {
      const draft = drafted(inCache(cache))
      const { session } = await loaded(draft)
      assert.ok(session.engine.kind === 'cache', why)
      const found = session.engine.cache as unknown as Record<string, unknown>
      for (const [key, value] of Object.entries(kept)) assert.deepEqual(found[key], value, `${why}: ${key}`)
      assert.ok(!yamlOf(draft).includes('secret!'), why)
    }
  })

  test('memcached, cached_db, files and signed cookies', async () => {
    const memcached = { backend: 'django.core.cache.backends.memcached.PyMemcacheCache', location: ['127.0.0.1:11211'] }
    const [told] = await checkDraft(drafted(inCache(memcached)), config, {})
    assert.match(told?.message ?? '', /^memcached drops sessions/, 'which is so in Django, too')
    const both = await loaded(
      drafted({
        ...inCache(),
        sessionClass: {
          base: 'cached_db',
          saltClass: 'ShopStore',
          table: 'django_session',
          keyPrefix: 'django.contrib.sessions.cached_db',
        },
      }),
    )
    assert.deepEqual([both.session.engine.kind, both.session.saltClass], ['cached_db', 'ShopStore'])
    const files = await loaded(
      drafted({ sessionClass: { base: 'file', saltClass: 'SessionStore' }, filePath: '/var/lib/shop/sessions' }),
    )
    assert.deepEqual(files.session.engine, { kind: 'file', directory: '/var/lib/shop/sessions' })
    const cookies = await loaded(drafted({ sessionClass: { base: 'signed_cookies', saltClass: 'SessionStore' } }))
    assert.equal(cookies.session.engine.kind, 'signed_cookies')
    assert.ok(!cookies.signing.keys.generated)
  })

  test('hosts are those of ALLOWED_HOSTS as far as they are names', async () => {
    const cases: [allowed: string[], hosts: string[]][] = [
      [[], ['localhost', '127.0.0.1']],
      [['*'], ['localhost', '127.0.0.1']],
      [
        ['.example.com', 'example.com'],
        ['example.com', '*.example.com'],
      ],
      [['[::1]', 'a.example'], ['a.example']],
    ]
    for (const [allowedHosts, hosts] of cases) assert.deepEqual((await loaded(drafted({ allowedHosts }))).hosts, hosts)
    assert.match(drafted({ allowedHosts: ['*'] }).notes.join(), /ALLOWED_HOSTS is "\*"/)
  })

  test('the login is where the project has one; what leads to a new password is open', async () => {
    const admin = await loaded(drafted({ loginIsThere: false }))
    assert.equal(admin.login.url, '/admin/login/')
    const none = drafted({ loginIsThere: false, adminLogin: null })
    assert.match(none.notes.join(), /no page of the project is at LOGIN_URL/)
    const openPaths = ['/accounts/password_reset/', '/accounts/reset/uid/token/']
    const open = await loaded(drafted({ openPaths }))
    assert.deepEqual(open.routes.find(({ id }) => id === 'open')?.match.paths, [
      ...['/accounts/password_reset', '/accounts/password_reset/', '/accounts/reset/*'],
    ])
    const elsewhere = await loaded(drafted({ loginUrl: 'https://id.example.net/login', loginIsThere: null }))
    assert.deepEqual(
      elsewhere.routes.map(({ id }) => id),
      ['static', 'app'],
    )
    const cdn = await loaded(drafted({ staticUrl: 'https://cdn.example.net/s/' }))
    assert.deepEqual(
      cdn.routes.map(({ id }) => id),
      ['login', 'app'],
    )
  })

  test('what cannot be shared is refused, everything at once', () => {
    const cases: [settings: Partial<DjangoSettings>, why: RegExp][] = [
      [
        { engine: 'qsessions.backends.db', sessionClass: { base: null, saltClass: 'SessionStore' } },
        /none of Django’s own/,
      ],
      [{ serializer: 'django.contrib.sessions.serializers.PickleSerializer' }, /the gateway reads JSON/],
      [{ sessionClass: { base: 'db', saltClass: 'S', table: 'shop_session' } }, /the table shop_session/],
      [{ database: { ...postgres, engine: 'django.db.backends.mysql' } }, /in django\.db\.backends\.mysql, and/],
      [{ database: { ...postgres, options: { service: 'prod' } } }, /by the service prod/],
      [{ database: null }, /cannot be found in DATABASES/],
      [inCache({ hasDjangoKeys: false }), /KEY_FUNCTION of its own/],
      [inCache({ backend: 'django.core.cache.backends.locmem.LocMemCache' }), /the memory of a process/],
      [inCache({ options: { CLIENT_CLASS: 'django_redis.client.SentinelClient' } }), /write it by hand/],
      [inCache({ options: { COMPRESSOR: 'django_redis.compressors.zlib.ZlibCompressor' } }), /compresses its values/],
      [
        inCache({ options: { SERIALIZER: 'django_redis.serializers.msgpack.MSGPackSerializer' } }),
        /which the gateway does not read/,
      ],
      [{ ...inCache(), cache: null }, /CACHES has no default/],
    ]
    for (const [settings, why] of cases) {
      assert.throws(
        () => drafted(settings),
        (error) => error instanceof CommandError && why.test(error.message),
        String(why),
      )
    }
    const two = { serializer: 'x.PickleSerializer', database: null }
    assert.throws(() => drafted(two), /the gateway reads JSON[\s\S]*cannot be found/)
  })
})
