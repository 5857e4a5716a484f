import assert from 'node:assert/strict'
import { mkdir, mkdtempDisposable, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createJarBrowser } from '../support/browser-jar.ts'
import { exchange, openRows, openStage, rowsOf, type Stage, statuses } from './stage.ts'

const upstreams = `
upstreams: { app: { servers: ["APP"], writeback: { allow: ["*"] } } }
routes:
  - { id: guarded, match: { path: /guarded }, upstream: app, auth: required }
  - { id: anonymous, match: { path: /anonymous }, upstream: app, auth: optional, on_store_error: anonymous }
  - { id: none, match: { path: /none }, upstream: app, session: none }
  - { id: app, match: { path: /* }, upstream: app, auth: optional }
`
const set = 'X-Session-Set: {"userInfo":{"id":1}}'

for (const [engine, session] of [
  ['db', 'session: { engine: db }'],
  ['file', 'session: { engine: file, file_path: "." }'],
  ['memory', 'session: { engine: cache }\ncaches: { default: { backend: memory } }'],
]) {
  describe(`with the engine ${engine}`, () => {
    let stage: Stage
    before(async () => {
      stage = await openStage(`${session}\n${upstreams}`)
    })
    after(() => stage[Symbol.asyncDispose]())

    test('a cookie that was logged out stays logged out, however often it is sent', async () => {
      for (const out of [
        'X-Session-Command: flush',
        'X-Session-Command: clear',
        'X-Session-Delete: userInfo',
        'X-Session-Expiry: -10',
        'X-Session-Expiry: 2001-01-01T00:00:00Z',
      ]) {
        const browser = createJarBrowser(stage.gateway.url)
        await browser.fetch('/', { headers: { Say: set } })
        const key = await browser.cookie('sessionid')
        const asked = { Accept: 'application/json', Cookie: `sessionid=${key}` }
        assert.equal((await fetch(`${stage.gateway.url}/guarded`, { headers: asked })).status, 200, out)
        await browser.fetch('/', { headers: { Say: out } })
        for (let i = 0; i < 5; i++)
          assert.equal((await fetch(`${stage.gateway.url}/guarded`, { headers: asked })).status, 401, out)
        await fetch(stage.gateway.url, { headers: { ...asked, Say: 'X-Session-Set: {"cart":1}' } })
        assert.equal((await fetch(`${stage.gateway.url}/guarded`, { headers: asked })).status, 401, out)
      }
    })

    test('the own log-out address does the same, for the own site only', async () => {
      const browser = createJarBrowser(stage.gateway.url)
      await browser.fetch('/', { headers: { Say: set } })
      const key = await browser.cookie('sessionid')
      const foreign = await browser.fetch('/.sessiongate/logout', {
        method: 'POST',
        headers: { Origin: 'http://evil.test' },
      })
      assert.equal(foreign.status, 403)
      assert.equal((await browser.fetch('/.sessiongate/logout')).status, 405)
      assert.equal((await browser.fetch('/guarded')).status, 200)
      await browser.fetch('/.sessiongate/logout', { method: 'POST', headers: { Origin: stage.gateway.url } })
      assert.equal(await browser.cookie('sessionid'), undefined)
      const asked = { Accept: 'application/json', Cookie: `sessionid=${key}` }
      assert.equal((await fetch(`${stage.gateway.url}/guarded`, { headers: asked })).status, 401)
    })

    test('a key that is a path, a query or an object’s own name finds nothing and harms nothing', async () => {
      for (const key of [
        '../../../../etc/passwd',
        '__proto__',
        'constructor',
        'hasOwnProperty',
        'a'.repeat(128),
        'sqlite_master',
        'g.yaml....',
        '........',
        'toString.x',
      ]) {
        const asked = { Accept: 'application/json', Cookie: `sessionid=${key}` }
        assert.equal((await fetch(`${stage.gateway.url}/guarded`, { headers: asked })).status, 401, key)
        assert.equal(
          (await fetch(stage.gateway.url, { headers: { ...asked, Say: 'X-Session-Command: flush' } })).status,
          200,
          key,
        )
      }
    })
  })
}

