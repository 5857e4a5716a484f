import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type FaultGate, openGate } from '../faults/stage.ts'
import { openAuthority } from '../support/certificates.ts'
import { until, within } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { connectRaw, type RawClient } from '../support/raw-client.ts'
import { configFile, putConfig, reloadBy } from '../support/reloads.ts'

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`

async function isServed(client: RawClient): Promise<boolean> {
  await client.send(get('/well'))
  return (await client.response()).status === 200
}

/** Nothing at all is said on a connection that is one too many. */
async function isRefused(client: RawClient): Promise<boolean> {
  await client.send(get('/well')).catch(() => undefined)
  return (await client.rest()).length === 0
}

function refused(gate: FaultGate, reason: string): Promise<number> {
  return gate.metric(`sessiongate_client_connections_refused_total{reason="${reason}"}`)
}

describe('connections of clients', () => {
  test('one address has as many as it may; what is one too many is closed unread, until one of them has gone', async () => {
    await using gate = await openGate('http://127.0.0.1:1', { sections: 'limits: { connections_per_address: 2 }' })
    await using first = await gate.connect()
    await using second = await gate.connect()
    assert.deepEqual([await isServed(first), await isServed(second)], [true, true])
    await using third = await gate.connect()
    assert.ok(await isRefused(third))
    assert.equal(await refused(gate, 'address'), 1)
    const line = await gate.gateway.logged('the refusal', ({ msg }) => msg === 'connection refused')
    assert.deepEqual([line.reason, line['network.peer.address']], ['address', '127.0.0.1'])
    await using other = await connectFrom(gate.gateway.port, '127.0.0.2')
    assert.ok(await isServed(other))
    first.socket.destroy()
    await within(
      'a place to be free',
      servedAtLast(() => gate.connect()),
    )
    assert.ok(await isServed(second))
  })

  test('all together have as many as they may', async () => {
    await using gate = await openGate('http://127.0.0.1:1', { sections: 'limits: { connections: 2 }' })
    await using first = await gate.connect()
    await using second = await connectFrom(gate.gateway.port, '127.0.0.2')
    assert.deepEqual([await isServed(first), await isServed(second)], [true, true])
    await using third = await connectFrom(gate.gateway.port, '127.0.0.3')
    assert.ok(await isRefused(third))
    assert.equal(await refused(gate, 'total'), 1)
    assert.equal(await gate.metric('sessiongate_client_connections'), 2)
  })

  test('another configuration brings other limits, and cuts nobody', async () => {
    await using gate = await openGate('http://127.0.0.1:1', { sections: 'limits: { connections: 2 }' })
    const { gateway } = gate
    const reload = async (limit: number): Promise<void> => {
      const text = await readFile(configFile(gateway), 'utf8')
      await reloadBy(gateway, () => putConfig(gateway, text.replace(/connections: \d/, `connections: ${limit}`)))
    }
    await using first = await gate.connect()
    await using second = await gate.connect()
    assert.deepEqual([await isServed(first), await isServed(second)], [true, true])
    await using early = await gate.connect()
    assert.ok(await isRefused(early))
    await reload(3)
    await using third = await gate.connect()
    assert.ok(await isServed(third))
    await reload(1)
    await using late = await gate.connect()
    assert.ok(await isRefused(late))
    assert.deepEqual([await isServed(first), await isServed(second), await isServed(third)], [true, true, true])
  })

  test('trusted proxies bring everybody, and are not counted', async () => {
    const sections = 'trusted_proxies: [127.0.0.0/8]\nlimits: { connections_per_address: 1 }'
    await using gate = await openGate('http://127.0.0.1:1', { sections })
    await using stack = new AsyncDisposableStack()
    for (let i = 0; i < 5; i++) assert.ok(await isServed(stack.use(await gate.connect())))
  })

  test('nor are peers on a Unix socket', async () => {
    const sections =
      'listen: [{ address: "127.0.0.1:0" }, { address: "unix:./gate.sock" }]\nlimits: { connections_per_address: 1 }'
    await using gate = await openGate('http://127.0.0.1:1', { sections })
    await using stack = new AsyncDisposableStack()
    const path = `${gate.gateway.folder}/gate.sock`
    for (let i = 0; i < 5; i++) assert.ok(await isServed(stack.use(await connectRaw({ port: 0, path }))))
  })

  test('behind a PROXY header it is the address there that counts, of IPv6 its first half', async () => {
    const sections =
      'listen: [{ address: "127.0.0.1:0", proxy_protocol: true }]\ntrusted_proxies: [127.0.0.1]\nlimits: { connections_per_address: 1 }'
    await using gate = await openGate('http://127.0.0.1:1', { sections })
    await using stack = new AsyncDisposableStack()
    async function arrive(header: string): Promise<RawClient> {
      const client = stack.use(await gate.connect())
      await client.send(header)
      return client
    }
    const v4 = (source: string): string => `PROXY TCP4 ${source} 127.0.0.1 4000 80\r\n`
    const v6 = (source: string): string => `PROXY TCP6 ${source} ::1 4000 80\r\n`
    assert.ok(await isServed(await arrive(v4('203.0.113.9'))))
    assert.ok(await isRefused(await arrive(v4('203.0.113.9'))))
    assert.ok(await isServed(await arrive(v4('203.0.113.10'))))
    assert.ok(await isServed(await arrive(v6('2001:db8:0:1::7'))))
    assert.ok(await isRefused(await arrive(v6('2001:db8:0:1:ffff::8'))))
    assert.ok(await isServed(await arrive(v6('2001:db8:0:2::7'))))
    assert.equal(await refused(gate, 'address'), 2)
  })

  test('a connection too many is closed before the TLS handshake', async () => {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'sessiongate-issuing-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const { cert, key } = await (await openAuthority(folder)).issue({ hosts: ['localhost'] })
    const sections =
      'listen: [{ address: "127.0.0.1:0", tls: { cert: a.crt, key: a.key } }]\nlimits: { connections_per_address: 1 }'
    await using gate = await openGate('http://127.0.0.1:1', { sections, files: { 'a.crt': cert, 'a.key': key } })
    const { port } = gate.gateway
    await using first = await connectRaw({ port, tlsServername: 'localhost' })
    assert.ok(await isServed(first))
    await using second = await connectRaw(port)
    // The beginning of a client hello: whoever begins a handshake would answer with an alert.
    await second.send(Buffer.from('16030100050100000100', 'hex')).catch(() => undefined)
    assert.equal((await second.rest()).length, 0)
    assert.equal(await refused(gate, 'address'), 1)
  })
})

/** A client of another address of this machine. */
async function connectFrom(port: number, localAddress: string): Promise<RawClient> {
  return await connectRaw({ port, localAddress })
}

async function servedAtLast(open: () => Promise<RawClient>): Promise<void> {
  for (;;) {
    await using client = await open()
    if (await isServed(client).catch(() => false)) return
  }
}

describe('requests under way', () => {
  test('are as many as they may be; what is one too many gets 503 at once, and the connection goes on', async () => {
    let waiting: (() => void)[] = []
    await using app = await startApp((_, response) => void waiting.push(() => response.end('late')))
    await using gate = await openGate(app.origin, {
      sections: 'limits: { requests: 2 }',
      timeouts: 'connect: 5s, first_byte: 60s, idle: 60s',
    })
    await using first = await gate.connect()
    await using second = await gate.connect()
    await using third = await gate.connect()
    await first.send(get('/a'))
    await second.send(get('/b'))
    await until('both are with the app', () => waiting.length === 2)
    for (let i = 0; i < 2; i++) {
      await third.send(get('/c'))
      const answer = await third.response()
      assert.deepEqual(
        [answer.status, answer.values('retry-after'), answer.values('connection')],
        [503, ['5'], ['keep-alive']],
      )
      assert.deepEqual(answer.values('proxy-status'), ['sessiongate; error=proxy_internal_response'])
      assert.match(answer.body.toString(), /ERR_OVERLOADED/)
    }
    await third.send('GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
    assert.equal((await third.response()).status, 503)
    assert.equal(waiting.length, 2)
    for (const answer of waiting) answer()
    waiting = []
    assert.deepEqual([(await first.response()).status, (await second.response()).status], [200, 200])
    await gate.assertServes()
    assert.equal(await gate.metric('sessiongate_local_responses_total{route="-",reason="overloaded"}'), 3)
    const line = await gate.gateway.logged('a refusal', (entry) => entry['error.type'] === 'ERR_OVERLOADED')
    assert.match(String(line['error.message']), /limits\.requests/)
  })

  test('a refused request of which nobody can tell where it ends closes the connection', async () => {
    await using app = await startApp(() => undefined)
    await using gate = await openGate(app.origin, {
      sections: 'limits: { requests: 1 }',
      timeouts: 'connect: 5s, first_byte: 60s, idle: 60s',
    })
    await using first = await gate.connect()
    await first.send(get('/a'))
    await until('it is with the app', () => app.connections() === 1)
    for (const lines of ['Content-Length: 5\r\n\r\nab', 'Expect: 100-continue\r\nContent-Length: 5\r\n\r\n']) {
      await using other = await gate.connect()
      await other.send(`POST / HTTP/1.1\r\nHost: x\r\n${lines}`)
      const answer = await other.response()
      assert.deepEqual([answer.status, answer.values('connection')], [503, ['close']])
      await other.rest()
    }
  })
})

describe('an event loop that is behind', () => {
  test('refuses a share of new requests, and none when it is in time again', async () => {
    await using app = await startApp((_, response) => response.end('app'))
    await using gate = await openGate(app.origin, {
      sections: 'limits: { event_loop_delay: 5ms }\nlogging: { access: false }',
      timeouts: 'connect: 10s, first_byte: 30s, idle: 30s',
    })
    let served = 0
    let refusals = 0
    let isOver = false
    async function visitor(): Promise<void> {
      await using client = await gate.connect()
      while (!isOver) {
        await client.send(get('/').repeat(8))
        for (let i = 0; i < 8; i++) {
          const { status } = await client.response()
          if (status === 503) refusals += 1
          else served += 1
        }
      }
    }
    const visitors = Promise.all(Array.from({ length: 200 }, visitor))
    await until('some are refused', () => refusals > 20, 60_000)
    isOver = true
    await visitors
    assert.ok(served > 0)
    await within('everybody to be let in again', servedInARow(gate, 20), 30_000)
    const told = await gate.metric('sessiongate_local_responses_total{route="-",reason="overloaded"}')
    assert.ok(told >= refusals, `${told} of ${refusals}`)
  })
})

async function servedInARow(gate: FaultGate, count: number): Promise<void> {
  for (let inRow = 0; inRow < count; ) {
    const { status } = await gate.ask('/')
    inRow = status === 200 ? inRow + 1 : 0
  }
}

describe('a head that does not come', () => {
  test('has as long as limits.head says', async () => {
    await using gate = await openGate('http://127.0.0.1:1', { sections: 'limits: { head: 400ms, keep_alive: 300ms }' })
    await using dripping = await gate.connect()
    await dripping.send('GET / HTTP/1.1\r\nX-')
    const { status } = await dripping.response()
    assert.equal(status, 408)
    await using idle = await gate.connect()
    assert.ok(await isServed(idle))
    await within('the idle connection to be closed', idle.closed)
    await using silent = await gate.connect()
    await within('the silent connection to be closed', silent.closed)
  })
})
