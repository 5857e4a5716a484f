/** Real caches in front, and two people and a stranger who ask for the same pages: nobody is given the page of another. */
import assert from 'node:assert/strict'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { startNginx } from '../../bench/compare/nginx.ts'
import { startProgram } from '../../bench/compare/program.ts'
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

/** Where a cache may write, listens, and asks. */
interface Place {
  readonly folder: string
  readonly port: number
  readonly gatewayPort: number
}

/** Lines of a `location` of nginx. */
async function nginxWith(lines: string, { folder, port, gatewayPort }: Place): Promise<AsyncDisposable> {
  const http = `
  access_log off;
  proxy_cache_path ${join(folder, 'cache')} keys_zone=all:1m;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://127.0.0.1:${gatewayPort};
      proxy_set_header Host $http_host;
      proxy_cache all;
      proxy_cache_valid 200 302 404 10m;
      ${lines}
    }
  }`
  return await startNginx({ folder, name: 'nginx', port, http })
}

/** Subroutines of VCL, run before those that are built in. */
async function varnishWith(subroutines: string, { folder, port, gatewayPort }: Place): Promise<AsyncDisposable> {
  const file = join(folder, 'default.vcl')
  const backend = `backend gateway { .host = "127.0.0.1"; .port = "${gatewayPort}"; }`
  await writeFile(file, `vcl 4.1;\n${backend}\n${subroutines}\n`)
  const work = join(folder, 'varnish')
  const listening = ['-a', `127.0.0.1:${port}`, '-T', 'none', '-f', file, '-n', work, '-s', 'malloc,16m', '-t', '60']
  const { path } = requireServer('varnish')
  // It would give its rights away and could not read the folder any more.
  const program = startProgram(path, ['-j', 'none', '-F', ...listening], { folder, name: 'varnish' })
  await program.untilListening(port)
  return program
}

/** What comes with a cookie is asked for by everybody else, too: built in is that it is never kept. */
const hashed = 'sub vcl_recv { if (req.method == "GET") { return (hash); } }'

/** Caches as they are set up, and as they are by people who want hits at any price. */
const caches: readonly [
  name: string,
  server: 'nginx' | 'varnish',
  start: (place: Place) => Promise<AsyncDisposable>,
][] = [
  ['nginx', 'nginx', (place) => nginxWith('', place)],
  [
    'an nginx that takes nothing but Vary to heart',
    'nginx',
    (place) => nginxWith('proxy_ignore_headers Cache-Control Expires Set-Cookie X-Accel-Expires;', place),
  ],
  ['Varnish', 'varnish', (place) => varnishWith('', place)],
  ['a Varnish that also keeps what was asked for with a cookie', 'varnish', (place) => varnishWith(hashed, place)],
  [
    'a Varnish that takes nothing but Vary to heart',
    'varnish',
    (place) => varnishWith(`${hashed}\nsub vcl_backend_response { set beresp.ttl = 60s; return (deliver); }`, place),
  ],
]

for (const [name, server, start] of caches) {
  test(`${name} in front never gives one user the page of another`, { skip: requireServer(server).skip }, (t) =>
    visit(t, name, start),
  )
}

async function visit(t: TestContext, name: string, start: (place: Place) => Promise<AsyncDisposable>): Promise<void> {
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
  await using stage = await openStage(config, { handler: boastful })
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-cache-'))
  const port = await findFreePort()
  await using _cache = await start({ folder: folder.path, port, gatewayPort: stage.gateway.port })
  const origin = `http://127.0.0.1:${port}`
  const users = await Promise.all(
    ['ann', 'bob', undefined].map(async (user) => {
      const browser = createJarBrowser(origin)
      if (user !== undefined)
        await browser.fetch(`/login/${user}`, {
          method: 'POST',
          headers: { Say: `X-Session-Set: {"userInfo":"${user}"}` },
        })
      return { user, browser }
    }),
  )
  let looks = 0
  for (let round = 0; round < 60; round += 1) {
    const path = `/page/${round % 7}${round % 2 === 0 ? '' : '?x=1'}`
    for (const { user = null, browser } of round % 3 === 0 ? users.toReversed() : users) {
      const { text } = await browser.fetch(path)
      assert.equal(text, `${JSON.stringify(user)} ${path}`)
      looks += 1
    }
  }
  t.diagnostic(`counted: pages of another user from a shared cache, ${name}: 0 of ${looks} pages`)
  // What belongs to nobody is kept, so there is a cache, and it works.
  const stranger = createJarBrowser(origin)
  const before = served
  for (let i = 0; i < 5; i += 1) assert.equal((await stranger.fetch('/plain/a')).text, 'anybody /plain/a')
  assert.equal(served, before + 1)
}
