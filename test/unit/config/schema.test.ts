// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorsOf, loadText, MINIMAL } from '../../config/sample.ts'

/** The minimal file with a section added, in place of its own where it has one. */
function withSection(section: string): string {
  const key = section.split(':', 1)[0] ?? ''
  const rest = MINIMAL.split('\n').filter((line) => !line.startsWith(`${key}:`))
  return `${rest.join('\n')}${section}\n`
}

const mistakes: [why: string, section: string, message: RegExp, hint?: RegExp][] = [
  ['the version is that of the format', 'version: 2', /version must be the number 1, not 2/],
  ['a version in quotes is text', 'version: "1"', /version must be the number 1, not "1"/],
  ['an unknown key', 'sesion: {}', /unknown key "sesion"/, /did you mean session\?/],
  ['a key of another section', 'cookie_name: x', /unknown key "cookie_name"/, /belongs to session/],
  ['a key that nothing is like', 'session: { colour: red }', /unknown key "colour"/, /known here: engine, /],
  ['a word that is none of those', 'mode: enforced', /mode must be one of enforce, observe/, /did you mean enforce\?/],
  ['a mapping where a list is wanted', 'hosts: {}', /hosts must be a list of hosts, not a mapping/],
  ['a word where a mapping is wanted', 'session: db', /session must be a mapping, not "db"/],
  ['nothing where a mapping is wanted', 'session:', /session must be a mapping, not empty/, /remove the key/],
  ['a number where text is wanted', 'hosts: [5]', /hosts\[0] must be a host, not 5/, /in quotes: "5"/],
  ['empty text', 'hosts: [""]', /a host that is not empty/],
  ['text where a boolean is wanted', 'session: { cookie_httponly: "true" }', /must be true or false, not "true"/],
  ['a boolean of YAML 1.1', 'session: { cookie_httponly: yes }', /must be true or false, not "yes"/],
  ['a duration without unit', 'session: { store_timeout: 5 }', /store_timeout must be a duration/],
  ['a duration in words', 'session: { cookie_age: 14 days }', /cookie_age must be a duration .* not "14 days"/],
  ['a duration of nothing', 'session: { store_timeout: 0s }', /must be more than nothing/],
  ['a duration that no timer can run', 'session: { store_timeout: 25d }', /must be at most 24d/],
  ['an age of nothing', 'session: { cookie_age: 0 }', /must be more than nothing/],
  ['a negative age', 'session: { cookie_age: -5 }', /must be more than nothing/],
  ['an age that a cookie cannot say', 'session: { cookie_age: 1500ms }', /must be whole seconds/],
  ['an age of a thousand years', 'session: { cookie_age: 365000d }', /must be at most 36500d/],
  ['a size without sense', 'session: { max_bytes: big }', /must be a size/],
  ['a size of nothing', 'session: { max_bytes: 0 }', /must be at least 64 bytes/],
  ['a size beyond what is read', 'session: { max_bytes: 1GiB }', /must be at most/],
  ['a cookie name with a space', 'session: { cookie_name: "a b" }', /must be a cookie name/],
  ['a cookie name with a separator', 'session: { cookie_name: "a;b" }', /must be a cookie name/],
  ['a cookie path that does not begin with "/"', 'session: { cookie_path: app }', /must be a path/],
  ['a cookie path that would begin an attribute', 'session: { cookie_path: "/;Domain=x" }', /must be a path/],
  ['a cookie domain with a space', 'session: { cookie_domain: "a b" }', /must be a domain/],
  ['SameSite in lower case', 'session: { cookie_samesite: lax }', /must be Lax, Strict/, /did you mean Lax\?/],
  ['SameSite: true', 'session: { cookie_samesite: true }', /must be Lax, Strict, None or false, not true/],
  ['another serializer', 'session: { serializer: pickle }', /must be the word json/],
  ['a secret that is empty', 'session: { secret_key: "" }', /must be a secret that is not empty/],
  ['a secret that is not text', 'session: { secret_key: 12345 }', /secret_key must be a secret$/],
  ['a batch of nothing', 'session: { clear_expired: { batch: 0 } }', /from 1 to 100000, not 0/],
  ['a batch and a half', 'session: { clear_expired: { batch: 1.5 } }', /a whole number/],
  [
    'a pool without connections',
    'database: { pool_size: 0 }',
    /pool_size must be a whole number from 1 to 1000, not 0/,
  ],
  ['a list of no servers', 'caches: { a: { backend: redis, url: [] } }', /url must be a URL .* not an empty one/],
  ['a backend by its path', 'caches: { a: { backend: django.core } }', /backend must be one of redis, redis-sentinel/],
  [
    'a password that YAML takes for a number',
    'caches: { a: { backend: redis, password: 12345 } }',
    /must be a secret$/,
  ],
  [
    'a second engine that keeps nothing',
    'session: { read_also: { engine: signed_cookies } }',
    /read_also.engine must be one of db, cache, cached_db, file/,
  ],
  ['a second engine by its name alone', 'session: { read_also: cache }', /read_also must be a mapping, not "cache"/],
  ['a longer assertion than its apps accept', 'signing: { ttl: 61s }', /must be at most 60s, not "61s"/],
  ['another algorithm', 'signing: { algorithm: RS256 }', /must be one of HS256, EdDSA, ES256/],
  ['a parameter name with a sign', 'login: { next_param: "a&b" }', /must be a parameter name/],
  ['a list without a key', 'keys: []', /at least one key/],
  ['a key without an id', `keys: [{ secret: ${'k'.repeat(32)} }]`, /keys\[0] has no "id"/],
  ['a date that YAML takes for no text', `keys: [{ id: 2026, secret: ${'k'.repeat(32)} }]`, /keys\[0].id/, /"2026"/],
  ['an error page under another word', 'error_pages: { teapot: "<p>" }', /default, a status such as 404, or a code/],
  ['an error page for a status that never comes', 'error_pages: { 418: "<p>" }', /default, a status such as 404/],
  ['an error page that is a file’s name', 'error_pages: { default: error.html }', /must be a page, such as/],
  [
    'an error page with a word that stands for nothing',
    'error_pages: { default: "<p>{{user}}" }',
    /only \{\{status\}\}/,
  ],
  ['no address', 'listen: []', /at least one address/],
  ['an address without a port', 'listen: [{ address: localhost }]', /must be host:port/],
  ['a listener that is text', 'listen: ["127.0.0.1:80"]', /listen\[0] must be a mapping/],
  ['half a worker', 'workers: 0.5', /workers must be a whole number/],
  [
    'a backend that nobody knows',
    'caches: { a: { backend: rediss } }',
    /backend must be one of/,
    /did you mean redis\?/,
  ],
  ['a cache without a backend', 'caches: { a: {} }', /caches.a has no "backend"/],
  ['admin: on', 'admin: on', /admin must be off, or a mapping/],
  [
    'an unknown key of the operator’s listener',
    'admin: { lisen: 127.0.0.1:1 }',
    /unknown key "lisen" in admin/,
    /listen/,
  ],
  ['a level that is none', 'logging: { level: verbose }', /logging.level must be one of/],
  ['an app without a server', 'upstreams: { app: {} }', /upstreams.app has no "servers"/],
  ['an app with no server', 'upstreams: { app: { servers: [] } }', /at least one URL/],
  [
    'a name with a space',
    'upstreams: { "my app": { servers: ["http://a"] } }',
    /the key "my app" in upstreams must be a name/,
  ],
  ['retries without end', 'upstreams: { app: { servers: ["http://a"], retries: 99 } }', /from 0 to 10, not 99/],
  [
    'a command that there is not',
    'upstreams: { app: { servers: ["http://a"], writeback: { commands: [set] } } }',
    /flush, clear/,
  ],
]

