import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exampleEnv, exampleFiles, exampleSecrets } from './example-files.ts'
import { loadText } from './sample.ts'

const files = exampleSecrets()

/** What each may be warned of; the rest would be a mistake in the example. */
const permitted: readonly RegExp[] = [
  /is open to strangers \((auth: public|session: none)\)/,
  /^plain http with cookie_secure: auto/,
]

const permittedIn: Readonly<Record<string, readonly RegExp[]>> = {
  'config/examples/minimal.yaml': [/open to strangers/, /^no host is named/],
  'config/examples/observe-first.yaml': [/^mode: observe/],
  'config/examples/memcached.yaml': [/^memcached drops sessions/],
}

const loadable = exampleFiles()

test('there are examples', () => {
  assert.ok(loadable.length >= 13)
})

for (const { name, text } of loadable) {
  test(`${name} loads, and is warned of nothing that it does not mean`, async () => {
    const { config, warnings } = await loadText(text, { env: exampleEnv, files })
    assert.ok(config.routes.length > 0)
    const unexpected = warnings.filter(
      ({ message }) => ![...permitted, ...(permittedIn[name] ?? [])].some((pattern) => pattern.test(message)),
    )
    assert.deepEqual(unexpected, [])
  })
}

test('the demo runs without anything around it', async () => {
  const demo = loadable.find(({ name }) => name === 'config/sessiongate.yaml')
  const { config } = await loadText(demo?.text ?? '')
  assert.equal(config.session.secretKey.generated, true)
  assert.equal(config.signing.keys.generated, true)
  assert.equal(config.session.engine.kind, 'db')
  assert.deepEqual(
    config.routes.map(({ id, access, usesSession }) => [id, access.auth, usesSession]),
    [
      ['static', 'optional', false],
      ['login', 'public', true],
      ['logout', 'public', true],
      ['app', 'required', true],
    ],
  )
  assert.equal(config.routes.at(-1)?.headers.session.get('X-User-Name'), 'userInfo.name')
})

const engines: readonly (readonly [name: string, kind: string, store: string])[] = [
  ['django-sqlite', 'db', 'sqlite'],
  ['django-postgres', 'db', 'postgres'],
  ['django-redis', 'cache', 'redis'],
  ['redis-sentinel', 'cache', 'redis-sentinel'],
  ['redis-cluster', 'cache', 'redis-cluster'],
  ['memcached', 'cache', 'memcached'],
  ['cached-db', 'cached_db', 'postgres and redis'],
]

for (const [name, kind, store] of engines) {
  test(`${name}.yaml stands on ${store}`, async () => {
    const example = loadable.find((file) => file.name === `config/examples/${name}.yaml`)
    const { engine } = (await loadText(example?.text ?? '', { env: exampleEnv, files })).config.session
    const stores = [
      ...('database' in engine ? [engine.database.kind] : []),
      ...('cache' in engine ? [engine.cache.kind] : []),
    ]
    assert.deepEqual([engine.kind, stores.join(' and ')], [kind, store])
  })
}
