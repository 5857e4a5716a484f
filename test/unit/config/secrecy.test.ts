// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatProblems } from '../../../src/config/problem.ts'
import { withoutCredentials } from '../../../src/config/sensitivity.ts'
import { MINIMAL, problemsOf } from '../../config/sample.ts'

const CANARY = 'hunter2-canary-value'

const PEM = `-----BEGIN PRIVATE KEY-----
      MC4CAQAwBQYDK2VwBCIEIF${'canary'.repeat(6)}
      -----END PRIVATE KEY-----`

/** Files with a mistake on the very line of a secret, or in the secret itself. */
const files: [where: string, text: string][] = [
  ['under a known key', `secret_key: ${CANARY}\nunknown: 1`],
  ['on the line of a mistake', `session: { secret_key: ${CANARY}, engin: db }`],
  ['before the mistake', `keys: [{ id: 5, secret: ${CANARY} }]`],
  ['in quotes', `keys: [{ id: 5, secret: "${CANARY}" }]`],
  ['in a list', `session: { secret_key_fallbacks: [${CANARY}, 5], engin: db }`],
  ['as a mapping', `session: { secret_key: { text: ${CANARY} } }`],
  ['under a misspelt key', `session: { secrt_key: ${CANARY} }`],
  ['under a key that means the same', `session: { password: ${CANARY} }`],
  ['under an unknown key with a swap', `keys: [{ id: a, sercet: ${CANARY} }]`],
  ['written twice', `session: { secret_key: a, secret_key: ${CANARY} }`],
  ['in the URL of a database', `database: { url: "postgres://user:${CANARY}@host/db" }`],
  ['with slashes and signs', `database: { url: "postgres://user:a/b@${CANARY}@host/db", x: 1 }`],
  ['in the URL of a cache', `caches: { a: { backend: rdis, url: "redis://:${CANARY}@host" } }`],
  [
    'in one of the URLs of a cache',
    `caches: { a: { backend: redis, url: ["redis://h", "redis://u:${CANARY}@host/x"] } }`,
  ],
  ['in a URL that cannot be read', `caches: { a: { backend: redis, url: "redis://:%${CANARY}#@host" } }`],
  ['in an address without a scheme', `caches: { a: { backend: memcached, url: "u:${CANARY}@host:11211" } }`],
  ['behind the question mark of a cache', `caches: { a: { backend: redis, url: "redis://h?password=${CANARY}" } }`],
  ['behind that of a socket', `caches: { a: { backend: redis, url: "unix:/r.sock?password=${CANARY}" } }`],
  ['behind that of a database', `database: { url: "postgres://h/d?password=${CANARY}" }`],
  ['with a question mark', `database: { url: "postgres://u:1?a&hunter2@h/d" }`],
  ['with a blank', `database: { url: "postgres://u:a ${CANARY}@h/d" }`],
  ['with a quote', `caches: { a: { backend: redis, url: "redis://:a'${CANARY}@h" } }`],
  ['behind what could be a port', `database: { url: "postgres://u:42/${CANARY}@h/d" }`],
  ['behind what could be a port, with no database', `database: { url: "postgres://u:42/${CANARY}@h" }`],
  ['behind what could be the port of a cache', `caches: { a: { backend: redis, url: "redis://u:42/${CANARY}@h/1" } }`],
  ['with a number sign', `database: { url: "postgres://u:#${CANARY}@h/d" }`],
  ['under password', `caches: { a: { backend: redis, password: ${CANARY}, urll: x } }`],
  ['under sentinel_password', `caches: { a: { backend: redis, url: "redis://h", sentinel_password: ${CANARY} } }`],
  [
    'in the database to move from',
    `session: { read_also: { engine: db, database: { url: "postgres://u:${CANARY}@h" } } }`,
  ],
  ['in the URL of an app', `upstreams: { a: { servers: ["http://u:${CANARY}@host"] } }`],
  ['in the URL of a login', `login: { url: "https://u:${CANARY}@host/" }`],
  ['in a default', `session: { secret_key: "\${NOBODY:-${CANARY}}", engin: db }`],
  ['as an alias', `x-a: &a ${CANARY}\nsession: { secret_key: *a, engin: *a }`],
  ['as the token of the operator', `admin: { token: ${CANARY}, lisen: 1 }`],
  ['in a header for the app', `routes: [{ headers: { request: { Authorization: "${CANARY}\\u0001" } } }]`],
  ['in text that is no YAML', `session:\n  secret_key: "${CANARY}\n  other: [`],
  ['on a broken line', `keys: [{ id: a, secret: ${CANARY} }\nx: ]`],
  ['under a merge key', `session: { <<: { secret_key: ${CANARY} } }`],
  ['under a tag', `session: { secret_key: !x ${CANARY} }`],
]

