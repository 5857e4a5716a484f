// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { problemsOf, withRoutes, withSections } from '../../../config/sample.ts'

const LONG = 'k'.repeat(32)
const app = 'upstream: app'

const warnings: [why: string, text: string, message: RegExp][] = [
  [
    'a route that is open',
    withRoutes(`id: x, match: { path: /x }, ${app}`),
    /route "x" is open to strangers \(auth: optional\)/,
  ],
  [
    'a route without a session',
    withRoutes(`id: x, match: { path: /x }, ${app}, session: none`),
    /"x" is open .*session: none/,
  ],
  [
    'a route whose paths another guards better for the same app',
    withRoutes(`id: x, match: { path: /x/* }, ${app}, auth: public, rewrite: { strip_prefix: /x }`),
    /\/x\/sample goes up as \/sample, which the route app guards better/,
  ],
  ['no host', withSections('hosts: []'), /no host is named/],
  ['plain http', withSections('session: {}'), /plain http with cookie_secure: auto/],
  ['a cookie in plain text', withSections('session: { cookie_secure: false }'), /travels in plain text/],
  ['a cookie for scripts', withSections('session: { cookie_secure: true, cookie_httponly: false }'), /every script/],
  ['session files in /tmp', withSections('session: { engine: file }'), /temporary directory/],
  ['session files in /tmp, said', withSections('session: { engine: file, file_path: /tmp/ }'), /temporary directory/],
  [
    'sessions in memory',
    withSections('session: { engine: cache }', 'caches: { default: { backend: memory } }'),
    /gone when the gateway restarts/,
  ],
  ['observe', withSections('mode: observe'), /lets every request pass/],
  [
    'observe in a route',
    withRoutes(`id: x, match: { path: /x }, ${app}, mode: observe`),
    /every request of this route/,
  ],
  [
    'anonymous',
    withRoutes(`id: x, match: { path: /x }, ${app}, on_store_error: anonymous`),
    /on_store_error: anonymous/,
  ],
  [
    'ambiguous paths',
    withRoutes(`id: x, match: { path: /x }, ${app}, ambiguous_paths: allow`),
    /ambiguous_paths: allow/,
  ],
  [
    'method overrides',
    withRoutes(`id: x, match: { path: /x }, ${app}, method_overrides: keep`),
    /method_overrides: keep/,
  ],
  ['an unguarded login', withSections('login: { guard: false }'), /guard: false/],
  ['a short secret key', withSections('session: { secret_key: short }'), /less than 32 bytes/],
  [
    'a short fallback',
    withSections(`session: { secret_key: ${LONG}, secret_key_fallbacks: [short] }`),
    /less than 32 bytes/,
  ],
  ['an auth_key that looks like a path', withSections('session: { auth_key: user.id }'), /not a path/],
  ['sessions larger than what carries them', withSections('session: { max_bytes: 32KiB }'), /may hold 32768 bytes/],
  [
    'an upstream that nobody uses',
    withSections('upstreams: { app: { servers: ["http://a"] }, b: { servers: ["http://b"] } }'),
    /leads to the upstream b/,
  ],
  ['an operator’s listener for everybody', withSections('admin: { listen: ":9901" }'), /reached from other machines/],
  [
    'include without a session',
    withRoutes(`id: x, match: { path: /x }, ${app}, session: none, include: [a]`),
    /include is without effect/,
  ],
  [
    'headers without a session',
    withRoutes(`id: x, match: { path: /x }, ${app}, session: none, headers: { session: { X-A: a } }`),
    /headers.session is without/,
  ],
  [
    'a login page that is not there',
    withSections('login: { url: /a }').replace('/*', '/b/*'),
    /nobody gets to see the login page/,
  ],
  [
    'a login page that an expression may refuse',
    withRoutes(`id: x, match: { path: /in }, ${app}, allow: "has(session.a)", login: { url: /in }`),
    /is on the route x/,
  ],
  [
    'a path refused for its final slash',
    withRoutes(`id: x, match: { path: /x/ }, ${app}, auth: public`),
    /every request for \/x\/ is refused/,
  ],
  [
    'signed cookies with writeback',
    withSections(
      `session: { engine: signed_cookies, secret_key: ${LONG} }`,
      `keys: [{ id: a, secret: ${LONG} }]`,
      'upstreams: { app: { servers: ["http://a"], writeback: { allow: [a] } } }',
    ),
    /signed_cookies writeback/,
  ],
  ['notify on SQLite', withSections('database: { notify: create }'), /notify is for PostgreSQL/],
]

for (const [why, text, message] of warnings) {
  test(`a warning and no error: ${why}`, async () => {
    const found = await problemsOf(text)
    assert.deepEqual(
      found.filter(({ severity }) => severity === 'error'),
      [],
    )
    assert.ok(
      found.some((problem) => message.test(problem.message)),
      JSON.stringify(found, undefined, 2),
    )
  })
}
