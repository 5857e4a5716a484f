import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { type AppRequest, startApp, type TestApp } from '../support/app.ts'
import { type Authority, openAuthority } from '../support/certificates.ts'
import { eventWithin, within } from '../support/deadline.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { proxyV2 } from '../support/proxy-header.ts'
import { connectRaw } from '../support/raw-client.ts'
import { askTls } from '../support/tls-client.ts'

const v1 = Buffer.from('PROXY TCP4 203.0.113.9 127.0.0.1 4000 443\r\n')
const request = 'GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: http\r\n'

describe('a listener with tls and proxy_protocol', () => {
  let folder: string
  let authority: Authority
  let app: TestApp
  let gateway: TestGateway
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sessiongate-'))
    authority = await openAuthority(folder)
    const { cert, key } = await authority.issue({ hosts: ['localhost'] })
    app = await startApp(async ({ url }) => {
      if (url === '/slow') await new Promise((resolve) => setTimeout(resolve, 100))
      return { body: 'served' }
    })
    gateway = await startGateway({
      files: { 'main.crt': cert, 'main.key': key },
      config: `hosts: [localhost]
listen: [{ address: "127.0.0.1:0", proxy_protocol: true, tls: { cert: main.crt, key: main.key } }]
trusted_proxies: [127.0.0.1]
upstreams: { app: { servers: ["${app.origin}"] } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: public }]
`,
    })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const lastRequest = (): AppRequest => app.requests.at(-1) ?? assert.fail('the app was asked nothing')

  async function openSocket(): Promise<Socket> {
    const socket = connect({ port: gateway.port, host: '127.0.0.1', noDelay: true })
    socket.on('error', () => undefined)
    await within('a connection', once(socket, 'connect'))
    return socket
  }

  const headers: [what: string, header: Buffer, address: string][] = [
    ['version 1', v1, '203.0.113.9'],
    [
      'version 2 that says nothing of TLS',
      proxyV2(0x21, 0x11, [203, 0, 113, 7, 127, 0, 0, 1, 1, 1, 0, 80]),
      '203.0.113.7',
    ],
  ]
  for (const [what, header, address] of headers) {
    for (const how of ['in one piece with the handshake', 'in a piece of its own', 'byte by byte']) {
      test(`takes the address from a header of ${what}, ${how}, and it is https`, async () => {
        await using way = await openWayBehind(header, gateway.port)
        const beneath = await openSocket()
        if (how === 'in a piece of its own') beneath.write(header)
        if (how === 'byte by byte') for (const byte of header) beneath.write(Uint8Array.of(byte))
        const { text } = await askTls({
          ...(how === 'in one piece with the handshake' ? {} : { socket: beneath }),
          port: way.port,
          ca: authority.cert,
          request: `${request}\r\n${request}Connection: close\r\n\r\n`,
        })
        assert.equal(text.match(/HTTP\/1\.1 200 OK/g)?.length, 2)
        assert.deepEqual(lastRequest().values('X-Forwarded-For'), [address])
        assert.deepEqual(lastRequest().values('X-Forwarded-Proto'), ['https'])
        const line = await gateway.logged(
          'the request',
          (found) => found.msg === 'request' && found['network.peer.address'] === address,
        )
        assert.equal(line['url.scheme'], 'https')
      })
    }
  }

  const refused: [what: string, bytes: string | Buffer][] = [
    ['a request in clear behind the header', Buffer.concat([v1, Buffer.from(`${request}\r\n`)])],
    ['a request in clear and no header', `${request}\r\n`],
  ]
  for (const [what, bytes] of refused) {
    test(`${what}: nothing reaches the app`, async () => {
      const before = app.requests.length
      await using client = await connectRaw(gateway.port)
      await client.send(bytes)
      assert.doesNotMatch((await client.rest()).toString('latin1'), /HTTP/)
      assert.equal(app.requests.length, before)
    })
  }

  test('a handshake without a header is refused', async () => {
    await assert.rejects(askTls({ port: gateway.port, ca: authority.cert }))
  })

  test('the log of a handshake that failed names the visitor, not the proxy', async () => {
    await using client = await connectRaw(gateway.port)
    await client.send(`PROXY TCP4 203.0.113.50 127.0.0.1 4000 443\r\n${request}\r\n`)
    await client.rest()
    const line = await gateway.logged(
      'the handshake',
      (found) => found.msg === 'tls handshake failed' && found['network.peer.address'] === '203.0.113.50',
    )
    assert.equal(line.reason, 'plain_http')
  })

  test('a balancer that only looks whether somebody is there is not waited for', async () => {
    const health = await openSocket()
    health.end(v1)
    health.resume()
    await within('the connection to end', once(health, 'close'), 5_000)
  })

  test('who has finished sending gets the answer', async () => {
    const beneath = await openSocket()
    beneath.write(v1)
    const socket = connectTls({
      socket: beneath,
      servername: 'localhost',
      ca: authority.cert,
      minVersion: 'TLSv1.3',
    })
    await eventWithin(socket, 'secureConnect')
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.end(`${request.replace('GET /', 'GET /slow')}\r\n`)
    await eventWithin(socket, 'close')
    assert.match(Buffer.concat(chunks).toString('latin1'), /HTTP\/1\.1 200 OK[\s\S]*served/)
  })

  test('neither who waits with the header nor who waits with the handshake holds up the end', async () => {
    const [silent, begun] = [await openSocket(), await openSocket()]
    silent.write('PROXY')
    begun.write(Buffer.concat([v1, Buffer.from([0x16, 3, 1])]))
    const beneath = await openSocket()
    beneath.write(v1)
    const { text } = await askTls({ port: gateway.port, socket: beneath, ca: authority.cert })
    assert.match(text, /200 OK/)
    assert.equal(await within('the gateway to end', gateway.stop(), 4_000), 0)
  })
})

/** A way to that port on which these bytes go out in one piece with whatever is sent first. */
async function openWayBehind(header: Buffer, port: number): Promise<AsyncDisposable & { readonly port: number }> {
  const way = createServer({ noDelay: true }, (near) => {
    const far = connect({ port, host: '127.0.0.1', noDelay: true })
    near.once('data', (first: Buffer) => {
      far.write(Buffer.concat([header, first]))
      near.pipe(far)
    })
    far.pipe(near)
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const)
      one.on('error', () => undefined).on('close', () => other.destroy())
  }).listen(0, '127.0.0.1')
  await once(way, 'listening')
  return {
    port: (way.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      way.close()
      await once(way, 'close')
    },
  }
}
