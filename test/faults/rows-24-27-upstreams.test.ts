import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { until, within } from '../support/deadline.ts'
import { type EvilUpstream, startEvil } from '../support/evil-upstream.ts'
import { startFullPort } from '../support/full-port.ts'
import { closedOrigin } from '../support/proxied.ts'
import type { RawResponse } from '../support/raw-client.ts'
import { answerOf, byPath, type FaultGate, numberOf, openGate, pause, times } from './stage.ts'

/** Status and `Proxy-Status` of an answer that the gateway gave for an upstream that failed. */
function told({ status, values }: RawResponse): string {
  return `${status} ${values('proxy-status').join()}`
}

describe('row 24: an upstream that cannot be connected to', () => {
  test('row 24: refuses: 502 at once, and its neighbour serves', async () => {
    await using gate = await openGate(await closedOrigin())
    for (const method of ['GET', 'POST']) {
      assert.equal(told(await gate.ask('/', { method })), '502 sessiongate; error=connection_refused')
    }
    await gate.assertServes()
  })

  test('row 24: does not take the connection: 504 at the connect deadline, and its neighbour serves meanwhile', async () => {
    await using full = await startFullPort()
    await using gate = await openGate(full.origin, { timeouts: 'connect: 1s, first_byte: 60s, idle: 60s' })
    const openFiles = gate.openFiles()
    const asked = Promise.all(Array.from({ length: 20 }, () => gate.ask('/')))
    await until('the connections are being made', () => gate.openFiles() >= openFiles + 20)
    await gate.assertServes()
    for (const answer of await asked) assert.equal(told(answer), '504 sessiongate; error=connection_timeout')
    await gate.untilQuiet(openFiles + 4)
  })
})

