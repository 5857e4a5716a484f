// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadText, MINIMAL, withRoutes, withSections } from '../../config/sample.ts'

const BARE = `version: 1
upstreams: { app: { servers: ["http://127.0.0.1:8000"] } }
routes: [{ id: app, match: { path: /* }, upstream: app }]
`

test('the smallest file has every default', async () => {
  const { config } = await loadText(BARE)
  assert.deepEqual(config, {
    version: 1,
    mode: 'enforce',
    listen: [
      {
        address: { kind: 'tcp', host: '127.0.0.1', port: 8080 },
        text: '127.0.0.1:8080',
        proxyProtocol: false,
        tls: undefined,
        httpsPort: undefined,
      },
    ],
    hosts: [],
    workers: 1,
    trustedProxies: [],
    session: {
      engine: {
        kind: 'db',
        database: { kind: 'sqlite', path: '/srv/var/sessiongate.sqlite3', isOwn: true, useTz: true, create: false },
      },
      readAlso: undefined,
      useTz: true,
      cookie: { name: 'sessionid', path: '/', domain: undefined, secure: 'auto', httpOnly: true, sameSite: 'Lax' },
      cookieAgeMs: 1_209_600_000,
      expireAtBrowserClose: false,
      saveEveryRequest: false,
      secretKey: { generated: true },
      secretKeyFallbacks: [],
      saltClass: 'SessionStore',
      authKey: 'userInfo',
      userId: undefined,
      userIndex: false,
      duplicateCookies: 'last',
      expiryDates: 'iso',
      maxAgeMs: undefined,
      maxBytes: 65_536,
      storeTimeoutMs: 1000,
      localCache: { maxAgeMs: 5000, maxEntries: 100_000 },
      clearExpired: { everyMs: 3_600_000, batch: 1000 },
    },
    signing: {
      algorithm: 'HS256',
      issuer: 'sessiongate',
      ttlMs: 60_000,
      bind: 'session',
      maxBytes: 4000,
      keys: { generated: true },
    },
    login: { url: '/login', nextParam: 'next', allowedHosts: [], guard: true },
    upstreams: new Map([
      [
        'app',
        {
          name: 'app',
          servers: ['http://127.0.0.1:8000'],
          balance: 'round_robin',
          passHost: true,
          sessionCookie: 'strip',
          timeouts: { connectMs: 2000, firstByteMs: 30_000, idleMs: 60_000, minBytesPerSecond: undefined },
          retries: 1,
          tls: undefined,
          health: undefined,
        },
      ],
    ]),
    routes: [
      {
        id: 'app',
        match: { hosts: [], paths: ['/*'], methods: [] },
        access: { auth: 'optional', require: [], mode: 'enforce', crossSite: 'off' },
        ambiguousPaths: 'refuse',
        corsPreflight: 'refuse',
        methodOverrides: 'cut',
        upstream: 'app',
        usesSession: true,
        login: { url: '/login', nextParam: 'next', allowedHosts: [], guard: true },
        onDeny: 'auto',
        onStoreError: 'unavailable',
        include: undefined,
        writeback: { allow: [], commands: [] },
        headers: { session: new Map(), request: new Map(), response: new Map() },
        rewrite: { stripPrefix: '', addPrefix: '', location: true, cookiePath: true, cookieDomains: new Map() },
        maxBodyBytes: undefined,
        keepPost: undefined,
        websocket: { origins: [], idleMs: 300_000 },
      },
    ],
    limits: {
      connections: undefined,
      connectionsPerAddress: undefined,
      requests: 10_000,
      eventLoopDelayMs: 250,
      headMs: 30_000,
      keepAliveMs: 75_000,
      upload: { graceMs: 20_000, minBytesPerSecond: 500 },
      download: { graceMs: 60_000, minBytesPerSecond: 500 },
    },
    ownHeaders: [],
    errorPages: new Map(),
    admin: {
      listen: { address: { kind: 'tcp', host: '127.0.0.1', port: 9901 }, text: '127.0.0.1:9901' },
      tls: undefined,
      token: undefined,
      showsValues: false,
    },
    probes: undefined,
    logging: { level: 'info', access: true },
    shutdown: { drainMs: 20_000, readinessDelayMs: 0 },
  })
})

