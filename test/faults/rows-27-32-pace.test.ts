import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { within } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { startEvil } from '../support/evil-upstream.ts'
import { byPath, openGate, pause } from './stage.ts'

const patient = 'connect: 5s, first_byte: 60s, idle: 60s'

describe('row 27: an upstream that has to be of some speed', () => {
  test('row 27: and drips its body: the answer is cut, and does not look whole; one that comes faster goes on', async () => {
    await using upstream = await startEvil(
      byPath({
        async drip(connection) {
          await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n')
          while (!connection.socket.destroyed) {
            await connection.send('d')
            await pause(50)
          }
        },
        async steady(connection) {
          await connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
          for (let i = 0; i < 30; i++) {
            await connection.send(`64\r\n${'s'.repeat(100)}\r\n`)
            await pause(50)
          }
          await connection.send('0\r\n\r\n')
        },
      }),
    )
    await using gate = await openGate(upstream.origin, { timeouts: 'first_byte: 5s, idle: 700ms, min_rate: 200' })
    const steady = await gate.ask('/steady')
    assert.deepEqual([steady.isComplete, steady.body.length], [true, 3000])
    const dripped = await gate.ask('/drip')
    assert.deepEqual([dripped.status, dripped.isComplete], [200, false])
    assert.ok(dripped.body.length < 100, String(dripped.body.length))
    const line = await gate.gateway.logged('the cut', ({ outcome }) => outcome === 'aborted')
    assert.match(String(line['error.message']), /slower than 200 bytes a second/)
  })
})

describe('a client that drips the body of a request', () => {
  const sections = 'limits: { upload: { grace: 500ms, min_rate: 1000 } }'

  test('gets 408 when it is behind by the grace, and the app is let go', async () => {
    await using upstream = await startEvil(byPath({ up: () => undefined }))
    await using gate = await openGate(upstream.origin, { timeouts: patient, sections })
    for (const framing of ['Content-Length: 1000', 'Transfer-Encoding: chunked']) {
      const opened = upstream.connections.length
      await using client = await gate.connect()
      await client.send(`POST /up HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n`)
      const dripping = drip(client.socket, framing.includes('chunked') ? '1\r\nu\r\n' : 'u', 50)
      const answer = await client.response()
      assert.deepEqual([answer.status, JSON.parse(answer.body.toString()).code], [408, 'ERR_REQUEST_TIMEOUT'])
      clearInterval(dripping)
      await within('the upstream’s connection to close', (await upstream.connection(opened)).closed)
    }
    assert.equal(await gate.metric('sessiongate_slow_clients_total{part="body"}'), 2)
    assert.equal(await gate.metric('sessiongate_upstream_server_ejected_total{upstream="app"}'), 0)
    await gate.assertServes()
  })

  test('is not slow while it is the app that does not read', async () => {
    const length = 8 * 1024 * 1024
    await using app = await startApp(async (request, response) => {
      await pause(1_500)
      let bytes = 0
      for await (const chunk of request) bytes += chunk.length
      response.end(String(bytes))
    })
    await using gate = await openGate(app.origin, { timeouts: patient, sections })
    await using client = await gate.connect()
    await client.send(`POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`)
    client.socket.write(Buffer.alloc(length, 'u'))
    const answer = await client.response()
    assert.deepEqual([answer.status, answer.body.toString()], [200, String(length)])
    assert.equal(await gate.metric('sessiongate_slow_clients_total{part="body"}'), 0)
  })

  test('is not slow while it is faster than it must be', async () => {
    await using app = await startApp(async (request, response) => {
      let bytes = 0
      for await (const chunk of request) bytes += chunk.length
      response.end(String(bytes))
    })
    await using gate = await openGate(app.origin, { timeouts: patient, sections })
    await using client = await gate.connect()
    await client.send('POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n')
    for (let i = 0; i < 20; i++) {
      await client.send('u'.repeat(200))
      await pause(80)
    }
    assert.equal((await client.response()).body.toString(), '4000')
  })
})

describe('row 32: a client that reads a drop at a time', () => {
  test('row 32: is cut when it is behind by the grace, though something moves all the time', async () => {
    await using upstream = await startEvil(
      byPath({
        async large(connection) {
          await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${64 * 1024 * 1024}\r\n\r\n`)
          const piece = Buffer.alloc(256 * 1024, 'b')
          while (!connection.socket.destroyed) await connection.send(piece)
        },
      }),
    )
    await using gate = await openGate(upstream.origin, {
      timeouts: 'connect: 5s, first_byte: 60s, idle: 1s',
      sections: 'limits: { download: { grace: 1s, min_rate: 100MB } }',
    })
    const reader = readDrops(gate.gateway.port, { bytes: 64 * 1024, everyMs: 20 })
    await within('the reader to be cut', reader.closed, 60_000)
    reader.stop()
    assert.equal(await gate.metric('sessiongate_slow_clients_total{part="answer"}'), 1)
    const line = await gate.gateway.logged('the cut', ({ outcome }) => outcome === 'aborted')
    assert.equal(line['error.type'], 'ERR_REQUEST_TIMEOUT')
    assert.match(String(line['error.message']), /taken slower than/)
    await gate.assertServes()
  })

  test('row 32: an answer that has nothing to say is not slow', async () => {
    await using app = await startApp(async (_, response) => {
      response.write('begun ')
      await pause(2_500)
      response.end('ended')
    })
    await using gate = await openGate(app.origin, {
      timeouts: patient,
      sections: 'limits: { download: { grace: 500ms, min_rate: 1MB } }',
    })
    assert.equal((await gate.ask('/')).body.toString(), 'begun ended')
  })
})

function drip(socket: { write(text: string): unknown }, text: string, everyMs: number): NodeJS.Timeout {
  return setInterval(() => socket.write(text), everyMs)
}

/** Asks for `/large`, and reads so many bytes of it at a time. */
function readDrops(port: number, { bytes, everyMs }: { bytes: number; everyMs: number }) {
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  const socket = connect({
    port,
    host: '127.0.0.1',
    onread: { buffer: Buffer.alloc(bytes), callback: () => false },
  })
  socket.on('error', () => resolve()).on('close', () => resolve())
  socket.write('GET /large HTTP/1.1\r\nHost: x\r\n\r\n')
  const timer = setInterval(() => socket.resume(), everyMs)
  return {
    closed,
    stop() {
      clearInterval(timer)
      socket.destroy()
    },
  }
}