/** What an upstream sends of its answer before it resets the connection. */
const beginnings: [why: string, sends: string][] = [
  ['nothing', ''],
  ['one byte', 'H'],
  ['half a head', 'HTTP/1.1 200 OK\r\nContent-Le'],
  ['an interim answer', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'],
]

describe('row 25: an upstream that resets before the head of its answer', () => {
  for (const [why, sends] of beginnings) {
    test(`row 25: after ${why}: ${sends === '' ? 'GET is tried once more' : 'nothing is tried again'}, POST never is`, async () => {
      let resets = 0
      await using upstream = await startEvil(
        byPath({
          async reset(connection) {
            resets += 1
            if (sends !== '') await connection.send(sends)
            // A reset overtakes bytes that are still on the way.
            await pause(20)
            connection.reset()
          },
        }),
      )
      await using gate = await openGate(upstream.origin)
      const terminated = '502 sessiongate; error=connection_terminated'
      for (const [method, attempts] of [
        ['GET', sends === '' ? 2 : 1],
        ['POST', 1],
      ] as const) {
        resets = 0
        await using client = await gate.connect()
        await client.send(`${method} /reset HTTP/1.1\r\nHost: x\r\n\r\n`)
        let answer = await client.response()
        if (answer.status === 103) answer = await client.response()
        assert.equal(told(answer), terminated)
        assert.equal(resets, attempts, method)
      }
      await gate.assertServes()
    })
  }

  test('row 25: at once when it is connected to: GET is tried once more, POST never is', async () => {
    await using upstream = await startEvil((connection) => connection.reset())
    await using gate = await openGate(upstream.origin)
    for (const [method, attempts] of [
      ['GET', 2],
      ['POST', 1],
    ] as const) {
      const from = upstream.connections.length
      assert.equal((await gate.ask('/', { method })).status, 502)
      assert.equal(upstream.connections.length - from, attempts, method)
    }
    await gate.assertServes()
  })

  test('row 25: a kept connection that is reset under a request: GET goes on a fresh one, POST does not', async () => {
    for (const [method, status, seen] of [
      ['GET', 200, 3],
      ['POST', 502, 2],
    ] as const) {
      let requests = 0
      await using upstream = await startEvil(
        async (connection) => {
          await connection.head()
          requests += 1
          await connection.send(answerOf('kept'))
          await connection.head()
          requests += 1
          connection.reset()
        },
        async (connection) => {
          await connection.head()
          requests += 1
          await connection.send(answerOf('fresh'))
        },
      )
      await using gate = await openGate(upstream.origin)
      assert.equal((await gate.ask('/', { method })).body.toString(), 'kept')
      assert.equal((await gate.ask('/', { method })).status, status)
      assert.equal(requests, seen, method)
    }
  })
})

/** An answer of 200 bytes of body, framed in each way that tells its length. */
const framed: [how: string, bytes: string][] = [
  ['with a length', answerOf('b'.repeat(200))],
  [
    'chunked',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${`19\r\n${'c'.repeat(25)}\r\n`.repeat(8)}0\r\n\r\n`,
  ],
]

describe('row 26: an upstream that resets in mid-body', () => {
  let upstream: EvilUpstream
  let gate: FaultGate
  before(async () => {
    const cuts = framed.map(([, bytes], i) => [
      `cut${i}`,
      async (connection, head) => {
        await connection.send(bytes.slice(0, numberOf(head)))
        connection.reset()
      },
    ]) satisfies [string, Parameters<typeof byPath>[0][string]][]
    const ends = framed.map(([, bytes], i) => [
      `end${i}`,
      async (connection, head) => {
        await connection.send(bytes.slice(0, numberOf(head)))
        connection.end()
        await connection.closed
      },
    ]) satisfies [string, Parameters<typeof byPath>[0][string]][]
    upstream = await startEvil(byPath(Object.fromEntries([...cuts, ...ends])))
    gate = await openGate(upstream.origin)
  })
  after(async () => {
    await gate[Symbol.asyncDispose]()
    await upstream[Symbol.asyncDispose]()
  })

  for (const [i, [how, bytes]] of framed.entries()) {
    for (const way of ['cut', 'end']) {
      test(`row 26: ${how}, ${way === 'cut' ? 'by RST' : 'by FIN'}, after any number of bytes: no half answer passes for a whole one`, async () => {
        const openFiles = gate.openFiles()
        const opened = upstream.connections.length
        const from = bytes.indexOf('\r\n\r\n') + 4
        const errorsBefore = await incomplete(gate)
        for (let at = from; at < bytes.length; at += times({ usual: 7, whole: 1 })) {
          await using client = await gate.connect()
          await client.send(`GET /${way}${i}/${at} HTTP/1.1\r\nHost: x\r\n\r\n`)
          const answer = await client.response()
          assert.ok(answer.status === 502 || !answer.isComplete, `${at}: ${answer.status} ${answer.body}`)
          if (answer.status !== 502) await within('the client’s connection to end', client.closed)
        }
        const requests = Math.ceil((bytes.length - from) / times({ usual: 7, whole: 1 }))
        const connections = upstream.connections.length - opened
        assert.ok(connections >= requests, `${connections} connections for ${requests} requests: one was used again`)
        const counted = (await incomplete(gate)) - errorsBefore
        assert.ok(counted > requests / 2, `${counted} of ${requests} are counted; the others had not begun`)
        await gate.assertServes()
        await gate.untilQuiet(openFiles + 4)
      })
    }
  }
})

/** How many answers the metrics call incomplete. */
function incomplete(gate: FaultGate): Promise<number> {
  return gate.metric('sessiongate_upstream_errors_total{upstream="app",reason="http_response_incomplete"}')
}

describe('row 27: an upstream that is slow', () => {
  let upstream: EvilUpstream
  let gate: FaultGate
  before(async () => {
    upstream = await startEvil(
      byPath({
        hang: () => undefined,
        async drip(connection) {
          for (const byte of answerOf('never there in time')) {
            await connection.send(byte)
            await pause(50)
          }
        },
        async stall(connection) {
          await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome of it')
        },
        async trickle(connection) {
          await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n')
          for (let i = 0; i < 20; i++) {
            await connection.send('t')
            await pause(60)
          }
        },
      }),
    )
    gate = await openGate(upstream.origin)
  })
  after(async () => {
    await gate[Symbol.asyncDispose]()
    await upstream[Symbol.asyncDispose]()
  })

  for (const [why, path] of [
    ['says nothing', '/hang'],
    ['drips its head', '/drip'],
  ] as const) {
    test(`row 27: ${why}: 504 at the deadline of the first byte, and nothing is tried again`, async () => {
      const openFiles = gate.openFiles()
      const opened = upstream.connections.length
      assert.equal(told(await gate.ask(path)), '504 sessiongate; error=http_response_timeout')
      assert.equal(upstream.connections.length, opened + 1)
      await within('the upstream’s connection to close', (await upstream.connection(opened)).closed)
      await gate.untilQuiet(openFiles + 4)
    })
  }

  test('row 27: stops in mid-body: the answer is cut at the idle deadline, and does not look whole', async () => {
    const openFiles = gate.openFiles()
    const answer = await gate.ask('/stall')
    assert.deepEqual([answer.status, answer.body.toString(), answer.isComplete], [200, 'some of it', false])
    await gate.untilQuiet(openFiles + 4)
  })

  test('row 27: drips its body: what keeps coming is passed on, longer than the idle deadline', async () => {
    const answer = await gate.ask('/trickle')
    assert.deepEqual([answer.status, answer.body.toString(), answer.isComplete], [200, 't'.repeat(20), true])
  })
})
