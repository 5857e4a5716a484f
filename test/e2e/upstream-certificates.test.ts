import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { openAuthority } from '../support/certificates.ts'
import { until } from '../support/deadline.ts'
import { type LogLine, startGateway } from '../support/gateway.ts'

test('certificates towards an app are swapped without a restart, and a bad pair keeps the one before', async (t) => {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const authority = await openAuthority(folder)
  const stranger = await openAuthority(folder, 'stranger')
  const [first, second, outdated] = [
    await authority.issue({}),
    await authority.issue({}),
    await authority.issue({ days: -1 }),
  ]
  const server = await authority.issue({ hosts: ['localhost'] })

  /** Says who asked, and takes one request per connection. */
  const app = createServer({ ...server, ca: authority.cert, requestCert: true }, (incoming, response) => {
    response.setHeader('Connection', 'close')
    response.end((incoming.socket as TLSSocket).getPeerCertificate().subject?.CN)
  })
  app.listen(0, '127.0.0.1')
  await once(app, 'listening')
  stack.defer(() => void app.close())
  app.unref()

  const gateway = stack.use(
    await startGateway({
      files: { 'ca.crt': authority.cert, 'client.crt': first.cert, 'client.key': first.key },
      config: `hosts: [app.test, 127.0.0.1]
upstreams:
  app:
    servers: ["https://localhost:${(app.address() as AddressInfo).port}"]
    tls: { ca: ca.crt, cert: client.crt, key: client.key }
routes: [{ id: app, match: { path: /* }, upstream: app, session: none }]
`,
    }),
  )
  const ask = async (): Promise<string> => {
    const answer = await fetch(gateway.url)
    return answer.ok ? await answer.text() : String(answer.status)
  }
  const put = async (name: string, text: string): Promise<void> => {
    await writeFile(join(gateway.folder, `${name}.new`), text)
    await rename(join(gateway.folder, `${name}.new`), join(gateway.folder, name))
  }
  const told = (msg: RegExp): readonly LogLine[] => gateway.log.filter((line) => msg.test(line.msg))
  const successful = async (name: string): Promise<string | undefined> => {
    const text = await (await fetch(`${gateway.operatorUrl}/metrics`)).text()
    return new RegExp(`tls_certificate_last_reload_successful{name="${name}"} (\\d)`).exec(text)?.[1]
  }

  await t.test('the pair of the start is shown', async () => {
    assert.equal(await ask(), 'authority-0')
    assert.deepEqual(told(/certificate/), [])
    assert.equal(await successful('upstreams.app.tls.cert'), '1')
    assert.equal(await successful('upstreams.app.tls.ca'), '1')
  })

  await t.test('another pair is shown on the next connection', async () => {
    await put('client.crt', second.cert)
    await put('client.key', second.key)
    await until('the pair is taken', () => told(/certificate replaced/).length === 1)
    assert.equal(told(/certificate replaced/)[0]?.name, 'upstreams.app.tls.cert')
    assert.equal(await ask(), 'authority-1')
    assert.deepEqual(told(/not replaced/), [], 'two files are written one after the other')
  })

  await t.test('what is no pair, or has ended, changes nothing', async () => {
    const disorders: [cert: string, key: string, reason: RegExp][] = [
      [second.cert, first.key, /key is not the key of/],
      [second.cert.slice(0, 200), second.key, /ends in the middle/],
      [outdated.cert, outdated.key, /has expired/],
    ]
    for (const [at, [cert, key, reason]] of disorders.entries()) {
      await put('client.crt', cert)
      await put('client.key', key)
      await until('it is refused', () => told(/not replaced/).length === at + 1)
      const line = told(/not replaced/)[at]
      assert.equal(line?.name, 'upstreams.app.tls.cert')
      assert.match(String(line?.reason), reason)
      assert.equal(await successful('upstreams.app.tls.cert'), '0')
      assert.equal(await ask(), 'authority-1')
    }
    await put('client.crt', first.cert)
    await put('client.key', first.key)
    await until('the pair is taken', () => told(/certificate replaced/).length === 2)
    assert.equal(await successful('upstreams.app.tls.cert'), '1')
    assert.equal(await ask(), 'authority-0')
  })

  await t.test('other authorities are believed, and the old ones no more', async () => {
    await put('ca.crt', 'nothing')
    await until('it is refused', () => told(/not replaced/).length === 4)
    assert.equal(await ask(), 'authority-0')
    await put('ca.crt', stranger.cert)
    await until('they are taken', () => told(/certificate replaced/).length === 3)
    assert.equal(told(/certificate replaced/)[2]?.name, 'upstreams.app.tls.ca')
    assert.equal(await ask(), '502')
    await put('ca.crt', authority.cert + stranger.cert)
    await until('both are taken', () => told(/certificate replaced/).length === 4)
    assert.equal(await ask(), 'authority-0')
  })
})
