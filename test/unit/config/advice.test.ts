import assert from 'node:assert/strict'
import { test } from 'node:test'
import { adviceOn } from '../../../src/config/advice.ts'
import { loadText, withSections } from '../../config/sample.ts'

const SECRET = 'k'.repeat(50)

async function adviceFor(database: string, session = 'engine: db'): Promise<string[]> {
  const { config } = await loadText(
    withSections(
      `session: { cookie_secure: true, secret_key: ${SECRET}, ${session} }`,
      `keys: [{ id: a, secret: ${SECRET} }]`,
      `database: { ${database} }`,
      'caches: { default: { backend: redis, url: "redis://redis" } }',
    ),
  )
  return adviceOn(config)
}

const postgres = 'url: "postgres://u:hunter2@10.0.0.5/shop"'

test('whoever has sessions in PostgreSQL is told the SQL of the trigger, and no secret', async () => {
  const [advice, ...more] = await adviceFor(postgres)
  assert.ok(advice)
  assert.match(advice, /database\.notify: create/)
  assert.match(advice, /CREATE TRIGGER [^;]+ ON django_session/)
  assert.ok(!advice.includes('hunter2'))
  assert.deepEqual(more, [])
})

const silent: [why: string, database: string, session?: string][] = [
  ['where the gateway makes it', `${postgres}, notify: create`],
  ['where no session is kept in the process', postgres, 'engine: db, local_cache: null'],
  ['behind PgBouncer, where it would not help', `${postgres}, pgbouncer: true`],
  ['on SQLite, which needs none', 'url: "sqlite:./db.sqlite3"'],
  ['with cached_db, whose cache tells', postgres, 'engine: cached_db'],
  ['with another engine', postgres, 'engine: cache'],
]

for (const [why, database, session] of silent) {
  test(`nobody is told of a trigger ${why}`, async () => {
    assert.deepEqual(await adviceFor(database, session), [])
  })
}