for (const [where, text] of files) {
  test(`no message shows a literal secret ${where}`, async () => {
    const shown = formatProblems(
      await problemsOf(`${MINIMAL.replace('session: { cookie_secure: true }\n', '')}\n${text}`),
    )
    assert.notEqual(shown, '')
    assert.ok(!shown.includes('hunter2'), shown)
  })
}

test('no message shows a private key, in whichever line the mistake is', async () => {
  const block = `keys:\n  - id: a\n    private_key: |\n      ${PEM}\n    unknown: 1\nsigning: { algorithm: EdDSA }\n`
  for (const text of [block, `${block}broken: [`, block.replace('private_key: |', 'private_key: "|')]) {
    const shown = formatProblems(await problemsOf(`${MINIMAL}${text}`))
    assert.notEqual(shown, '')
    assert.ok(!shown.includes('canary'), shown)
  }
})

const everyString = [
  'hosts: ["${V} "]',
  'listen: [{ address: "${V}" }]',
  'trusted_proxies: ["${V}"]',
  'mode: ${V}',
  'session: { engine: "${V}" }',
  'session: { cookie_name: "a ${V}" }',
  'session: { cookie_age: "${V}" }',
  'session: { max_bytes: "${V}" }',
  'session: { cookie_secure: "${V}" }',
  'database: { url: "${V}" }',
  'database: { url: "postgres://u:${V}#@h/d" }',
  'caches: { a: { backend: redis, url: "${V}" } }',
  'caches: { a: { backend: memcached, url: "${V}@h" } }',
  'caches: { a: { backend: redis, url: "redis://h/${V}" } }',
  'caches: { a: { backend: memcached, url: "h", password: "${V}" } }',
  'keys: [{ id: a, secret: "${SHORT}" }]',
  'keys: [{ id: a, private_key: "${V}" }]\nsigning: { algorithm: EdDSA }',
  'login: { url: "${V}" }',
  'login: { allowed_hosts: ["${V} "] }',
  'workers: ${V}',
  'signing: { ttl: "${V}" }',
]

for (const line of everyString) {
  test(`no message shows what came in by ${line.split('\n', 1)[0]}`, async () => {
    const [key = ''] = line.split(':', 1)
    const rest = MINIMAL.split('\n').filter((written) => !written.startsWith(`${key}:`))
    const shown = formatProblems(
      await problemsOf(`${rest.join('\n')}${line}\n`, { env: { V: CANARY, SHORT: 'hunter2' } }),
    )
    assert.match(shown, /error/)
    assert.ok(!shown.includes('hunter2'), shown)
    assert.ok(shown.includes('${'), 'the excerpt shows the text of the file')
  })
}

const inRoutes = [
  'id: "${V} "',
  'upstream: "${V}"',
  'match: { path: "${V}" }',
  'match: { host: "${V}" }',
  'match: { method: "${V}" }',
  'auth: ${V}',
  'require: [".${V}"]',
  'allow: "${V} =="',
  'writeback: { allow: ["${V}"] }',
  'headers: { request: { X-A: "${V}\\t" } }',
  'headers: { session: { X-A: ".${V}" } }',
  'limits: { body: "${V}" }',
  'websocket: { origins: ["${V}"] }',
  'websocket: ${V}',
  'login: { url: "${V}" }',
]

for (const line of inRoutes) {
  test(`no message shows what came into a route by ${line}`, async () => {
    const defaults = ['id: planted', 'match: { path: /planted }', 'upstream: app', 'auth: public']
    const others = defaults.filter((written) => written.split(':', 1)[0] !== line.split(':', 1)[0])
    const text = MINIMAL.replace('routes:\n', `routes:\n  - ${[line, ...others].join('\n    ')}\n`)
    const shown = formatProblems(await problemsOf(text, { env: { V: CANARY } }))
    assert.match(shown, /error/)
    assert.ok(!shown.includes('hunter2'), shown)
  })
}

test('a text of a megabyte is looked through for credentials in no time', { timeout: 20_000 }, () => {
  for (const piece of ['a', ':', '?pass', '@', ':a@', '://a', '&key=']) {
    const text = piece.repeat(200_000)
    assert.ok(withoutCredentials(text).length <= text.length * 2)
  }
})

test('credentials are masked in every URL of a text, whatever the password holds', () => {
  assert.equal(withoutCredentials('a://u:p@h b://x/y c://p@q@r'), 'a://***@h b://x/y c://***@r')
  assert.equal(withoutCredentials('{url: u:p@h:1, x?password=p&y=1}'), '{url: ***@h:1, x?password=***&y=1}')
  assert.equal(withoutCredentials('http://[::1]:80/ and name@host'), 'http://[::1]:80/ and name@host')
})
