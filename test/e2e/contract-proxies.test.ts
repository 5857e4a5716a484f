import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { openStage, type Stage } from '../security/stage.ts'
import { type Asked, ask, navigation } from './contract-client.ts'

const OTHER = '127.0.0.2'

const told = {
  'X-Forwarded-For': '203.0.113.9',
  'X-Forwarded-Proto': 'https',
  'X-Forwarded-Host': 'shop.example.com',
  'X-Forwarded-Port': '443',
  'X-Request-Id': 'from-the-proxy-1',
  Forwarded: 'for=203.0.113.9',
  'X-Real-IP': '203.0.113.9',
  'X-Original-URL': '/kept',
  'CF-Ray': 'abc',
}

describe('behind proxies', () => {
  let stage: Stage
  let dualPort = 0
  let socketPath = ''

  before(async () => {
    stage = await openStage(`
listen: [{ address: "127.0.0.1:0" }, { address: "[::]:0" }, { address: "unix:./gate.sock" }]
trusted_proxies: [127.0.0.1/32, unix]
hosts: [shop.example.com]
login: { url: https://login.example.com/in, allowed_hosts: [shop.example.com] }
upstreams: { app: { servers: ["APP"], writeback: { allow: ["*"] } } }
routes:
  - { id: private, match: { path: /private/* }, upstream: app, auth: required }
  - { id: same, match: { path: /same/* }, upstream: app, csrf: same-site }
  - { id: tls, match: { path: /tls }, upstream: app, allow: 'request.client_ip == "203.0.113.9"' }
  - { id: app, match: { path: /* }, upstream: app }
`)
    const dual = await stage.gateway.logged(
      'the dual-stack listener',
      ({ msg, address }) => msg === 'listening' && String(address).startsWith('[::]'),
    )
    dualPort = Number(String(dual.address).slice('[::]:'.length))
    await stage.gateway.logged(
      'the Unix socket',
      ({ msg, address }) => msg === 'listening' && String(address).endsWith('gate.sock'),
    )
    socketPath = join(stage.gateway.folder, 'gate.sock')
  })
  after(() => stage[Symbol.asyncDispose]())

  const send = (asked: Asked): ReturnType<typeof ask> =>
    ask({
      ...(asked.socketPath === undefined ? { port: stage.gateway.port } : {}),
      ...asked,
      headers: { Host: 'shop.example.com', ...asked.headers },
    })

  for (const [who, where, hops] of [
    ['a trusted peer', () => ({}), '203.0.113.9, 127.0.0.1'],
    ['a trusted peer on a dual-stack socket (::ffff:127.0.0.1)', () => ({ port: dualPort }), '203.0.113.9, 127.0.0.1'],
    ['a peer on a Unix socket', () => ({ socketPath }), '203.0.113.9'],
  ] as const) {
    test(`what ${who} tells is believed and extended`, async () => {
      const answer = await send({ ...where(), path: '/tls', headers: { ...told, Say: 'X-Session-Set: {"a":1}' } })
      const { values } = answer.seen()
      assert.deepEqual(values('X-Forwarded-For'), [hops])
      assert.deepEqual(values('X-Forwarded-Proto'), ['https'])
      assert.deepEqual(values('X-Forwarded-Host'), ['shop.example.com'])
      assert.deepEqual(values('X-Forwarded-Port'), ['443'])
      assert.deepEqual(values('X-Request-Id'), ['from-the-proxy-1'])
      assert.deepEqual(
        [...values('Forwarded'), ...values('X-Real-IP'), ...values('CF-Ray')],
        ['for=203.0.113.9', '203.0.113.9', 'abc'],
      )
      assert.match(answer.values('Set-Cookie').join('\n'), /^sessionid=[a-z0-9]{32}; .*; Secure$/)
    })
  }

  test('what a stranger tells is not, on either socket, and the cookie is not Secure', async () => {
    for (const where of [{ from: OTHER }, { from: OTHER, port: dualPort }]) {
      const answer = await send({ ...where, headers: { ...told, Say: 'X-Session-Set: {"a":1}' } })
      const { values } = answer.seen()
      assert.deepEqual(values('X-Forwarded-For'), [OTHER])
      assert.deepEqual(values('X-Forwarded-Proto'), ['http'])
      assert.deepEqual(values('X-Forwarded-Port'), ['80'])
      assert.deepEqual([...values('Forwarded'), ...values('X-Real-IP'), ...values('CF-Ray')], [])
      assert.deepEqual(values('X-Original-URL'), [])
      assert.notDeepEqual(values('X-Request-Id'), ['from-the-proxy-1'])
      assert.doesNotMatch(answer.values('Set-Cookie').join('\n'), /Secure/)
      assert.equal((await send({ ...where, path: '/tls', headers: told })).status, 302)
    }
  })

  test('the walk through X-Forwarded-For ends at the first stranger', async () => {
    const lines = (hops: string): Asked => ({ path: '/tls', headers: { ...told, 'X-Forwarded-For': hops } })
    assert.equal((await send(lines('203.0.113.9, 127.0.0.1'))).status, 200)
    assert.equal((await send(lines('203.0.113.9, ::ffff:127.0.0.1'))).status, 200)
    assert.equal((await send(lines('203.0.113.9, 198.51.100.1'))).status, 302)
    assert.equal((await send(lines('203.0.113.9, nonsense'))).status, 302)
  })

  test('the login on another host gets the address that the browser sees', async () => {
    const location = async (asked: Asked): Promise<string[]> =>
      (await send({ path: '/private/a?b=c', ...asked })).values('Location')
    const whole = (next: string): string[] => [`https://login.example.com/in?next=${encodeURIComponent(next)}`]
    assert.deepEqual(
      await location({ headers: { ...told, ...navigation } }),
      whole('https://shop.example.com/private/a?b=c'),
    )
    const form = { ...told, ...navigation, Referer: 'https://shop.example.com/form?x=1' }
    assert.deepEqual(await location({ method: 'POST', headers: form }), whole('https://shop.example.com/form?x=1'))
    const foreign = { ...form, Referer: 'http://shop.example.com/form' }
    assert.deepEqual(await location({ method: 'POST', headers: foreign }), whole('https://shop.example.com/'))
  })

  test('csrf: same-site compares with the origin that the browser sees', async () => {
    const post = async (headers: Record<string, string>, from?: string): Promise<number> =>
      (await send({ method: 'POST', path: '/same/x', headers, ...(from === undefined ? {} : { from }) })).status
    const https = { 'X-Forwarded-Proto': 'https' }
    assert.equal(await post({ ...https, Origin: 'https://shop.example.com' }), 200)
    assert.equal(await post({ ...https, Origin: 'http://shop.example.com' }), 403)
    assert.equal(await post({ ...https, Origin: 'https://shop.example.com' }, OTHER), 403)
    assert.equal(await post({ Origin: 'https://evil.example' }), 403)
    assert.equal(await post({ Origin: 'null' }), 403)
    assert.equal(await post({ 'Sec-Fetch-Site': 'cross-site' }), 403)
    assert.equal(await post({ 'Sec-Fetch-Site': 'same-site', Origin: 'https://evil.example' }), 200)
    assert.equal(await post({}), 200)
    const get = await send({ path: '/same/x', headers: { Origin: 'https://evil.example' } })
    assert.equal(get.status, 200)
    const refused = await send({ method: 'POST', path: '/same/x', headers: { Origin: 'null' } })
    assert.equal(JSON.parse(refused.text).code, 'ERR_CROSS_SITE')
    assert.deepEqual(refused.values('Vary'), ['Cookie'])
  })

  test('the log names the client, the peer and the request as the proxy does', async () => {
    await send({ socketPath, path: '/logged', headers: { ...told, 'X-Request-Id': 'from-the-proxy-2' } })
    const line = await stage.gateway.logged('the request', (entry) => entry['request.id'] === 'from-the-proxy-2')
    assert.deepEqual(
      [line['client.address'], line['url.scheme'], line['url.path']],
      ['203.0.113.9', 'https', '/logged'],
    )
  })
})
