import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { connectRaw, type RawClient } from '../support/raw-client.ts'
import { openStage, type Stage } from './stage.ts'

const config = `
upstreams:
  app: { servers: ["APP"], writeback: { allow: ["*"] }, timeouts: { connect: 1s, first_byte: 2s, idle: 1s } }
  dead: { servers: ["http://127.0.0.1:1"] }
routes:
  - { id: dead, match: { path: /dead }, upstream: dead, auth: optional }
  - { id: small, match: { path: /small }, upstream: app, auth: optional, limits: { body: 10 } }
  - { id: guarded, match: { path: /guarded }, upstream: app, auth: required }
  - { id: app, match: { path: /* }, upstream: app, auth: optional }
`
const handshake = [
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n')
const slow = 'GET /slow HTTP/1.1\r\nHost: x\r\nWait: 300\r\n\r\n'
const quick = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const half = 'Host: x\r\nContent-Length: 100000\r\n\r\nabc'

/** What is sent; then the connection is reset, at once or after the first answer. */
const attacks: [what: string, bytes: string, when: 'at once' | 'after an answer' | 'after a while'][] = [
  [
    'a WebSocket handshake behind a request that is under way',
    `${slow}GET /ws HTTP/1.1\r\n${handshake}`,
    'after a while',
  ],
  [
    // Of more than 32 header lines node's parser tells in several calls, between which a refusal gets out: the connection
    // is at its end while the rest of the packet is still read.
    'a handshake behind a refused request of many lines, in one packet',
    `POST /guarded HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n${'A: b\r\n'.repeat(40)}\r\nbody${quick}GET /ws HTTP/1.1\r\n${handshake}`,
    'after a while',
  ],
  [
    'CONNECT behind a refused request of many lines, in one packet',
    `POST /guarded HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n${'A: b\r\n'.repeat(40)}\r\nbody${quick}CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n`,
    'after a while',
  ],
  ['CONNECT behind a request that is under way', `${slow}CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n`, 'after a while'],
  ['two handshakes in one packet', `GET /ws HTTP/1.1\r\n${handshake}GET /ws HTTP/1.1\r\n${handshake}`, 'after a while'],
  ['half a body for an app that is down', `POST /dead HTTP/1.1\r\n${half}`, 'after an answer'],
  ['half a body for an app that is down, and no patience', `POST /dead HTTP/1.1\r\n${half}`, 'at once'],
  [
    'half a chunked body for an app that is down',
    'POST /dead HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab',
    'after an answer',
  ],
  ['half a body that the route does not admit', `POST /guarded HTTP/1.1\r\n${half}`, 'after an answer'],
  [
    'a body over the limit, chunked',
    'POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n01234567890123456789\r\n',
    'after an answer',
  ],
  ['half a body', `POST /x HTTP/1.1\r\n${half}`, 'at once'],
  ['half a body, later', `POST /x HTTP/1.1\r\n${half}`, 'after a while'],
  ['half a body that stalls', `POST /x HTTP/1.1\r\n${half}`, 'after an answer'],
  [
    'half a chunk and then no chunk',
    'POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nZZ\r\n',
    'after an answer',
  ],
  ['a request whose answer nobody awaits', slow, 'at once'],
  ['a handshake that nobody awaits', `GET /ws HTTP/1.1\r\nWait: 200\r\n${handshake}`, 'at once'],
  ['a handshake that is refused', `GET /guarded HTTP/1.1\r\n${handshake}`, 'after an answer'],
  ['half a head', 'GET / HTTP/1.1\r\nHo', 'at once'],
  ['bytes of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'after an answer'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'after an answer'],
  ['HTTP/0.9', 'GET /\r\n\r\n', 'after an answer'],
  ['an empty target', 'GET  HTTP/1.1\r\nHost: x\r\n\r\n', 'after an answer'],
  ['two hundred requests at once', 'GET /x HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(200), 'after an answer'],
]

describe('whatever a client sends, the process goes on', () => {
  let stage: Stage
  before(async () => {
    stage = await openStage(config)
  })
  beforeEach(async () => {
    if (stage.gateway.process.exitCode === null) return
    await stage[Symbol.asyncDispose]()
    stage = await openStage(config)
  })
  after(() => stage[Symbol.asyncDispose]())

  for (const [what, bytes, when] of attacks) {
    test(what, async () => {
      await using client = await connectRaw(stage.gateway.port)
      await client.send(bytes)
      if (when === 'after an answer') await client.response()
      if (when === 'after a while') await Promise.race([client.closed, pause(400)])
      client.reset()
      await settled()
      const { status } = await fetch(`${stage.gateway.url}/alive`).catch(() => ({ status: 0 }))
      assert.equal(stage.gateway.process.exitCode, null, stage.gateway.stderr().slice(-1500))
      assert.equal(status, 200)
      assert.doesNotMatch(stage.gateway.stderr(), /Unhandled|Uncaught|MaxListeners/)
    })
  }

  test('a client that leaves at any byte of a request costs nothing that stays', async () => {
    const request = `POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nCookie: sessionid=${'a'.repeat(32)}\r\n\r\n0123456789`
    for (let count = 0; count <= request.length; count += 3) {
      const client: RawClient = await connectRaw(stage.gateway.port)
      await client.send(request.slice(0, count))
      client.reset()
    }
    await settled()
    assert.equal((await fetch(`${stage.gateway.url}/alive`)).status, 200)
    const metrics = await (await fetch(`${stage.gateway.operatorUrl}/metrics`)).text()
    const inFlight = [...metrics.matchAll(/^sessiongate_http_requests_in_flight\{[^}]*\} (\d+)/gm)]
    assert.deepEqual(
      inFlight.map(([, count]) => count).filter((count) => count !== '0'),
      [],
    )
  })
})

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Time enough for an error in a later turn of the gateway to end it. */
function settled(): Promise<void> {
  return pause(60)
}
