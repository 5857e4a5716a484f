import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { after, before, describe, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { eventWithin, within } from '../support/deadline.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { connectRaw } from '../support/raw-client.ts'

const MIB = 1024 * 1024
const block = Buffer.alloc(MIB, 'sessiongate ')

type Handler = (request: IncomingMessage, response: ServerResponse) => void

interface Streams extends AsyncDisposable {
  readonly origin: string
  /** Answers at that path, until the test is over. */
  on(path: string, handler: Handler): void
}

/** An app whose answers are streams of the test's own making. */
async function startStreams(): Promise<Streams> {
  const handlers = new Map<string, Handler>()
  const server = createServer((incoming, response) => {
    const handler = handlers.get((incoming.url ?? '').split('?')[0] ?? '')
    if (handler === undefined) response.writeHead(404).end()
    else handler(incoming, response)
  })
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (incoming, socket, head) => {
    sockets.handleUpgrade(incoming, socket, head, (peer) => {
      peer.on('message', (data, isBinary) => peer.send(data, { binary: isBinary }))
    })
  })
  handlers.set('/login', (incoming, response) => {
    incoming.resume()
    response.setHeader('X-Session-Set', '{"userInfo":"alice"}').end('in')
  })
  handlers.set('/leave', (_incoming, response) => void response.setHeader('X-Session-Delete', 'userInfo').end('out'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    on: (path, handler) => void handlers.set(path, handler),
    async [Symbol.asyncDispose]() {
      sockets.close()
      server.close()
      server.closeAllConnections()
      for (const peer of sockets.clients) peer.terminate()
    },
  }
}

describe('what passes through', () => {
  let app: Streams
  let gateway: TestGateway
  before(async () => {
    app = await startStreams()
    gateway = await startGateway({
      config: `
upstreams: { app: { servers: ["${app.origin}"], writeback: { allow: ["*"] } } }
routes:
  - { id: small, match: { path: /small/* }, upstream: app, session: none, limits: { body: 1KiB } }
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: private, match: { path: [/socket/*, /leave] }, upstream: app, auth: required }
  - { id: closed, match: { path: /closed/* }, upstream: app, websocket: false }
  - { id: open, match: { path: /* }, upstream: app, limits: { body: null } }
`,
    })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  test('1 GiB down and 1 GiB up, whole, with less than 64 MiB of memory over idle', { timeout: 300_000 }, async (t) => {
    const blocks = 1024
    app.on('/down', async (_incoming, response) => {
      response.writeHead(200, { 'Content-Length': blocks * MIB })
      for (let i = 0; i < blocks; i++) if (!response.write(block)) await once(response, 'drain')
      response.end()
    })
    app.on('/up', async (incoming, response) => {
      const hash = createHash('sha256')
      let bytes = 0
      for await (const chunk of incoming) {
        hash.update(chunk as Buffer)
        bytes += (chunk as Buffer).length
      }
      response.end(`${bytes} ${hash.digest('hex')}`)
    })
    const whole = createHash('sha256')
    for (let i = 0; i < blocks; i++) whole.update(block)
    const expected = whole.digest('hex')
    const idle = await residentBytes(gateway)
    const peak = watchMemory(gateway)

    const down = await fetch(`${gateway.url}/down`)
    const received = createHash('sha256')
    for await (const chunk of down.body ?? []) received.update(chunk)
    assert.equal(received.digest('hex'), expected)

    const source = new PassThrough()
    const sending = request(`${gateway.url}/up`, { method: 'POST', headers: { 'Content-Length': blocks * MIB } })
    const answered = once(sending, 'response') as Promise<[IncomingMessage]>
    const written = pipeline(source, sending)
    for (let i = 0; i < blocks; i++) if (!source.write(block)) await once(source, 'drain')
    source.end()
    await written
    const [answer] = await answered
    assert.equal(Buffer.concat(await answer.toArray()).toString(), `${blocks * MIB} ${expected}`)

    const grown = (await peak.stop()) - idle
    t.diagnostic(`${(grown / MIB).toFixed(1)} MiB over the idle ${(idle / MIB).toFixed(1)} MiB`)
    assert.ok(grown < 64 * MIB, `memory grew by ${(grown / MIB).toFixed(1)} MiB`)
  })

  test('server-sent events arrive one by one, each as it is sent', async () => {
    let stream: ServerResponse | undefined
    app.on('/events', (_incoming, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.flushHeaders()
      stream = response
    })
    const answer = await within('the head of an empty stream', fetch(`${gateway.url}/events`))
    const reader = answer.body?.getReader()
    for (const event of ['data: one\n\n', 'data: two\n\n']) {
      stream?.write(event)
      const read = await within('an event', reader?.read() ?? Promise.reject(new Error('no body')))
      assert.equal(Buffer.from(read.value ?? []).toString(), event)
    }
    await reader?.cancel()
  })

  test('HEAD, 204 and 304 have no body, and keep their headers', async () => {
    app.on('/head', (_incoming, response) => void response.writeHead(200, { 'Content-Length': '5' }).end())
    app.on('/204', (_incoming, response) => void response.writeHead(204, { 'X-Kept': 'yes' }).end())
    app.on('/304', (_incoming, response) => void response.writeHead(304, { ETag: '"a"' }).end())
    await using client = await connectRaw(gateway.port)
    for (const [method, path, status] of [
      ['HEAD', '/head', 200],
      ['GET', '/204', 204],
      ['GET', '/304', 304],
    ] as const) {
      await client.send(`${method} ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
      const answer = await client.response({ method })
      assert.deepEqual([answer.status, answer.body.length], [status, 0])
      if (path === '/head') assert.deepEqual(answer.values('content-length'), ['5'])
      if (path === '/204')
        assert.deepEqual([answer.values('x-kept'), answer.values('transfer-encoding')], [['yes'], []])
      if (path === '/304') assert.deepEqual(answer.values('etag'), ['"a"'])
    }
  })

  test('an early hint goes ahead of the answer, without what is between app and gateway', async () => {
    app.on('/hints', (_incoming, response) => {
      response.writeEarlyHints({ link: '</a.css>; rel=preload', 'x-session-set': '{"a":1}' })
      response.end('late')
    })
    await using client = await connectRaw(gateway.port)
    await client.send('GET /hints HTTP/1.1\r\nHost: a\r\n\r\n')
    const hint = await client.response()
    assert.deepEqual([hint.status, hint.values('link')], [103, ['</a.css>; rel=preload']])
    assert.deepEqual(
      hint.rawHeaders.filter((text) => /session/i.test(text)),
      [],
    )
    assert.equal((await client.response()).body.toString(), 'late')
  })

  test('a body without a length goes up chunked, one with a length as it is', async () => {
    app.on('/framing', async (incoming, response) => {
      const body = Buffer.concat(await incoming.toArray())
      const { 'content-length': length, 'transfer-encoding': coding } = incoming.headers
      response.end(JSON.stringify({ length, coding, body: body.toString() }))
    })
    await using client = await connectRaw(gateway.port)
    await client.send(
      'POST /framing HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-Trailer: t\r\n\r\n',
    )
    assert.deepEqual(JSON.parse((await client.response()).body.toString()), { coding: 'chunked', body: 'hello' })
    await client.send('POST /framing HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello')
    assert.deepEqual(JSON.parse((await client.response()).body.toString()), { length: '5', body: 'hello' })
    await client.send('POST /framing HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
    assert.deepEqual(JSON.parse((await client.response()).body.toString()), { length: '0', body: '' })
  })

  test('a body over the route’s limit is refused, with a length and without', async () => {
    app.on('/small/x', (incoming, response) => void incoming.resume().on('end', () => response.end('ok')))
    const sized = await fetch(`${gateway.url}/small/x`, { method: 'POST', body: 'x'.repeat(1025) })
    assert.equal(sized.status, 413)
    await using client = await connectRaw(gateway.port)
    await client.send(
      `POST /small/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n${'x'.repeat(2048)}\r\n`,
    )
    assert.equal((await client.response()).status, 413)
    assert.equal((await fetch(`${gateway.url}/small/x`, { method: 'POST', body: 'x'.repeat(1024) })).status, 200)
  })

  test('a browser that leaves takes its request to the app along', async () => {
    const ended = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    app.on('/endless', (_incoming, response) => {
      response.on('close', () => ended.resolve())
      response.write('x')
      begun.resolve()
    })
    await using client = await connectRaw(gateway.port)
    await client.send('GET /endless HTTP/1.1\r\nHost: a\r\n\r\n')
    await begun.promise
    client.reset()
    await within('the app to lose its reader', ended.promise)
  })

  test('an app that breaks off in mid-answer never looks complete', async () => {
    app.on('/torn', (_incoming, response) => {
      response.write('half')
      setImmediate(() => response.socket?.resetAndDestroy())
    })
    await using client = await connectRaw(gateway.port)
    await client.send('GET /torn HTTP/1.1\r\nHost: a\r\n\r\n')
    const torn = await client.response().then(
      (answer) => answer.isComplete === false || answer.status === 502,
      () => true,
    )
    assert.equal(torn, true)
  })

  test('a WebSocket passes bytes both ways, after the route’s rule', async () => {
    const refused = new WebSocket(`${gateway.url.replace('http', 'ws')}/socket/a`)
    refused.on('error', () => undefined)
    const [, response] = (await eventWithin(refused, 'unexpected-response')) as [unknown, IncomingMessage]
    assert.equal(response.statusCode, 401)
    refused.terminate()

    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/socket/a`, {
      headers: { Cookie: await login() },
    })
    await eventWithin(socket, 'open')
    const sent = Buffer.concat([block, block])
    socket.send(sent)
    const [echoed] = await eventWithin(socket, 'message')
    assert.equal(sent.equals(echoed as Buffer), true)
    socket.close()
    await eventWithin(socket, 'close')
  })

  for (const [why, path, origin, status] of [
    ['another origin’s page', '/socket/a', 'https://evil.example', 403],
    ['a sandboxed page', '/socket/a', 'null', 403],
    ['a route that refuses them', '/closed/a', undefined, 403],
  ] as const) {
    test(`no WebSocket for ${why}`, async () => {
      const headers = { Cookie: await login(), ...(origin === undefined ? {} : { Origin: origin }) }
      const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}${path}`, { headers })
      socket.on('error', () => undefined)
      const [, response] = (await eventWithin(socket, 'unexpected-response')) as [unknown, IncomingMessage]
      assert.equal(response.statusCode, status)
      socket.terminate()
    })
  }

  test('a WebSocket ends with 1008 when its session is logged out', async () => {
    const cookie = await login()
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/socket/a`, { headers: { Cookie: cookie } })
    await eventWithin(socket, 'open')
    const closed = eventWithin(socket, 'close')
    await fetch(`${gateway.url}/leave`, { headers: { Cookie: cookie } })
    const [code] = await closed
    assert.equal(code, 1008)
  })

  test('the gateway’s own log-out ends row and cookie, for its own site only', async () => {
    const cookie = await login()
    const foreign = await fetch(`${gateway.url}/.sessiongate/logout`, {
      method: 'POST',
      headers: { Cookie: cookie, 'Sec-Fetch-Site': 'cross-site' },
    })
    assert.equal(foreign.status, 403)
    assert.equal((await fetch(`${gateway.url}/.sessiongate/logout`, { headers: { Cookie: cookie } })).status, 405)
    // fetch says of itself that it is no navigation, so the form's post is written out.
    await using form = await connectRaw(gateway.port)
    await form.send(
      `POST /.sessiongate/logout HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\nOrigin: ${gateway.url}\r\n` +
        `Accept: text/html\r\nCookie: ${cookie}\r\nContent-Length: 0\r\n\r\n`,
    )
    const own = await form.response()
    assert.deepEqual([own.status, own.values('location')], [303, ['/login']])
    assert.match(own.values('set-cookie')[0] ?? '', /^sessionid=""; .*Max-Age=0/)
    assert.equal((await fetch(`${gateway.url}/leave`, { headers: { Cookie: cookie, Accept: 'a/b' } })).status, 401)
  })

  async function login(): Promise<string> {
    const answer = await fetch(`${gateway.url}/login`, { method: 'POST' })
    return (answer.headers.getSetCookie()[0] ?? '').split(';')[0] ?? ''
  }
})

async function residentBytes(gateway: TestGateway): Promise<number> {
  const status = await readFile(`/proc/${gateway.process.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024
}

/** The highest resident size from now on, looked at ten times a second. */
function watchMemory(gateway: TestGateway): { stop(): Promise<number> } {
  let peak = 0
  const look = async (): Promise<void> => {
    peak = Math.max(peak, await residentBytes(gateway))
  }
  const timer = setInterval(look, 100)
  return {
    async stop() {
      clearInterval(timer)
      await look()
      return peak
    },
  }
}
