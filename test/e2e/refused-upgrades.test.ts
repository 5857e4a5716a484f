import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { eventWithin, within } from '../support/deadline.ts'
import { type EvilUpstream, startEvil } from '../support/evil-upstream.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { connectRaw, type RawResponse } from '../support/raw-client.ts'
import { handshake } from '../support/websocket-gate.ts'

/** A client's handshake for that path, with those lines. */
const handshakeTo = (path: string, ...lines: string[]): string =>
  handshake.replace('/chat%2F?x=%zz', path).replace(/\r\n\r\n$/, `\r\n${lines.map((l) => `${l}\r\n`).join('')}\r\n`)

const answer = (status: string, body: string, ...lines: string[]): string =>
  `HTTP/1.1 ${status}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${lines.map((l) => `${l}\r\n`).join('')}\r\n${body}`

/** More than all buffers on the way take. */
const FLOOD_BYTES = 2 ** 30
const large = 'large '.repeat(1_000_000)

/** What the app answers to a handshake, by its path. */
const answers: Readonly<Record<string, string>> = {
  ok: answer('200 OK', 'no sockets here', 'Content-Type: text/plain', 'X-App: a'),
  moved: answer('302 Found', '', 'Location: /elsewhere'),
  unauthorized: answer('401 Unauthorized', 'who are you', 'WWW-Authenticate: Basic realm="app"'),
  missing: answer('404 Not Found', '<p>nothing</p>', 'Content-Type: text/html'),
  broken: answer('500 Internal Server Error', 'oops'),
  chunked: 'HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n',
  untilclose: 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it',
  empty: 'HTTP/1.1 204 No Content\r\n\r\n',
  upgrade: answer('426 Upgrade Required', '', 'Upgrade: chat/2', 'Connection: Upgrade'),
  large: answer('200 OK', large),
  login: answer(
    '200 OK',
    'in',
    'X-Session-Set: {"userInfo":{"name":"ann"}}',
    'Set-Cookie: theme=dark',
    'Set-Cookie: sessionid=planted',
  ),
  leave: answer('401 Unauthorized', 'out', 'X-Session-Command: flush'),
  who: answer('200 OK', 'who'),
}

