import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { describe, type TestContext, test } from 'node:test'
import { within } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { type EvilConnection, startEvil } from '../support/evil-upstream.ts'
import type { RawClient } from '../support/raw-client.ts'
import { handshake, hello, maskedHello, switching } from '../support/websocket-gate.ts'
import { answerOf, ask, type FaultGate, type Memory, openGate, pause, times } from './stage.ts'

/** What a young process grows by on its own: compiled code, and garbage that nobody has collected yet. */
const NOISE_KIB = 24 * 1024

/** A process of the tests, and one of the gateway, may have so many files open; some are for other things. */
const files = Number(/Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1])

interface Costs {
  readonly before: Memory
  readonly after: Memory
  readonly count: number
}

/** Prints what one connection costs, and gives the resident part, in KiB. */
function costOf(t: TestContext, what: string, { before, after, count }: Costs): number {
  const resident = (after.residentKib - before.residentKib - NOISE_KIB) / count
  const used = (after.usedKib - before.usedKib) / count
  const grown = (after.residentKib - before.residentKib) / count
  t.diagnostic(
    `${count} ${what}: ${used.toFixed(1)} KiB of heap and buffers each, ${grown.toFixed(1)} KiB resident ` +
      `(${Math.max(0, resident).toFixed(1)} without what a young process grows by)`,
  )
  return resident
}

/** In waves: a listener's queue holds 511, and nobody connects faster than that is emptied. */
async function inWaves(count: number, one: (i: number) => Promise<void>): Promise<void> {
  for (let from = 0; from < count; from += 100) {
    await Promise.all(Array.from({ length: Math.min(100, count - from) }, (_, i) => one(from + i)))
  }
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`

describe('row 47: idle connections', () => {
  test('row 47: cost at most 25 KiB each, and all of them are still served', async (t) => {
    const count = Math.min(times({ usual: 500, whole: 10_000 }), files - 500)
    await using app = await startApp((incoming, response) => void response.end(incoming.url))
    await using gate = await openGate(app.origin, { probesMemory: true })
    const agent = new Agent({ keepAlive: true, maxSockets: 20 })
    for (let i = 0; i < 500; i++) await ask(agent, gate.gateway.port, `/warm/${i}`)
    agent.destroy()
    const before = await gate.memory()
    await using stack = new AsyncDisposableStack()
    const clients: RawClient[] = []
    await inWaves(count, async (i) => {
      const client = stack.use(await gate.connect())
      clients.push(client)
      await client.send(get(`/first/${i}`))
      await client.response()
    })
    const each = costOf(t, 'idle connections', { before, after: await gate.memory(), count })
    assert.ok(each <= 25, `${Math.round(each)} KiB for each of ${count}`)
    await gate.assertServes()
    for (const [i, client] of clients.entries()) {
      await client.send(get(`/second/${i}`))
      assert.equal((await client.response()).body.toString(), `/second/${i}`)
    }
  })
})

/** How many sockets each session has open. */
const SOCKETS_PER_SESSION = 3

describe('row 48: open WebSockets', () => {
  test('row 48: cost at most 60 KiB each, carry what is sent, and end with their session alone', async (t) => {
    const count = Math.min(times({ usual: 300, whole: 9_000 }), Math.floor((files - 500) / 2))
    const echoes = new Map<string, EvilConnection>()
    await using upstream = await startEvil(async (connection) => {
      for (;;) {
        const head = await connection.head()
        const [, path = ''] = /^GET (\S+)/.exec(head) ?? []
        if (path === '/login') await connection.send(answerOf('in', 'X-Session-Set: {"userInfo":{"id":1}}\r\n'))
        else if (path === '/leave') await connection.send(answerOf('out', 'X-Session-Command: flush\r\n'))
        else {
          echoes.set(path, connection)
          await connection.send(switching)
          connection.socket.on('data', () => connection.socket.write(hello))
          return
        }
      }
    })
    await using gate = await openGate(upstream.origin, {
      probesMemory: true,
      routes: '  - { id: live, match: { path: /live/* }, upstream: app, auth: required, websocket: { idle: 1h } }',
    })
    const keys = await logIn(gate, Math.ceil(count / SOCKETS_PER_SESSION))
    await using stack = new AsyncDisposableStack()
    const clients: RawClient[] = []
    const open = async (i: number): Promise<void> => {
      const client = stack.use(await gate.connect())
      clients[i] = client
      const key = keys[Math.floor(i / SOCKETS_PER_SESSION)] ?? ''
      const lines = handshake.replace('/chat%2F?x=%zz', `/live/${i}`)
      await client.send(lines.replace(/\r\n\r\n$/, `\r\nCookie: sessionid=${key}\r\n\r\n`))
      assert.equal((await client.response()).status, 101)
    }
    // The first of them pay for what is compiled and loaded once.
    const warm = Math.min(100, count / 3)
    await inWaves(warm, open)
    const before = await gate.memory()
    await inWaves(count - warm, (i) => open(warm + i))
    await sendAndReceive(clients)
    const each = costOf(t, 'WebSockets', { before, after: await gate.memory(), count: count - warm })
    assert.ok(each <= 60, `${Math.round(each)} KiB for each of ${count}`)
    assert.equal(await gate.metric('sessiongate_websocket_connections{route="live"}'), count)
    for (let i = 0; i < times({ usual: 1, whole: 60 }); i++) {
      await pause(times({ usual: 100, whole: 10_000 }))
      await sendAndReceive(clients)
    }
    await gate.ask('/leave', { lines: `Cookie: sessionid=${keys[0]}\r\n` })
    for (const client of clients.splice(0, SOCKETS_PER_SESSION)) {
      const close = await client.rest()
      assert.equal(close.readUInt16BE(close.length - Buffer.byteLength('the session has ended') - 2), 1008)
    }
    await sendAndReceive(clients)
    await gate.assertServes()
    for (const client of clients) client.socket.destroy()
    await within('the app to lose all of them', Promise.all(Array.from(echoes.values(), ({ closed }) => closed)))
  })
})

/** So many log-ins; the keys of the sessions. */
async function logIn(gate: FaultGate, count: number): Promise<string[]> {
  const keys: string[] = []
  await using client = await gate.connect()
  while (keys.length < count) {
    await client.send(get('/login'))
    const [cookie = ''] = (await client.response()).values('set-cookie')
    keys.push(/sessionid=([a-z0-9]{32})/.exec(cookie)?.[1] ?? '')
  }
  return keys
}

/** A message up and one down on each of them. */
async function sendAndReceive(clients: readonly RawClient[]): Promise<void> {
  await inWaves(clients.length, async (i) => {
    const client = clients[i]
    await client?.send(maskedHello)
    assert.deepEqual(await client?.data(hello.length), hello)
  })
}
