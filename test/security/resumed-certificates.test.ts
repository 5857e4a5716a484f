/** Who was vouched for by an authority that is not believed any more, and comes back with the ticket of then. */
import assert from 'node:assert/strict'
import { mkdtempDisposable, rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
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