for (const [why, section, message, hint] of mistakes) {
  test(`refused: ${why} (${section.slice(0, 60)})`, async () => {
    const errors = await errorsOf(withSection(section))
    const found = errors.find((problem) => message.test(problem.message))
    assert.ok(found, JSON.stringify(errors, undefined, 2))
    assert.match(found.hint ?? '', hint ?? /^/)
  })
}

const routeMistakes: [why: string, lines: string, message: RegExp][] = [
  ['a misspelt key', 'upsteam: app', /unknown key "upsteam" in routes\[0]/],
  ['an id with a space', 'id: a b', /routes\[0].id must be a name/],
  [
    'an empty list of paths',
    'match: { path: [] }',
    /routes\[0].match.path must be a path, or a list of them, not an empty/,
  ],
  ['a path that is a number', 'match: { path: 5 }', /routes\[0].match.path must be a path, or a list/],
  ['a path in a list that is a number', 'match: { path: [/a, 5] }', /routes\[0].match.path\[1] must be a path/],
  ['another session', 'session: no', /session must be the word none/],
  ['another auth', 'auth: always', /auth must be one of public, optional, required/],
  ['a path with an empty step', 'require: [a..b]', /require\[0] must be a path into the session/],
  ['a header name with a space', 'headers: { session: { "X User": a } }', /the key "X User" .* must be a header name/],
  ['a header value with a line break', 'headers: { request: { X-A: "a\\r\\nX-B: b" } }', /must be a header value/],
  ['a header value that is a number', 'headers: { request: { X-A: 5 } }', /must be a header value/],
  ['a body of no size', 'limits: { body: lots }', /limits.body must be a size/],
  ['websocket: true', 'websocket: true', /websocket must be false, or a mapping/],
  ['an unknown key of websocket', 'websocket: { origin: [] }', /unknown key "origin" in routes\[0].websocket/],
  ['an unknown key of login', 'login: { uri: /x }', /unknown key "uri" in routes\[0].login/],
  ['csrf: on', 'csrf: on', /csrf must be one of off, same-site/],
]

