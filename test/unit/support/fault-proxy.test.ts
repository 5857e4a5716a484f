import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { until } from '../../support/deadline.ts'
import { type Fault, type FaultProxy, type FaultScope, startFaultProxy } from '../../support/fault-proxy.ts'
import { connectRaw } from '../../support/raw-client.ts'

/** A server that sends every byte back, and hears everything. */
async function startEcho() {
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.push(socket)
    socket.on('error', () => {}).on('end', () => socket.end())
    socket.on('data', (bytes) => {
      heard += bytes.toString('latin1')
      socket.write(bytes)
    })
  })
  let heard = ''
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    heard: () => heard,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

async function stage(fault: Fault, scope: FaultScope = 'all') {
  await using stack = new AsyncDisposableStack()
  const echo = stack.use(await startEcho())
  const proxy = stack.use(await startFaultProxy(echo.port))
  proxy.set(fault, scope)
  const client = stack.use(await connectRaw(proxy.port))
  const closing = stack.move()
  return { echo, proxy, client, [Symbol.asyncDispose]: () => closing.disposeAsync() }
}

async function outcomeOf(client: Awaited<ReturnType<typeof connectRaw>>): Promise<string> {
  const errors: string[] = []
  client.socket.on('error', (error: NodeJS.ErrnoException) => errors.push(String(error.code)))
  const bytes = (await client.rest()).toString('latin1')
  await until('the connection is gone or half-closed', () => client.socket.readableEnded || client.socket.closed)
  return `${bytes}|${errors[0] ?? 'FIN'}`
}

const ends: [why: string, fault: Fault, outcome: string][] = [
  ['a cut before the first byte of the reply', { kind: 'cut', direction: 'down', afterBytes: 0 }, '|ECONNRESET'],
  ['a cut in the middle of the reply', { kind: 'cut', direction: 'down', afterBytes: 3 }, 'abc|ECONNRESET'],
  ['a cut right after the reply', { kind: 'cut', direction: 'down', afterBytes: 6 }, 'abcdef|ECONNRESET'],
  ['a polite cut', { kind: 'cut', direction: 'down', afterBytes: 2, how: 'close' }, 'ab|FIN'],
  ['a half-close by the server', { kind: 'halfClose', direction: 'down', afterBytes: 4 }, 'abcd|FIN'],
]
for (const [why, fault, outcome] of ends) {
  test(`${why} leaves the client with ${outcome}`, async () => {
    await using world = await stage(fault)
    const ended = outcomeOf(world.client)
    await world.client.send('abcdef').catch(() => {})
    assert.equal(await ended, outcome)
  })
}

test('a cut on the way up: the server has so many bytes of the command and loses the connection', async () => {
  await using world = await stage({ kind: 'cut', direction: 'up', afterBytes: 4 })
  await world.client.send('abcdef')
  await world.client.closed
  await until('the server heard of it', () => world.echo.sockets[0]?.closed === true)
  assert.equal(world.echo.heard(), 'abcd')
})

const changes: [why: string, fault: Fault, reply: string][] = [
  ['passes', { kind: 'pass' }, 'abcdef'],
  ['is slow', { kind: 'delay', delayMs: 5, jitterMs: 3 }, 'abcdef'],
  ['drips', { kind: 'throttle', bytesPerSecond: 1000, direction: 'down' }, 'abcdef'],
  ['stammers', { kind: 'duplicate', direction: 'up' }, 'abcdefabcdef'],
  ['is corrupt at every third byte', { kind: 'corrupt', everyBytes: 3, offset: 1, direction: 'down' }, 'a\x9dcd\x9af'],
]
for (const [why, fault, reply] of changes) {
  test(`a reply that ${why} arrives as ${JSON.stringify(reply)}`, async () => {
    await using world = await stage(fault)
    await world.client.send('abcdef')
    assert.equal((await world.client.data(reply.length)).toString('latin1'), reply)
  })
}

test('a stall holds bytes and ends back until it is lifted, and counts what passed', async () => {
  await using world = await stage({ kind: 'stall', direction: 'down' })
  await world.client.send('abc')
  await until('the server heard the command', () => world.echo.heard() === 'abc')
  assert.deepEqual(world.proxy.counts, { accepted: 1, open: 1, upBytes: 3, downBytes: 0 })
  world.proxy.pass()
  assert.equal((await world.client.data(3)).toString(), 'abc')
  assert.deepEqual(world.proxy.counts, { accepted: 1, open: 1, upBytes: 3, downBytes: 3 })
})

test('a client that gives up during a stall is counted as gone, and the server hears of it afterwards', async () => {
  await using world = await stage({ kind: 'stall' })
  await world.client.send('abc')
  world.client.socket.destroy()
  await until('the client is gone', () => world.proxy.counts.open === 0)
  assert.equal(world.echo.heard(), '')
  world.proxy.pass()
  await until('the server heard it late', () => world.echo.heard() === 'abc')
})

test('swallowed bytes are lost for good', async () => {
  await using world = await stage({ kind: 'swallow', direction: 'up' })
  await world.client.send('abc')
  await until('they arrived', () => world.client.socket.bytesWritten === 3)
  world.proxy.set({ kind: 'pass' }, 'new')
  await roundTrip(world.proxy)
  world.proxy.pass()
  await world.client.send('def')
  assert.equal((await world.client.data(3)).toString(), 'def')
})

/** A connection of its own; with it, what was sent before on another one has reached the proxy. */
async function roundTrip(proxy: FaultProxy): Promise<void> {
  await using client = await connectRaw(proxy.port)
  const failed = once(client.socket, 'error').then(([error]) => Promise.reject(error))
  await client.send('?')
  await Promise.race([client.data(1), failed])
}

test('a fault for the next connection leaves the one after it alone', async () => {
  await using echo = await startEcho()
  await using proxy = await startFaultProxy(echo.port)
  proxy.set({ kind: 'reset' }, 'next')
  // Depending on who is quicker, the client has been connected for a moment or not at all.
  await assert.rejects(roundTrip(proxy), { code: 'ECONNRESET' })
  await roundTrip(proxy)
})

test('a fault for the open connections leaves new ones alone, one for new ones the open', async () => {
  await using world = await stage({ kind: 'pass' })
  await world.client.send('1')
  await world.client.data(1)
  world.proxy.set({ kind: 'reset' }, 'new')
  await world.client.send('2')
  assert.equal((await world.client.data(1)).toString(), '2')
  world.proxy.set({ kind: 'pass' }, 'new')
  world.proxy.kill()
  assert.equal(await outcomeOf(world.client), '|ECONNRESET')
  await roundTrip(world.proxy)
})

test('a port that is refused can be opened again, and open connections stay', async () => {
  await using world = await stage({ kind: 'pass' })
  await world.client.send('1')
  await world.client.data(1)
  await world.proxy.refuse()
  await assert.rejects(connectRaw(world.proxy.port), { code: 'ECONNREFUSED' })
  await world.client.send('2')
  assert.equal((await world.client.data(1)).toString(), '2')
  await world.proxy.accept()
  await roundTrip(world.proxy)
})

test('a server that is not there: the client is cut', async () => {
  const echo = await startEcho()
  await echo[Symbol.asyncDispose]()
  await using proxy = await startFaultProxy(echo.port)
  await using client = await connectRaw(proxy.port)
  assert.equal(await outcomeOf(client), '|ECONNRESET')
})
