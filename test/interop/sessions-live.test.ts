import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { request } from 'undici'
import { type AppHandler, startApp, type TestApp } from '../support/app.ts'
import { createJarBrowser, type JarBrowser } from '../support/browser-jar.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { requireServer } from '../support/requirement.ts'
import { type DjangoProject, startDjango } from './django-project.ts'
import { sharedStoreYaml } from './shared-store.ts'

const django = requireServer('django')

/** A Django site and a Node app behind one gateway, over Django's own SQLite file. */
interface Stage extends AsyncDisposable {
  readonly project: DjangoProject
  readonly gateway: TestGateway
  readonly app: TestApp
}

/** What a page of `django_site.py` says. */
interface Page {
  readonly user: string
  readonly key: string | null
  readonly data: Readonly<Record<string, unknown>>
}

/** The Node app answers with the headers that the request's `Say` names, and with what it is told. */
const obedient: AppHandler = ({ values, claims }) => ({
  headers: values('Say').flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  body: JSON.stringify(claims()),
})

async function openStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const project = stack.use(await startDjango(django.path, { engine: 'db' }))
  await project.migrate()
  await project.createUser('alice')
  const app = stack.use(await startApp(obedient))
  const gateway = stack.use(
    await startGateway({
      config: `
${sharedStoreYaml(project, { engine: 'db', more: 'auth_key: _auth_user_id' })}
upstreams:
  site: { servers: ["${await project.site()}"], session_cookie: pass, include: [], writeback: { allow: ["*"] } }
  node: { servers: ["${app.origin}"], include: [_auth_user_id, cart], writeback: { allow: ["*"] } }
routes:
  - { id: private, match: { path: /private }, upstream: site, auth: required }
  - { id: node, match: { path: /node/* }, upstream: node, auth: optional }
  - { id: site, match: { path: /* }, upstream: site, auth: optional }
`,
    }),
  )
  const closing = stack.move()
  return { project, gateway, app, [Symbol.asyncDispose]: () => closing.disposeAsync() }
}