describe('with the engine signed_cookies', () => {
  test('a forged, swapped or foreign cookie is nobody’s, and over 4,096 bytes nothing is kept', async () => {
    await using stage = await openStage(
      `session: { engine: signed_cookies, secret_key: "${'k'.repeat(50)}" }\nkeys: [{ id: a, secret: "${'s'.repeat(50)}" }]\n${upstreams}`,
    )
    const browser = createJarBrowser(stage.gateway.url)
    await browser.fetch('/', { headers: { Say: set } })
    const value = (await browser.cookie('sessionid')) ?? ''
    const ask = async (cookie: string): Promise<number> =>
      (
        await fetch(`${stage.gateway.url}/guarded`, {
          headers: { Accept: 'application/json', Cookie: `sessionid=${cookie}` },
        })
      ).status
    assert.equal(await ask(value), 200)
    for (const forged of [
      `${value.slice(0, -1)}${value.endsWith('A') ? 'B' : 'A'}`,
      `${value}x`,
      value.toLowerCase(),
      value.replace(':', ':0'),
      `.${value}`,
      value.split(':')[0] ?? '',
    ]) {
      assert.equal(await ask(forged), 401, forged)
    }
    const large = await browser.fetch('/', {
      headers: {
        Say: `X-Session-Set: {"a":"${Array.from({ length: 4500 }, () => Math.random().toString(36)[2]).join('')}"}`,
      },
    })
    assert.equal(large.status, 502)
    assert.deepEqual(large.setCookies, [])
    assert.equal((await browser.fetch('/guarded')).status, 200)
  })
})

