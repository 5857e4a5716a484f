import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { loadConfig } from '../../src/config/loading.ts'
import { type Explanation, explainRequest } from '../../src/explanation.ts'
import { openRows, openStage, type Stage } from '../security/stage.ts'
import { type Answered, type Asked, ask, cookieOf, navigation } from './contract-client.ts'

const script = { Accept: 'application/json' }

describe('what a route asks, end to end', () => {
  let stage: Stage
  let staff = ''
  let guest = ''
  let anonymous = ''

  const send = (path: string, asked: Asked = {}): Promise<Answered> =>
    ask({ port: stage.gateway.port, path, ...asked, headers: { Host: 'app.example.com', ...asked.headers } })
  const status = async (path: string, Cookie?: string, headers: Asked['headers'] = script): Promise<number> =>
    (await send(path, { headers: { ...headers, ...(Cookie === undefined ? {} : { Cookie }) } })).status
  const session = async (json: string): Promise<string> =>
    cookieOf(await send('/open', { headers: { Say: `X-Session-Set: ${json}` } }))
  const metrics = async (): Promise<string> => (await fetch(`${stage.gateway.operatorUrl}/metrics`)).text()

  before(async () => {
    stage = await openStage(`
hosts: [app.example.com, "*.shop.example.com"]
upstreams: { app: { servers: ["APP"], writeback: { allow: ["*"] } } }
routes:
  - { id: open, match: { path: /open }, upstream: app, auth: public }
  - { id: login, match: { path: [/login, /signin] }, upstream: app, auth: public }
  - { id: need, match: { path: /need }, upstream: app, require: [userInfo.is_staff, flags.0] }
  - id: cel
    match: { path: "/cel/*" }
    upstream: app
    auth: required
    allow: >-
      session.userInfo.role in ["ops", "admin"] && request.method == "GET" && request.path.startsWith("/cel/")
      && request.host == "app.example.com" && request.headers["x-team"] == "blue"
  - { id: anyone, match: { path: /anyone }, upstream: app, allow: 'has(session.lang) && session.lang == "de"' }
  - { id: redirect, match: { path: /redirect }, upstream: app, auth: required, on_deny: redirect, login: { url: "/signin?x=1", next_param: to } }
  - { id: status, match: { path: /status }, upstream: app, auth: required, on_deny: status }
  - { id: watched, match: { path: /watched }, upstream: app, auth: required, mode: observe }
  - { id: lenient, match: { path: /lenient }, upstream: app, on_store_error: anonymous }
  - { id: guarded-lenient, match: { path: /guarded-lenient }, upstream: app, auth: required, on_store_error: anonymous }
  - { id: files, match: { path: "/files/*" }, upstream: app, ambiguous_paths: allow }
  - { id: override, match: { path: /override }, upstream: app, method_overrides: keep }
  - { id: shop, match: { host: "*.shop.example.com", path: /* }, upstream: app, auth: required }
  - { id: app, match: { host: app.example.com, path: /* }, upstream: app }
`)
    staff = await session('{"userInfo":{"is_staff":true,"role":"ops"},"flags":[1]}')
    guest = await session('{"userInfo":{"is_staff":0,"role":"none"},"flags":[1]}')
    anonymous = await session('{"lang":"de","userInfo":{}}')
  })
  after(() => stage[Symbol.asyncDispose]())

  test('`require`: truthy in Python’s sense, else 403 for who is logged in and the login for who is not', async () => {
    assert.deepEqual([await status('/need', staff), await status('/need', guest)], [200, 403])
    assert.deepEqual([await status('/need', anonymous), await status('/need')], [401, 401])
    assert.equal(await status('/need', undefined, navigation), 302)
    const problem = await send('/need', { headers: { ...script, Cookie: guest } })
    assert.equal(JSON.parse(problem.text).code, 'ERR_FORBIDDEN')
    assert.equal(JSON.parse(problem.text).login, undefined)
    assert.deepEqual(problem.values('Vary'), ['Cookie'])
    const page = await send('/need', { headers: { ...navigation, Cookie: guest } })
    assert.deepEqual(
      [page.status, page.values('Content-Type'), page.values('Cache-Control')],
      [403, ['text/html; charset=utf-8'], ['no-store']],
    )
  })

  test('`allow`: session and request decide, and an expression that fails is a no', async () => {
    const blue = { ...script, 'X-Team': 'blue' }
    assert.equal(await status('/cel/a', staff, blue), 200)
    assert.equal(await status('/cel/a', staff), 403, 'no such header')
    assert.equal(await status('/cel/a', guest, blue), 403)
    assert.equal(await status('/cel/a', anonymous, blue), 401)
    assert.equal((await send('/cel/a', { method: 'POST', headers: { ...blue, Cookie: staff } })).status, 403)
    assert.deepEqual([await status('/anyone', anonymous), await status('/anyone')], [200, 401])
    assert.deepEqual([await status('/anyone', staff)], [403], 'logged in, and another login would not help')
  })

  test('`on_deny` overrules what the request looks like', async () => {
    const sent = await send('/redirect?a=%2F', { headers: script })
    assert.deepEqual([sent.status, sent.values('Location')], [302, ['/signin?x=1&to=%2Fredirect%3Fa%3D%252F']])
    assert.equal((await send('/redirect', { method: 'PUT', headers: script })).status, 303)
    const refused = await send('/status', { headers: navigation })
    assert.deepEqual([refused.status, refused.values('WWW-Authenticate')], [401, ['Session realm="sessiongate"']])
    const problem = JSON.parse((await send('/status', { headers: script })).text)
    assert.equal(problem.login, '/login?next=%2Fstatus')
  })

  test('an observing route forwards, logs and counts what it would have done', async () => {
    const answer = await send('/watched', { headers: { ...navigation, 'X-Request-Id': 'x' } })
    assert.equal(answer.status, 200)
    assert.equal(answer.seen().claims().auth, false)
    assert.equal(await status('/watched', staff), 200)
    const line = await stage.gateway.logged('the request', (entry) => entry['url.path'] === '/watched')
    assert.deepEqual(
      [line['auth.decision'], line['auth.mode'], line['auth.reason'], line.outcome],
      ['deny', 'observe', 'no_session', 'forwarded'],
    )
    assert.match(
      await metrics(),
      /^sessiongate_auth_decisions_total\{route="watched",decision="deny",reason="no_session",mode="observe"\} 1$/m,
    )
  })

  test('hosts: one label for `*`, any case, any port; others are 421', async () => {
    const at = async (Host: string, path = '/'): Promise<number> =>
      (await send(path, { headers: { ...script, Host } })).status
    assert.equal(await at('APP.example.com:8080'), 200)
    assert.equal(await at('a.shop.example.com'), 401)
    for (const host of ['shop.example.com', 'a.b.shop.example.com', 'example.com', '127.0.0.1', 'app.example.com.evil'])
      assert.equal(await at(host), 421, host)
    assert.equal(await at('evil.example', '/.well-known/sessiongate/jwks.json'), 421)
  })

  test('`ambiguous_paths: allow` holds where every reading stays on the route', async () => {
    assert.equal((await send('/files/a%2Fb//c')).seen().url, '/files/a%2Fb//c')
    assert.equal(await status('/files/a/../b'), 200)
    for (const path of [
      '/files/../status',
      '/files/..%2Fstatus',
      '/files/%2e%2e/status',
      '/files/a/../../x',
      '/a%2Fb',
      '//files/x',
    ])
      assert.equal(await status(path), 400, path)
    for (const path of ['/files/a%00', '/files/a%zz', '/files/a%252Fb%00']) assert.equal(await status(path), 400, path)
  })

  test('method overrides go up where the route keeps them', async () => {
    const headers = { 'X-HTTP-Method-Override': 'DELETE', 'X-Method-Override': 'PUT' }
    const names = Object.keys(headers)
    const seenOn = async (path: string): Promise<string[]> => {
      const { values } = (await send(path, { method: 'POST', headers })).seen()
      return names.flatMap((name) => values(name))
    }
    assert.deepEqual([await seenOn('/override'), await seenOn('/other')], [['DELETE', 'PUT'], []])
  })

  test('`explain` says what happens', async () => {
    const requests: [method: string, path: string, cookie?: string][] = [
      ['GET', '/open'],
      ['GET', '/need'],
      ['GET', '/need', staff],
      ['GET', '/need', guest],
      ['GET', '/cel/a', staff],
      ['GET', '/anyone'],
      ['GET', '/anyone', anonymous],
      ['POST', '/redirect'],
      ['GET', '/status'],
      ['GET', '/watched'],
      ['GET', '/files/a%2Fb'],
      ['GET', '/files/..%2Fstatus'],
      ['GET', '/a//b'],
      ['TRACE', '/open'],
      ['GET', '/.well-known/sessiongate/jwks.json'],
      ['GET', '/NEED'],
      ['GET', '/login?next=//evil.example'],
      ['HEAD', '/redirect'],
    ]
    const ids = new Map<string, string>()
    for (const cookie of [staff, guest, anonymous])
      ids.set(cookie, String((await send('/x', { headers: { Cookie: cookie } })).seen().claims().sid))
    const before = process.cwd()
    process.chdir(stage.gateway.folder)
    const path = join(stage.gateway.folder, 'sessiongate.yaml')
    const { config } = await loadConfig({ path, env: {}, readFile: (file) => readFile(file) })
    const explained: Explanation[] = []
    for (const [method, target, cookie] of requests) {
      const sessionId = cookie === undefined ? undefined : ids.get(cookie)
      explained.push(await explainRequest(config, { method, url: `http://app.example.com${target}`, sessionId }))
    }
    process.chdir(before)
    const differing: unknown[] = []
    for (const [i, [method, path, cookie]] of requests.entries()) {
      const { status: real, values } = await send(path, {
        method,
        headers: { Accept: 'text/html', ...(cookie === undefined ? {} : { Cookie: cookie }) },
      })
      const { status: said = 200, location } = explained[i] ?? {}
      if (said !== real || location !== values('Location')[0])
        differing.push({ method, path, said, real, location, is: values('Location') })
    }
    assert.deepEqual(differing, [])
  })

  test('a store that is down: 503, or nobody where the operator wants it, and /readyz tells', async () => {
    using database = openRows(stage.gateway.folder)
    database.exec('ALTER TABLE django_session RENAME TO away')
    const down = await send('/x', { headers: { ...script, Cookie: staff } })
    assert.equal(down.status, 503)
    assert.match(down.values('Retry-After')[0] ?? '', /^\d+$/)
    assert.match(down.values('Proxy-Status')[0] ?? '', /^sessiongate; error=/)
    assert.deepEqual([down.values('Set-Cookie'), JSON.parse(down.text).code], [[], 'ERR_STORE_UNAVAILABLE'])
    assert.equal(await status('/x'), 200, 'no cookie, no store')
    assert.equal(await status('/watched', staff), 503, 'observe softens the decision only')
    const lenient = await send('/lenient', { headers: { ...script, Cookie: staff } })
    assert.deepEqual([lenient.status, lenient.seen().claims().auth, lenient.values('Set-Cookie')], [200, false, []])
    assert.equal(await status('/guarded-lenient', staff), 401)
    const writing = await send('/lenient', { headers: { ...script, Cookie: staff, Say: 'X-Session-Set: {"a":1}' } })
    assert.deepEqual([writing.status, JSON.parse(writing.text).code], [503, 'ERR_SESSION_WRITE'])
    const ready = await fetch(`${stage.gateway.operatorUrl}/readyz`)
    assert.deepEqual([ready.status, ((await ready.json()) as { ready: boolean }).ready], [503, false])
    assert.equal((await fetch(`${stage.gateway.operatorUrl}/livez`)).status, 200)
    database.exec('ALTER TABLE away RENAME TO django_session')
    await stage.gateway.logged('the store to be up', ({ msg }) => msg === 'session store is up again')
    assert.equal(await status('/need', staff), 200)
    assert.equal((await fetch(`${stage.gateway.operatorUrl}/readyz`)).status, 200)
    const changes = stage.gateway.log.filter(({ msg }) => /^session store is/.test(msg)).map(({ msg }) => msg)
    assert.deepEqual(changes, ['session store is down', 'session store is up again'])
  })
})
