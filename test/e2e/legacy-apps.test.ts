import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { openStage } from '../security/stage.ts'
import { startGateway } from '../support/gateway.ts'
import { connectRaw } from '../support/raw-client.ts'
import { ask } from './contract-client.ts'

/** One app; a part of it is guarded, and three routes show it under other paths. */
const config = `
hosts: [app.example]
upstreams:
  app: { servers: ["APP"], writeback: { allow: ["*"] } }
  other: { servers: ["http://127.0.0.1:1"] }
routes:
  - { id: login, match: { path: [/login, /login/] }, upstream: app, auth: public }
  - { id: admin, match: { path: /admin/* }, upstream: app, auth: required }
  - { id: legacy, match: { path: /legacy/* }, upstream: app, auth: public, rewrite: { strip_prefix: /legacy } }
  - { id: moved, match: { path: /v1/* }, upstream: app, auth: public, rewrite: { strip_prefix: /v1, add_prefix: /api } }
  - id: plain
    match: { path: /plain/* }
    upstream: app
    auth: public
    rewrite: { strip_prefix: /plain, location: false, cookie_path: false, cookie_domain: { old.example: app.example } }
  - { id: guarded, match: { path: /guarded/* }, upstream: app, auth: required, rewrite: { strip_prefix: /guarded } }
  - { id: elsewhere, match: { path: /elsewhere/* }, upstream: other, auth: required }
  - { id: open, match: { path: /open/* }, upstream: app, auth: public, rewrite: { strip_prefix: /open/deep } }
`.replace('/open/*', '/open/deep/*')

const host = { Host: 'app.example' }

