import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createPlainServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, connect, createServer as createNetServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { createProxyGate, type ProxyGate } from '../../src/server/proxy-gate.ts'
import { makeCertificates } from '../support/certificates.ts'
import { within } from '../support/deadline.ts'

let folder = ''
let pair: { cert: Buffer; key: Buffer }

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sessiongate-'))
  const { files } = await makeCertificates(folder)
  pair = { cert: await readFile(files.serverCert), key: await readFile(files.serverKey) }
})

after(async () => {
  await rm(folder, { recursive: true, force: true })
})

interface Gated extends AsyncDisposable {
  readonly port: number
  readonly gate: ProxyGate
  readonly refused: string[]
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A server behind a gate that answers with whom it takes the client for. */
async function open(createServer: (handler: Handler) => Server): Promise<Gated> {
  const refused: string[] = []
  const server = createServer((request, response) => {
    response.end(`${gate.peerOf(request.socket)?.address}`)
  })
  const gate = createProxyGate(server, {
    addressOf: (socket) => socket.remoteAddress ?? 'unknown',
    isTrusted: (address) => address === '127.0.0.1',
    onRefused: (_socket, reason) => void refused.push(reason),
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    gate,
    refused,
    async [Symbol.asyncDispose]() {
      gate.close()
      server.close()
      await once(server, 'close')
    },
  }
}

const header = 'PROXY TCP4 203.0.113.9 127.0.0.1 4000 443\r\n'
const request = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

test('a server for TLS gets the handshake that comes behind the header', async () => {
  await using gated = await open((handler) => createSecureServer(pair, handler))
  const socket = connect(gated.port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(header)
  const tls = connectTls({ socket, servername: 'localhost', rejectUnauthorized: false })
  await within('a handshake', once(tls, 'secureConnect'))
  tls.write(request)
  assert.match(await textOf(tls), /\r\n203\.0\.113\.9$/)
})

test('also where header and handshake come in one piece', async () => {
  await using gated = await open((handler) => createSecureServer(pair, handler))
  const relay = createRelay(header, gated.port)
  const tls = connectTls({ port: await relay.port, host: '127.0.0.1', rejectUnauthorized: false })
  await within('a handshake', once(tls, 'secureConnect'))
  tls.write(request)
  assert.match(await textOf(tls), /\r\n203\.0\.113\.9$/)
  relay.close()
})

test('a handshake without a header is refused, and the server never sees it', async () => {
  await using gated = await open((handler) => createSecureServer(pair, handler))
  const tls = connectTls({ port: gated.port, host: '127.0.0.1', rejectUnauthorized: false })
  await within('the end', new Promise((resolve) => tls.on('error', resolve).on('close', resolve)))
  assert.deepEqual(gated.refused, ['it does not begin with a PROXY header'])
})

test('what ends before its header is whole is told, once', async () => {
  await using gated = await open((handler) => createPlainServer(handler))
  const socket = connect(gated.port, '127.0.0.1')
  await once(socket, 'connect')
  socket.end('PROXY TCP4 ')
  socket.resume()
  await within('the end', once(socket, 'close'))
  assert.deepEqual(gated.refused, ['it ended before its PROXY header'])
})

test('many connections at once are not taken for each other', async () => {
  await using gated = await open((handler) => createPlainServer(handler))
  const hosts = Array.from({ length: 50 }, (_, at) => `203.0.113.${at + 1}`)
  const seen = await Promise.all(
    hosts.map(async (host) => {
      const socket = connect(gated.port, '127.0.0.1')
      socket.write(`PROXY TCP4 ${host} 127.0.0.1 4000 80\r\n${request}`)
      return /\r\n([0-9.]+)$/.exec(await textOf(socket))?.[1]
    }),
  )
  assert.deepEqual(seen, hosts)
})

/** Hands bytes on, with some before the first, in one piece with them. */
function createRelay(prefix: string, to: number): { readonly port: Promise<number>; close(): void } {
  const server = createNetServer((incoming) => {
    const outgoing = connect(to, '127.0.0.1')
    incoming.on('error', () => outgoing.destroy())
    outgoing.on('error', () => incoming.destroy())
    incoming.once('data', (first) => {
      outgoing.write(Buffer.concat([Buffer.from(prefix), typeof first === 'string' ? Buffer.from(first) : first]))
      incoming.pipe(outgoing)
    })
    outgoing.pipe(incoming)
  })
  server.listen(0, '127.0.0.1')
  return {
    port: once(server, 'listening').then(() => (server.address() as AddressInfo).port),
    close: () => void server.close(),
  }
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  await within('the end of the answer', once(stream, 'end'))
  return Buffer.concat(chunks).toString('latin1')
}
