import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { type RawData, type ServerOptions, WebSocket, WebSocketServer } from 'ws'
import { eventWithin, turns, until, within } from '../support/deadline.ts'
import { openTo } from '../support/proxied.ts'
import {
  closeOf,
  framesAt,
  hello,
  maskedHello,
  type OpenTunnel,
  openRaw,
  startGate,
  unmasked,
} from '../support/websocket-gate.ts'

async function startWs(
  options: ServerOptions = {},
): Promise<{ server: WebSocketServer; origin: string } & AsyncDisposable> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', ...options })
  await once(server, 'listening')
  return {
    server,
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of server.clients) socket.terminate()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

for (const perMessageDeflate of [false, true]) {
  test(`messages of all kinds and sizes pass both ways${perMessageDeflate ? ', compressed' : ''}`, async () => {
    await using ws = await startWs({ perMessageDeflate })
    ws.server.on('connection', (socket) => {
      socket.on('message', (data: RawData, isBinary: boolean) => socket.send(data, { binary: isBinary }))
    })
    await using upstream = openTo(ws.origin)
    await using gate = await startGate(upstream)
    const socket = new WebSocket(`ws://127.0.0.1:${gate.port}/`, { perMessageDeflate })
    await eventWithin(socket, 'open')
    assert.equal(socket.extensions, perMessageDeflate ? 'permessage-deflate' : '')
    for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 100_000, 3_000_000]) {
      const data = Buffer.alloc(length, `${length} bytes `)
      const answer = eventWithin(socket, 'message')
      socket.send(data, { binary: length % 2 === 0 })
      const [received, isBinary] = await answer
      assert.ok(data.equals(received as Buffer))
      assert.equal(isBinary, length % 2 === 0)
    }
    const pong = eventWithin(socket, 'pong')
    socket.ping('are you there')
    assert.equal(String((await pong)[0]), 'are you there')
    const closed = eventWithin(socket, 'close')
    socket.close(4001, 'enough')
    const [code, reason] = await closed
    assert.deepEqual([code, String(reason)], [4001, 'enough'])
    const tunnel = await gate.tunnel(0)
    assert.deepEqual(await within('the end', tunnel.closed), { reason: 'client' })
  })
}

for (const perMessageDeflate of [false, true]) {
  test(`property: messages arrive in order and unchanged${perMessageDeflate ? ', compressed' : ''}`, async () => {
    await using ws = await startWs({ perMessageDeflate })
    ws.server.on('connection', (socket) => {
      socket.on('message', (data: RawData, isBinary: boolean) => socket.send(data, { binary: isBinary }))
    })
    await using upstream = openTo(ws.origin)
    await using gate = await startGate(upstream)
    const socket = new WebSocket(`ws://127.0.0.1:${gate.port}/`, { perMessageDeflate })
    await eventWithin(socket, 'open')
    const messages = fc.array(fc.uint8Array({ size: 'large', maxLength: 70_000 }), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(messages, async (sent) => {
        const received: Buffer[] = []
        const { promise: all, resolve } = Promise.withResolvers<void>()
        const onMessage = (data: RawData) => {
          received.push(data as Buffer)
          if (received.length === sent.length) resolve()
        }
        socket.on('message', onMessage)
        for (const data of sent) socket.send(data)
        await within('the messages', all)
        socket.off('message', onMessage)
        assert.ok(sent.every((data, i) => received[i]?.equals(data)))
      }),
      { numRuns: 50 },
    )
    socket.terminate()
  })
}

test('ws sees the end of the session as 1008', async () => {
  await using ws = await startWs()
  const serverClosed = Promise.withResolvers<unknown[]>()
  ws.server.on('connection', (socket) => socket.on('close', (...args) => serverClosed.resolve(args)))
  await using upstream = openTo(ws.origin)
  await using gate = await startGate(upstream)
  const socket = new WebSocket(`ws://127.0.0.1:${gate.port}/`)
  await eventWithin(socket, 'open')
  const closed = eventWithin(socket, 'close')
  ;(await gate.tunnel(0)).end(1008, 'session over')
  for (const [code, reason] of [await closed, await within('the close', serverClosed.promise)]) {
    assert.deepEqual([code, String(reason)], [1008, 'session over'])
  }
})

