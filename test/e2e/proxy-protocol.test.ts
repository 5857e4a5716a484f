import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { openStage, statuses } from '../security/stage.ts'
import { within } from '../support/deadline.ts'
import { findFreePort } from '../support/postgres.ts'
import { proxyV2 } from '../support/proxy-header.ts'
import { connectRaw } from '../support/raw-client.ts'
import { requireServer } from '../support/requirement.ts'
import { startServerProgram } from '../support/server-program.ts'
import { ask } from './contract-client.ts'

const haproxy = requireServer('haproxy')

const config = `
listen: [{ address: "127.0.0.1:0", proxy_protocol: true }]
hosts: [app.example]
trusted_proxies: [127.0.0.1, 203.0.113.77]
upstreams: { app: { servers: ["APP"] } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: public }]
`

const request = 'GET / HTTP/1.1\r\nHost: app.example\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n\r\n'
const v1 = (source: string): string => `PROXY TCP4 ${source} 127.0.0.1 4000 80\r\n`

test('a listener with proxy_protocol', async (t) => {
  await using stage = await openStage(config)
  const { port } = stage.gateway

  async function seen(bytes: string | Uint8Array): Promise<(name: string) => string[]> {
    await using client = await connectRaw(port)
    await client.send(bytes)
    assert.equal((await client.response()).status, 200)
    const last = stage.app.requests.at(-1)
    assert.ok(last)
    return (name) => last.values(name)
  }

  await t.test('takes the address from the header, and nothing from a visitor’s own lines', async () => {
    const values = await seen(v1('203.0.113.9') + request)
    assert.deepEqual(values('X-Forwarded-For'), ['203.0.113.9'])
    assert.deepEqual(values('X-Forwarded-Proto'), ['http'])
  })

  await t.test('believes the lines of an address that is itself a trusted proxy', async () => {
    const values = await seen(v1('203.0.113.77') + request)
    assert.deepEqual(values('X-Forwarded-For'), ['9.9.9.9, 203.0.113.77'])
    assert.deepEqual(values('X-Forwarded-Proto'), ['https'])
  })

  await t.test('reads version 2, and that the browser came by TLS', async () => {
    const body = [203, 0, 113, 9, 127, 0, 0, 1, 1, 1, 0, 80, 0x20, 0, 5, 1, 0, 0, 0, 0]
    const values = await seen(Buffer.concat([proxyV2(0x21, 0x11, body), Buffer.from(request)]))
    assert.deepEqual(values('X-Forwarded-For'), ['203.0.113.9'])
    assert.deepEqual(values('X-Forwarded-Proto'), ['https'])
  })

  await t.test('believes nobody’s lines where the proxy names nobody', async () => {
    const values = await seen(`PROXY UNKNOWN\r\n${request}`)
    assert.deepEqual(values('X-Forwarded-For'), ['unknown'])
    assert.deepEqual(values('X-Forwarded-Proto'), ['http'])
  })

  await t.test('serves a proxy that asks for itself', async () => {
    const values = await seen(Buffer.concat([proxyV2(0x20, 0, []), Buffer.from(request)]))
    assert.deepEqual(values('X-Forwarded-For'), ['9.9.9.9, 127.0.0.1'])
  })

  await t.test('takes the header in any pieces, and hands on what follows whole', async () => {
    const bytes = v1('203.0.113.9') + request
    for (const size of [1, 7, v1('203.0.113.9').length, 50]) {
      await using client = await connectRaw(port)
      for (let at = 0; at < bytes.length; at += size) await client.send(bytes.slice(at, at + size))
      const answer = await client.response()
      assert.equal(answer.status, 200, `pieces of ${size}`)
      await client.send(request)
      assert.equal((await client.response()).status, 200, 'a second request on the same connection')
      assert.deepEqual(stage.app.requests.at(-1)?.values('X-Forwarded-For'), ['203.0.113.9'])
    }
  })

  await t.test('a body behind the header arrives byte for byte', async () => {
    await using client = await connectRaw(port)
    const body = 'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n'.repeat(3000)
    await client.send(
      `${v1('203.0.113.9')}POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    assert.equal((await client.response()).status, 200)
    assert.equal(stage.app.requests.at(-1)?.body.toString(), body)
  })

  const refused: [why: string, bytes: string][] = [
    ['no header', request],
    ['a header that is none', `PROXY TCP4 localhost 127.0.0.1 1 2\r\n${request}`],
    ['a second header', v1('203.0.113.9') + v1('203.0.113.8') + request],
  ]
  for (const [why, bytes] of refused) {
    await t.test(`${why}: nothing reaches the app`, async () => {
      const before = stage.app.requests.length
      await using client = await connectRaw(port)
      await client.send(bytes)
      assert.ok(!statuses((await client.rest()).toString('latin1')).includes(200))
      assert.equal(stage.app.requests.length, before)
    })
  }

  await t.test('a stranger is cut off without a word, whatever it says', async () => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' })
    let received = 0
    socket.on('data', (chunk) => {
      received += chunk.length
    })
    socket.on('error', () => undefined)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.write(v1('203.0.113.9') + request)
    await within('the connection to be cut', closed)
    assert.equal(received, 0)
  })

  await t.test('who says nothing is cut off at the deadline', async () => {
    await using client = await connectRaw(port)
    await client.send('PROXY TC')
    assert.equal((await client.rest(9_000)).length, 0)
  })

  await t.test('and the log says why', async () => {
    const reasons = stage.gateway.log.flatMap((line) => (JSON.stringify(line).includes('PROXY header') ? [line] : []))
    assert.ok(reasons.length > 0, JSON.stringify(stage.gateway.log.slice(-3)))
  })
})

test('a connection that waits for its header does not hold up the end', async () => {
  await using stage = await openStage(config)
  await using client = await connectRaw(stage.gateway.port)
  await client.send('PROXY')
  assert.equal(await within('the gateway to end', stage.gateway.stop(), 4_000), 0)
})

for (const send of ['send-proxy', 'send-proxy-v2']) {
  test(`a real HAProxy speaks to it with ${send}`, { skip: haproxy.skip }, async () => {
    await using stage = await openStage(config)
    const front = await findFreePort()
    const file = join(stage.gateway.folder, 'haproxy.cfg')
    await writeFile(
      file,
      `defaults
  mode tcp
  timeout connect 5s
  timeout client 10s
  timeout server 10s
listen front
  bind 127.0.0.1:${front}
  server gate 127.0.0.1:${stage.gateway.port} ${send} check
`,
    )
    await using _front = await startServerProgram(haproxy.path, ['-db', '-f', file], {
      cwd: stage.gateway.folder,
      listensOn: [front],
    })
    const answer = await ask({ port: front, from: '127.0.0.3', path: '/x', headers: { Host: 'app.example' } })
    assert.deepEqual(answer.seen().values('X-Forwarded-For'), ['127.0.0.3'])
  })
}