test('a rewritten route: paths, addresses and cookies both ways, and no way around a rule', async (t) => {
  await using stage = await openStage(config)
  const { port } = stage.gateway
  const get = (path: string, headers: Record<string, string | string[]> = {}) =>
    ask({ port, path, headers: { ...host, ...headers } })

  await t.test('the app sees its own path, the query as it came, and what was cut off', async () => {
    const seen = (await get('/l%65gacy/a%20b?x=%2F')).seen()
    assert.equal(seen.url, '/a%20b?x=%2F')
    assert.deepEqual(seen.values('X-Forwarded-Prefix'), ['/legacy'])
    assert.equal((await get('/v1/items')).seen().url, '/api/items')
    assert.equal((await get('/legacy')).seen().url, '/')
  })

  await t.test('a visitor cannot say what was cut off', async () => {
    const lines = { 'X-Forwarded-Prefix': '/evil', x_forwarded_prefix: '/evil' }
    assert.deepEqual((await get('/legacy/x', lines)).seen().values('X-Forwarded-Prefix'), ['/legacy'])
    assert.deepEqual((await get('/legacy/x', lines)).seen().values('x_forwarded_prefix'), [])
  })

  const refused = [
    '/legacy/admin',
    '/legacy/admin/x',
    '/legacy/%61dmin/x',
    '/legacy/ADMIN/',
    '/legacy/admin;a/x',
    '/legacy/admin%3bx',
    '/open/deep/admin',
  ]
  for (const path of refused) {
    await t.test(`${path} does not get past the rule of /admin`, async () => {
      const before = stage.app.requests.length
      assert.equal((await get(path)).status, 400)
      assert.equal(stage.app.requests.length, before)
    })
  }

  for (const path of ['/legacy/..%2fadmin', '/legacy/%2e%2e/admin', '/legacy//admin', '/legacy/../admin']) {
    await t.test(`${path} is refused before anything is rewritten`, async () => {
      assert.equal((await get(path)).status, 400)
    })
  }

  await t.test('nor does a WebSocket handshake, and one that passes is seen under the app’s own path', async () => {
    const upgrade = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' }
    const handshake = { ...upgrade, 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' }
    const before = stage.app.requests.length
    assert.equal((await get('/legacy/admin/ws', handshake)).status, 400)
    assert.equal(stage.app.requests.length, before)
    await get('/legacy/ws', handshake)
    assert.equal(stage.app.requests.at(-1)?.url, '/ws')
  })

  await t.test('another app’s rules are not in question', async () => {
    assert.equal((await get('/legacy/elsewhere/x')).seen().url, '/elsewhere/x')
  })

  await t.test('whoever satisfies the rule of the route reaches what another guards as well', async () => {
    const login = await get('/login', { Say: 'X-Session-Set: {"userInfo":{"id":1}}' })
    const [cookie = ''] = (login.values('Set-Cookie')[0] ?? '').split(';')
    assert.equal((await get('/guarded/admin', { Cookie: cookie })).seen().url, '/admin')
    assert.equal((await get('/guarded/admin')).status, 302)
  })

  await t.test('addresses and cookies of the app lead back to it', async () => {
    const answer = await get('/legacy/x', {
      Status: '302',
      Say: [
        `Location: ${stage.app.origin}/next?a=1`,
        'Set-Cookie: cart=1; Path=/shop; HttpOnly',
        'Set-Cookie: all=1; Domain=127.0.0.1; Path=/',
      ],
    })
    assert.deepEqual(answer.values('Location'), ['/legacy/next?a=1'])
    assert.deepEqual(answer.values('Set-Cookie'), ['cart=1; Path=/legacy/shop; HttpOnly', 'all=1; Path=/legacy'])
  })

  await t.test('unless the route says that it knows better', async () => {
    const say = ['Location: /next', 'Set-Cookie: cart=1; Path=/shop; Domain=old.example']
    const answer = await get('/plain/x', { Status: '302', Say: say })
    assert.deepEqual(answer.values('Location'), ['/next'])
    assert.deepEqual(answer.values('Set-Cookie'), ['cart=1; Path=/shop; Domain=app.example'])
  })

  await t.test('a return address is guarded when the login page is reached under another path', async () => {
    assert.equal((await get('/legacy/login?next=https://evil.example/&b=1')).seen().url, '/login?next=/&b=1')
  })
})

test('with pass_host: false the app gets its own Host, and its own addresses become paths', async () => {
  await using stage = await openStage(`
hosts: [app.example]
upstreams: { app: { servers: ["APP"], pass_host: false } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: public }]
`)
  const headers = { ...host, Say: [`Location: ${stage.app.origin}/next`, 'Set-Cookie: a=1; Domain=127.0.0.1; Path=/x'] }
  const answer = await ask({ port: stage.gateway.port, path: '/', headers })
  assert.deepEqual(answer.seen().values('Host'), [new URL(stage.app.origin).host])
  assert.deepEqual(answer.seen().values('X-Forwarded-Host'), ['app.example'])
  assert.deepEqual(answer.values('Location'), ['/next'])
  assert.deepEqual(answer.values('Set-Cookie'), ['a=1; Path=/x'])
})

test('an app of HTTP/1.0, which ends its answers by closing, is answered for in HTTP/1.1', async () => {
  const app = createServer((socket) => {
    socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold but well'))
  }).listen(0, '127.0.0.1')
  await once(app, 'listening')
  await using gateway = await startGateway({
    config: `
hosts: [app.example]
upstreams: { app: { servers: ["http://127.0.0.1:${(app.address() as AddressInfo).port}"] } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: public }]
`,
  })
  try {
    await using client = await connectRaw(gateway.port)
    for (let round = 0; round < 2; round += 1) {
      await client.send('GET / HTTP/1.1\r\nHost: app.example\r\n\r\n')
      const answer = await client.response()
      assert.equal(answer.status, 200)
      assert.equal(answer.body.toString(), 'old but well')
      assert.ok(answer.isComplete)
    }
  } finally {
    app.close()
  }
})

test('Expect: 100-continue is answered here and never handed on', async () => {
  await using stage = await openStage(config)
  await using client = await connectRaw(stage.gateway.port)
  await client.send(
    'POST /legacy/up HTTP/1.1\r\nHost: app.example\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n',
  )
  assert.equal((await client.response()).status, 100)
  await client.send('abc')
  const answer = await client.response()
  assert.equal(answer.status, 200)
  const [request] = stage.app.requests
  assert.equal(request?.body.toString(), 'abc')
  assert.deepEqual(request?.values('Expect'), [])
})
