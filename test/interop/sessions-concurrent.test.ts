import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { parseJsonValue } from '../../src/django/json.ts'
import { startApp } from '../support/app.ts'
import { startGateway } from '../support/gateway.ts'
import { requireServer } from '../support/requirement.ts'
import { type DjangoSettings, startDjango } from './django-project.ts'
import { sessionOf, sharedStoreYaml } from './shared-store.ts'

const django = requireServer('django')

/** Changes of one session by Django, one after the other. */
const DJANGO_CHANGES = 300

/** Requests that are under way at the gateway at once. */
const LANES = 4

const atomic: DjangoSettings = { engine: 'db', transactionMode: 'IMMEDIATE' }

const modes: { why: string; settings: DjangoSettings; isAtomic: boolean; journalMode: 'delete' | 'wal' }[] = [
  { why: 'a Django view in a transaction of its own', settings: atomic, isAtomic: true, journalMode: 'delete' },
  { why: 'such a view, in a database with WAL', settings: atomic, isAtomic: true, journalMode: 'wal' },
  {
    why: 'a stock Django view, which reads and then writes',
    settings: { engine: 'db' },
    isAtomic: false,
    journalMode: 'delete',
  },
]

for (const { why, settings, isAtomic, journalMode } of modes) {
  test(`two processes change one session on SQLite at once, the gateway and ${why}`, {
    skip: django.skip,
    timeout: 180_000,
  }, async (t) => {
    await using project = await startDjango(django.path, settings)
    await project.migrate()
    setJournalMode(project.database, journalMode)
    await using app = await startApp(({ url }) => ({
      headers: ['X-Session-Set', `{"g${url.slice(1)}":${url.slice(1)}}`],
    }))
    await using gateway = await startGateway({
      config: `
${sharedStoreYaml(project, { engine: 'db', more: 'max_bytes: 1MiB' })}
logging: { access: false }
upstreams: { app: { servers: ["${app.origin}"], include: [], writeback: { allow: ["*"] } } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`,
    })
    const key = await project.act(undefined, [['set', 'start', '1.0']])
    assert.ok(key)
    let isDjangoDone = false
    const hammering = project.hammer(key, DJANGO_CHANGES, isAtomic).finally(() => {
      isDjangoDone = true
    })
    const answered: number[] = []
    let next = 0
    let longestMs = 0
    const lane = async (): Promise<void> => {
      while (!isDjangoDone) {
        const number = next++
        const startedMs = performance.now()
        const response = await fetch(`${gateway.url}/${number}`, { headers: { Cookie: `sessionid=${key}` } })
        await response.arrayBuffer()
        assert.equal(response.status, 200)
        assert.match(response.headers.getSetCookie().join('\n'), new RegExp(`^sessionid=${key};`))
        answered.push(number)
        longestMs = Math.max(longestMs, performance.now() - startedMs)
      }
    }
    await Promise.all([hammering, ...Array.from({ length: LANES }, lane)])
    const [read] = await project.read([key])
    report({ json: read?.json ?? '', answered, isAtomic, t })
    t.diagnostic(`the longest answer took ${Math.round(longestMs)} ms`)
    assert.equal(await project.pragma('journal_mode'), journalMode)
    assert.equal(await project.pragma('integrity_check'), 'ok')
  })
}

function setJournalMode(file: string, mode: 'delete' | 'wal'): void {
  using database = new DatabaseSync(file)
  assert.equal(database.prepare(`PRAGMA journal_mode = ${mode}`).get()?.journal_mode, mode)
}

function report(end: { json: string; answered: readonly number[]; isAtomic: boolean; t: TestContext }): void {
  const { json, answered, isAtomic, t } = end
  const data = sessionOf(json)
  assert.equal(data.get('start'), '1.0', 'the text of a key that nobody touched')
  const djangoKeys = Array.from({ length: DJANGO_CHANGES }, (_, i) => `d${i}`)
  const lost = djangoKeys.filter((name, i) => parseJsonValue(data.get(name) ?? 'null') !== i)
  assert.deepEqual(lost, [], 'keys that Django stored and the gateway dropped')
  const overwritten = answered.filter((number) => data.get(`g${number}`) !== String(number))
  // Django writes back the whole of what it read: a stock view undoes what came in between, ours or another view's.
  if (isAtomic) assert.deepEqual(overwritten, [], 'keys that the gateway stored')
  assert.ok(answered.length >= LANES)
  t.diagnostic(
    `${DJANGO_CHANGES} changes by Django, all there; ${answered.length} by the gateway, ` +
      `${overwritten.length} overwritten by Django`,
  )
}
