// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorsOf, withRoutes, withSections } from '../../../config/sample.ts'

const LONG = 'k'.repeat(32)
const app = 'upstream: app'

const errors: [why: string, text: string, message: RegExp][] = [
  // Listeners
  [
    'an address that cannot be opened',
    withSections('listen: [{ address: "127.0.0.1:99999" }]'),
    /"127.0.0.1:99999" is not an address/,
  ],
  [
    'two listeners on one address',
    withSections('listen: [{ address: ":80" }, { address: ":80" }]'),
    /taken by another listener/,
  ],
  [
    'the operator’s listener on that of the browsers',
    withSections('admin: { listen: 127.0.0.1:8080 }'),
    /taken by another/,
  ],
  [
    'a listener on an address of all interfaces',
    withSections('probes: { listen: "0.0.0.0:9901" }'),
    /taken by another/,
  ],
  [
    'the PROXY protocol with nobody to speak it',
    withSections('listen: [{ address: ":80", proxy_protocol: true }]'),
    /proxy_protocol takes connections from trusted_proxies only/,
  ],
  [
    'the PROXY protocol on a port, and only a socket is trusted',
    withSections('listen: [{ address: ":80", proxy_protocol: true }]', 'trusted_proxies: [unix]'),
    /proxy_protocol takes connections from trusted_proxies only/,
  ],
  // Names
  [
    'an upstream that is not there',
    withRoutes(`id: x, match: { path: /x }, upstream: ap`),
    /there is no upstream "ap"/,
  ],
  ['two routes of one id', withRoutes(`id: app, match: { path: /x }, ${app}`), /two of the routes have the id "app"/],
  [
    'two keys of one id',
    withSections(`keys: [{ id: a, secret: ${LONG} }, { id: a, secret: ${LONG} }]`),
    /two of the keys/,
  ],
  [
    'a cache that is not there',
    withSections('session: { engine: cache, cookie_secure: true }'),
    /needs caches.default/,
  ],
  [
    'a cache of another name',
    withSections('session: { engine: cache, cache_alias: deflaut }', 'caches: { default: { backend: memory } }'),
    /needs caches.deflaut/,
  ],
  // Patterns
  [
    'a served host with a port',
    withSections('hosts: [app.example.com, "b.example.com:8080"]'),
    /the host "b.example.com:8080"/,
  ],
  ['a wildcard in the middle', withSections('hosts: [app.example.com, app.*.com]'), /the host "app.\*.com"/],
  ['everybody as a proxy', withSections('trusted_proxies: [0.0.0.0/0]'), /"0.0.0.0\/0" trusts everybody/],
  ['everybody as a proxy, IPv6', withSections('trusted_proxies: ["::/0"]'), /trusts everybody/],
  ['a network that is none', withSections('trusted_proxies: [10.0.0.0/33]'), /longer than 32/],
  ['a name as a proxy', withSections('trusted_proxies: [nginx]'), /"nginx" is neither an address/],
  ['an allowed host with a scheme', withSections('login: { allowed_hosts: ["https://a.example"] }'), /is not a host/],
  ['an allowed host with a wildcard', withSections('login: { allowed_hosts: ["*.example.com"] }'), /is not a host/],
  ['a path without slash', withRoutes(`id: x, match: { path: admin }, ${app}`), /the path "admin"/],
  ['a star in the middle', withRoutes(`id: x, match: { path: /a/*/b }, ${app}`), /the path "\/a\/\*\/b"/],
  ['a query', withRoutes(`id: x, match: { path: "/a?b" }, ${app}`), /the path "\/a\?b"/],
  ['a dot segment', withRoutes(`id: x, match: { path: /a/../b }, ${app}`), /the path "\/a\/..\/b"/],
  ['a method in lower case', withRoutes(`id: x, match: { path: /x, method: get }, ${app}`), /the method "get"/],
  [
    'a method that is never forwarded',
    withRoutes(`id: x, match: { path: /x, method: TRACE }, ${app}`),
    /the method "TRACE"/,
  ],
  [
    'a route for a host that is not served',
    withRoutes(`id: x, match: { host: b.example.com }, ${app}`),
    /not among the hosts that are served/,
  ],
  [
    'a route for more hosts than are served',
    withRoutes(`id: x, match: { host: "*.example.com" }, ${app}`),
    /not among the hosts/,
  ],
  [
    'an origin with a path',
    withRoutes(`id: x, match: { path: /x }, ${app}, websocket: { origins: ["https://a.example/"] }`),
    /is not an origin/,
  ],
  ['any origin', withRoutes(`id: x, match: { path: /x }, ${app}, websocket: { origins: ["*"] }`), /is not an origin/],
  // Upstreams
  [
    'a server with a path',
    withSections('upstreams: { app: { servers: ["http://a/b"] } }'),
    /is not the address of an app/,
  ],
  [
    'a reserved name',
    withSections('upstreams: { app: { servers: ["http://a"], writeback: { allow: [_gw] } } }'),
    /"_gw" is reserved/,
  ],
  [
    'a name of JavaScript’s',
    withSections('upstreams: { app: { servers: ["http://a"], writeback: { allow: [constructor] } } }'),
    /is reserved/,
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
