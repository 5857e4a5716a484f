import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { type App, readEchoed, startApp } from '../support/echo-upstream.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { connectRaw } from '../support/raw-client.ts'

const MIB = 1024 * 1024
const block = randomBytes(MIB)

/** Resident memory of a process, in MiB. */
function residentMib(pid: number | undefined): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

describe('bodies on their way through the whole gateway', () => {
  let app: App
  let gateway: TestGateway
  before(async () => {
    app = await startApp(async (incoming, response) => {
      response.setMaxListeners(0)
      const [, what = '', count = '0'] = (incoming.url ?? '').split('/')
      if (what === 'up') return void response.end(JSON.stringify(await readEchoed(incoming)))
      if (what === 'down') {
        if (incoming.headers['x-length'] !== undefined) response.setHeader('Content-Length', Number(count) * MIB)
        response.setHeader('Content-Encoding', 'br')
        for (let i = 0; i < Number(count) && !response.destroyed; i++) {
          if (!response.write(block)) await Promise.race([once(response, 'drain'), once(response, 'close')])
        }
        return void response.end()
      }
      if (what === 'events') {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' })
        response.write('data: one\n\n')
        response.flushHeaders()
        return void setTimeout(() => response.end('data: two\n\n'), 300)
      }
      response.writeHead(Number(count), { ETag: '"x"' }).end()
    })
    gateway = await startGateway({
      config: `
upstreams: { app: { servers: ["${app.origin}"], timeouts: { idle: 2s } } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional, limits: { body: 1024MiB } }]
`,
    })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  for (const framing of ['a length', 'chunks']) {
    test(`50 MiB up, with ${framing}, arrive byte for byte`, async () => {
      const headers = framing === 'a length' ? { 'Content-Length': 50 * MIB } : { 'Transfer-Encoding': 'chunked' }
      const sending = request(`${gateway.url}/up`, { method: 'PUT', headers })
      const hash = createHash('sha256')
      const answered = once(sending, 'response')
      for (let i = 0; i < 50; i++) {
        hash.update(block)
        if (!sending.write(block)) await once(sending, 'drain')
      }
      sending.end()
      const [response] = await answered
      const echoed = JSON.parse(Buffer.concat(await response.toArray()).toString())
      assert.equal(echoed.bodyLength, 50 * MIB)
      assert.equal(echoed.bodySha256, hash.digest('hex'))
    })

    test(`50 MiB down, with ${framing}, arrive byte for byte and encoded as they were`, async () => {
      const asking = request(`${gateway.url}/down/50`, { headers: framing === 'a length' ? { 'X-Length': '1' } : {} })
      asking.end()
      const [response] = await once(asking, 'response')
      const [hash, expected] = [createHash('sha256'), createHash('sha256')]
      for await (const chunk of response) hash.update(chunk)
      for (let i = 0; i < 50; i++) expected.update(block)
      assert.equal(hash.digest('hex'), expected.digest('hex'))
      assert.equal(response.headers['content-encoding'], 'br')
      assert.equal(response.headers['content-length'], framing === 'a length' ? String(50 * MIB) : undefined)
    })
  }

  test('events come as they are sent, not when the stream ends', async () => {
    await using client = await connectRaw(gateway.port)
    await client.send('GET /events HTTP/1.1\r\nHost: x\r\n\r\n')
    let text = ''
    while (!text.includes('one')) text += (await client.data(1)).toString('latin1')
    assert.doesNotMatch(text, /two/)
  })

  for (const [method, status] of [
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ] as const) {
    test(`${method} answered with ${status} has no body, and the connection goes on`, async () => {
      await using client = await connectRaw(gateway.port)
      for (let i = 0; i < 3; i++) {
        await client.send(`${method} /status/${status} HTTP/1.1\r\nHost: x\r\n\r\n`)
        const answer = await client.response({ method })
        assert.equal(answer.status, status)
        assert.deepEqual(answer.values('ETag'), ['"x"'])
      }
    })
  }

  test('a client of HTTP/1.0 gets the body whole, ended by the connection', async () => {
    await using client = await connectRaw(gateway.port)
    await client.send('GET /down/2 HTTP/1.0\r\nHost: x\r\n\r\n')
    const { body, values } = await client.response()
    assert.equal(body.length, 2 * MIB)
    assert.deepEqual(values('Transfer-Encoding'), [])
  })

  // TCP tells a closed browser and a half-closed connection apart only when something is written; the first is what happens.
  test('a client that closes its side gets its answer to the end', async () => {
    await using client = await connectRaw(gateway.port)
    await client.send('GET /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    client.end()
    assert.match((await client.rest()).toString(), /data: two\n\n\r\n0\r\n\r\n$/)
  })

  test('1 GiB down and 256 MiB up, to slow and fast readers, cost less than 64 MiB of memory', {
    timeout: 60_000,
  }, async () => {
    const idle = residentMib(gateway.process.pid)
    let peak = idle
    const timer = setInterval(() => {
      peak = Math.max(peak, residentMib(gateway.process.pid))
    }, 50)
    const stalled = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const client = await connectRaw(gateway.port)
        client.pause()
        await client.send('GET /down/64 HTTP/1.1\r\nHost: x\r\n\r\n')
        return client
      }),
    )
    const downs = Array.from({ length: 4 }, async () => {
      const asking = request(`${gateway.url}/down/256`, { headers: { 'X-Length': '1' } }).end()
      const [response] = await once(asking, 'response')
      let length = 0
      for await (const chunk of response) length += chunk.length
      assert.equal(length, 256 * MIB)
    })
    const up = (async () => {
      const sending = request(`${gateway.url}/up`, { method: 'PUT' })
      const answered = once(sending, 'response')
      for (let i = 0; i < 256; i++) if (!sending.write(block)) await once(sending, 'drain')
      sending.end()
      const [response] = await answered
      assert.equal(JSON.parse(Buffer.concat(await response.toArray()).toString()).bodyLength, 256 * MIB)
    })()
    await Promise.all([...downs, up])
    clearInterval(timer)
    for (const client of stalled) await client[Symbol.asyncDispose]()
    assert.ok(peak - idle < 64, `${Math.round(peak - idle)} MiB above ${Math.round(idle)}`)
  })
})