test('bytes pass unchanged both ways, however they are cut, be they frames or not', async () => {
  for (const seed of [1, 2, 3]) {
    await using open = await openRaw()
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_byte, i) => (i * 31 * seed + (i >> 7)) & 0xff))
    const cut = async (send: (piece: Buffer) => Promise<void>) => {
      for (let at = 0, size = seed; at < bytes.length; at += size, size = (size * 7 + 1) % 9_001) {
        await send(bytes.subarray(at, at + size))
        if (size % 5 === 0) await turns(1)
      }
    }
    const [down, up] = await Promise.all([
      open.client.data(bytes.length),
      framesAt(open.server, bytes.length),
      cut((piece) => open.server.send(piece)),
      cut((piece) => open.client.send(piece)),
    ])
    assert.ok(bytes.equals(down))
    assert.ok(bytes.equals(up))
  }
})

for (const [slow, fast] of [
  ['client', 'server'],
  ['server', 'client'],
] as const) {
  test(`a ${slow} that does not read stops the ${fast}, and gets everything in the end`, async () => {
    await using open = await openRaw()
    const total = 32 * 2 ** 20
    const piece = Buffer.alloc(65_536, 'x')
    const reader = open[slow].socket
    reader.pause()
    let sent = 0
    const sending = (async () => {
      for (; sent < total; sent += piece.length) await open[fast].send(piece)
    })()
    await until('bytes move', () => sent > 0)
    for (let before = -1; before !== sent; ) {
      before = sent
      await turns(300)
    }
    assert.ok(sent < total / 2, `${sent} bytes were sent`)
    const received = new Promise<void>((resolve) => {
      let count = 0
      reader.on('data', (chunk: Buffer) => {
        count += chunk.length
        if (count >= total) resolve()
      })
    })
    reader.resume()
    await within('all bytes', Promise.all([sending, received]), 30_000)
  })
}

const endings: [why: string, reason: string, act: (open: OpenTunnel) => void][] = [
  ['the client finishes', 'client', ({ client }) => client.end()],
  ['the upstream finishes', 'upstream', ({ server }) => server.end()],
  ['the client is cut', 'error', ({ client }) => client.reset()],
  ['the upstream is cut', 'error', ({ server }) => server.reset()],
  ['the client vanishes', 'client', ({ client }) => void client.socket.destroy()],
  ['the upstream vanishes', 'upstream', ({ server }) => void server.socket.destroy()],
]

suite('both sides are closed soon after one is', { concurrency: true }, () => {
  for (const [why, reason, act] of endings) {
    test(why, async () => {
      await using open = await openRaw()
      act(open)
      assert.deepEqual(await within('the end', open.tunnel.closed, 5_000), { reason })
      await within('both connections to be closed', Promise.all([open.client.closed, open.server.closed]))
    })
  }
})

test('what was under way when one side finished is still delivered', async () => {
  await using open = await openRaw()
  await open.client.send(maskedHello)
  open.client.end()
  assert.deepEqual(await framesAt(open.server, maskedHello.length), maskedHello)
  await within('the FIN', open.server.closed)
  await open.server.send(hello)
  open.server.end()
  assert.deepEqual(await open.client.rest(), hello)
})

test('a slow reader gets everything that was sent before the upstream finished', async () => {
  await using open = await openRaw()
  open.client.pause()
  const bytes = Buffer.alloc(4 * 2 ** 20, 'x')
  const sending = open.server.send(bytes)
  await turns(200)
  open.client.resume()
  await sending
  open.server.end()
  assert.equal((await open.client.rest()).length, bytes.length)
})

test('the side that sent the first Close frame is the one that ended the tunnel', async () => {
  for (const side of ['client', 'upstream'] as const) {
    await using open = await openRaw()
    if (side === 'client') await open.client.send(Buffer.from('888237fa213d3412', 'hex'))
    else await open.server.send(closeOf(1000, ''))
    if (side === 'client') await framesAt(open.server, 8)
    else await open.client.data(4)
    open.server.end()
    open.client.end()
    assert.deepEqual(await within('the end', open.tunnel.closed), { reason: side })
  }
})