describe('a Django site behind the gateway, beside an app that is none', {
  skip: django.skip,
  timeout: 120_000,
}, () => {
  let stage: Stage
  let browser: JarBrowser
  before(async () => {
    stage = await openStage()
  })
  after(async () => {
    await stage?.[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    browser = createJarBrowser(stage.gateway.url)
  })

  async function page(path: string): Promise<Page> {
    const { status, text } = await browser.fetch(path)
    assert.equal(status, 200, `${path}: ${text}`)
    return JSON.parse(text) as Page
  }

  async function say(
    line: string,
  ): Promise<{ auth: boolean; ses: Record<string, unknown>; setCookies: readonly string[] }> {
    const answer = await browser.fetch('/node/', { headers: { Say: line } })
    assert.equal(answer.status, 200, answer.text)
    return {
      ...(JSON.parse(answer.text) as { auth: boolean; ses: Record<string, unknown> }),
      setCookies: answer.setCookies,
    }
  }

  /** The status of the guarded page for whoever has this key, and none of the browser's cookies. */
  async function statusFor(key: string | undefined): Promise<number> {
    const response = await fetch(`${stage.gateway.url}/private`, {
      headers: { Cookie: `sessionid=${key}`, Accept: 'application/json' },
    })
    await response.arrayBuffer()
    return response.status
  }

  test('a login in Django opens the gateway’s rule, and its log-out closes it', async () => {
    // Not with fetch, which says of itself that it is no navigation.
    const asked = await request(`${stage.gateway.url}/private`, { headers: { Accept: 'text/html' } })
    await asked.body.dump()
    assert.deepEqual([asked.statusCode, asked.headers.location], [302, '/login?next=%2Fprivate'])
    const anonymous = (await page('/put?cart=%5B1.0%5D')).key
    await page('/login?user=alice')
    const key = await browser.cookie('sessionid')
    assert.notEqual(key, anonymous, 'Django cycles the key at a login')
    assert.equal((await page('/private')).user, 'alice')
    assert.deepEqual((await say('X-Nothing: x')).ses, { cart: [1], _auth_user_id: '1' })
    assert.equal(await statusFor(anonymous ?? ''), 401)

    await page('/logout')
    assert.equal(await browser.cookie('sessionid'), undefined)
    assert.equal(await statusFor(key), 401)
    assert.equal((await browser.fetch('/private')).status, 401)
  })

  test('what the other app stores, Django’s views see, and nobody is logged out by it', async () => {
    await page('/login?user=alice')
    const { setCookies } = await say('X-Session-Set: {"cart":{"n":12345678901234567890,"zo\\u00eb":"\\ud800"}}')
    assert.equal(setCookies.length, 1)
    const { user, data } = await page('/private')
    assert.equal(user, 'alice')
    assert.deepEqual(Object.keys(data).toSorted(), ['_auth_user_backend', '_auth_user_hash', '_auth_user_id', 'cart'])
    const [read] = await stage.project.read([(await browser.cookie('sessionid')) ?? ''])
    assert.ok(read?.json.endsWith('"cart":{"n":12345678901234567890,"zo\\u00eb":"\\ud800"}}'), read?.json ?? 'nothing')
  })

  test('a session that Django flushes elsewhere is refused at the next request', async () => {
    await page('/login?user=alice')
    const key = (await browser.cookie('sessionid')) ?? ''
    assert.equal(await statusFor(key), 200)
    await stage.project.act(key, [['flush']])
    const refused = await browser.fetch('/private')
    assert.equal(refused.status, 401)
    assert.match(refused.setCookies.join('\n'), /^sessionid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; .*Max-Age=0;/)
    assert.equal(await browser.cookie('sessionid'), undefined)
  })

  test('cycle_key in Django: the old key is dead at the gateway, the new one lives', async () => {
    await page('/login?user=alice')
    const old = await browser.cookie('sessionid')
    await page('/cycle')
    const fresh = await browser.cookie('sessionid')
    assert.notEqual(fresh, old)
    assert.deepEqual([await statusFor(old), await statusFor(fresh)], [401, 200])
  })

  test('cycle-key at the gateway: the old key is dead in Django, the new one has the same data', async () => {
    await page('/login?user=alice')
    const old = (await browser.cookie('sessionid')) ?? ''
    const [before] = await stage.project.read([old])
    await say('X-Session-Command: cycle-key')
    const fresh = (await browser.cookie('sessionid')) ?? ''
    const [gone, now] = await stage.project.read([old, fresh])
    assert.deepEqual([gone?.found, gone?.stored, now?.found], [false, null, true])
    assert.equal(now?.json, before?.json)
    assert.equal((await page('/private')).user, 'alice')
    await say('X-Session-Command: flush')
    assert.equal((await stage.project.read([fresh]))[0]?.stored, null)
    assert.equal(await statusFor(fresh), 401)
  })

  test('a command beside Django’s own change of the key applies to Django’s new session', async () => {
    await page('/put?old=1')
    const old = (await browser.cookie('sessionid')) ?? ''
    const query = new URLSearchParams({ set: '{"a":1}', cycle: '1', 'X-Session-Set': '{"b":2.0}' })
    const answer = await browser.fetch(`/say?${query}`)
    assert.equal(answer.setCookies.length, 1, 'Django’s own cookie, and no second one')
    const { key } = JSON.parse(answer.text) as Page
    assert.equal(await browser.cookie('sessionid'), key)
    const reads = await stage.project.read([old, key ?? ''])
    assert.deepEqual(
      reads.map(({ json }) => json),
      ['{}', '{"old":1,"a":1,"b":2.0}'],
    )
  })

  test('where the gateway cycles once more, its cookie goes out in the place of Django’s', async () => {
    await page('/put?old=1')
    const answer = await browser.fetch('/say?set=%7B%22a%22%3A1%7D&X-Session-Command=cycle-key')
    const { key } = JSON.parse(answer.text) as Page
    const fresh = (await browser.cookie('sessionid')) ?? ''
    assert.equal(answer.setCookies.length, 1)
    assert.notEqual(fresh, key)
    const reads = await stage.project.read([key ?? '', fresh])
    assert.deepEqual(
      reads.map(({ stored, json }) => [stored === null, json]),
      [
        [true, '{}'],
        [false, '{"old":1,"a":1}'],
      ],
    )
  })

  test('Django’s log-out in an answer with commands: nothing is brought back', async () => {
    await page('/login?user=alice')
    const key = (await browser.cookie('sessionid')) ?? ''
    const keysBefore = await stage.project.keys()
    const answer = await browser.fetch('/say?flush=1&X-Session-Set=%7B%22a%22%3A1%7D')
    assert.equal(answer.status, 200)
    assert.equal(await browser.cookie('sessionid'), undefined)
    assert.equal(await statusFor(key), 401)
    assert.deepEqual(
      await stage.project.keys(),
      keysBefore.filter((one) => one !== key),
    )
  })
})
