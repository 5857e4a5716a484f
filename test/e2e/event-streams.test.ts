import assert from 'node:assert/strict'
import { get, type IncomingMessage, type ServerResponse } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { createGunzip, createGzip } from 'node:zlib'
import { eventWithin, until, within } from '../support/deadline.ts'
import { type App, startApp } from '../support/echo-upstream.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { connectRaw, type RawClient } from '../support/raw-client.ts'

const IDLE_MS = 1_000

describe('event streams', () => {
  const streams = new Map<string, ServerResponse>()
  let app: App
  let gateway: TestGateway
  before(async () => {
    app = await startApp((request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.flushHeaders()
      streams.set(request.url ?? '', response)
      response.on('close', () => streams.delete(request.url ?? ''))
    })
    gateway = await startGateway({
      config: `
upstreams:
  app: { servers: ["${app.origin}"], timeouts: { idle: ${IDLE_MS}ms } }
  patient: { servers: ["${app.origin}"], timeouts: { idle: 1h } }
routes:
  - { id: patient, match: { path: /patient/* }, upstream: patient, auth: optional }
  - { id: app, match: { path: /* }, upstream: app, auth: optional }
`,
    })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  async function open(path: string): Promise<{ client: RawClient; stream: ServerResponse }> {
    const client = await connectRaw(gateway.port)
    await client.send(`GET ${path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n`)
    await until('the app has it', () => streams.has(path))
    const stream = streams.get(path)
    assert.ok(stream)
    // The head comes at once, though there is no event yet.
    let head = ''
    while (!head.endsWith('\r\n\r\n')) head += (await client.data(1)).toString('latin1')
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n(.+\r\n)*content-type: text\/event-stream\r\n/i)
    return { client, stream }
  }

  test('fifty at once: each event is there before the next is sent, and whoever leaves ends his request at the app at once', async () => {
    const open50 = await Promise.all(Array.from({ length: 50 }, (_, i) => open(`/patient/${i}`)))
    for (let round = 0; round < 5; round++) {
      for (const [i, { client, stream }] of open50.entries()) {
        const event = `data: ${i} ${round}\n\n`
        stream.write(event)
        const chunk = `${event.length.toString(16)}\r\n${event}\r\n`
        assert.equal((await client.data(chunk.length)).toString(), chunk)
      }
    }
    const gone = open50.slice(0, 25)
    for (const [i, { client }] of gone.entries()) {
      if (i % 2 === 0) client.reset()
      else client.socket.destroy()
    }
    await within('their requests to end', Promise.all(gone.map(async ({ stream }) => await ended(stream))), 1_000)
    assert.equal(streams.size, 25)
    for (const { client, stream } of open50.slice(25)) {
      stream.end()
      assert.equal((await client.data(5)).toString(), '0\r\n\r\n')
      client.socket.destroy()
    }
  })

  test('a compressed one is handed on event by event, as it was compressed', async () => {
    const [response] = (await eventWithin(get(`${gateway.url}/patient/gzip`), 'response')) as [IncomingMessage]
    const unpacker = response.pipe(createGunzip())
    const packer = createGzip()
    packer.on('data', (bytes: Buffer) => void streams.get('/patient/gzip')?.write(bytes))
    for (const event of ['data: one\n\n', 'data: two\n\n']) {
      const arrived = eventWithin(unpacker, 'data')
      packer.write(event)
      packer.flush()
      assert.equal(String((await arrived)[0]), event)
    }
    response.destroy()
  })

  test('one that says something often enough lives as long as it likes; one that is silent is cut, and does not look complete', async () => {
    const { client, stream } = await open('/talking')
    const silent = await open('/silent')
    const endMs = performance.now() + 3 * IDLE_MS
    const silence = silent.client.rest()
    while (performance.now() < endMs) {
      stream.write(': still here\n\n')
      await client.data('e\r\n: still here\n\n\r\n'.length)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    assert.equal((await within('the cut', silence)).length, 0, 'not even the last chunk of an answer')
    await until('the app knows', () => !streams.has('/silent'))
    assert.equal(streams.has('/talking'), true)
    client.socket.destroy()
  })
})

async function ended(response: ServerResponse): Promise<void> {
  if (!response.closed) await eventWithin(response, 'close')
}
