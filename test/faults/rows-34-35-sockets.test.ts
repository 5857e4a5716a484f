import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { turns, until, within } from '../support/deadline.ts'
import { type EvilConnection, type EvilUpstream, startEvil } from '../support/evil-upstream.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { connectRaw, type RawClient } from '../support/raw-client.ts'
import { closeOf, framesAt, handshake, hello, maskedHello, switching, unmasked } from '../support/websocket-gate.ts'
import { answerOf, type FaultGate, openGate, pause, times } from './stage.ts'

const routes = `
  - { id: brief, match: { path: /brief/* }, upstream: app, auth: optional, websocket: { idle: 1s } }
  - { id: live, match: { path: /live/* }, upstream: app, auth: required, websocket: { idle: 1h } }`

/** What the promise allows, and what a busy machine may add. */
const ONE_SECOND_MS = 1_000 + 3_000

const handshakeTo = (path: string, lines = ''): string =>
  handshake.replace('/chat%2F?x=%zz', path).replace(/\r\n\r\n$/, `\r\n${lines}\r\n`)

interface Tunnel {
  readonly client: RawClient
  readonly server: EvilConnection
}

/** A tunnel through the gateway, with a fault proxy at each of its sides. */
interface Sides extends AsyncDisposable {
  readonly gate: FaultGate
  readonly upstream: EvilUpstream
  /** Between client and gateway. */
  readonly front: FaultProxy
  /** Between gateway and app. */
  readonly back: FaultProxy
  open(path?: string): Promise<Tunnel>
}

