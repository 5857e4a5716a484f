/** Who was vouched for, is not any more, and comes back with the ticket of then. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempDisposable, rename, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openCertificates } from '../../src/server/certificates.ts'
import { createHttpFront } from '../../src/server/http-front.ts'
import { type Authority, openAuthority } from '../support/certificates.ts'
import { until } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { startGateway } from '../support/gateway.ts'
import { askTls } from '../support/tls-client.ts'

const TLS = 'tls: { cert: server.crt, key: server.key, client_ca: ca.crt, client_cert: required }'

test('no worker, old or new, takes a ticket for a certificate of an authority that was replaced', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-tickets-'))
  const before: Authority = await openAuthority(folder.path)
  const after = await openAuthority(folder.path, 'after')
  const server = await before.issue({ hosts: ['localhost'] })
  const files = { 'server.crt': server.cert, 'server.key': server.key, 'ca.crt': before.cert }
  await using app = await startApp((_, response) => response.end('app'))
  const config = `workers: 2
listen: [{ address: "127.0.0.1:0", ${TLS} }]
upstreams: { app: { servers: ["${app.origin}"] } }
routes: [{ id: app, match: { path: /* }, upstream: app, session: none }]
`
  await using gateway = await startGateway({ config, files })
  const logged = (msg: string): number => gateway.log.filter((line) => line.msg === msg).length
  const ask = (more: object) => askTls({ port: gateway.port, ca: before.cert, ...more })
  const roll = async (): Promise<void> => {
    const rolls = logged('rolling restart ended')
    gateway.process.kill('SIGUSR2')
    await until('all workers are new', () => logged('rolling restart ended') > rolls, 60_000)
  }

  const { session } = await ask(await before.issue({}))
  await roll()
  assert.equal((await ask({ session })).isReused, true, 'the new workers know the tickets of the old ones')

  await writeFile(join(gateway.folder, 'ca.new'), after.cert)
  await rename(join(gateway.folder, 'ca.new'), join(gateway.folder, 'ca.crt'))
  await until('both workers have read it', () => logged('tls certificate replaced') === 2)
  await assert.rejects(ask({ session }))
  await roll()
  await assert.rejects(ask({ session }))
  assert.match((await ask(await after.issue({}))).text, /^HTTP\/1\.1 200 /)
})

test('a certificate that has ended opens nothing, not even for who comes back with the ticket of when it held', async (context) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-tickets-'))
  const authority = await openAuthority(folder.path)
  const [server, client] = [await authority.issue({ hosts: ['localhost'] }), await authority.issue({})]
  const files = { name: 'server', certFile: join(folder.path, 's.crt'), keyFile: join(folder.path, 's.key') }
  const clientCa = { name: 'ca', file: join(folder.path, 'ca.pem'), isRequired: false }
  await Promise.all([
    writeFile(files.certFile, server.cert),
    writeFile(files.keyFile, server.key),
    writeFile(clientCa.file, authority.cert),
  ])
  const settings = { certificates: [files], clientCa, minVersion: 'TLSv1.2' } as const
  const notices = { onTaken: () => undefined, onRefused: () => undefined }
  await using certificates = await openCertificates(settings, { notices, clock: Date.now })
  const failures: string[] = []
  const front = createHttpFront(
    {},
    {
      ...{ settings, certificates, addressOf: () => '' },
      onHandshakeFailure: ({ reason, code }) => failures.push(`${reason} ${code}`),
    },
  )
  front.server.on('request', ({ socket }, response) => {
    response.end(front.clientCertificate(socket) === undefined ? 'nobody' : 'somebody')
  })
  front.server.listen(0, '127.0.0.1')
  await once(front.server, 'listening')
  context.after(() => front.server.close())
  const { port } = front.server.address() as AddressInfo
  const ask = (more: object) => askTls({ port, ca: authority.cert, ...more })

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const { session, text } = await ask({ ...client, maxVersion })
    assert.match(text, /somebody$/)
    const again = await ask({ session, maxVersion })
    assert.deepEqual([again.isReused, /somebody$/.test(again.text)], [true, true])
    // It was issued for two days.
    context.mock.timers.enable({ apis: ['Date'], now: Date.now() + 3 * 86_400_000 })
    await assert.rejects(ask({ session, maxVersion }))
    context.mock.timers.reset()
  }
  assert.deepEqual(failures, Array(2).fill('bad_client_certificate CERT_HAS_EXPIRED'))
})
