// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { errorsOf, withSections } from '../../../config/sample.ts'

const LONG = 'k'.repeat(32)
const files = {
  '/s/long': `${LONG}\n`,
  '/s/long-with-two-newlines': `${LONG}\n\n`,
  '/s/short': 'short\n',
  '/s/ed25519': pem('ed25519'),
  '/s/rsa': generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  }) as string,
}

function pem(kind: 'ed25519'): string {
  return generateKeyPairSync(kind).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

const errors: [why: string, text: string, message: RegExp][] = [
  // The cookie
  [
    'SameSite=None without Secure',
    withSections('session: { cookie_samesite: None }'),
    /SameSite=None unless it is Secure/,
  ],
  [
    '__Host- without Secure',
    withSections('session: { cookie_name: __Host-sid }'),
    /called "__Host-sid" unless it is Secure/,
  ],
  ['__secure- in another case', withSections('session: { cookie_name: __secure-sid }'), /unless it is Secure/],
  [
    '__Host- with a path',
    withSections('session: { cookie_name: __Host-sid, cookie_secure: true, cookie_path: /a }'),
    /__Host- cookie/,
  ],
  [
    '__Host- with a domain',
    withSections('session: { cookie_name: __Host-sid, cookie_secure: true, cookie_domain: a.b }'),
    /__Host- cookie/,
  ],
  // Secrets
  ['a short secret', withSections('keys: [{ id: a, secret: "${file:/s/short}" }]'), /secret of key a is too short/],
  [
    'a secret with a newline of its own',
    withSections('keys: [{ id: a, secret: "${file:/s/long-with-two-newlines}" }]'),
    /line break/,
  ],
  [
    'both kinds of key',
    withSections(`keys: [{ id: a, secret: ${LONG}, private_key: "\${file:/s/ed25519}" }]`),
    /both a secret and/,
  ],
  ['neither kind of key', withSections('keys: [{ id: a }]'), /key a has no secret/],
  [
    'a secret for EdDSA',
    withSections('signing: { algorithm: EdDSA }', `keys: [{ id: a, secret: ${LONG} }]`),
    /has no private_key/,
  ],
  ['a private key for HS256', withSections('keys: [{ id: a, private_key: "${file:/s/ed25519}" }]'), /has no secret/],
  [
    'a private key that is none',
    withSections('signing: { algorithm: EdDSA }', 'keys: [{ id: a, private_key: "${file:/s/long}" }]'),
    /not PKCS#8 PEM/,
  ],
  [
    'a private key of another kind',
    withSections('signing: { algorithm: ES256 }', 'keys: [{ id: a, private_key: "${file:/s/rsa}" }]'),
    /needs prime256v1/,
  ],
  [
    'a second key that is no good',
    withSections(`keys: [{ id: a, secret: ${LONG} }, { id: b, secret: short }]`),
    /secret of key b/,
  ],
  ['no key for EdDSA', withSections('signing: { algorithm: EdDSA }'), /EdDSA needs a private key/],
  [
    'a shared database without a secret key',
    withSections('database: { url: "postgres://h/d" }'),
    /secret_key is missing, and PostgreSQL/,
  ],
  [
    'a shared database without keys',
    withSections('database: { url: "postgres://h/d" }'),
    /keys are missing, and PostgreSQL/,
  ],
  [
    'a shared cache without keys',
    withSections('session: { engine: cache }', 'caches: { default: { backend: redis } }'),
    /keys are missing, and redis/,
  ],
  [
    'memcached without a secret key',
    withSections('session: { engine: cached_db }', 'caches: { default: { backend: memcached, url: "h:11211" } }'),
    /secret_key is missing, and memcached/,
  ],
  [
    'a shared store to move from, without a secret key',
    withSections('session: { read_also: { engine: db, database: { url: "postgres://h/d" } } }'),
    /secret_key is missing, and PostgreSQL/,
  ],
  ['signed cookies without a secret key', withSections('session: { engine: signed_cookies }'), /secret_key is missing/],
]

for (const [why, text, message] of errors) {
  test(`an error: ${why}`, async () => {
    const found = await errorsOf(text, { files })
    const problem = found.find((candidate) => message.test(candidate.message))
    assert.ok(problem, JSON.stringify(found, undefined, 2))
    assert.ok(problem.hint, 'the way out')
    assert.ok(problem.excerpt, 'the line')
  })
}
