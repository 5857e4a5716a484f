import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, type IncomingHttpHeaders, type RequestOptions, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { type OperatorListenerOptions, openOperatorListener } from '../../../src/admin/operator-listener.ts'

function open(options: Partial<OperatorListenerOptions> = {}) {
  return openOperatorListener({
    address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    metrics: async () => 'sessiongate_build_info 1\n',
    isReady: async () => ({ isReady: true, checks: { 'store:db': 'up' } }),
    isLive: () => true,
    ...options,
  })
}

interface Got {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

async function ask(address: string, path: string, options: RequestOptions = {}): Promise<Got> {
  const target = address.startsWith('/')
    ? { socketPath: address }
    : { host: '127.0.0.1', port: address.split(':').at(-1) }
  const sent = request({ ...target, path, agent: false, ...options })
  sent.end()
  const [response] = await once(sent, 'response')
  return { status: response.statusCode, headers: response.headers, body: await text(response) }
}

test('metrics, liveness and readiness are told, and never stored', async () => {
  await using listener = await open()
  const metrics = await ask(listener.address, '/metrics')
  assert.equal(metrics.status, 200)
  assert.equal(metrics.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  assert.equal(metrics.body, 'sessiongate_build_info 1\n')
  assert.equal(metrics.headers['cache-control'], 'no-store')
  assert.equal((await ask(listener.address, '/livez')).status, 200)
  const ready = await ask(listener.address, '/readyz?verbose')
  assert.equal(ready.status, 200)
  assert.deepEqual(JSON.parse(ready.body), { ready: true, checks: { 'store:db': 'up' } })
})

test('not ready is 503 with the reason, and a gateway that is not ready is still live', async () => {
  await using listener = await open({ isReady: async () => ({ isReady: false, checks: { 'store:db': 'down' } }) })
  const ready = await ask(listener.address, '/readyz')
  assert.equal(ready.status, 503)
  assert.deepEqual(JSON.parse(ready.body), { ready: false, checks: { 'store:db': 'down' } })
  assert.equal((await ask(listener.address, '/livez')).status, 200)
})

test('a gateway that is not live says so', async () => {
  await using listener = await open({ isLive: () => false })
  assert.equal((await ask(listener.address, '/livez')).status, 503)
})

test('HEAD has the head of GET and no body; every other method is refused and nothing is asked', async () => {
  let asked = 0
  await using listener = await open({
    metrics: async () => {
      asked += 1
      return 'abc'
    },
  })
  const head = await ask(listener.address, '/metrics', { method: 'HEAD' })
  assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, '3', ''])
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE']) {
    const refused = await ask(listener.address, '/metrics', { method })
    assert.deepEqual([refused.status, refused.headers.allow], [405, 'GET, HEAD'], method)
  }
  assert.equal(asked, 1)
})

test('other paths are not found, whatever they look like', async () => {
  await using listener = await open()
  for (const path of ['/', '/metrics/', '//metrics', '/METRICS', '/metrics%2f', '/.well-known/sessiongate/jwks.json']) {
    assert.equal((await ask(listener.address, path)).status, 404, path)
  }
})

test('on loopback, only loopback names are answered: a rebound name of a web page is not', async () => {
  await using listener = await open()
  const cases: [host: string, status: number][] = [
    ['127.0.0.1:9901', 200],
    ['localhost', 200],
    ['LOCALHOST:9901', 200],
    ['[::1]:9901', 200],
    ['127.1.2.3', 200],
    ['evil.example', 421],
    ['127.0.0.1.evil.example', 421],
    ['localhost.evil.example:9901', 421],
    ['169.254.169.254', 421],
    ['0.0.0.0:9901', 421],
    ['[::2]', 421],
  ]
  for (const [host, status] of cases) {
    assert.equal((await ask(listener.address, '/livez', { headers: { host } })).status, status, host)
  }
})

test('a page of another site is refused', async () => {
  await using listener = await open()
  for (const [site, status] of [
    ['cross-site', 403],
    ['same-site', 403],
    ['none', 200],
    ['same-origin', 200],
  ] as const) {
    const got = await ask(listener.address, '/metrics', { headers: { 'sec-fetch-site': site } })
    assert.equal(got.status, status, site)
  }
})

test('on a unix socket every name is answered: whoever reaches it was let in by the file system', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-admin-'))
  t.after(() => rm(folder, { recursive: true }))
  await using listener = await open({ address: { kind: 'unix', path: join(folder, 'admin.sock') } })
  assert.equal((await ask(listener.address, '/livez', { headers: { host: 'anything' } })).status, 200)
})

test('a failure in what it asks is 500, tells nothing, and the next request is answered', async () => {
  let fails = true
  await using listener = await open({
    metrics: async () => {
      if (fails) throw new Error('canary-secret')
      return 'fine'
    },
    isReady: () => Promise.reject(new Error('canary-secret')),
  })
  const failed = await ask(listener.address, '/metrics')
  assert.equal(failed.status, 500)
  assert.doesNotMatch(failed.body, /canary/)
  assert.equal((await ask(listener.address, '/readyz')).status, 500)
  fails = false
  assert.equal((await ask(listener.address, '/metrics')).body, 'fine')
})

test('however many scrape at once, the metrics are gathered once at a time, and never before somebody asked', async () => {
  let running = 0
  let runs = 0
  await using listener = await open({
    async metrics() {
      running += 1
      runs += 1
      assert.equal(running, 1)
      await new Promise((resolve) => setTimeout(resolve, 50))
      running -= 1
      return `${runs}`
    },
  })
  const first = ask(listener.address, '/metrics')
  const others = await Promise.all(Array.from({ length: 20 }, () => ask(listener.address, '/metrics')))
  assert.equal((await first).status, 200)
  assert.deepEqual(new Set(others.map(({ status }) => status)), new Set([200]))
  assert.ok(runs <= 3, `${runs} runs for 21 scrapes`)
  assert.equal((await ask(listener.address, '/metrics')).body, `${runs}`)
})

test('a port that is taken is an error, not silence', async () => {
  await using first = await open()
  const port = Number(first.address.split(':').at(-1))
  await assert.rejects(open({ address: { kind: 'tcp', host: '127.0.0.1', port } }), { code: 'EADDRINUSE' })
})

test('closing does not wait for connections that are kept open', async () => {
  const listener = await open()
  const socket = connect(Number(listener.address.split(':').at(-1)), '127.0.0.1')
  await once(socket, 'connect')
  const closed = once(socket, 'close')
  await listener[Symbol.asyncDispose]()
  await closed
})

test('who waits for an answer when the listener leaves gets it, and nobody after him', async () => {
  const asked = Promise.withResolvers<void>()
  const ready = Promise.withResolvers<{ isReady: boolean; checks: Record<string, string> }>()
  await using listener = await open({
    isReady() {
      asked.resolve()
      return ready.promise
    },
  })
  const agent = new Agent({ keepAlive: true })
  const answer = ask(listener.address, '/readyz', { agent })
  await asked.promise
  const left = listener.leave()
  await assert.rejects(ask(listener.address, '/livez'), { code: 'ECONNREFUSED' })
  ready.resolve({ isReady: true, checks: {} })
  assert.equal((await answer).status, 200)
  await left
  await assert.rejects(ask(listener.address, '/livez', { agent }), /ECONNREFUSED|socket hang up/)
})
