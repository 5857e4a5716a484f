import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type EvilUpstream, startEvil } from '../support/evil-upstream.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { connectRaw, type RawClient } from '../support/raw-client.ts'
import { hello, maskedHello, handshake as plain, switching } from '../support/websocket-gate.ts'
import { openRows, statuses } from './stage.ts'

const lines = plain.replace('/chat%2F?x=%zz', '/ws').replace('app.test', 'x')
const withLines = (...more: string[]): string =>
  lines.replace(/\r\n\r\n$/, `\r\n${more.map((line) => `${line}\r\n`).join('')}\r\n`)

describe('WebSockets', () => {
  let evil: EvilUpstream
  let gateway: TestGateway
  let answer = switching
  before(async () => {
    evil = await startEvil(async (connection) => {
      for (;;) {
        const head = await connection.head()
        if (/^upgrade:/im.test(head)) await connection.send(answer)
        else {
          const [, say = ''] = /^say: (.*)\r$/im.exec(head) ?? []
          await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${say === '' ? '' : `${say}\r\n`}\r\n`)
        }
      }
    })
    gateway = await startGateway({
      config: `
upstreams: { app: { servers: ["${evil.origin}"], writeback: { allow: ["*"] } } }
routes:
  - { id: off, match: { path: /off }, upstream: app, auth: optional, websocket: false }
  - { id: named, match: { path: /named }, upstream: app, auth: optional, websocket: { origins: ["https://good.test"] } }
  - { id: guarded, match: { path: /guarded }, upstream: app, auth: required }
  - { id: app, match: { path: /* }, upstream: app, auth: optional }
`,
    })
  })
  after(async () => {
    // First: it is there also when the gateway has not started, and would keep this process from ending.
    await evil[Symbol.asyncDispose]()
    await gateway[Symbol.asyncDispose]()
  })
  async function ask(bytes: string): Promise<number | undefined> {
    await using client = await connectRaw(gateway.port)
    await client.send(bytes)
    return (await client.response()).status
  }
  async function login(): Promise<string> {
    const response = await fetch(gateway.url, { headers: { Say: 'X-Session-Set: {"userInfo":{"id":1}}' } })
    return /sessionid=([a-z0-9]{32})/.exec(response.headers.get('set-cookie') ?? '')?.[1] ?? ''
  }
  const open = async (path: string, key: string): Promise<RawClient> => {
    const client = await connectRaw(gateway.port)
    await client.send(withLines(`Cookie: sessionid=${key}`).replace('/ws', path))
    assert.equal((await client.response()).status, 101)
    return client
  }

  test('a page of another origin opens none, an own or an allowed one does, and so does who has no page', async () => {
    answer = switching
    const cases: [path: string, origin: string | undefined, status: number][] = [
      ['/ws', undefined, 101],
      ['/ws', 'http://x', 101],
      ['/ws', 'http://X:80', 101],
      ['/ws', 'https://x', 403],
      ['/ws', 'http://x:81', 403],
      ['/ws', 'http://x.evil.test', 403],
      ['/ws', 'http://evil.test', 403],
      ['/ws', 'null', 403],
      ['/ws', '', 403],
      ['/named', 'https://good.test', 101],
      ['/named', 'https://evilgood.test', 403],
      ['/off', undefined, 403],
      ['/guarded', undefined, 401],
    ]
    for (const [path, origin, status] of cases) {
      const bytes = (origin === undefined ? lines : withLines(`Origin: ${origin}`)).replace('/ws', path)
      assert.equal(await ask(bytes), status, `${path} ${origin}`)
    }
    assert.equal(await ask(withLines('Origin: http://x', 'Origin: http://evil.test')), 400)
  })

  test('no byte of the client goes up before the app has agreed', async () => {
    const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
    const lies = [
      'HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok',
      'HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n',
      'HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n',
      'HTTP/1.1 426 X\r\nContent-Length: 0\r\n\r\n',
    ]
    for (const lie of lies) {
      answer = lie
      await using client = await connectRaw(gateway.port)
      await client.send(lines + smuggled)
      const came = (await client.rest()).toString('latin1')
      assert.ok([200, 426, 502].includes(statuses(came)[0] ?? 0), came)
      assert.equal(statuses(came).length, 1)
      assert.equal(evil.received().includes('/smuggled'), false)
    }
    answer = switching
  })

  test('a 101 sets no session cookie and hands no command on', async () => {
    answer = switching.replace(
      '\r\n\r\n',
      '\r\nSet-Cookie: sessionid=evil\r\nSet-Cookie: a=b\r\nX-Session-Set: {"a":1}\r\nX_Session_Foo: 1\r\n\r\n',
    )
    await using client = await connectRaw(gateway.port)
    await client.send(lines)
    const { status, rawHeaders, values } = await client.response()
    assert.equal(status, 101)
    assert.deepEqual(values('Set-Cookie'), ['a=b'])
    assert.doesNotMatch(rawHeaders.join('\n'), /session/i)
    answer = switching
  })

  test('bytes flow both ways, and a log-out anywhere in this process ends what the route no longer admits, with 1008', async () => {
    const key = await login()
    await using guarded = await open('/guarded', key)
    await using free = await open('/ws', key)
    const server = evil.connections.findLast((connection) => connection.received().includes('GET /guarded'))
    await guarded.send(maskedHello)
    await server?.send(hello)
    assert.deepEqual(await guarded.data(hello.length), hello)
    await fetch(gateway.url, { headers: { Cookie: `sessionid=${key}`, Say: 'X-Session-Delete: userInfo' } })
    const close = await guarded.rest()
    assert.equal(close[0], 0x88)
    assert.equal(close.readUInt16BE(2), 1008)
    assert.equal(free.socket.destroyed || free.socket.readableEnded, false)
  })

  test('a hundred sockets that are torn down leave none open to the app', async () => {
    const key = await login()
    const clients = await Promise.all(Array.from({ length: 100 }, () => open('/guarded', key)))
    for (const [i, client] of clients.entries()) {
      if (i % 2 === 0) client.reset()
      else client.end()
    }
    const tunnels = evil.connections.filter((connection) => connection.received().includes('GET /guarded'))
    for (const tunnel of tunnels) {
      await tunnel.closed
      tunnel.end()
    }
    const gauge = async (): Promise<string | undefined> =>
      /^sessiongate_websocket_connections\{[^}]*guarded[^}]*\} (\d+)/m.exec(
        await (await fetch(`${gateway.operatorUrl}/metrics`)).text(),
      )?.[1]
    for (let i = 0; i < 60 && (await gauge()) !== '0'; i++) await new Promise((resolve) => setTimeout(resolve, 50))
    assert.equal(await gauge(), '0')
  })

  test('a database that is down refuses a handshake with a cookie, and lets one without through', async () => {
    const key = await login()
    const database = openRows(gateway.folder)
    database.exec('ALTER TABLE django_session RENAME TO hidden')
    assert.equal(await ask(withLines(`Cookie: sessionid=${key}`)), 503)
    assert.equal(await ask(lines), 101)
    database.exec('ALTER TABLE hidden RENAME TO django_session')
    database.close()
  })
})
