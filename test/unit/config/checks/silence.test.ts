// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { MINIMAL, problemsOf, withRoutes, withSections } from '../../../config/sample.ts'

const LONG = 'k'.repeat(32)
const files = {
  '/s/long': `${LONG}\n`,
  '/s/ed25519': String(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })),
}

const app = 'upstream: app'

const fine: [why: string, text: string][] = [
  ['the minimal file', MINIMAL],
  ['TLS in front of it', withSections('session: {}', 'trusted_proxies: [10.0.0.0/8, "fd00::/8", 10.1.2.3, unix]')],
  ['Redis for something else', withSections('caches: { default: { backend: redis, url: "redis://127.0.0.1" } }')],
  [
    'PostgreSQL for something else',
    withSections(
      'session: { engine: file, file_path: ./var, cookie_secure: true }',
      'database: { url: "postgres://h/d" }',
    ),
  ],
  [
    'a route that narrows',
    withSections('upstreams: { app: { servers: ["http://a"], writeback: { allow: ["*"] } } }').replace(
      'auth: required',
      'auth: required, writeback: { allow: [cart], commands: [expiry] }',
    ),
  ],
  [
    'a key for EdDSA',
    withSections('signing: { algorithm: EdDSA }', 'keys: [{ id: a, private_key: "${file:/s/ed25519}" }]'),
  ],
  ['several keys', withSections(`keys: [{ id: a, secret: ${LONG} }, { id: b, secret: "\${file:/s/long}" }]`)],
  ['a login page on another host', withSections('login: { url: "https://login.example.com/in?app=1" }')],
  [
    'no login page where programs get a status',
    MINIMAL.replace('[/login, /login/]', '/other').replace('auth: required', 'auth: required, on_deny: status'),
  ],
  [
    'the same header in two routes',
    withRoutes(
      `id: x, match: { path: [/x, /x/] }, ${app}, auth: required, headers: { session: { X-User: a } }`,
      `id: y, match: { path: [/y, /y/] }, ${app}, auth: required, headers: { request: { x-user: a } }`,
    ),
  ],
  ['a host below a wildcard', withSections('hosts: ["*.example.com"]').replace('path: /*', 'host: a.example.com')],
  ['no listener for the operator', withSections('admin: off')],
  ['no listener for the operator, said otherwise', withSections('admin: { listen: off }')],
]

for (const [why, text] of fine) {
  test(`nothing to say but that the login is open: ${why}`, async () => {
    const found = await problemsOf(text, { files })
    const others = found.filter(({ message }) => !/is open to strangers \((auth: public)\)/.test(message))
    assert.deepEqual(others, [])
  })
}
