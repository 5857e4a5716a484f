import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { openAuthority } from '../support/certificates.ts'
import { eventWithin, until, within } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { findFreePort } from '../support/postgres.ts'
import { connectRaw } from '../support/raw-client.ts'
import { configFile, putConfig, reloadBy } from '../support/reloads.ts'
import { askTls } from '../support/tls-client.ts'

async function openScratch() {
  const path = await mkdtemp(join(tmpdir(), 'sessiongate-reload-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

interface Choices {
  readonly port: number
  readonly origin: string
  readonly mark?: string
  readonly listen?: string
  readonly admin?: string
  readonly route?: string
  readonly more?: string
}

/** The mark is what this configuration adds to a request, and to its answer. */
function configOf({
  port,
  origin,
  mark = 'one',
  listen,
  admin = '127.0.0.1:0',
  route = 'auth: public',
  more = '',
}: Choices) {
  return `version: 1
listen: ${listen ?? `[{ address: "127.0.0.1:${port}" }]`}
admin: { listen: "${admin}" }
upstreams: { app: { servers: ["${origin}"], writeback: { allow: ["*"] } } }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - id: app
    match: { path: /* }
    upstream: app
    ${route}
    headers: { request: { X-Env: ${mark} }, response: { X-Mark: ${mark} } }
${more}`
}

/** An app that tells what it was sent, keeps a request until it is told to answer, logs people in, and speaks WebSocket. */
async function startSite() {
  const held: (() => void)[] = []
  const app = await startApp((request, response) => {
    if (request.url === '/held') held.push(() => response.end(String(request.headers['x-env'])))
    else if (request.url === '/login') response.setHeader('X-Session-Set', '{"userInfo":{"id":7}}').end('in')
    else if (request.url === '/out') response.setHeader('X-Session-Command', 'flush').end('out')
    else response.end(String(request.headers['x-env']))
  })
  const sockets = new WebSocketServer({ server: app.server })
  return { ...app, held, sockets, [Symbol.asyncDispose]: () => app[Symbol.asyncDispose]() }
}

async function openStage(choices: Partial<Choices> = {}) {
  await using stack = new AsyncDisposableStack()
  const site = stack.use(await startSite())
  const port = await findFreePort()
  const text = (more: Partial<Choices> = {}): string => configOf({ port, origin: site.origin, ...choices, ...more })
  const gateway = stack.use(await startGateway({ config: text() }))
  const closing = stack.move()
  return {
    site,
    port,
    gateway,
    /** Puts that configuration there, and waits for what becomes of it. */
    change: async (more: Partial<Choices>) => await reloadBy(gateway, () => putConfig(gateway, text(more))),
    text,
    mark: () => markAt(gateway.url),
    metric: (name: string) => metricOf(gateway, name),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

async function markAt(url: string, headers: Record<string, string> = {}): Promise<string> {
  const answer = await fetch(`${url}/`, { headers, redirect: 'manual' })
  const text = await answer.text()
  return `${answer.status} ${answer.headers.get('x-mark')} ${text}`
}

async function metricOf({ operatorUrl }: TestGateway, name: string): Promise<number> {
  const text = await (await fetch(`${operatorUrl}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
}

async function logIn(url: string): Promise<string> {
  const answer = await fetch(`${url}/login`, { method: 'POST' })
  return answer.headers.getSetCookie()[0]?.split(';', 1)[0] ?? ''
}

describe('a changed configuration', () => {
  test('is taken when its file is replaced, and connections stay open', async () => {
    await using stage = await openStage()
    await using client = await connectRaw(stage.port)
    const ask = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
    await client.send(ask)
    assert.deepEqual((await client.response()).values('x-mark'), ['one'])
    assert.equal((await stage.change({ mark: 'two' })).msg, 'configuration reloaded')
    await client.send(ask)
    const answer = await client.response()
    assert.deepEqual([answer.values('x-mark'), answer.body.toString()], [['two'], 'two'])
    assert.equal(await stage.metric('sessiongate_config_reloads_total{result="success"}'), 2)
    const hashes = stage.gateway.log.filter(({ msg }) => msg === 'configuration reloaded').map(({ hash }) => hash)
    assert.equal(await stage.metric(`sessiongate_config_info{hash="${hashes[0]}",mode="enforce"}`), 1)
  })

  test('is taken at SIGHUP, also when the file was written in place', async () => {
    await using stage = await openStage()
    const { gateway } = stage
    const line = await reloadBy(gateway, async () => {
      await writeFile(configFile(gateway), stage.text({ mark: 'two' }))
      gateway.process.kill('SIGHUP')
    })
    assert.deepEqual([line.msg, await stage.mark()], ['configuration reloaded', '200 two two'])
  })

  test('is taken when a ConfigMap swaps its folder', async () => {
    await using scratch = await openScratch()
    const at = (name: string): string => join(scratch.path, name)
    const choices = { port: await findFreePort(), origin: 'http://127.0.0.1:9' }
    await using site = await startSite()
    for (const mark of ['one', 'two']) {
      await mkdir(at(`..${mark}`))
      await writeFile(at(`..${mark}/sessiongate.yaml`), configOf({ ...choices, origin: site.origin, mark }))
    }
    await symlink('..one', at('..data'))
    await symlink('..data/sessiongate.yaml', at('sessiongate.yaml'))
    await using gateway = await startGateway({ config: '', folder: scratch.path, hasConfig: true })
    assert.equal(await markAt(gateway.url), '200 one one')
    const line = await reloadBy(gateway, async () => {
      await symlink('..two', at('..data_tmp'))
      await rename(at('..data_tmp'), at('..data'))
    })
    assert.deepEqual([line.msg, await markAt(gateway.url)], ['configuration reloaded', '200 two two'])
  })

  test('is taken when a file changes that it names', async () => {
    await using stage = await openStage()
    const { gateway } = stage
    const secret = join(gateway.folder, 'mark')
    await writeFile(secret, 'two', { mode: 0o600 })
    await stage.change({ mark: `"\${file:${secret}}"` })
    assert.equal(await stage.mark(), '200 two two')
    const line = await reloadBy(gateway, () => writeFile(secret, 'three'))
    assert.deepEqual([line.msg, await stage.mark()], ['configuration reloaded', '200 three three'])
  })

  test('does not touch a request that has begun: it ends by the one before, with its own upstream', async () => {
    await using stage = await openStage()
    await using other = await startSite()
    const held = fetch(`${stage.gateway.url}/held`)
    await until('the request is with the app', () => stage.site.held.length === 1)
    await stage.change({ mark: 'two', origin: other.origin })
    assert.equal(await stage.mark(), '200 two two')
    stage.site.held[0]?.()
    const answer = await within('the answer', held)
    assert.deepEqual([answer.headers.get('x-mark'), await answer.text()], ['one', 'one'])
  })

  test('leaves what it does not change as it is: sessions in memory are still there', async () => {
    const memory = `session: { engine: cache, user_id: userInfo.id }
caches: { default: { backend: memory } }`
    await using stage = await openStage({ route: 'auth: required', more: memory })
    const cookie = await logIn(stage.gateway.url)
    await stage.change({ mark: 'two' })
    assert.equal(await markAt(stage.gateway.url, { cookie }), '200 two two')
  })

  test('may keep sessions elsewhere: those of before are not there', async () => {
    await using stage = await openStage({ route: 'auth: required' })
    const cookie = await logIn(stage.gateway.url)
    assert.match(await markAt(stage.gateway.url, { cookie }), /^200 one/)
    await stage.change({ more: 'session: { engine: cache }\ncaches: { default: { backend: memory } }\n' })
    assert.match(await markAt(stage.gateway.url, { cookie }), /^(302|401)/)
    const again = await logIn(stage.gateway.url)
    assert.match(await markAt(stage.gateway.url, { cookie: again }), /^200 one/)
  })

  test('may write other lines into the log', async () => {
    await using stage = await openStage()
    await stage.change({ mark: 'two', more: 'logging: { access: false }\n' })
    const seen = stage.gateway.log.length
    await stage.mark()
    await stage.change({ mark: 'three', more: 'logging: { access: true }\n' })
    await stage.mark()
    await stage.gateway.logged('the request', ({ msg, 'url.path': path }) => msg === 'request' && path === '/')
    assert.equal(stage.gateway.log.slice(seen).filter(({ msg }) => msg === 'request').length, 1)
  })
})

describe('a broken configuration', () => {
  const broken = [
    { what: 'no YAML', text: (whole: string) => `${whole}\n  - [`, line: undefined },
    { what: 'an unknown key', text: (whole: string) => whole.replace('routes:', 'ruotes:'), line: 5 },
    { what: 'an empty file', text: () => '', line: undefined },
    { what: 'half a file', text: (whole: string) => whole.slice(0, whole.length / 2), line: undefined },
    {
      what: 'a variable that is not set',
      text: (whole: string) => whole.replace('one', `"\${NOBODY_SETS_THIS}"`),
      line: 11,
    },
  ]
  for (const { what, text, line } of broken) {
    test(`changes nothing, and its place is told: ${what}`, async () => {
      await using stage = await openStage()
      const told = await reloadBy(stage.gateway, () => putConfig(stage.gateway, text(stage.text())))
      assert.equal(told.msg, 'configuration not reloaded, the one before stays in force')
      assert.equal(told.file, configFile(stage.gateway))
      if (line !== undefined) assert.match(String(told.problems), new RegExp(`sessiongate\\.yaml:${line}:\\d+: `))
      assert.equal(await stage.mark(), '200 one one')
      assert.equal(await stage.metric('sessiongate_config_last_reload_successful'), 0)
      assert.equal(await stage.metric('sessiongate_config_reloads_total{result="failure"}'), 1)
      const again = await stage.change({})
      assert.equal(again.msg, 'configuration is in order again')
      assert.equal(await stage.metric('sessiongate_config_last_reload_successful'), 1)
    })
  }

  test('changes nothing when an address is taken by another: none of its parts is in force', async () => {
    await using stage = await openStage()
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const address = taken.address()
    const port = typeof address === 'object' ? address?.port : 0
    const listen = `[{ address: "127.0.0.1:${stage.port}" }, { address: "127.0.0.1:${port}" }]`
    const told = await stage.change({ mark: 'two', listen })
    assert.deepEqual([told.msg.includes('not reloaded'), told['error.type']], [true, 'EADDRINUSE'])
    assert.equal(await stage.mark(), '200 one one')
    taken.close()
    await once(taken, 'close')
    assert.equal(
      (await reloadBy(stage.gateway, () => stage.gateway.process.kill('SIGHUP'))).msg,
      'configuration reloaded',
    )
    assert.equal(await stage.mark(), '200 two two')
    assert.equal(await markAt(`http://127.0.0.1:${port}`), '200 two two')
  })
})

describe('listeners of a changed configuration', () => {
  test('one more is opened; one less takes nobody and closes what it has', async () => {
    await using stage = await openStage()
    const second = await findFreePort()
    const both = `[{ address: "127.0.0.1:${stage.port}" }, { address: "127.0.0.1:${second}" }]`
    await stage.change({ listen: both })
    assert.equal(await markAt(`http://127.0.0.1:${second}`), '200 one one')
    await using client = await connectRaw(second)
    await client.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await client.response()
    await stage.change({})
    await assert.rejects(connectRaw(second), { code: 'ECONNREFUSED' })
    await within('the idle connection to be closed', client.closed)
    assert.equal(await stage.mark(), '200 one one')
  })

  test('one that begins to speak TLS keeps its address, and ends what it had in clear politely', async () => {
    await using scratch = await openScratch()
    const authority = await openAuthority(scratch.path)
    const pair = await authority.issue({ hosts: ['localhost'] })
    await using stage = await openStage()
    const at = (name: string): string => join(stage.gateway.folder, name)
    await writeFile(at('a.crt'), pair.cert)
    await writeFile(at('a.key'), pair.key, { mode: 0o600 })
    await using client = await connectRaw(stage.port)
    const held = client.send('GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await held
    await until('the request is with the app', () => stage.site.held.length === 1)
    const listen = `[{ address: "127.0.0.1:${stage.port}", tls: { cert: a.crt, key: a.key } }]`
    await stage.change({ mark: 'two', listen })
    const secure = await askTls({ port: stage.port, ca: authority.cert, servername: 'localhost' })
    assert.match(secure.text, /x-mark: two/i)
    stage.site.held[0]?.()
    const answer = await client.response()
    assert.deepEqual([answer.values('x-mark'), answer.body.toString()], [['one'], 'one'])
    await within('the connection in clear to be closed', client.closed)
  })

  test('the operator listens elsewhere', async () => {
    await using stage = await openStage()
    const port = await findFreePort()
    await stage.change({ admin: `127.0.0.1:${port}` })
    assert.equal((await fetch(`http://127.0.0.1:${port}/livez`)).status, 200)
    await assert.rejects(fetch(`${stage.gateway.operatorUrl}/livez`))
  })
})

describe('WebSockets and a changed configuration', () => {
  async function openSocket(url: string, cookie = ''): Promise<WebSocket> {
    const socket = new WebSocket(url.replace('http', 'ws'), { headers: cookie === '' ? {} : { cookie } })
    await eventWithin(socket, 'open')
    return socket
  }

  async function answersTo(socket: WebSocket): Promise<void> {
    const pong = eventWithin(socket, 'pong')
    socket.ping()
    await pong
  }

  test('they stay open, also when their upstream is another now, and are held to the session as before', async () => {
    await using stage = await openStage({ route: 'auth: required' })
    await using other = await startSite()
    const cookie = await logIn(stage.gateway.url)
    const socket = await openSocket(stage.gateway.url, cookie)
    await stage.change({ mark: 'two' })
    await answersTo(socket)
    await stage.change({ mark: 'three', origin: other.origin })
    await answersTo(socket)
    const closed = eventWithin(socket, 'close')
    await fetch(`${stage.gateway.url}/out`, { headers: { cookie } })
    assert.equal((await closed)[0], 1008)
  })

  const refusals = [
    { what: 'their route is gone', change: { route: 'match: { path: /elsewhere }' } },
    { what: 'their route takes none any more', change: { route: 'websocket: false' } },
    { what: 'their route asks for somebody who is logged in', change: { route: 'auth: required' } },
  ]
  for (const { what, change } of refusals) {
    test(`they end with 1008 when ${what}`, async () => {
      await using stage = await openStage()
      const socket = await openSocket(stage.gateway.url)
      const closed = eventWithin(socket, 'close')
      const whole = stage.text()
      const text = change.route.startsWith('match')
        ? whole.replace('match: { path: /* }', change.route)
        : whole.replace('auth: public\n    headers', `${change.route}\n    headers`)
      assert.notEqual(text, whole)
      await reloadBy(stage.gateway, () => putConfig(stage.gateway, text))
      assert.equal((await closed)[0], 1008)
    })
  }
})