test('every route has what it needs, whoever said it', async () => {
  const text = withSections(
    'mode: observe',
    'login: { url: /login, next_param: to, allowed_hosts: [b.example.com] }',
    'upstreams: { app: { servers: ["http://a"], include: [userInfo], writeback: { allow: ["*"], commands: [expiry] } } }',
  ).replace(
    'routes:\n',
    `routes:
  - { id: all, match: { path: /a, method: [GET, POST] }, upstream: app, include: null, login: { url: "https://b.example.com/" } }
  - { id: some, match: { host: APP.example.com, path: /b }, upstream: app, mode: enforce, include: [cart], writeback: { allow: [cart] } }
  - { id: none, match: { path: /c }, upstream: app, session: none, websocket: false, limits: { body: null }, csrf: same-site }
`,
  )
  const { config } = await loadText(text)
  const [all, some, none, login] = config.routes
  assert.equal(all?.include, undefined)
  assert.deepEqual(all?.match.methods, ['GET', 'POST'])
  assert.deepEqual(all?.login, {
    url: 'https://b.example.com/',
    nextParam: 'to',
    allowedHosts: ['b.example.com'],
    guard: true,
  })
  assert.deepEqual(all?.writeback, { allow: ['*'], commands: ['expiry'] })
  assert.equal(all?.access.mode, 'observe')
  assert.deepEqual(some?.match.hosts, ['app.example.com'])
  assert.deepEqual(some?.include, ['cart'])
  assert.deepEqual(some?.writeback, { allow: ['cart'], commands: [] })
  assert.equal(some?.access.mode, 'enforce')
  assert.equal(none?.usesSession, false)
  assert.equal(none?.websocket, undefined)
  assert.equal(none?.maxBodyBytes, undefined)
  assert.equal(none?.access.crossSite, 'same-site')
  assert.deepEqual(login?.include, ['userInfo'])
})

test('ages are seconds where no unit is written', async () => {
  const { config } = await loadText(withSections('session: { cookie_age: 1209600, max_age: 3600 }'))
  assert.equal(config.session.cookieAgeMs, 1_209_600_000)
  assert.equal(config.session.maxAgeMs, 3_600_000)
})

test('an index of users is kept where the file says so', async () => {
  const { config } = await loadText(withSections('session: { user_id: userInfo.id, user_index: true }'))
  assert.deepEqual([config.session.userId, config.session.userIndex], ['userInfo.id', true])
})

test('sessions are kept in the process unless the file says otherwise', async () => {
  const { config: bare } = await loadText(MINIMAL)
  assert.deepEqual(bare.session.localCache, { maxAgeMs: 5000, maxEntries: 100_000 })
  const { config: written } = await loadText(withSections('session: { local_cache: { max_age: 1m, max_entries: 7 } }'))
  assert.deepEqual(written.session.localCache, { maxAgeMs: 60_000, maxEntries: 7 })
})

test('null turns off what can be off', async () => {
  const { config } = await loadText(
    withSections('session: { clear_expired: null, local_cache: null, user_id: null }', 'admin: off'),
  )
  assert.equal(config.session.clearExpired, undefined)
  assert.equal(config.session.localCache, undefined)
  assert.equal(config.session.userId, undefined)
  assert.equal(config.admin, undefined)
})

test('the headers that are ours are named once, whatever their case', async () => {
  const text = withRoutes(
    'id: x, match: { path: /x }, upstream: app, headers: { session: { X-User: a, X-Id: b }, response: { X-Frame-Options: DENY } }',
    'id: y, match: { path: /y }, upstream: app, headers: { request: { x-user: c } }',
  )
  const { config } = await loadText(text)
  assert.deepEqual(config.ownHeaders.map((name) => name.toLowerCase()).sort(), ['x-id', 'x-user'])
})

test('hosts are lower-case, and sockets start at the working directory', async () => {
  const { config } = await loadText(withSections('hosts: [APP.example.com]', 'listen: [{ address: "unix:gate.sock" }]'))
  assert.deepEqual(config.hosts, ['app.example.com'])
  assert.deepEqual(config.listen[0]?.address, { kind: 'unix', path: '/srv/gate.sock' })
})

test('a configuration prints no secret', async () => {
  const { config } = await loadText(withSections(`session: { secret_key: hunter2 }`))
  assert.ok(!JSON.stringify(config).includes('hunter2'))
  assert.ok(!MINIMAL.includes('hunter2'))
})