test('a tunnel on which nothing moves is ended with 1001, and not before', async () => {
  await using open = await openRaw({ idleMs: 500 })
  const endAt = performance.now() + 1_000
  while (performance.now() < endAt) {
    await open.server.send(hello)
    await open.client.data(hello.length)
  }
  assert.deepEqual(await open.client.rest(), closeOf(1001, 'idle'))
  assert.deepEqual(await within('the end', open.tunnel.closed), { reason: 'idle' })
})

test('ending a tunnel sends a Close frame to both sides, masked upwards, and closes them', async () => {
  await using open = await openRaw()
  await open.server.send(hello)
  await open.client.send(maskedHello)
  await open.client.data(hello.length)
  await framesAt(open.server, maskedHello.length)
  open.tunnel.end(1008, 'logged out')
  open.tunnel.end(1001, 'once is enough')
  assert.deepEqual(await open.client.rest(), closeOf(1008, 'logged out'))
  await within('the FIN', open.server.closed)
  const frames = await framesAt(open.server, maskedHello.length)
  const close = frames.subarray(maskedHello.length)
  assert.equal(close.subarray(0, 2).toString('hex'), `88${(0x80 | 12).toString(16)}`)
  assert.equal(unmasked(close), '1008 logged out')
  assert.deepEqual(await within('the end', open.tunnel.closed), { reason: 'session_end' })
})

test('a tunnel that is ended for another reason was drained', async () => {
  await using open = await openRaw()
  open.tunnel.end(1012, 'restart')
  assert.deepEqual(await open.client.rest(), closeOf(1012, 'restart'))
  assert.deepEqual(await within('the end', open.tunnel.closed), { reason: 'drain' })
})

test('a Close frame is put in after the frame under way, never into it, and what follows is dropped', async () => {
  for (const cut of [1, 2, 4, hello.length - 1]) {
    await using open = await openRaw()
    await open.server.send(hello.subarray(0, cut))
    await open.client.data(cut)
    await open.client.send(maskedHello.subarray(0, cut))
    await framesAt(open.server, cut)
    open.tunnel.end(1008, 'over')
    await turns(20)
    await open.server.send(Buffer.concat([hello.subarray(cut), hello]))
    await open.client.send(Buffer.concat([maskedHello.subarray(cut), maskedHello]))
    assert.deepEqual(await open.client.rest(), Buffer.concat([hello.subarray(cut), closeOf(1008, 'over')]))
    await within('the FIN', open.server.closed)
    const up = await framesAt(open.server, maskedHello.length)
    assert.deepEqual(up.subarray(0, maskedHello.length), maskedHello)
    assert.equal(unmasked(up.subarray(maskedHello.length)), '1008 over')
  }
})

test('a frame that never ends is cut off without a Close frame', async () => {
  await using open = await openRaw()
  await open.server.send(hello.subarray(0, 4))
  await open.client.send(maskedHello.subarray(0, 4))
  await open.client.data(4)
  await framesAt(open.server, 4)
  open.tunnel.end(1008, 'over')
  assert.equal((await open.client.rest(5_000)).length, 0)
  await within('the end', open.tunnel.closed, 5_000)
  assert.equal((await framesAt(open.server, 4)).length, 4)
})

test('no second Close frame follows one of the upstream', async () => {
  await using open = await openRaw()
  await open.server.send(closeOf(1000, 'bye'))
  const first = closeOf(1000, 'bye')
  assert.deepEqual(await open.client.data(first.length), first)
  open.tunnel.end(1008, 'over')
  assert.equal((await open.client.rest()).length, 0)
  await within('the end', open.tunnel.closed)
})

test('a client that does not read is cut off when the tunnel is ended', async () => {
  await using open = await openRaw()
  open.client.pause()
  const flood = Buffer.concat(Array.from({ length: 20_000 }, () => hello))
  open.server.socket.on('error', () => {})
  for (let i = 0; i < 100; i++) open.server.socket.write(flood)
  await turns(200)
  open.tunnel.end(1008, 'over')
  await within('the end', open.tunnel.closed, 5_000)
})
