// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what such a file holds.
/** The operator's listener, asked by those who should not, and in words that it should not take. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { configurationViewOf, problemViews } from '../../src/operator-views.ts'
import { loadText, MINIMAL } from '../config/sample.ts'
import { openStage, TOKEN } from '../e2e/admin-stage.ts'
import { connectRaw } from '../support/raw-client.ts'
import { rowsOf } from './stage.ts'

type AdminStage = Awaited<ReturnType<typeof openStage>>

const authorization = `Authorization: Bearer ${TOKEN}`

describe('the operator’s API', () => {
  let stage: AdminStage
  let port = 0
  before(async () => {
    stage = await openStage()
    port = Number(new URL(stage.gateway.operatorUrl).port)
  })
  after(() => stage[Symbol.asyncDispose]())

  async function raw(line: string, headers: readonly string[], body = ''): Promise<{ status: number; text: string }> {
    await using client = await connectRaw(port)
    const length = body === '' ? [] : ['Content-Type: application/json', `Content-Length: ${body.length}`]
    await client.send([line, ...headers, ...length, 'Connection: close', '', body].join('\r\n'))
    const text = (await client.rest()).toString('latin1')
    return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text }
  }

  const revoked = (): number =>
    stage.gateway.log.filter(({ msg, event }) => msg === 'audit' && event === 'admin_revoke').length

  test('answers no name that was made to point here, and no page of another site, whoever holds the token', async () => {
    const cookie = await stage.logIn(7)
    const own = `127.0.0.1:${port}`
    const strangers: [why: string, headers: readonly string[]][] = [
      ['a rebound name', [`Host: evil.example:${port}`]],
      ['a rebound name and its own origin', [`Host: evil.example:${port}`, `Origin: http://evil.example:${port}`]],
      ['a name that begins like ours', [`Host: 127.0.0.1.evil.example:${port}`]],
      ['a name that ends like ours', ['Host: evil.localhost.example']],
      ['a name with a user before it', [`Host: 127.0.0.1@evil.example`]],
      ['an address of another network', ['Host: 10.0.0.1']],
      ['no name', ['Host: ']],
      ['a list of names', [`Host: ${own}, evil.example`]],
      ['another port of ours', [`Host: ${own}`, 'Origin: http://127.0.0.1:1']],
      ['another scheme', [`Host: ${own}`, `Origin: https://${own}`]],
      ['a sandbox', [`Host: ${own}`, 'Origin: null']],
      ['an origin that only begins like ours', [`Host: ${own}`, `Origin: http://${own}.evil.example`]],
      ['two origins', [`Host: ${own}`, `Origin: http://${own}`, 'Origin: http://evil.example']],
      ['a sibling', [`Host: ${own}`, 'Sec-Fetch-Site: same-site']],
      ['a stranger’s image', [`Host: ${own}`, 'Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: no-cors']],
      ['a word that nobody knows', [`Host: ${own}`, 'Sec-Fetch-Site: same-origin-ish']],
      ['two words', [`Host: ${own}`, 'Sec-Fetch-Site: same-origin', 'Sec-Fetch-Site: cross-site']],
    ]
    for (const [why, headers] of strangers) {
      for (const [line, body] of [
        ['POST /api/sessions/revoke HTTP/1.1', '{"user":"7"}'],
        ['GET /api/sessions?user=7 HTTP/1.1', ''],
        ['GET /api/requests HTTP/1.1', ''],
      ] as const) {
        const { status, text } = await raw(line, [...headers, authorization], body)
        assert.ok([400, 403, 421].includes(status), `${why}, ${line}: ${status}`)
        assert.doesNotMatch(text, /userInfo|"user"|access-control/i, why)
      }
    }
    assert.equal(await stage.statusWith(cookie), 200, 'nobody was logged out')
    assert.equal(revoked(), 0)
    const fine = await raw('GET /api/sessions?user=7 HTTP/1.1', ['Host: localhost', authorization])
    assert.equal(fine.status, 200)
  })

  test('never tells a page of another origin that it may read, or may ask', async () => {
    for (const method of ['OPTIONS', 'GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'PROPFIND']) {
      const headers = ['Host: localhost', 'Origin: http://evil.example', 'Access-Control-Request-Method: POST']
      for (const line of [authorization, 'X: y']) {
        const { status, text } = await raw(`${method} /api/sessions/revoke HTTP/1.1`, [...headers, line])
        assert.ok([403, 405].includes(status), `${method}: ${status}`)
        assert.doesNotMatch(text, /^access-control/im)
      }
    }
  })

  test('takes the token from one place only, and whole', async () => {
    const half = TOKEN.slice(0, -1)
    const attempts: readonly string[][] = [
      [`Authorization: ${TOKEN}`],
      [`Authorization: Basic ${Buffer.from(`admin:${TOKEN}`).toString('base64')}`],
      [`Authorization: Bearer ${half}`],
      [`Authorization: Bearer ${TOKEN} ${TOKEN}`],
      [`Authorization: Bearer ${TOKEN},`],
      [`Authorization: Bearer "${TOKEN}"`],
      [`Authorization: Bearer ${TOKEN.toUpperCase()}`],
      [`Authorization: Bearer x`, authorization],
      [`Proxy-Authorization: Bearer ${TOKEN}`],
      [`X-Authorization: Bearer ${TOKEN}`],
      [`Cookie: token=${TOKEN}; authorization=Bearer ${TOKEN}`],
      [`Authorization_: Bearer ${TOKEN}`],
      [`Referer: http://${TOKEN}@localhost/`],
    ]
    for (const headers of attempts) {
      const { status, text } = await raw(`GET /api/overview?token=${TOKEN}&access_token=${TOKEN} HTTP/1.1`, [
        'Host: localhost',
        ...headers,
      ])
      assert.equal(status, 401, headers.join())
      assert.equal(text.includes(TOKEN), false)
    }
  })

  test('has no address by another spelling that is not asked for the token', async () => {
    const spellings = [
      '/API/overview',
      '//api/overview',
      '/api//overview',
      '/api/overview/',
      '/api/%6fverview',
      '/%61pi',
    ]
    const climbing = [
      '/metrics/../api/overview',
      '/api/../api/overview',
      '/api/x/../overview',
      '/api\\overview',
      '/api;x',
    ]
    const absolute = [
      `http://127.0.0.1:${port}/api/overview`,
      'http://localhost/api/overview',
      '/api?/overview',
      '/api#',
    ]
    for (const target of [...spellings, ...climbing, ...absolute]) {
      const { status, text } = await raw(`GET ${target} HTTP/1.1`, ['Host: localhost'])
      assert.ok([400, 401, 404].includes(status), `${target}: ${status}`)
      assert.doesNotMatch(text, /config_hash/, target)
    }
  })

  test('takes names that every object has for names of nothing', async () => {
    const cookie = await stage.logIn(8)
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype', 'valueOf']) {
      for (const path of [`/api/sessions?${name}=1`, `/api/store?${name}=1`, `/api/overview?${name}=x`]) {
        assert.equal((await stage.ask(path)).status, 400, path)
      }
      for (const body of [
        `{"${name}":{"user":"8"}}`,
        `{"user":"8","${name}":{"ids":["0123456789012345678901"]}}`,
        `{"${name}":"8"}`,
      ]) {
        const { status } = await stage.ask('/api/sessions/revoke', { body })
        assert.equal(status, 400, body)
      }
      const value = encodeURIComponent('{}')
      assert.deepEqual((await stage.ask(`/api/sessions?key=${name}&value=${value}`)).body.sessions, [], name)
      assert.deepEqual((await stage.ask(`/api/sessions?key=userInfo.${name}&value=${value}`)).body.sessions, [], name)
      const drain = await stage.ask(`/api/upstreams/${name}/drain`, { body: { server: 'x' } })
      const server = await stage.ask('/api/upstreams/app/drain', { body: { server: name } })
      assert.deepEqual([drain.status, server.status], [404, 404], name)
      assert.equal((await stage.ask(`/api/sessions/${name.padEnd(22, '_')}`)).status, 404)
    }
    assert.equal(await stage.statusWith(cookie), 200)
    assert.equal(({} as Record<string, unknown>).user, undefined)
  })

  test('explains whatever it is asked without failing, sends nothing and changes nothing', async () => {
    await stage.logIn(9)
    const [{ id }] = (await stage.ask('/api/sessions?user=9')).body.sessions
    const rows = JSON.stringify(rowsOf(stage.gateway.folder))
    let asked = 0
    stage.app.server.on('request', () => {
      asked += 1
    })
    const urls = [
      ...['', ' ', '/', '//', '/%', '/%zz', '/a/../b', '/\\x', '/#', '*', 'x', 'http://', 'http:///', 'https://h'],
      ...[
        'http://a@b/',
        'http://[::1',
        'http://[::1]:99999/',
        'http://x\r\nX: y/',
        '/\r\nX: y',
        '/\0',
        '/é',
        '/\ud800',
      ],
      ...['http://\u0130.example/', `/${'a'.repeat(7_900)}`, `/?${'%'.repeat(3_000)}`, '/.sessiongate/logout'],
      ...['/.sessiongate/kept-post', '/.well-known/sessiongate/jwks.json', 'javascript:alert(1)', '/login?next=//evil'],
    ]
    for (const url of urls) {
      for (const method of ['GET', 'POST', 'OPTIONS', 'CONNECT', 'TRACE', 'PROPFIND', 'A'.repeat(20)]) {
        for (const session of [undefined, id]) {
          const { status, body } = await stage.ask('/api/explain', { body: { method, url, session } })
          assert.ok(status === 200 || status === 400, `${method} ${JSON.stringify(url)}: ${status}`)
          assert.doesNotMatch(JSON.stringify(body.headers_up ?? []), /sessionid|eyJ/)
        }
      }
    }
    assert.equal(JSON.stringify(rowsOf(stage.gateway.folder)), rows)
    assert.equal(asked, 0)
    const failures = stage.gateway.log.filter(({ level }) => level === 'error')
    assert.deepEqual(failures, [])
  })

  test('reads no body of a stranger’s, no more than 64 KiB of anybody’s, and no form', async () => {
    await using client = await connectRaw(port)
    const head = 'POST /api/sessions/revoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
    await client.send(`${head}Transfer-Encoding: chunked\r\n\r\n`)
    assert.equal((await client.response()).status, 401, 'before any of it has come')
    await using another = await connectRaw(port)
    await another.send(`${head}${authorization}\r\nTransfer-Encoding: chunked\r\n\r\n`)
    for (let i = 0; i < 17; i += 1) await another.send(`1000\r\n${' '.repeat(4096)}\r\n`)
    assert.equal((await another.response()).status, 413, 'without waiting for its end')
    const deep = `{"key":"a","value":${'['.repeat(30_000)}${']'.repeat(30_000)}}`
    assert.equal(
      (await raw('POST /api/sessions/revoke HTTP/1.1', ['Host: localhost', authorization], deep)).status,
      400,
    )
    for (const type of [
      'text/plain',
      'application/json-seq',
      'multipart/form-data',
      'application/x-www-form-urlencoded',
    ]) {
      const { status } = await stage.ask('/api/reload', { body: {}, headers: { 'content-type': type } })
      assert.equal(status, 415, type)
    }
    assert.equal((await fetch(stage.gateway.url)).status, 401, 'it goes on')
  })

  test('tells requests as one event each, whatever is in them', async () => {
    await using watcher = await connectRaw(port)
    await watcher.send(`GET /api/requests HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\n\r\n`)
    await using client = await connectRaw(stage.gateway.port)
    const odd = ['data: forged', 'event: request', '\u0085data: x', '"}{']
    for (const word of odd) {
      await client.send(
        `GET /login?${encodeURIComponent(`\n\ndata: ${word}`)} HTTP/1.1\r\nHost: x\r\nUser-Agent: \xe2\x80\xa8${word}\t\x80\r\n\r\n`,
      )
      assert.equal((await client.response()).status, 200)
    }
    let came = ''
    while ((came.match(/event: request\n/g) ?? []).length < odd.length)
      came += (await watcher.data(1)).toString('latin1')
    for (const line of came.split('\n').filter((text) => text.startsWith('data: '))) {
      const told = JSON.parse(line.slice('data: '.length))
      assert.equal(told['http.route'], 'login')
    }
  })
})

test('no secret of the file is in what is told of it, nor in what is wrong with it', async () => {
  const env = { APP: 'CANARY-app-token', DB: 'CANARY-db', REDIS: 'CANARY-redis', KEY: 'CANARY-key'.padEnd(50, 'x') }
  const config =
    `${MINIMAL.replace('session: {', 'session: { engine: cached_db, secret_key: "${KEY}", secret_key_fallbacks: ["${KEY}1"],')}
admin: { token: CANARY-operators-token-0123456789 }
database: { url: "postgres://u:\${DB}@127.0.0.1/d" }
caches: { default: { backend: redis, url: "redis://u:\${REDIS}@127.0.0.1/1" }, b: { backend: redis, url: "redis://h", password: "\${REDIS}2" } }
keys: [{ id: k, secret: "\${KEY}2" }]
`.replace(
      'auth: public }',
      'auth: public, headers: { request: { Authorization: "Bearer ${APP}", X-Api-Key: CANARY-written }, response: { X-A: shown } } }',
    )
  const { config: inForce } = await loadText(config, { env })
  const { config: changed } = await loadText(config, { env: { ...env, APP: 'CANARY-another' } })
  const view = await configurationViewOf(inForce, { path: 'gate.yaml', read: async () => ({ config: changed }) })
  assert.doesNotMatch(JSON.stringify(view), /CANARY/)
  assert.match(JSON.stringify(view.in_force), /"X-Api-Key":"\[redacted\]".*"X-A":"shown"/)
  assert.deepEqual(
    view.file.differences.map(({ path }) => path),
    ['a secret'],
  )
  const broken = await loadText(`${config}nonsense: CANARY\nlogin: { url: "https://u:CANARY@h/" }\n`, { env }).catch(
    (error: unknown) => error,
  )
  assert.doesNotMatch(JSON.stringify(problemViews(broken)), /CANARY/)
})