describe('when the database fails', () => {
  let stage: Stage
  before(async () => {
    stage = await openStage(`session: { save_every_request: true, store_timeout: 500ms }\n${upstreams}`)
  })
  after(() => stage[Symbol.asyncDispose]())
  const key = async (): Promise<string> => {
    const browser = createJarBrowser(stage.gateway.url)
    await browser.fetch('/', { headers: { Say: set } })
    return (await browser.cookie('sessionid')) ?? ''
  }
  const send = (target: string, lines: readonly string[]): Promise<string> =>
    exchange(
      stage.gateway.port,
      [`GET ${target} HTTP/1.1`, 'Host: x', 'Connection: close', 'Accept: text/html', ...lines, '', ''].join('\r\n'),
    )

  test('a lock that somebody holds costs writers 503 and nobody else anything', async () => {
    const cookie = `Cookie: sessionid=${await key()}`
    const database = openRows(stage.gateway.folder)
    database.exec('BEGIN IMMEDIATE')
    const before = rowsOf(stage.gateway.folder)
    const writing = send('/', [
      cookie,
      'Say: X-Session-Set: {"a":1}',
      'Say: Set-Cookie: other=1',
      'Say: X-Secret: body',
    ])
    const startedMs = performance.now()
    assert.deepEqual(statuses(await send('/none', [])), [200])
    assert.deepEqual(statuses(await send('/', [])), [200])
    assert.ok(performance.now() - startedMs < 400, 'others wait for the lock')
    const came = await writing
    assert.deepEqual(statuses(came), [503])
    assert.match(came, /ERR_SESSION_WRITE/)
    assert.match(came, /^Proxy-Status: sessiongate; error=/m)
    assert.match(came, /^Retry-After: /m)
    assert.doesNotMatch(came, /other=1|X-Secret|sessionid=/)
    database.exec('ROLLBACK')
    database.close()
    assert.deepEqual(rowsOf(stage.gateway.folder), before)
    assert.deepEqual(statuses(await send('/guarded', [cookie])), [200])
  })

  test('without its table there is 503, never a login and never a log-out; and it comes back by itself', async () => {
    const cookie = `Cookie: sessionid=${await key()}`
    const database = openRows(stage.gateway.folder)
    database.exec('ALTER TABLE django_session RENAME TO hidden')
    for (const target of ['/guarded', '/']) {
      const came = await send(target, [cookie])
      assert.deepEqual(statuses(came), [503])
      assert.match(came, /^Retry-After: \d+\r$/m)
      assert.match(came, /^Proxy-Status: sessiongate; error=\w+\r$/m)
      assert.match(came, /^Cache-Control: no-store\r$/m)
      assert.match(came, /^Vary: Cookie\r$/m)
      assert.doesNotMatch(came, /Set-Cookie|Location/)
    }
    const guest = await send('/guarded', [])
    assert.deepEqual(statuses(guest), [302])
    assert.deepEqual(statuses(await send('/none', [cookie])), [200])
    const anonymous = await send('/anonymous', [cookie])
    assert.deepEqual(statuses(anonymous), [200])
    assert.doesNotMatch(anonymous, /Set-Cookie/)
    const written = await send('/anonymous', [cookie, 'Say: X-Session-Set: {"a":1}'])
    assert.deepEqual(statuses(written), [503])
    assert.equal((await fetch(`${stage.gateway.operatorUrl}/readyz`)).status, 503)
    assert.equal((await fetch(`${stage.gateway.operatorUrl}/livez`)).status, 200)
    database.exec('ALTER TABLE hidden RENAME TO django_session')
    database.close()
    await stage.gateway.logged('the store to be up', ({ msg }) => msg === 'session store is up again')
    assert.deepEqual(statuses(await send('/guarded', [cookie])), [200])
    assert.equal((await fetch(`${stage.gateway.operatorUrl}/readyz`)).status, 200)
    const changes = stage.gateway.log.filter(({ msg }) => msg.startsWith('session store is'))
    assert.ok(changes.length <= 4, JSON.stringify(changes))
  })

  test('a database that is full refuses what would be written, and reads go on', async () => {
    const cookie = `Cookie: sessionid=${await key()}`
    const database = openRows(stage.gateway.folder)
    database.exec(
      "CREATE TRIGGER full_up BEFORE UPDATE ON django_session BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
    )
    database.exec(
      "CREATE TRIGGER full_in BEFORE INSERT ON django_session BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
    )
    const came = await send('/', [cookie, 'Say: X-Session-Set: {"a":1}'])
    assert.deepEqual(statuses(came), [503])
    assert.deepEqual(statuses(await send('/', ['Say: X-Session-Set: {"a":1}'])), [503])
    database.exec('DROP TRIGGER full_up; DROP TRIGGER full_in')
    database.close()
    assert.deepEqual(statuses(await send('/guarded', [cookie])), [200])
  })
})

describe('with files', () => {
  test('a folder that vanishes is 503 for who has a cookie, and corrupt files are nobody’s sessions', async () => {
    await using own = await mkdtempDisposable(join(tmpdir(), 'sessiongate-'))
    await mkdir(join(own.path, 'files'))
    const config = `session: { engine: file, file_path: "./files" }\n${upstreams}`
    await using stage = await openStage(config, { folder: own.path })
    const browser = createJarBrowser(stage.gateway.url)
    await browser.fetch('/', { headers: { Say: set } })
    const key = (await browser.cookie('sessionid')) ?? ''
    const folder = join(stage.gateway.folder, 'files')
    assert.ok((await readdir(folder)).some((name) => name.includes(key)))
    const ask = async (): Promise<number> =>
      (
        await fetch(`${stage.gateway.url}/guarded`, {
          headers: { Accept: 'application/json', Cookie: `sessionid=${key}` },
        })
      ).status
    for (const text of ['', ':', 'x'.repeat(3_000_000), '\0\0\0', '.eJw:1:a', '{"userInfo":1}']) {
      await writeFile(join(folder, `sessionid${key}`), text)
      assert.equal(await ask(), 401, text.slice(0, 10))
    }
    await rm(folder, { recursive: true })
    assert.equal(await ask(), 503)
  })
})
