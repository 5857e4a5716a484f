import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openStage } from '../security/stage.ts'
import { ask } from './contract-client.ts'

const config = `
hosts: [app.example]
upstreams: { app: { servers: ["APP"], writeback: { allow: ["*"] } } }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: admin, match: { path: /api/Admin }, upstream: app, auth: required }
  - { id: write, match: { path: /api/*, method: [PUT, POST] }, upstream: app, auth: required, cors_preflight: allow }
  - { id: read, match: { path: /api/*, method: GET }, upstream: app, auth: required }
  - { id: moved, match: { path: /v1/* }, upstream: app, auth: required, cors_preflight: allow, rewrite: { strip_prefix: /v1 } }
  - { id: app, match: { path: /* }, upstream: app, auth: required }
`

test('CORS preflights', async (t) => {
  await using stage = await openStage(config)
  const preflight = (path: string, method: string, more: Record<string, string> = {}) =>
    ask({
      port: stage.gateway.port,
      method: 'OPTIONS',
      path,
      headers: {
        Host: 'app.example',
        Origin: 'https://other.example',
        'Access-Control-Request-Method': method,
        ...more,
      },
    })

  await t.test('one for a route that lets them through reaches the app, as nobody’s', async () => {
    const answer = await preflight('/api/x', 'PUT', { Say: 'Access-Control-Allow-Origin: https://other.example' })
    assert.equal(answer.status, 200)
    assert.equal(answer.seen().method, 'OPTIONS')
    assert.equal(answer.seen().claims().auth, false)
    assert.deepEqual(answer.values('Access-Control-Allow-Origin'), ['https://other.example'])
  })

  const refused: [why: string, path: string, method: string, more?: Record<string, string>, status?: number][] = [
    ['for a method that another route takes', '/api/x', 'GET'],
    ['for a method that no such route takes', '/api/x', 'DELETE'],
    ['for a path of a stricter route', '/api/Admin', 'PUT'],
    ['for a spelling that an app may take for a stricter route’s', '/api/admin', 'PUT'],
    ['that brings a cookie', '/api/x', 'PUT', { Cookie: 'sessionid=abcdefgh12345678' }],
    ['that names another method in a header', '/api/x', 'PUT', { 'X-HTTP-Method-Override': 'DELETE' }],
    ['whose path goes up as one of a route without them', '/v1/secret', 'PUT', {}, 400],
  ]
  for (const [why, path, method, more, status = 401] of refused) {
    await t.test(`one ${why} is a request like any other`, async () => {
      const before = stage.app.requests.length
      assert.equal((await preflight(path, method, more)).status, status)
      assert.equal(stage.app.requests.length, before)
    })
  }

  await t.test('one whose path goes up as one of a route that lets them through as well', async () => {
    assert.equal((await preflight('/v1/api/x', 'PUT')).seen().url, '/api/x')
  })

  await t.test('the request that follows is asked as ever', async () => {
    const { port } = stage.gateway
    const headers = { Host: 'app.example', Origin: 'https://other.example' }
    assert.equal((await ask({ port, method: 'PUT', path: '/api/x', headers })).status, 401)
  })
})
