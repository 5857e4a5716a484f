import assert from 'node:assert/strict'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startNginx } from '../../bench/compare/nginx.ts'
import type { AppHandler } from '../support/app.ts'
import { createJarBrowser } from '../support/browser-jar.ts'
import { findFreePort } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import { openStage } from './stage.ts'

const config = `
upstreams: { app: { servers: ["APP"], writeback: { allow: ["*"] } } }
routes:
  - { id: plain, match: { path: /plain/* }, upstream: app, session: none }
  - { id: app, match: { path: /* }, upstream: app }
`

let served = 0
/** Names who asked, and tells every cache to keep it for a minute. */
const boastful: AppHandler = (request) => {
  served += 1
  const isAnybodys = request.url.startsWith('/plain/')
  const user = isAnybodys ? 'anybody' : JSON.stringify(request.claims().ses.userInfo ?? null)
  const headers = [
    ...['Cache-Control', 'public, max-age=60, s-maxage=60', 'Expires', new Date(Date.now() + 60_000).toUTCString()],
    ...['X-Accel-Expires', '60', 'Surrogate-Control', 'max-age=60', 'CDN-Cache-Control', 'max-age=60'],
    ...request
      .values('Say')
      .flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  ]
  return { headers, body: `${user} ${request.url}` }
}

test('a cache of nginx in front never gives one user the page of another', {
  skip: requireServer('nginx').skip,
}, async (t) => {
  await using stage = await openStage(config, { handler: boastful })
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-nginx-'))
  const port = await findFreePort()
  const http = `
  access_log off;
  proxy_cache_path ${join(folder.path, 'cache')} keys_zone=all:1m;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass ${stage.gateway.url};
      proxy_set_header Host $http_host;
      proxy_cache all;
      proxy_cache_valid 200 302 404 10m;
    }
  }`
  await using nginx = await startNginx({ folder: folder.path, name: 'nginx', port, http })
  assert.ok(nginx.pid > 0)
  const origin = `http://127.0.0.1:${port}`
  const users = await Promise.all(
    ['ann', 'bob', undefined].map(async (name) => {
      const browser = createJarBrowser(origin)
      if (name !== undefined)
        await browser.fetch(`/login/${name}`, { headers: { Say: `X-Session-Set: {"userInfo":"${name}"}` } })
      return { name, browser }
    }),
  )
  let looks = 0
  for (let round = 0; round < 60; round += 1) {
    const path = `/page/${round % 7}${round % 2 === 0 ? '' : '?x=1'}`
    for (const { name = null, browser } of round % 3 === 0 ? users.toReversed() : users) {
      const { text } = await browser.fetch(path)
      assert.equal(text, `${JSON.stringify(name)} ${path}`)
      looks += 1
    }
  }
  t.diagnostic(`counted: pages of another user from a shared cache: 0 of ${looks} pages`)
  // What belongs to nobody is kept, so there is a cache, and it works.
  const before = served
  for (let i = 0; i < 5; i += 1) assert.equal((await users[0]?.browser.fetch('/plain/a'))?.text, 'anybody /plain/a')
  assert.equal(served, before + 1)
})
