import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import type { UpstreamTls } from '../../src/proxy/upstream.ts'
import { type Certificates, makeCertificates } from '../support/certificates.ts'
import { startEvil } from '../support/evil-upstream.ts'
import { failureOf, openTo, requestTo, textOf } from '../support/proxied.ts'

let folder = ''
let certificates: Certificates

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sessiongate-'))
  certificates = await makeCertificates(folder)
})

after(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** What the gateway knows; by default only whom to believe. */
const knowing = (tls: Partial<UpstreamTls> = {}): { tls: UpstreamTls } => ({
  tls: { ca: certificates.ca, cert: undefined, key: undefined, serverName: undefined, ...tls },
})

/** An app that says by which name it was asked for, who asked, and what. */
async function startSecure(options: ServerOptions = {}): Promise<{ readonly port: number } & AsyncDisposable> {
  const cert = await readFile(certificates.files.serverCert)
  const key = await readFile(certificates.files.serverKey)
  const server = createServer({ cert, key, ...options }, async (incoming, response) => {
    const socket = incoming.socket as TLSSocket
    const body = await incoming.setEncoding('utf8').toArray()
    const peer = socket.getPeerCertificate().subject?.CN ?? 'nobody'
    response.end([socket.servername || 'no name', incoming.headers.host, peer, body.join('')].join(' '))
  })
  server.on('upgrade', (_incoming, socket) => {
    socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

test('an https app is asked by the name in its address, whatever Host goes up, and connections are kept', async () => {
  await using app = await startSecure()
  await using upstream = openTo(`https://localhost:${app.port}`, knowing())
  const body = Readable.from([Buffer.from('a body')])
  const answer = await upstream.forward(requestTo({ method: 'POST', body, contentLength: 6 }))
  assert.equal(await textOf(answer.body), 'localhost app.test nobody a body')
  assert.equal(answer.server, `localhost:${app.port}`)
  const again = await upstream.forward(requestTo({ headers: ['Host', 'other.test'] }))
  assert.equal(await textOf(again.body), 'localhost other.test nobody ')
  assert.deepEqual(upstream.stats(), { active: 0, idle: 1, pending: 0 })
  const switched = await upstream.upgrade(requestTo())
  assert.equal(switched.kind, 'switched')
  if (switched.kind === 'switched') switched.socket.destroy()
})

test('an address has no name to ask for, but the certificate must bear it', async () => {
  await using app = await startSecure()
  await using upstream = openTo(`https://127.0.0.1:${app.port}`, knowing())
  assert.equal(await textOf((await upstream.forward(requestTo())).body), 'no name app.test nobody ')
})

test('server_name is what is asked for and what the certificate must say', async () => {
  await using app = await startSecure()
  const origin = `https://127.0.0.1:${app.port}`
  await using upstream = openTo(origin, knowing({ serverName: 'localhost' }))
  assert.equal(await textOf((await upstream.forward(requestTo())).body), 'localhost app.test nobody ')
  await using other = openTo(origin, knowing({ serverName: 'other.test' }))
  assert.equal(await failureOf(other.forward(requestTo())), 'ERR_UPSTREAM_UNREACHABLE tls_certificate_error')
})

test('a certificate of an authority that is not believed is refused before anything is sent', async () => {
  await using app = await startSecure()
  await using upstream = openTo(`https://localhost:${app.port}`)
  assert.equal(await failureOf(upstream.forward(requestTo())), 'ERR_UPSTREAM_UNREACHABLE tls_certificate_error')
})

test('the gateway shows its certificate where the app wants one, and is refused without', async () => {
  await using app = await startSecure({ requestCert: true, rejectUnauthorized: true, ca: certificates.ca })
  const origin = `https://localhost:${app.port}`
  await using known = openTo(origin, knowing(certificates.client))
  assert.equal(await textOf((await known.forward(requestTo())).body), 'localhost app.test client ')
  await using stranger = openTo(origin, knowing())
  assert.match(await failureOf(stranger.forward(requestTo())), /^ERR_UPSTREAM_UNREACHABLE /)
})

test('an app that speaks no TLS is told from one that is not there', async () => {
  await using plain = await startEvil(async (connection) => {
    await connection.bytes(1)
    await connection.send('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')
  })
  await using upstream = openTo(`https://127.0.0.1:${plain.port}`, knowing())
  assert.equal(await failureOf(upstream.forward(requestTo())), 'ERR_UPSTREAM_UNREACHABLE tls_protocol_error')
})

test('what is no certificate is refused at the start, with the name of the upstream', () => {
  const open = () => openTo('https://localhost', knowing({ cert: 'no certificate', key: 'no key' }))
  assert.throws(open, /certificate, key or authority of the upstream app cannot be used/)
})

test('health checks go over TLS too', async () => {
  await using app = await startSecure()
  const { promise, resolve } = Promise.withResolvers<string>()
  const health = {
    path: '/up',
    host: undefined,
    intervalMs: 10,
    timeoutMs: 5_000,
    unhealthyAfter: 1,
    healthyAfter: 1,
  }
  const onState = ({ cause }: { cause: unknown }) => resolve(cause instanceof Error ? cause.message : String(cause))
  await using good = openTo(`https://localhost:${app.port}`, { ...knowing(), health })
  await using bad = openTo(`https://localhost:${app.port}`, { health, onState })
  assert.match(await promise, /no connection to the upstream/)
  assert.deepEqual([good.servers()[0]?.isUp, bad.servers()[0]?.isUp], [true, false])
})
