import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { until, within } from '../support/deadline.ts'
import { type EvilConnection, type EvilUpstream, startEvil } from '../support/evil-upstream.ts'
import type { RawClient } from '../support/raw-client.ts'
import { answerOf, byPath, type FaultGate, openGate, openTlsGate, pause, times } from './stage.ts'

/** What a request has come to when its client leaves. */
const moments: [
  when: string,
  request: string,
  isUnderWay: (upstream: EvilConnection, client: RawClient) => Promise<unknown>,
][] = [
  ['before the answer', 'GET /silent HTTP/1.1\r\nHost: x\r\n\r\n', (upstream) => upstream.bytes(1)],
  [
    'in mid-upload',
    'POST /silent HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nsome of it',
    async (upstream) => {
      await upstream.bytes(1)
      await until('the bytes are there', () => upstream.received().endsWith('some of it'))
    },
  ],
  [
    'in mid-upload, chunked',
    'POST /silent HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n',
    async (upstream) => {
      await upstream.bytes(1)
      await until('the bytes are there', () => upstream.received().endsWith('some\r\n'))
    },
  ],
  ['in mid-answer, while the app is silent', 'GET /part HTTP/1.1\r\nHost: x\r\n\r\n', (_, client) => client.data(100)],
  ['in mid-answer, while the app sends', 'GET /flood HTTP/1.1\r\nHost: x\r\n\r\n', (_, client) => client.data(100_000)],
]

/** What a young process grows by on its own: compiled code, and buffers that nobody has collected yet. */
const NOISE_KIB = 48 * 1024

/** Deadlines that do not end what the client's leaving should. */
const patient = { timeouts: 'connect: 5s, first_byte: 60s, idle: 60s' }

const leavings = byPath({
  silent: () => undefined,
  x: (connection) => connection.send(answerOf('x'.repeat(2000))),
  part: (connection) => connection.send('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\npart'),
  async flood(connection) {
    await connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    const chunk = `10000\r\n${'x'.repeat(65536)}\r\n`
    while (!connection.socket.destroyed) {
      await connection.send(chunk)
      // As slow as an app that makes what it sends; a socket that is written all the time hides the end of its reader.
      await pause(2)
    }
  },
})

describe('row 30: a client that leaves', () => {
  let upstream: EvilUpstream
  let gate: FaultGate
  before(async () => {
    upstream = await startEvil(leavings)
    gate = await openGate(upstream.origin, patient)
  })
  after(async () => {
    await gate[Symbol.asyncDispose]()
    await upstream[Symbol.asyncDispose]()
  })

  for (const [when, request, isUnderWay] of moments) {
    for (const how of ['FIN', 'RST'] as const) {
      test(`row 30: ${when}, by ${how}: the app’s connection is closed at once`, async (t) => {
        const openFiles = gate.openFiles()
        const tookMs: number[] = []
        for (let i = 0; i < times({ usual: 7, whole: 200 }); i++) {
          await using client = await gate.connect()
          const opened = upstream.connections.length
          await client.send(request)
          const connection = await upstream.connection(opened)
          await isUnderWay(connection, client)
          const leftMs = performance.now()
          if (how === 'RST') client.reset()
          else client.socket.destroy()
          // Far less than the deadlines of an exchange, which would end it as well.
          await within('the upstream’s connection to close', connection.closed, 2_000)
          tookMs.push(performance.now() - leftMs)
        }
        const middleMs = tookMs.toSorted((a, b) => a - b)[tookMs.length >> 1] ?? 0
        t.diagnostic(`after ${Math.round(middleMs)} ms, at most ${Math.round(Math.max(...tookMs))} ms`)
        // Of most: beside other work a machine may look away for longer.
        assert.ok(middleMs <= 100, `${tookMs} ms`)
        await gate.assertServes()
        await gate.untilQuiet(openFiles + 4)
      })
    }
  }

  test('row 30: at any byte of what it sends and gets: nothing stays open, and nobody else notices', async (t) => {
    const openFiles = gate.openFiles()
    const residentKib = gate.residentKib()
    const request = `POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\n${'y'.repeat(300)}`
    for (let i = 0; i < times({ usual: 200, whole: 10_000 }); i++) {
      await using client = await gate.connect()
      await client.send(request.slice(0, (i * 7) % (request.length + 1)))
      if (i % 3 === 0) await Promise.race([client.data(i % 1500), pause(2)]).catch(() => undefined)
      if (i % 2 === 0) client.reset()
    }
    await gate.assertServes()
    await gate.untilQuiet(openFiles + 4)
    t.diagnostic(`${Math.round((gate.residentKib() - residentKib) / 1024)} MiB more than before`)
    // What nobody holds any more is collected when there is nothing else to do.
    await until('memory is back', () => gate.residentKib() - residentKib <= NOISE_KIB, 60_000)
  })
})

const slowAnswers = byPath({
  silent: () => undefined,
  async steady(connection) {
    await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n')
    for (let i = 0; i < 40; i++) {
      await pause(10)
      await connection.send('s')
    }
  },
  async late(connection) {
    await pause(300)
    await connection.send(answerOf('late'))
  },
  async pieces(connection) {
    await pause(50)
    await connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (const piece of ['one', 'two', 'six']) {
      await pause(150)
      await connection.send(`3\r\n${piece}\r\n`)
    }
    await connection.send('0\r\n\r\n')
  },
  async upload(connection, head) {
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1])
    await until('the body', () => connection.received().length >= head.length + length)
    await pause(100)
    await connection.send(answerOf('thanks'))
    connection.end()
  },
})

