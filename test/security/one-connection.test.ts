import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { type App, startApp } from '../support/echo-upstream.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { connectRaw } from '../support/raw-client.ts'

const KIB = 1024

describe('what one connection can cost', () => {
  let app: App
  let gateway: TestGateway
  before(async () => {
    app = await startApp((incoming, response) => {
      if (incoming.url === '/slow') setTimeout(() => response.end('slow'), 800)
      else response.end(Buffer.alloc(64 * KIB))
    })
    gateway = await startGateway({
      config: `
upstreams: { app: { servers: ["${app.origin}"], timeouts: { idle: 1s } } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`,
    })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
  const residentMib = (): number =>
    Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${gateway.process.pid}/status`, 'utf8'))?.[1]) / KIB

  test('a thousand pipelined requests do not become a thousand connections to the app', async () => {
    const before = app.connections()
    await using client = await connectRaw(gateway.port)
    await client.send('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1000))
    await pause(700)
    client.reset()
    const opened = app.connections() - before
    assert.ok(opened <= 32, `${opened} connections for one client`)
  })

  test('a client that asks for much and reads nothing holds no more than a few buffers, and is let go', async () => {
    await pause(500)
    const idle = residentMib()
    const clients = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const client = await connectRaw(gateway.port)
        client.pause()
        await client.send('GET /large HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(400))
        return client
      }),
    )
    await pause(4000)
    const grown = residentMib() - idle
    // What was cut ends at once when it is read; what is kept alive does not end.
    const ends = clients.map((client) => {
      client.resume()
      return client.rest(2000).then(
        () => true,
        () => false,
      )
    })
    const cut = (await Promise.all(ends)).filter((isCut) => isCut).length
    for (const client of clients) await client[Symbol.asyncDispose]()
    assert.ok(grown < 48, `${Math.round(grown)} MiB for four clients`)
    assert.equal(cut, clients.length, 'four times the idle deadline has passed')
  })
})
