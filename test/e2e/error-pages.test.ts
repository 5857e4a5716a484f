import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openStage } from '../security/stage.ts'
import { ask } from './contract-client.ts'

const config = `
hosts: [app.example]
upstreams: { app: { servers: ["APP"] }, gone: { servers: ["http://127.0.0.1:1"] } }
error_pages:
  default: "\${file:error.html}"
  404: "\${file:missing.html}"
  ERR_SESSION_REQUIRED: '<a href="{{login}}">in</a>'
routes:
  - { id: gone, match: { path: /gone }, upstream: gone, auth: public }
  - { id: api, match: { path: /api }, upstream: app, auth: required, on_deny: status }
  - { id: loop, match: { path: /loop }, upstream: app, auth: required }
  - { id: app, match: { path: /app }, upstream: app, auth: public }
  - { id: login, match: { path: /login }, upstream: app, auth: public }
`
const files = {
  'error.html': '<h1>Schade: {{title}}</h1><p>{{status}} {{code}} {{request_id}} ü</p><ul>{{reasons}}</ul>',
  'missing.html': '<h1>Gibt es nicht</h1>',
}

test('people get the pages that the operator has written', async (t) => {
  await using stage = await openStage(config, { files })
  const get = (path: string, headers: Record<string, string> = {}) =>
    ask({ port: stage.gateway.port, path, headers: { Host: 'app.example', Accept: 'text/html', ...headers } })

  await t.test('that for the status', async () => {
    const answer = await get('/nowhere')
    assert.equal(answer.status, 404)
    assert.equal(answer.text, files['missing.html'])
    assert.deepEqual(answer.values('Content-Type'), ['text/html; charset=utf-8'])
    assert.deepEqual(answer.values('Cache-Control'), ['no-store'])
    assert.match(answer.values('Content-Security-Policy')[0] ?? '', /^default-src 'none'; img-src 'self'/)
  })

  await t.test('that for all others, filled in, whole in any alphabet', async () => {
    const answer = await get('/gone')
    assert.equal(answer.status, 502)
    assert.match(
      answer.text,
      /^<h1>Schade: The app could not be reached<\/h1><p>502 ERR_UPSTREAM_UNREACHABLE [-0-9a-f]+ ü<\/p><ul><\/ul>$/,
    )
    assert.match(answer.values('Proxy-Status')[0] ?? '', /connection_refused/)
  })

  await t.test('that for the code, with the way to the login', async () => {
    assert.equal((await get('/api')).text, '<a href="/login?next=%2Fapi">in</a>')
  })

  await t.test('what may be the cause stands where the page wants it', async () => {
    const answer = await get('/loop', { Referer: 'http://app.example/login?sessiongate_attempt=3' })
    assert.match(answer.text, /<ul>\s*<li>.*cookies for this site.*<\/li>\s*<\/ul>/)
  })

  await t.test('programs get problem JSON as ever, and the app’s own errors are its own', async () => {
    assert.equal(JSON.parse((await get('/nowhere', { Accept: 'application/json' })).text).code, 'ERR_ROUTE_NOT_FOUND')
    const own = await get('/app', { Status: '404' })
    assert.equal(own.status, 404)
    assert.equal(own.seen().url, '/app')
  })
})
