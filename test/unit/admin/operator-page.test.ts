import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type RequestOptions, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import type { AdminApi } from '../../../src/admin/api.ts'
import { openOperatorListener } from '../../../src/admin/operator-listener.ts'

const api: AdminApi = {
  serve: async (_, response) => void response.writeHead(204).end(),
  close: () => undefined,
}

async function openStage(given: AdminApi | undefined = api) {
  const listener = await openOperatorListener({
    address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    metrics: async () => '',
    isReady: async () => ({ isReady: true, checks: {} }),
    isLive: () => true,
  })
  listener.useApi(given)
  return {
    listener,
    async ask(path: string, options: RequestOptions = {}) {
      const sent = request({
        host: '127.0.0.1',
        port: listener.address.split(':').at(-1),
        path,
        agent: false,
        ...options,
      })
      sent.end()
      const [response] = await once(sent, 'response')
      return { status: response.statusCode, headers: response.headers, body: await text(response) }
    },
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  }
}

const files = [
  { path: '/', type: 'text/html; charset=utf-8', has: '<!doctype html>' },
  { path: '/?from=somewhere', type: 'text/html; charset=utf-8', has: '<!doctype html>' },
  { path: '/page/page.js', type: 'text/javascript; charset=utf-8', has: 'sessionStorage' },
  { path: '/page/page.css', type: 'text/css; charset=utf-8', has: 'color-scheme' },
  { path: '/page/icon.svg', type: 'image/svg+xml', has: '<svg' },
]

test('the page is served to whoever asks, with all that keeps strange text from becoming a script', async () => {
  await using stage = await openStage()
  for (const { path, type, has } of files) {
    const answer = await stage.ask(path)
    assert.deepEqual([answer.status, answer.headers['content-type']], [200, type], path)
    assert.ok(answer.body.includes(has), path)
    const policy = answer.headers['content-security-policy'] ?? ''
    assert.match(
      policy,
      /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:/,
    )
    for (const part of ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"])
      assert.ok(policy.includes(part))
    assert.doesNotMatch(policy, /unsafe|\*/)
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
    assert.equal(answer.headers['referrer-policy'], 'no-referrer')
    assert.equal(answer.headers['cache-control'], 'no-cache')
    assert.equal(answer.headers['set-cookie'], undefined)
  }
})

test('who has it already is told so, and HEAD gets the head', async () => {
  await using stage = await openStage()
  const { etag = '' } = (await stage.ask('/page/page.js')).headers
  for (const tags of [etag, `W/${etag}`, `"x", ${etag}`]) {
    const answer = await stage.ask('/page/page.js', { headers: { 'If-None-Match': tags } })
    assert.deepEqual([answer.status, answer.body, answer.headers.etag], [304, '', etag], tags)
  }
  assert.equal((await stage.ask('/page/page.js', { headers: { 'If-None-Match': '"x"' } })).status, 200)
  const head = await stage.ask('/', { method: 'HEAD' })
  assert.deepEqual([head.status, head.body], [200, ''])
  assert.ok(Number(head.headers['content-length']) > 0)
})

test('without a token there is no page, and everything is answered as ever', async () => {
  await using stage = await openStage()
  stage.listener.useApi(undefined)
  for (const { path } of files) {
    const answer = await stage.ask(path)
    assert.deepEqual([answer.status, answer.body], [404, '/metrics, /livez and /readyz are here\n'], path)
  }
})

test('another host, another site, another method and another file get none of it', async () => {
  await using stage = await openStage()
  const cases = [
    { path: '/', headers: { Host: 'evil.example' }, status: 421 },
    { path: '/page/page.js', headers: { Host: 'evil.example' }, status: 421 },
    { path: '/', headers: { 'Sec-Fetch-Site': 'cross-site' }, status: 403 },
    { path: '/page/page.js', headers: { Origin: 'http://evil.example' }, status: 403 },
    { path: '/', method: 'POST', status: 405 },
    { path: '/page/', status: 404 },
    { path: '/page/../package.json', status: 404 },
    { path: '/page/%2e%2e/package.json', status: 404 },
    { path: '/page/index.html', status: 404 },
    { path: '/index.html', status: 404 },
  ]
  for (const { path, status, ...options } of cases) {
    assert.equal((await stage.ask(path, options)).status, status, JSON.stringify({ path, ...options }))
  }
})
