// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorsOf, MINIMAL, withRoutes, withSections } from '../../../config/sample.ts'

const app = 'upstream: app'

const errors: [why: string, text: string, message: RegExp][] = [
  // Access
  [
    'require under public',
    withRoutes(`id: x, match: { path: /x }, ${app}, auth: public, require: [a]`),
    /require asks something/,
  ],
  [
    'allow under public',
    withRoutes(`id: x, match: { path: /x }, ${app}, auth: public, allow: "true"`),
    /allow asks something/,
  ],
  [
    'an expression that is none',
    withRoutes(`id: x, match: { path: /x }, ${app}, allow: "session.x =="`),
    /expression cannot be used/,
  ],
  [
    'an expression of another kind',
    withRoutes(`id: x, match: { path: /x }, ${app}, allow: "1 + 1"`),
    /comes out as int/,
  ],
  [
    'an expression over what there is not',
    withRoutes(`id: x, match: { path: /x }, ${app}, allow: "user.name == 1"`),
    /cannot be used/,
  ],
  [
    'required without a session',
    withRoutes(`id: x, match: { path: /x }, ${app}, session: none, auth: required`),
    /auth: required cannot be met/,
  ],
  [
    'require without a session',
    withRoutes(`id: x, match: { path: /x }, ${app}, session: none, require: [a]`),
    /require cannot be met/,
  ],
  [
    'more than the upstream permits',
    withRoutes(`id: x, match: { path: /x }, ${app}, writeback: { allow: [cart] }`),
    /does not permit "cart"/,
  ],
  [
    'a command more than the upstream permits',
    withRoutes(`id: x, match: { path: /x }, ${app}, writeback: { commands: [flush] }`),
    /does not permit "flush"/,
  ],
  // Headers
  [
    'our own header',
    withRoutes(`id: x, match: { path: /x }, ${app}, headers: { session: { X-Session-User: a } }`),
    /X-Session-User is the gateway’s own/,
  ],
  [
    'our own header, spelled differently',
    withRoutes(`id: x, match: { path: /x }, ${app}, headers: { request: { x_session_user: a } }`),
    /cannot be set/,
  ],
  [
    'a header of the connection',
    withRoutes(`id: x, match: { path: /x }, ${app}, headers: { request: { content-length: "5" } }`),
    /cannot be set/,
  ],
  [
    'the Host',
    withRoutes(`id: x, match: { path: /x }, ${app}, headers: { request: { Host: a } }`),
    /Host is the gateway’s own/,
  ],
  [
    'the Cookie',
    withRoutes(`id: x, match: { path: /x }, ${app}, headers: { request: { Cookie: a } }`),
    /Cookie is the/,
  ],
  [
    'a forwarded header',
    withRoutes(`id: x, match: { path: /x }, ${app}, headers: { session: { X-Forwarded-User: a } }`),
    /cannot be set/,
  ],
  [
    'a cookie for the browser',
    withRoutes(`id: x, match: { path: /x }, ${app}, headers: { response: { Set-Cookie: a=b } }`),
    /Set-Cookie is/,
  ],
  [
    'two spellings in one route',
    withRoutes(`id: x, match: { path: /x }, ${app}, headers: { session: { X-User: a }, request: { x_user: b } }`),
    /one header to the app/,
  ],
  [
    'two spellings in two routes',
    withRoutes(
      `id: x, match: { path: /x }, ${app}, headers: { session: { X-User: a } }`,
      `id: y, match: { path: /y }, ${app}, headers: { session: { X_User: a } }`,
    ),
    /X_User is the header X-User/,
  ],
  // Reachability
  [
    'a route behind one for everything',
    `${MINIMAL}  - { id: late, match: { path: /late }, ${app} }\n`,
    /no request can reach the route late: .* go to app/,
  ],
  [
    'the same route twice',
    withRoutes(`id: x, match: { path: /x }, ${app}`, `id: y, match: { path: /x, method: POST }, ${app}`),
    /reach the route y: .* go to x/,
  ],
  // The login
  [
    'a login page behind the wall',
    withSections('login: { url: /accounts/login }'),
    /login page \/accounts\/login is on the route app/,
  ],
  [
    'the default login page behind the wall',
    MINIMAL.replace('[/login, /login/]', '/other'),
    /login page \/login is on the route app/,
  ],
  [
    'a login page that asks for something',
    withRoutes(`id: x, match: { path: [/login, /login/] }, ${app}, require: [a]`).replace(
      'id: login, match: { path: [/login, /login/] }',
      'id: login, match: { path: [/a, /a/] }',
    ),
    /is on the route x/,
  ],
  [
    'a login page that is refused itself',
    withSections('login: { url: /a/../login }'),
    /is not the address of a login page/,
  ],
  ['a login page with a fragment', withSections('login: { url: "/login#x" }'), /is not the address of a login page/],
  [
    'a login page on a host that is none',
    withSections('login: { url: "//evil.example/login" }'),
    /is not the address of a login page/,
  ],
  [
    'a login page in another protocol',
    withSections('login: { url: "javascript:alert(1)" }'),
    /is not the address of a login page/,
  ],
  [
    'the login page of one route',
    withRoutes(`id: x, match: { path: /x }, ${app}, auth: required, login: { url: /x/login }`),
    /login page \/x\/login is on the route app/,
  ],
  [
    'our own login page by its whole address',
    withRoutes(
      `id: x, match: { host: app.example.com, path: /x }, ${app}, auth: required, login: { url: "https://app.example.com/x" }`,
    ),
    /login page \/x is on the route x/,
  ],
  // Rewriting
  [
    'a prefix that ends with a slash',
    withRoutes(`id: x, match: { path: /x/* }, ${app}, auth: required, rewrite: { strip_prefix: /x/ }`),
    /"\/x\/" is not a prefix: it ends with a slash/,
  ],
  [
    'a prefix that is no path',
    withRoutes(`id: x, match: { path: /x/* }, ${app}, auth: required, rewrite: { add_prefix: x }`),
    /"x" is not a prefix: a path begins with/,
  ],
  [
    'a prefix that climbs',
    withRoutes(`id: x, match: { path: /x/* }, ${app}, auth: required, rewrite: { add_prefix: /../x }`),
    /is not a prefix: .*dot segments/,
  ],
  [
    'a prefix that not all paths of the route have',
    withRoutes(`id: x, match: { path: [/x/*, /y] }, ${app}, auth: required, rewrite: { strip_prefix: /x }`),
    /takes \/y, which does not begin with "\/x"/,
  ],
  [
    'rewriting what can be read in several ways',
    withRoutes(
      `id: x, match: { path: /x/* }, ${app}, auth: required, ambiguous_paths: allow, rewrite: { strip_prefix: /x }`,
    ),
    /ambiguous_paths: allow and rewrite exclude each other/,
  ],
]

for (const [why, text, message] of errors) {
  test(`an error: ${why}`, async () => {
    const found = await errorsOf(text)
    const problem = found.find((candidate) => message.test(candidate.message))
    assert.ok(problem, JSON.stringify(found, undefined, 2))
    assert.ok(problem.hint, 'the way out')
    assert.ok(problem.excerpt, 'the line')
  })
}