describe('an app that does not agree to a WebSocket has given an ordinary answer', () => {
  let app: EvilUpstream
  let gateway: TestGateway
  let slow: FaultProxy
  before(async () => {
    app = await startEvil(async (connection) => {
      const head = await connection.head()
      const [, name = ''] = /^GET \/([a-z]*)/.exec(head) ?? []
      if (name === 'flood') {
        await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${FLOOD_BYTES}\r\n\r\n`)
        while (!connection.socket.destroyed) await connection.send(Buffer.alloc(2 ** 16)).catch(() => undefined)
        return
      }
      await connection.send(answers[name] ?? answer('400 Bad Request', name))
      if (name === 'untilclose') connection.end()
    })
    gateway = await startGateway({
      config: `
upstreams: { app: { servers: ["${app.origin}"], writeback: { allow: ["*"] }, timeouts: { idle: 2s } } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional, headers: { response: { X-Frame-Options: DENY } } }]
`,
    })
    slow = await startFaultProxy(gateway.port)
  })
  after(async () => {
    await slow[Symbol.asyncDispose]()
    await gateway[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  /** The answer, and that the connection ends with it. */
  async function ask(path: string, ...lines: string[]): Promise<RawResponse> {
    await using client = await connectRaw(gateway.port)
    // What an eager client sends behind its handshake is no request of anybody's.
    await client.send(`${handshakeTo(path, ...lines)}GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n`)
    const response = await client.response()
    assert.equal((await client.rest()).length, 0, 'nothing follows')
    assert.equal(app.received().includes('/smuggled'), false)
    return response
  }

  const plain: [path: string, status: number, body: string, line: [name: string, value: string] | undefined][] = [
    ['/ok', 200, 'no sockets here', ['X-App', 'a']],
    ['/moved', 302, '', ['Location', '/elsewhere']],
    ['/unauthorized', 401, 'who are you', ['WWW-Authenticate', 'Basic realm="app"']],
    ['/missing', 404, '<p>nothing</p>', ['Content-Type', 'text/html']],
    ['/broken', 500, 'oops', undefined],
    ['/chunked', 403, 'abcdefg', undefined],
    ['/untilclose', 200, 'all of it', ['Content-Type', 'text/plain']],
    ['/empty', 204, '', undefined],
    ['/upgrade', 426, '', undefined],
  ]
  for (const [path, status, body, line] of plain) {
    test(`${path}: ${status} with its headers and its body, and then the connection is closed`, async () => {
      const response = await ask(path)
      assert.deepEqual([response.status, response.body.toString(), response.isComplete], [status, body, true])
      if (line !== undefined) assert.deepEqual(response.values(line[0]), [line[1]])
      assert.deepEqual(response.values('Connection'), ['close'])
      assert.deepEqual(response.values('X-Frame-Options'), ['DENY'])
      assert.deepEqual(response.values('Vary'), ['Cookie'])
      const record = await gateway.logged('its line', ({ msg, ...rest }) => rest['url.path'] === path)
      assert.equal(record['http.response.status_code'], status)
    })
  }

  test('commands are applied, the app’s own cookies pass, and nobody plants a session', async () => {
    const { status, values, rawHeaders } = await ask('/login')
    assert.equal(status, 200)
    const cookies = values('Set-Cookie')
    assert.equal(cookies.length, 2)
    assert.ok(cookies.includes('theme=dark'))
    const [, key = ''] = /sessionid=([a-z0-9]{32});/.exec(cookies.join('\n')) ?? []
    assert.notEqual(key, '')
    assert.doesNotMatch(rawHeaders.join('\n'), /x-session/i)
    const cookie = `Cookie: sessionid=${key}`
    await ask('/who', cookie)
    assert.equal(claimsOf(app).auth, true)
    const left = await ask('/leave', cookie)
    assert.deepEqual([left.status, left.body.toString()], [401, 'out'])
    assert.match(left.values('Set-Cookie')[0] ?? '', /^sessionid=""; .*Max-Age=0/)
    await ask('/who', cookie)
    assert.equal(claimsOf(app).auth, false)
  })

  test('a slow reader gets all of a large answer', async () => {
    slow.set({ kind: 'throttle', bytesPerSecond: 2 ** 20, direction: 'down' })
    await using client = await connectRaw(slow.port)
    await client.send(handshakeTo('/large'))
    const { status, body, isComplete } = await client.response({ deadlineMs: 30_000 })
    assert.deepEqual([status, isComplete, body.toString() === large], [200, true, true])
  })

  test('a reader that takes nothing is let go after the time that the route gives it, and the app’s connection with it', async () => {
    const opened = app.connections.length
    await using client = await connectRaw(gateway.port)
    client.pause()
    await client.send(handshakeTo('/flood'))
    const connection = await app.connection(opened)
    await within('the app’s connection to close', connection.closed)
    client.resume()
    assert.ok((await client.rest()).length < FLOOD_BYTES, 'it did not get all of it')
  })

  test('ws sees the status and the body', async () => {
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/missing`)
    socket.on('error', () => undefined)
    const [, response] = (await eventWithin(socket, 'unexpected-response')) as [unknown, IncomingMessage]
    assert.equal(response.statusCode, 404)
    assert.equal(Buffer.concat(await within('the body', response.toArray())).toString(), '<p>nothing</p>')
    socket.terminate()
  })
})

/** Of the assertion that the app got last. */
function claimsOf(app: EvilUpstream): { readonly auth: boolean } {
  const [, assertion = ''] = /x-session-assertion: (\S+)/i.exec(app.connections.at(-1)?.received() ?? '') ?? []
  return JSON.parse(Buffer.from(assertion.split('.')[1] ?? '', 'base64url').toString())
}

test('an app of node:http that knows no WebSockets answers as to any request, and the gateway closes behind it', async () => {
  const server = createServer((incoming, response) => void response.end(`asked for ${incoming.url}`))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  await using stack = new AsyncDisposableStack()
  stack.defer(() => void server.close().closeAllConnections())
  const { port } = server.address() as AddressInfo
  const gateway = stack.use(
    await startGateway({
      config: `
upstreams: { app: { servers: ["http://127.0.0.1:${port}"] } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`,
    }),
  )
  await using client = await connectRaw(gateway.port)
  await client.send(handshakeTo('/page'))
  const response = await client.response()
  assert.deepEqual([response.status, response.body.toString()], [200, 'asked for /page'])
  assert.equal((await client.rest()).length, 0)
})