function isAskedInVain(connection: EvilConnection): boolean {
  return connection.received().includes('/silent') && !connection.socket.readableEnded && !connection.socket.closed
}

/** The request, after which the client sends a FIN, and the bodies that it gets. */
const halfCloses: [why: string, request: string, bodies: string[]][] = [
  ['an answer that is late', 'GET /late HTTP/1.1\r\nHost: x\r\n\r\n', ['late']],
  ['an answer in pieces', 'GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n', ['onetwosix']],
  ['an upload', `PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n${'u'.repeat(70_000)}`, ['thanks']],
  ['two requests in a row', 'GET /late HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2), ['late', 'late']],
]

describe('row 31: a client that has finished sending', () => {
  let upstream: EvilUpstream
  let gate: FaultGate
  before(async () => {
    upstream = await startEvil(slowAnswers)
    gate = await openGate(upstream.origin, patient)
  })
  after(async () => {
    await gate[Symbol.asyncDispose]()
    await upstream[Symbol.asyncDispose]()
  })

  for (const [why, request, bodies] of halfCloses) {
    test(`row 31: gets its answer, and then the connection ends: ${why}`, async () => {
      const openFiles = gate.openFiles()
      await using client = await gate.connect()
      await client.send(request)
      client.end()
      const got: string[] = []
      for (let i = 0; i < bodies.length; ) {
        const answer = await client.response()
        if (answer.status === 100) continue
        assert.deepEqual([answer.status, answer.isComplete], [200, true])
        got.push(answer.body.toString())
        i += 1
      }
      assert.deepEqual(got, bodies)
      assert.equal((await client.rest()).length, 0)
      await gate.untilQuiet(openFiles + 4)
    })
  }

  test('row 31: the same in TLS, where it is close_notify that says so', async () => {
    await using secure = await openTlsGate(upstream.origin, patient)
    for (const [why, request, bodies] of halfCloses) {
      await using client = await secure.connect()
      await client.send(request)
      client.end()
      const got: string[] = []
      while (got.length < bodies.length) {
        const { status, body, isComplete } = await client.response()
        if (status === 100) continue
        assert.deepEqual([status, isComplete], [200, true], why)
        got.push(body.toString())
      }
      assert.deepEqual(got, bodies, why)
      assert.equal((await client.rest()).length, 0, why)
    }
  })

  test('row 31: a FIN behind the head of an answer that keeps coming does not end it', async () => {
    await using client = await gate.connect()
    await client.send('GET /steady HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the answer has begun', () => client.socket.bytesRead > 0)
    client.end()
    const { body, isComplete } = await client.response()
    assert.deepEqual([body.toString(), isComplete], ['s'.repeat(40), true])
  })

  test('row 31: a client of HTTP/1.0 gets no interim answer; its FIN is its leaving', async () => {
    const silent = (): number => upstream.connections.filter(isAskedInVain).length
    await using client = await gate.connect()
    await client.send('GET /silent HTTP/1.0\r\nHost: x\r\n\r\n')
    await until('the request is with the app', () => silent() === 1)
    client.end()
    assert.equal((await client.rest()).toString(), '')
    await until('the upstream’s connection is closed', () => silent() === 0)
  })

  test('row 31: without a request, or with half of one, the connection ends', async () => {
    for (const bytes of ['', 'GET / HT', 'POST /silent HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123']) {
      await using client = await gate.connect()
      if (bytes !== '') await client.send(bytes)
      client.end()
      assert.doesNotMatch((await client.rest()).toString(), /HTTP\/1\.1 [^4]/, bytes)
    }
    await gate.assertServes()
    await until('the app is not left waiting for the rest', () => !upstream.connections.some(isAskedInVain))
  })
})

describe('row 32: a client that never reads', () => {
  test('row 32: costs a few buffers, and is let go when it has taken nothing for as long as the route allows', async () => {
    const clients = times({ usual: 100, whole: 1000 })
    const body = Buffer.alloc(10 * 1024 * 1024, 'b')
    await using upstream = await startEvil(
      byPath({
        async large(connection) {
          await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`)
          await connection.send(body)
          // The system may hold all of it for a reader that takes nothing.
          await connection.closed
        },
        '': (connection) => connection.send(answerOf('ok')),
      }),
    )
    await using gate = await openGate(upstream.origin, {
      // Long enough for all of them to be there at once.
      timeouts: `connect: 5s, first_byte: 60s, idle: ${times({ usual: 2, whole: 60 })}s`,
    })
    for (let i = 0; i < 50; i++) await gate.ask('/')
    const filesBefore = gate.openFiles()
    const before = gate.residentKib()
    await using stack = new AsyncDisposableStack()
    for (let i = 0; i < clients; i++) {
      const client = stack.use(await gate.connect())
      await client.send('GET /large HTTP/1.1\r\nHost: x\r\n\r\n')
      await until('the answer to begin', () => client.socket.bytesRead > 0)
      client.pause()
    }
    let highest = 0
    await until(
      'all of them to be let go',
      () => {
        highest = Math.max(highest, gate.residentKib())
        return gate.openFiles() <= filesBefore + 4
      },
      120_000,
    )
    const each = (highest - before - NOISE_KIB) / clients
    assert.ok(each <= 256, `${Math.round(each)} KiB for each of ${clients} clients`)
    await gate.assertServes()
  })
})