for (const [why, line, message] of routeMistakes) {
  test(`refused in a route: ${why} (${line.slice(0, 60)})`, async () => {
    const defaults = ['id: planted', 'match: { path: /planted }', 'upstream: app', 'auth: public']
    const others = defaults.filter((written) => written.split(':', 1)[0] !== line.split(':', 1)[0])
    const errors = await errorsOf(MINIMAL.replace('routes:\n', `routes:\n  - ${[line, ...others].join('\n    ')}\n`))
    const found = errors.find((problem) => message.test(problem.message))
    assert.ok(found, JSON.stringify(errors, undefined, 2))
    assert.ok((found.line ?? 0) >= 6 && (found.line ?? 0) <= 10)
  })
}

const missing: [why: string, text: string, message: RegExp][] = [
  ['an empty file', '', /the file is empty/],
  ['a file of comments', '# nothing\n', /the file is empty/],
  ['a list', '- a', /must be a mapping, not a list/],
  ['a word', 'word', /must be a mapping/],
  ['no version', MINIMAL.replace('version: 1\n', ''), /has no "version"/],
  ['no upstreams', 'version: 1\nroutes: []', /has no "upstreams"/],
  ['no routes', 'version: 1\nupstreams: { a: { servers: ["http://a"] } }', /has no "routes"/],
  ['an empty list of routes', 'version: 1\nupstreams: {}\nroutes: []', /there is no route/],
  ['an empty mapping of upstreams', 'version: 1\nupstreams: {}\nroutes: []', /there is no upstream/],
]

for (const [why, text, message] of missing) {
  test(`refused: ${why}`, async () => {
    const errors = await errorsOf(text)
    assert.ok(
      errors.some((problem) => message.test(problem.message)),
      JSON.stringify(errors),
    )
  })
}

test('what was substituted becomes a number or a boolean where one is wanted', async () => {
  const env = { AGE: '60', FLAG: 'false', BATCH: '7', SECURE: 'true', MAX: '2048', WORKERS: '1' }
  const section = `session: { cookie_age: "\${AGE}", cookie_httponly: "\${FLAG}", clear_expired: { batch: "\${BATCH}" },
    cookie_secure: "\${SECURE}", max_bytes: "\${MAX}", cookie_samesite: "\${FLAG}" }\nworkers: \${WORKERS}`
  const { config } = await loadText(withSection(section), { env })
  const { cookieAgeMs, cookie, clearExpired, maxBytes } = config.session
  assert.equal(cookieAgeMs, 60_000)
  assert.equal(cookie.httpOnly, false)
  assert.equal(cookie.secure, true)
  assert.equal(cookie.sameSite, false)
  assert.equal(clearExpired?.batch, 7)
  assert.equal(maxBytes, 2048)
})

test('what was substituted stays text where text is wanted', async () => {
  const { config } = await loadText(withSection('session: { auth_key: "${A}", salt_class: "${B}" }'), {
    env: { A: 'true', B: '5' },
  })
  assert.equal(config.session.authKey, 'true')
  assert.equal(config.session.saltClass, '5')
})

test('x- keys are ignored wherever they stand, and hold anything', async () => {
  const text = `${MINIMAL.replace('servers:', 'x-note: { a: [1] }, servers:')}x-anything: ["\${NOBODY}", { b: 1 }]\n`
  const { config } = await loadText(text)
  assert.deepEqual([...config.upstreams.keys()], ['app'])
})

test('an alias may stand for a whole mapping', async () => {
  const text = MINIMAL.replace('servers:', 'timeouts: *t, servers:')
  const { config } = await loadText(`x-timeouts: &t { connect: 5s }\n${text}`)
  const { connectMs, firstByteMs } = config.upstreams.get('app')?.timeouts ?? {}
  assert.deepEqual([connectMs, firstByteMs], [5000, 30_000])
})

test('a mistake in one place does not hide those in others', async () => {
  const text = `version: 3
sesion: {}
session: { engine: dbb, cookie_age: soon, cookie_samesite: None }
upstreams:
  app: { servers: 5 }
routes:
  - { match: { path: [/a, b] }, upstream: ap }
  - { id: b, match: { path: /b }, upstream: app, auth: public, require: [x] }
`
  const errors = await errorsOf(text)
  assert.deepEqual(
    errors.map(({ line, path }) => `${line} ${path}`),
    [
      '1 version',
      '2 sesion',
      '3 session.engine',
      '3 session.cookie_age',
      '3 session.cookie_samesite',
      '5 upstreams.app.servers',
      '7 routes[0].id',
      '7 routes[0].match.path[1]',
      '7 routes[0].upstream',
      '8 routes[1].require',
    ],
  )
})
