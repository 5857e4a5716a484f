import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { Issued } from '../support/certificates.ts'
import { eventWithin, until, within } from '../support/deadline.ts'
import { bodyOf, openTlsStage, openTlsWorld, shows, type TlsWorld } from './tls-stage.ts'

describe('a listener with TLS', () => {
  let world: TlsWorld
  let any: Issued
  let client: Issued
  before(async () => {
    world = await openTlsWorld()
    any = await world.authority.issue({ hosts: ['*.site.example'] })
    client = await world.authority.issue({})
  })
  after(() => world[Symbol.asyncDispose]())

  test('serves HTTP/1.1, and a request on it is one by https', async () => {
    await using stage = await openTlsStage(world)
    const { ask, open, put, told } = stage
    await put('main', world.main(0))
    await open()
    const answer = await ask({ ALPNProtocols: ['h2', 'http/1.1'] })
    assert.equal(answer.alpn, 'http/1.1')
    assert.match(answer.text, /^HTTP\/1\.1 200 /)
    assert.deepEqual(bodyOf(answer), { isTls: true, clientCertificate: null, scheme: 'https' })
    assert.deepEqual(told, [{ name: 'main', what: 'first' }])
  })

  test('shows the certificate that is for the name, the exact before the wildcard, else its first', async () => {
    await using stage = await openTlsStage(world)
    const { ask, files, open, put } = stage
    await put('main', world.main(0))
    await put('any', any)
    await put('shop', world.shop)
    const exact = await world.authority.issue({ hosts: ['www.site.example'] })
    await put('exact', exact)
    await open({ certificates: ['main', 'any', 'shop', 'exact'].map(files) })
    const cases: [servername: string, shown: Issued][] = [
      ['shop.example', world.shop],
      ['SHOP.example', world.shop],
      ['www.example', world.main(0)],
      ['blog.site.example', any],
      ['www.site.example', exact],
      ['a.blog.site.example', world.main(0)],
      ['elsewhere.test', world.main(0)],
      ['', world.main(0)],
      ['odd_name.site.example', any],
    ]
    for (const [servername, shown] of cases) {
      const answer = await ask({ servername, rejectUnauthorized: false })
      assert.ok(shows(answer, shown), servername)
    }
  })

  test('speaks no older TLS than it may', async () => {
    await using stage = await openTlsStage(world)
    const { ask, failures, files, open, put } = stage
    await put('main', world.main(0))
    await put('shop', world.shop)
    await open({ minVersion: 'TLSv1.3', certificates: [files('main'), files('shop')] })
    for (const servername of ['localhost', 'shop.example']) {
      assert.equal((await ask({ servername })).protocol, 'TLSv1.3')
      await assert.rejects(ask({ servername, maxVersion: 'TLSv1.2' }), { code: /PROTOCOL_VERSION/ })
    }
    assert.deepEqual(failures, ['version', 'version'])

    await open({ minVersion: 'TLSv1.2' })
    assert.equal((await ask({ maxVersion: 'TLSv1.2' })).protocol, 'TLSv1.2')
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const
    await assert.rejects(ask(old), { code: /PROTOCOL_VERSION/ })
  })

  test('asks for a certificate where one is required, and tells which it was', async () => {
    await using stage = await openTlsStage(world)
    const { ask, failures, openWithClientCa } = stage
    await openWithClientCa(true)
    const line = `:${new X509Certificate(client.cert).raw.toString('base64')}:`
    for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
      const first = await ask({ ...client, maxVersion })
      assert.deepEqual(bodyOf(first), { isTls: true, clientCertificate: line, scheme: 'https' })
      assert.ok(first.session, 'a session can be resumed')
      const second = await ask({ ...client, maxVersion, session: first.session })
      assert.equal(second.isReused, true)
      assert.deepEqual(bodyOf(second), bodyOf(first), 'a resumed session is still that of the certificate')
      await assert.rejects(ask({ maxVersion }))
      await assert.rejects(ask({ ...(await world.stranger.issue({})), maxVersion }))
      await assert.rejects(ask({ ...(await world.authority.issue({ days: -1 })), maxVersion }))
      await assert.rejects(ask({ ...world.shop, maxVersion, ...(await world.stranger.issue({ hosts: ['a'] })) }))
    }
    const bad = Array.from({ length: 3 }, () => 'bad_client_certificate')
    assert.deepEqual(failures, ['no_client_certificate', ...bad, 'no_client_certificate', ...bad])
  })

  test('lets clients come without a certificate where it is optional, but not with a bad one', async () => {
    await using stage = await openTlsStage(world)
    const { ask, failures, openWithClientCa } = stage
    await openWithClientCa(false)
    const line = `:${new X509Certificate(client.cert).raw.toString('base64')}:`
    for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
      assert.deepEqual(bodyOf(await ask({ ...client, maxVersion })), {
        isTls: true,
        clientCertificate: line,
        scheme: 'https',
      })
      const none = await ask({ maxVersion })
      assert.deepEqual(bodyOf(none), { isTls: true, clientCertificate: null, scheme: 'https' })
      const again = await ask({ maxVersion, session: none.session })
      assert.deepEqual(bodyOf(again), bodyOf(none), 'a resumed session has no certificate either')
      await assert.rejects(ask({ ...(await world.stranger.issue({})), maxVersion }))
    }
    assert.deepEqual(failures, ['bad_client_certificate', 'bad_client_certificate'])
  })

  test('takes other authorities over, and no session from before', async () => {
    await using stage = await openTlsStage(world)
    const { ask, at, openWithClientCa, told } = stage
    await openWithClientCa(true)
    const { session } = await ask(client)
    const newcomer = await world.stranger.issue({})
    await assert.rejects(ask(newcomer))
    await writeFile(at('ca.crt'), world.stranger.cert)
    await until('the authorities are taken', () => told.some(({ name, what }) => name === 'ca' && what === 'replaced'))
    assert.match((await ask(newcomer)).text, /200 OK/)
    await assert.rejects(ask(client))
    await assert.rejects(ask({ ...client, session }), 'a session of somebody who would not be let in any more')
    const count = told.length
    await writeFile(at('ca.crt'), 'rubbish')
    await until('the rubbish is refused', () => told.length > count)
    assert.deepEqual(told.at(-1), { name: 'ca', what: 'the list of authorities holds no certificate' })
    assert.match((await ask(newcomer)).text, /200 OK/)
  })

  test('what is no TLS ends the connection, and nothing else', async () => {
    await using stage = await openTlsStage(world)
    const { ask, failures, open, port, put } = stage
    await put('main', world.main(0))
    await open()
    for (const bytes of ['GET / HTTP/1.1\r\nHost: a\r\n\r\n', '\0\0\0\0', '\x16\x03\x01\xff\xff', 'x'.repeat(70_000)]) {
      const socket = connect(port(), '127.0.0.1')
      socket.on('error', () => undefined)
      const closed = eventWithin(socket, 'close')
      socket.resume().end(bytes, 'latin1')
      await closed
    }
    await until('all are told', () => failures.length === 4)
    assert.equal(failures[0], 'plain_http')
    assert.match((await ask()).text, /200 OK/)
  })

  test('at the end, connections without a whole handshake are not waited for', async () => {
    await using stage = await openTlsStage(world)
    const { ask, open, port, put } = stage
    await put('main', world.main(0))
    const listener = await open()
    const silent = connect(port(), '127.0.0.1')
    silent.on('error', () => undefined)
    await once(silent, 'connect')
    await ask()
    const closed = once(silent, 'close')
    await within('the listener to close', listener.drain(), 5_000)
    await closed
  })

  test('nothing opens without a usable pair', async () => {
    await using stage = await openTlsStage(world)
    const { ask, open, put } = stage
    await put('main', { cert: world.main(0).cert, key: world.main(1).key })
    await assert.rejects(open(), /^Error: main: the key is not the key of the certificate/)
    await put('main', await world.authority.issue({ hosts: ['localhost'], days: -1 }))
    await open()
    assert.match((await ask({ rejectUnauthorized: false })).text, /200 OK/, 'an old one is better than none')
  })
})