async function openSides(): Promise<Sides> {
  await using stack = new AsyncDisposableStack()
  const upstream = stack.use(
    await startEvil(async (connection) => {
      await connection.head()
      await connection.send(switching)
    }),
  )
  const back = stack.use(await startFaultProxy(upstream.port))
  const gate = stack.use(await openGate(`http://127.0.0.1:${back.port}`, { routes, probesMemory: true }))
  const front = stack.use(await startFaultProxy(gate.gateway.port))
  const closing = stack.move()
  return {
    ...{ gate, upstream, front, back },
    async open(path = '/anything') {
      const opened = upstream.connections.length
      const client = await connectRaw(front.port)
      await client.send(handshakeTo(path))
      assert.equal((await client.response()).status, 101)
      return { client, server: await upstream.connection(opened) }
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** The side that fails, how, and the side that must notice. */
const deaths: [why: string, fail: (sides: Sides) => void, other: keyof Tunnel][] = [
  ['the app’s connection is cut', ({ back }) => back.kill(), 'client'],
  ['the app finishes', ({ back }) => back.set({ kind: 'halfClose', direction: 'down' }, 'open'), 'client'],
  ['the client’s connection is cut', ({ front }) => front.kill(), 'server'],
  ['the client finishes', ({ front }) => front.set({ kind: 'halfClose', direction: 'up' }, 'open'), 'server'],
]

describe('row 34: one side of a WebSocket fails', () => {
  let sides: Sides
  let openFiles = 0
  before(async () => {
    sides = await openSides()
    openFiles = sides.gate.openFiles()
  })
  after(() => sides[Symbol.asyncDispose]())

  for (const [why, fail, other] of deaths) {
    test(`row 34: ${why}: the other side is closed within a second, after everything that was sent`, async () => {
      for (let i = 0; i < times({ usual: 3, whole: 100 }); i++) {
        const { client, server } = await sides.open()
        await server.send(hello)
        await client.send(maskedHello)
        await client.data(hello.length)
        await framesAt(server, maskedHello.length)
        fail(sides)
        const left = other === 'client' ? client : server
        await within(`the ${other} to be closed`, left.closed, ONE_SECOND_MS)
        client.socket.destroy()
        server.socket.destroy()
        sides.front.pass()
        sides.back.pass()
      }
      await until('no file stays open', () => sides.gate.openFiles() <= openFiles + 4)
    })
  }

  test('row 34: neither side says anything: both get 1001 when the time of the route is over, and not while one speaks', async () => {
    const { client, server } = await sides.open('/brief/idle')
    const untilMs = performance.now() + 2_000
    for (let isUp = true; performance.now() < untilMs; isUp = !isUp) {
      if (isUp) {
        const { length } = server.received()
        await client.send(maskedHello)
        await server.bytes(length + maskedHello.length)
      } else {
        await server.send(hello)
        await client.data(hello.length)
      }
    }
    assert.deepEqual(await client.rest(), closeOf(1001, 'idle'))
    await within('the app’s side', server.closed, ONE_SECOND_MS)
    const received = Buffer.from(server.received(), 'latin1')
    assert.equal(unmasked(received.subarray(received.lastIndexOf(0x88))), '1001 idle')
  })

  for (const [side, other] of [
    ['front', 'app'],
    ['back', 'client'],
  ] as const) {
    test(`row 34: a line that is dead and does not say so (${side}): the ${other} is let go when the time is over`, async () => {
      const { client, server } = await sides.open('/brief/dead')
      sides[side].set({ kind: 'stall' }, 'open')
      const left = other === 'app' ? server : client
      await within(`the ${other} to be let go`, left.closed, 1_000 + ONE_SECOND_MS)
      sides[side].kill()
      client.socket.destroy()
      server.socket.destroy()
      await until('no file stays open', () => sides.gate.openFiles() <= openFiles + 4)
    })
  }

  for (const [from, how] of [
    ['server', 'finishes'],
    ['client', 'finishes'],
  ] as const) {
    test(`row 34: what is under way when the ${from} ${how} arrives in order, at the pace of a slow line`, async () => {
      const { client, server } = await sides.open()
      const bytes = Buffer.from(Array.from({ length: 3 * 2 ** 20 }, (_, i) => (i * 31 + (i >> 9)) & 0xff))
      const to = from === 'server' ? sides.front : sides.back
      to.set({ kind: 'throttle', bytesPerSecond: 2 ** 20 }, 'open')
      const sender = from === 'server' ? server : client
      const sent = sender.send(bytes).then(() => sender.end())
      const got = from === 'server' ? client.data(bytes.length) : framesAt(server, bytes.length)
      assert.ok(bytes.equals(await got))
      await sent
      const receiver = from === 'server' ? client : server
      await within('the end', receiver.closed, ONE_SECOND_MS)
      client.socket.destroy()
      server.socket.destroy()
    })
  }

  test('row 34: what a side gets before the other is cut is the beginning of what was sent, and nothing else', async () => {
    const bytes = Buffer.from(Array.from({ length: 2 ** 20 }, (_, i) => (i * 17 + (i >> 8)) & 0xff))
    for (let i = 0; i < times({ usual: 10, whole: 500 }); i++) {
      const { client, server } = await sides.open()
      const isDown = i % 2 === 0
      const line = isDown ? sides.back : sides.front
      const direction = isDown ? 'down' : 'up'
      line.set({ kind: 'cut', direction, afterBytes: 1 + ((i * 104_729) % bytes.length) }, 'open')
      const sender = isDown ? server : client
      void sender.send(bytes).catch(() => undefined)
      if (!isDown) await within('the app’s side', server.closed)
      const got = isDown ? await client.rest() : Buffer.from(server.received(), 'latin1')
      const body = isDown ? got : got.subarray(got.indexOf('\r\n\r\n') + 4)
      assert.ok(body.equals(bytes.subarray(0, body.length)), `${body.length} bytes`)
      client.socket.destroy()
      server.socket.destroy()
    }
  })

  for (const slow of ['client', 'server'] as const) {
    test(`row 34: a ${slow} that does not read stops the other side, and costs a few buffers`, async () => {
      const count = times({ usual: 20, whole: 500 })
      const flood = Buffer.alloc(8 * 2 ** 20, hello)
      const first = await sides.gate.memory()
      const tunnels: Tunnel[] = []
      for (let i = 0; i < count; i++) {
        const tunnel = await sides.open('/brief/slow')
        tunnels.push(tunnel)
        tunnel[slow].socket.pause()
        const sender = slow === 'client' ? tunnel.server : tunnel.client
        sender.socket.on('error', () => undefined)
        sender.socket.write(flood)
      }
      // While bytes still move there are such among them that nobody needs any more and that are not collected yet.
      let least = Number.POSITIVE_INFINITY
      for (let i = 0; i < 8; i++) {
        least = Math.min(least, (await sides.gate.memory()).usedKib)
        await turns(50)
      }
      const each = (least - first.usedKib) / count
      assert.ok(each <= 256, `${Math.round(each)} KiB for each of ${count}`)
      // Nothing moves any more: that is what the time of the route is about.
      await until('all are let go', () => sides.gate.openFiles() <= openFiles + 4, 20_000)
      for (const { client, server } of tunnels) {
        client.socket.destroy()
        server.socket.destroy()
      }
    })
  }

  test('row 34: nobody else noticed any of it', () => sides.gate.assertServes())
})

describe('row 35: the session of an open WebSocket ends', () => {
  test('row 35: under load: its sockets end with 1008 within seconds, are counted, and all others go on', async (t) => {
    const count = times({ usual: 40, whole: 4_000 })
    await using upstream = await startEvil(async (connection) => {
      for (;;) {
        const head = await connection.head()
        if (head.includes('/login')) await connection.send(answerOf('in', 'X-Session-Set: {"userInfo":{"id":1}}\r\n'))
        else if (!head.includes('/live')) await connection.send(answerOf('page', 'X-Session-Set: {"seen":1}\r\n'))
        else {
          await connection.send(switching)
          connection.socket.on('data', () => connection.socket.write(hello))
          return
        }
      }
    })
    await using gate = await openGate(upstream.origin, { routes, timeouts: 'first_byte: 20s, idle: 20s' })
    await using stack = new AsyncDisposableStack()
    const sockets: { key: string; client: RawClient }[] = []
    for (let i = 0; i < count; i++) {
      const [cookie = ''] = (await gate.ask('/login')).values('set-cookie')
      const key = /sessionid=([a-z0-9]{32})/.exec(cookie)?.[1] ?? ''
      const client = stack.use(await gate.connect())
      await client.send(handshakeTo('/live/x', `Cookie: sessionid=${key}\r\n`))
      assert.equal((await client.response()).status, 101)
      sockets.push({ key, client })
    }
    const [gone, kept] = [sockets.slice(0, count / 2), sockets.slice(count / 2)]
    const waitsMs: number[] = []
    let isOver = false
    const load = Promise.all(
      kept.slice(0, 8).map(async ({ key }) => {
        while (!isOver) {
          const askedAtMs = performance.now()
          assert.equal((await gate.ask('/page', { lines: `Cookie: sessionid=${key}\r\n` })).status, 200)
          waitsMs.push(performance.now() - askedAtMs)
        }
      }),
    )
    using database = new DatabaseSync(join(gate.gateway.folder, 'var/sessiongate.sqlite3'), { timeout: 5_000 })
    const remove = database.prepare('DELETE FROM django_session WHERE session_key = ?')
    database.exec('BEGIN IMMEDIATE')
    for (const { key } of gone) remove.run(key)
    database.exec('COMMIT')
    const goneAtMs = performance.now()
    for (const { client } of gone) assert.deepEqual(await client.rest(6_000), closeOf(1008, 'the session has ended'))
    const tookMs = performance.now() - goneAtMs
    isOver = true
    await load
    const p99 = waitsMs.sort((a, b) => a - b)[Math.floor(waitsMs.length * 0.99)] ?? 0
    t.diagnostic(
      `${gone.length} of ${count} sockets ended within ${Math.round(tookMs)} ms; p99 of ${waitsMs.length} requests meanwhile: ` +
        `${p99.toFixed(1)} ms`,
    )
    assert.ok(tookMs < 6_000, `the last one after ${Math.round(tookMs)} ms`)
    for (const { client } of kept) {
      await client.send(maskedHello)
      assert.deepEqual(await client.data(hello.length), hello)
    }
    const ended = 'sessiongate_websocket_closed_total{route="live",reason="session_end"}'
    for (const { client } of gone) client.socket.destroy()
    for (let i = 0; i < 100 && (await gate.metric(ended)) < gone.length; i++) await pause(50)
    assert.equal(await gate.metric(ended), gone.length)
    assert.equal(await gate.metric('sessiongate_websocket_connections{route="live"}'), kept.length)
    await gate.assertServes()
  })
})
