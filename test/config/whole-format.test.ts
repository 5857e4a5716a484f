import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type LoadedConfig, loadConfig } from '../../src/config/loading.ts'

let folder = ''
let loaded: LoadedConfig

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sessiongate-'))
  await writeFile(join(folder, 'sessiongate_key'), `${'k'.repeat(40)}\n`)
  await writeFile(join(folder, 'admin_token'), 'a-token-of-more-than-twenty-four-characters\n')
  await writeFile(join(folder, 'gate.yaml'), wholeFormat(folder))
  loaded = await loadConfig({ path: join(folder, 'gate.yaml'), env: { SECRET_KEY: 's'.repeat(50) } })
})

after(async () => {
  await rm(folder, { recursive: true, force: true })
})

test('every key of the format is accepted in one file', () => {
  assert.equal(loaded.config.version, 1)
  assert.deepEqual(
    loaded.config.routes.map(({ id }) => id),
    ['static', 'login', 'admin', 'app'],
  )
})

test('nothing is wrong with it', () => {
  assert.deepEqual(
    loaded.warnings.filter(({ severity }) => severity === 'error'),
    [],
  )
})

test('secrets are read from the environment and from files, without the final newline', () => {
  const { session, signing, admin } = loaded.config
  assert.equal(session.secretKey.generated ? undefined : session.secretKey.value.reveal(), 's'.repeat(50))
  const [key] = signing.keys.generated ? [] : signing.keys.keys
  assert.equal(key?.kind === 'secret' ? key.secret.reveal() : undefined, 'k'.repeat(40))
  assert.equal(admin?.token?.reveal(), 'a-token-of-more-than-twenty-four-characters')
})

test('a route has all that it says, and what its upstream says', () => {
  const admin = loaded.config.routes.find(({ id }) => id === 'admin')
  assert.deepEqual(admin, {
    id: 'admin',
    match: { hosts: ['app.example.com'], paths: ['/admin/*'], methods: [] },
    access: {
      auth: 'required',
      require: ['userInfo.is_staff'],
      allow: 'session.userInfo.role in ["ops", "admin"]',
      mode: 'enforce',
      crossSite: 'off',
    },
    ambiguousPaths: 'refuse',
    corsPreflight: 'refuse',
    methodOverrides: 'cut',
    upstream: 'legacy',
    usesSession: true,
    login: { url: '/login', nextParam: 'next', allowedHosts: [], guard: true },
    onDeny: 'auto',
    onStoreError: 'unavailable',
    include: ['userInfo'],
    writeback: { allow: ['cart'], commands: [] },
    headers: {
      session: new Map([['X-User-Name', 'userInfo.name']]),
      request: new Map([['X-Env', 'prod']]),
      response: new Map([['X-Frame-Options', 'DENY']]),
    },
    rewrite: { stripPrefix: '', addPrefix: '', location: true, cookiePath: true, cookieDomains: new Map() },
    maxBodyBytes: 10 * 1024 * 1024,
    keepPost: undefined,
    websocket: { origins: [], idleMs: 300_000 },
  })
  assert.deepEqual(loaded.config.ownHeaders, ['X-User-Name', 'X-Env'])
})

function wholeFormat(secrets: string): string {
  return `# yaml-language-server: $schema=./sessiongate.schema.json
version: 1
mode: enforce                        # enforce | observe
listen:
  - address: 127.0.0.1:8080          # host:port | unix:/run/sessiongate.sock
  # - { address: ":8443", tls: { cert: tls.crt, key: tls.key, client_ca: ca.crt, min_version: "1.2" } }
hosts: []                            # served hosts; empty = those of the routes, or any (check warns)
workers: 1                           # or auto
trusted_proxies: []                  # CIDRs, or the word unix; 0.0.0.0/0 is an error
session:
  engine: db                         # db | cache | cached_db | file | signed_cookies
  cache_alias: default
  file_path: null                    # null = the system's temporary directory
  cookie_name: sessionid
  cookie_path: /
  cookie_domain: null
  cookie_secure: auto                # auto | true | false
  cookie_httponly: true
  cookie_samesite: Lax               # Lax | Strict | None | false
  cookie_age: 14d                    # a bare number is seconds here, as in Django
  expire_at_browser_close: false
  save_every_request: false
  serializer: json
  secret_key: \${SECRET_KEY}          # Django's SECRET_KEY, to share its sessions
  secret_key_fallbacks: []
  salt_class: SessionStore           # Django's session class, part of the signing salt
  auth_key: userInfo
  user_id: null                      # path of the user's id, e.g. userInfo.id
  duplicate_cookies: last            # last | refuse
  expiry_dates: iso                  # iso | seconds
  max_age: null                      # absolute limit, kept in the reserved key _gw
  max_bytes: 64KiB                   # of the JSON, before compression
  store_timeout: 1s
  local_cache: { max_age: 5s, max_entries: 100000 }
  clear_expired: { every: 1h, batch: 1000 }
database: { url: "sqlite:./var/sessiongate.sqlite3", use_tz: true, create: false, notify: null, pgbouncer: false }   # or postgres://…
caches:
  default: { backend: redis, url: "redis://127.0.0.1:6379/1", key_prefix: "", version: 1, serializer: pickle }
  # backend: redis | redis-sentinel | redis-cluster | memcached | memory (an error with several workers)
keys:
  - { id: "2026-11", secret: "\${file:${secrets}/sessiongate_key}" }
signing: { algorithm: HS256, issuer: sessiongate, ttl: 60s, bind: session, max_bytes: 4000 }
login: { url: /login, next_param: next, allowed_hosts: [], guard: true }     # a route may have its own
upstreams:
  legacy:
    servers: [http://127.0.0.1:8000]
    balance: round_robin             # round_robin | least_conn | hash_session
    pass_host: true
    session_cookie: strip            # strip | pass
    include: null                    # keys of the assertion; null = all that do not begin with _
    writeback: { allow: ["*"] }      # { allow: [cart], commands: [expiry] }
    timeouts: { connect: 2s, first_byte: 30s, idle: 60s }
    retries: 1                       # idempotent methods, before the first response byte
    health: { path: /healthz, interval: 10s, timeout: 2s, unhealthy_after: 3, healthy_after: 2 }
routes:
  - { id: static, match: { path: ["/static/*", /favicon.ico], method: [GET] }, upstream: legacy, session: none }
  - { id: login,  match: { path: [/login, /login/] }, upstream: legacy, auth: public }
  - id: admin
    match: { host: app.example.com, path: /admin/* }
    upstream: legacy
    auth: required                   # public | optional | required
    require: [userInfo.is_staff]
    allow: 'session.userInfo.role in ["ops", "admin"]'
    mode: enforce
    on_deny: auto                    # auto | redirect | status
    on_store_error: unavailable      # unavailable | anonymous
    ambiguous_paths: refuse          # refuse | allow
    csrf: off                        # off | same-site
    include: [userInfo]
    writeback: { allow: [cart] }
    headers: { session: { X-User-Name: userInfo.name }, request: { X-Env: prod }, response: { X-Frame-Options: DENY } }
    limits: { body: 10MiB }
    websocket: { origins: [], idle: 5m }
  - { id: app, match: { path: /* }, upstream: legacy, auth: required }
admin: { listen: 127.0.0.1:9901, token: "\${file:${secrets}/admin_token}" }   # /metrics /livez /readyz, and with a token /api and the page; off = none
# probes: { listen: "0.0.0.0:9902" }  # only /metrics /livez /readyz
logging: { level: info, access: true }
shutdown: { drain: 20s, readiness_delay: 0s }
`
}
