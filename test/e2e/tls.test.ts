import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { type AppRequest, startApp, type TestApp } from '../support/app.ts'
import { type Authority, type Issued, openAuthority } from '../support/certificates.ts'
import { eventWithin, within } from '../support/deadline.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { connectRaw } from '../support/raw-client.ts'
import { askTls } from '../support/tls-client.ts'
import { openCommandFolder } from './command-folder.ts'

const portOf = (address: unknown): number => Number(String(address).split(':').at(-1))

describe('a gateway that ends TLS', () => {
  let folder: string
  let authority: Authority
  let main: Issued
  let client: Issued
  let app: TestApp
  let sockets: WebSocketServer
  let gateway: TestGateway
  /** In the order of the file: TLS, plain, redirecting. */
  let ports: number[]
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sessiongate-'))
    const issuing = await mkdtemp(join(tmpdir(), 'sessiongate-issuing-'))
    authority = await openAuthority(issuing)
    main = await authority.issue({ hosts: ['localhost'] })
    client = await authority.issue({})
    app = await startApp(({ url }) =>
      url === '/login' ? { headers: ['X-Session-Set', '{"userInfo":"alice"}'] } : { body: 'served' },
    )
    sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(String(data))))
    await eventWithin(sockets, 'listening')
    gateway = await startGateway({
      folder,
      files: { 'main.crt': main.cert, 'main.key': main.key, 'ca.crt': authority.cert },
      config: `hosts: [localhost]
shutdown: { drain: 2s }
listen:
  - address: 127.0.0.1:0
    tls: { cert: main.crt, key: main.key, client_ca: ca.crt, client_cert: optional }
  - { address: 127.0.0.1:0 }
  - { address: 127.0.0.1:0, redirect_to_https: 8443 }
upstreams:
  app: { servers: ["${app.origin}"], writeback: { allow: [userInfo] } }
  sockets: { servers: ["http://127.0.0.1:${portOf((sockets.address() as { port: number }).port)}"] }
routes:
  - { id: socket, match: { path: /socket }, upstream: sockets, auth: optional }
  - { id: app, match: { path: /* }, upstream: app, auth: optional }
`,
    })
    await rm(issuing, { recursive: true, force: true }).catch(() => undefined)
    await gateway.logged('the last listener', () => gateway.log.filter(({ msg }) => msg === 'listening').length === 3)
    ports = gateway.log.filter(({ msg }) => msg === 'listening').map(({ address }) => portOf(address))
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
    sockets.close()
    await app[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const port = (at: number): number => ports[at] ?? 0
  const lastRequest = (): AppRequest => app.requests.at(-1) ?? assert.fail('the app was asked nothing')
  const get = (path: string, ...lines: string[]): string =>
    [`GET ${path} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...lines, '\r\n'].join('\r\n')
  const metric = async (line: string): Promise<number> => {
    const text = await (await fetch(`${gateway.operatorUrl}/metrics`)).text()
    return Number(
      text
        .split('\n')
        .find((found) => found.startsWith(`${line} `))
        ?.slice(line.length) ?? 0,
    )
  }

  test('says so at the start', () => {
    const listening = gateway.log.filter(({ msg }) => msg === 'listening')
    assert.deepEqual(
      listening.map(({ tls }) => tls),
      [true, undefined, undefined],
    )
    assert.match(gateway.stderr(), /https:\/\/127\.0\.0\.1:\d+\/, http:\/\//)
  })

  test('tells the app of https, and makes the cookie Secure', async () => {
    const { text } = await askTls({ port: port(0), ca: authority.cert, request: get('/login') })
    assert.match(text, /^HTTP\/1\.1 200 [\s\S]*Set-Cookie: sessionid=[^;]+;[^\r]*Secure/i)
    assert.deepEqual(lastRequest().values('X-Forwarded-Proto'), ['https'])
    assert.deepEqual(lastRequest().values('X-Forwarded-Port'), ['443'])
    const line = await gateway.logged(
      'the request',
      ({ msg, 'url.path': path }) => msg === 'request' && path === '/login',
    )
    assert.equal(line['url.scheme'], 'https')
    const plain = await connectRaw(port(1))
    await plain.send(get('/login'))
    assert.doesNotMatch((await plain.rest()).toString(), /Secure/)
  })

  test('sends the certificate of a client up, and never what somebody else calls one', async () => {
    const forged = ['Client-Cert: :Zm9yZ2Vk:', 'client_cert: :Zm9yZ2Vk:', 'Client-Cert-Chain: :Zm9yZ2Vk:']
    const named = (): [string, string][] =>
      lastRequest().rawHeaders.flatMap((name, i, all): [string, string][] =>
        i % 2 === 0 && /^client.cert/i.test(name) ? [[name, all[i + 1] ?? '']] : [],
      )
    const own = `:${new X509Certificate(client.cert).raw.toString('base64')}:`
    await askTls({
      port: port(0),
      ca: authority.cert,
      ...client,
      request: get('/', ...forged, 'Connection: Client-Cert'),
    })
    assert.deepEqual(named(), [['Client-Cert', own]])
    await askTls({ port: port(0), ca: authority.cert, request: get('/', ...forged) })
    assert.deepEqual(named(), [])
    const plain = await connectRaw(port(1))
    await plain.send(get('/', ...forged))
    await plain.rest()
    assert.deepEqual(named(), [])
  })

  test('carries WebSockets', async () => {
    const socket = new WebSocket(`wss://localhost:${port(0)}/socket`, {
      ca: authority.cert,
      origin: `https://localhost:${port(0)}`,
    })
    await eventWithin(socket, 'open')
    const answer = eventWithin(socket, 'message')
    socket.send('hello')
    assert.equal(String((await answer)[0]), 'hello')
    const closed = eventWithin(socket, 'close')
    socket.close(1000)
    await closed
  })

  test('sends browsers from http to https, and nobody anywhere else', async () => {
    const before = app.requests.length
    const cases: [what: string, request: string, status: number, location: string[]][] = [
      ['a page', get('/a%20b?c=d&next=/x'), 308, ['https://localhost:8443/a%20b?c=d&next=/x']],
      [
        'a form',
        `${get('/form', 'Content-Length: 3').replace('GET', 'POST')}a=b`,
        308,
        ['https://localhost:8443/form'],
      ],
      ['a port of its own', get('/').replace('localhost', 'localhost:80'), 308, ['https://localhost:8443/']],
      ['a foreign host', get('/').replace('localhost', 'evil.example'), 421, []],
      ['no host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 400, []],
      [
        'a WebSocket',
        get('/socket').replace('close', 'upgrade\r\nUpgrade: websocket'),
        308,
        ['https://localhost:8443/socket'],
      ],
    ]
    for (const [what, request, status, location] of cases) {
      await using raw = await connectRaw(port(2))
      await raw.send(request)
      const response = await raw.response()
      assert.equal(response.status, status, what)
      assert.deepEqual(response.values('Location'), location, what)
      assert.deepEqual(response.values('Cache-Control'), ['no-store'], what)
    }
    assert.equal(app.requests.length, before)
  })

  test('has the limits of any listener, and says in TLS what it refuses', async () => {
    const cases: [what: string, request: string, status: number][] = [
      ['a head that is too long', get('/', `X-Long: ${'x'.repeat(17_000)}`), 431],
      ['what is no HTTP', 'hello\r\n\r\n', 400],
      ['two lengths', get('/', 'Content-Length: 1', 'Content-Length: 2'), 400],
      ['a path that can be read in two ways', get('/a%2fb'), 400],
    ]
    for (const [what, request, status] of cases) {
      const { text } = await askTls({ port: port(0), ca: authority.cert, request })
      assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `), what)
    }
    const refused = await gateway.logged('the first', (line) => line['error.type'] === 'ERR_HEADERS_TOO_LARGE')
    assert.equal(refused['url.scheme'], 'https')
  })

  test('lives on when the two are mixed up, and does not fill the log', async () => {
    const rubbish = (to: number, bytes: string): Promise<unknown> => {
      const socket = connect(to, '127.0.0.1')
      socket.on('error', () => undefined)
      const closed = eventWithin(socket, 'close')
      socket.resume().end(bytes, 'latin1')
      return closed
    }
    await assert.rejects(askTls({ port: port(1), rejectUnauthorized: false }), { code: /WRONG_VERSION|EPROTO/ })
    for (let round = 0; round < 30; round++) {
      const ten = Array.from({ length: 5 }, () => [
        rubbish(port(0), get('/')),
        rubbish(port(1), '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03'),
      ])
      await Promise.all(ten.flat())
    }
    const { text } = await askTls({ port: port(0), ca: authority.cert })
    assert.match(text, /200 OK/)
    assert.equal(await metric('sessiongate_tls_handshake_failures_total{reason="plain_http"}'), 150)
    const lines = (holds: (line: (typeof gateway.log)[number]) => boolean): number => gateway.log.filter(holds).length
    const failed = lines(({ msg }) => msg === 'tls handshake failed')
    assert.ok(failed >= 1 && failed <= 40, `${failed} lines of handshakes`)
    const refused = lines((line) => line['error.type'] === 'ERR_REQUEST_INVALID')
    assert.ok(refused >= 1 && refused <= 150, `${refused} lines of requests`)
  })

  test('takes a new certificate over, keeps it when what follows is bad, and says both', async () => {
    const issuing = await mkdtemp(join(tmpdir(), 'sessiongate-issuing-'))
    const other = await openAuthority(issuing, 'other')
    const renewed = await other.issue({ hosts: ['localhost'] })
    const shown = async (): Promise<string | undefined> =>
      (await askTls({ port: port(0), rejectUnauthorized: false })).certificate?.fingerprint256
    await writeFile(join(folder, 'new.crt'), renewed.cert)
    await writeFile(join(folder, 'new.key'), renewed.key)
    for (const end of ['crt', 'key']) {
      await symlink(`new.${end}`, join(folder, `link.${end}`))
      await rename(join(folder, `link.${end}`), join(folder, `main.${end}`))
    }
    const { fingerprint256, validToDate } = new X509Certificate(renewed.cert)
    const line = await gateway.logged('the swap', ({ msg }) => msg === 'tls certificate replaced')
    assert.deepEqual([line.name, line['tls.server.not_after']], ['main.crt', validToDate.toISOString()])
    assert.equal(await shown(), fingerprint256)
    const notAfter = 'sessiongate_tls_certificate_not_after_timestamp_seconds{name="main.crt"}'
    assert.equal(await metric(notAfter), validToDate.getTime() / 1000)

    await writeFile(join(folder, 'new.crt'), main.cert.slice(0, 150))
    const refused = await gateway.logged('the refusal', ({ msg }) => msg.startsWith('tls certificate not replaced'))
    assert.deepEqual(
      [refused.level, refused.name, refused.reason],
      ['error', 'main.crt', 'the certificate ends in the middle of a certificate'],
    )
    assert.equal(await shown(), fingerprint256)
    assert.equal(await metric('sessiongate_tls_certificate_last_reload_successful{name="main.crt"}'), 0)
    assert.equal(await metric('sessiongate_tls_certificate_reloads_total{name="main.crt",result="failure"}'), 1)
    assert.equal(await metric(notAfter), validToDate.getTime() / 1000)
    await writeFile(join(folder, 'new.crt'), renewed.cert)
    await gateway.logged('the end of it', ({ msg }) => msg === 'tls certificate is in order again')
    assert.equal(await metric('sessiongate_tls_certificate_last_reload_successful{name="main.crt"}'), 1)
    await rm(issuing, { recursive: true })
  })

  test('drains: the answer under way goes out whole, and the process ends with 0', async () => {
    const silent = connect(port(0), '127.0.0.1')
    silent.on('error', () => undefined)
    await eventWithin(silent, 'connect')
    await using raw = await connectRaw({ port: port(0), tlsServername: 'localhost' })
    await raw.send(get('/').replace('Connection: close\r\n', ''))
    assert.equal((await raw.response()).status, 200)
    const socket = new WebSocket(`wss://localhost:${port(0)}/socket`, { ca: authority.cert, rejectUnauthorized: false })
    await eventWithin(socket, 'open')
    const closed = eventWithin(socket, 'close')
    assert.equal(await within('the end', gateway.stop()), 0)
    assert.equal((await closed)[0], 1001, 'a WebSocket is told, and not cut with the connections that say nothing')
  })
})

describe('certificates that cannot be used', () => {
  const config = `version: 1
listen: [{ address: "127.0.0.1:0", tls: { cert: none.crt, key: none.key } }]
admin: off
hosts: [app.example.com]
upstreams: { app: { servers: ["http://127.0.0.1:9"] } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: public }]
`
  for (const command of ['check', 'serve']) {
    test(`${command} ends with 78 and names the place`, async () => {
      await using folder = await openCommandFolder(config)
      const { code, stderr } = await folder.run(`sessiongate ${command}`)
      assert.equal(code, 78)
      assert.match(stderr, /sessiongate\.yaml:2:\d+: error: the file "none\.crt" cannot be read \(ENOENT\)\n/)
      assert.match(stderr, /\^+\n +=.*create the file/)
    })
  }

  test('other commands do not look at them', async () => {
    await using folder = await openCommandFolder(config)
    const { code, stderr } = await folder.run('sessiongate explain GET https://app.example.com/')
    assert.equal(code, 0, stderr)
  })
})
