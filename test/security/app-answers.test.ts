import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { until } from '../support/deadline.ts'
import { type EvilUpstream, startEvil } from '../support/evil-upstream.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { connectRaw } from '../support/raw-client.ts'
import { exchange, statuses } from './stage.ts'

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const hint = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\n\r\n'

/** What an app says, and with which final status the browser may be answered. */
const answers: [why: string, bytes: string, status: readonly number[]][] = [
  ['early hints', hint + ok, [200]],
  ['early hints whose Link is no link', `HTTP/1.1 103 Early Hints\r\nLink: garbage\r\n\r\n${ok}`, [200, 502]],
  ['early hints whose Link is empty', `HTTP/1.1 103 Early Hints\r\nLink:\r\n\r\n${ok}`, [200, 502]],
  [
    'early hints with bytes outside of ASCII',
    `HTTP/1.1 103 Early Hints\r\nLink: </\xe9>; rel=preload\r\n\r\n${ok}`,
    [200, 502],
  ],
  ['early hints without a Link', `HTTP/1.1 103 Early Hints\r\nX-Session-Set: {"a":1}\r\n\r\n${ok}`, [200]],
  ['"processing"', `HTTP/1.1 102 Processing\r\n\r\n${ok}`, [200]],
  ['a hundred early hints', hint.repeat(100) + ok, [200, 502]],
  [
    '101 that nobody asked for',
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n${ok}`,
    [502],
  ],
  ['status 600', 'HTTP/1.1 600 Eh\r\nContent-Length: 0\r\n\r\n', [502]],
  ['status 099', 'HTTP/1.1 099 Eh\r\nContent-Length: 0\r\n\r\n', [502]],
  ['status 2000', 'HTTP/1.1 2000 Eh\r\nContent-Length: 0\r\n\r\n', [502]],
  ['no HTTP at all', 'SSH-2.0-OpenSSH\r\n', [502]],
  ['a header name with a space', 'HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n', [502]],
  ['a NUL in a value', 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n', [502]],
  ['a folded header', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n', [502]],
  [
    'a length beside chunked',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n',
    [502],
  ],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok', [502]],
  ['a coding before chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', [502]],
  ['a head over 32 KiB', `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(40_000)}\r\nContent-Length: 0\r\n\r\n`, [502]],
  ['a control character in the reason', 'HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n', [200, 502]],
  ['a length on 204', 'HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello', [204]],
  ['304 with a length', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', [304]],
  ['nothing', '', [502]],
  [
    'commands in a trailer',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Session-Set: {"a":1}\r\n\r\n',
    [200],
  ],
]

describe('what an app may answer, and what becomes of it', () => {
  let evil: EvilUpstream
  let gateway: TestGateway
  const said = new Map<string, string>()
  before(async () => {
    evil = await startEvil(async (connection) => {
      for (;;) {
        const path = (await connection.head()).split(' ')[1] ?? ''
        const bytes = said.get(path) ?? ok
        if (bytes !== '') await connection.send(bytes)
        if (path.startsWith('/end')) connection.end()
        if (path.startsWith('/reset')) connection.reset()
      }
    })
    gateway = await startGateway({
      config: `
upstreams: { app: { servers: ["${evil.origin}"], writeback: { allow: ["*"] }, timeouts: { first_byte: 1s, idle: 1s } } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`,
    })
  })
  after(async () => {
    // First: it is there also when the gateway has not started, and would keep this process from ending.
    await evil[Symbol.asyncDispose]()
    await gateway[Symbol.asyncDispose]()
  })
  const get = (path: string, bytes: string): Promise<string> => {
    said.set(path, bytes)
    return exchange(
      gateway.port,
      `GET ${path} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nConnection: close\r\n\r\n`,
    )
  }

  for (const [number, [why, bytes, allowed]] of answers.entries()) {
    test(`${why}: ${allowed.join(' or ')}, and the next request is answered with what belongs to it`, async () => {
      const came = await get(`/${why === 'nothing' ? 'end' : 'a'}${number}`, bytes)
      const status = statuses(came).at(-1)
      assert.ok(status !== undefined && allowed.includes(status), came)
      assert.doesNotMatch(came, /x-session|ERR_INTERNAL/i)
      if (status >= 500) assert.match(came, /^Proxy-Status: sessiongate; error=\w+\r$/m)
      assert.match(came, /^Vary: Cookie\r$/m)
      assert.match(await get(`/next${number}`, 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext'), /next$/)
    })
  }

  test('bytes behind an answer are never the answer to somebody else', async () => {
    const stale = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale'
    for (let i = 0; i < 10; i++) {
      await get(`/extra${i}`, ok + stale)
      assert.doesNotMatch(await get(`/after${i}`, ok), /stale/)
    }
  })

  test('a body that breaks off never looks whole', async () => {
    for (const how of ['end', 'reset']) {
      for (const head of ['Content-Length: 20', 'Transfer-Encoding: chunked']) {
        said.set(`/${how}/${head.length}`, `HTTP/1.1 200 OK\r\n${head}\r\n\r\n5\r\nhello`)
        await using client = await connectRaw(gateway.port)
        await client.send(`GET /${how}/${head.length} HTTP/1.1\r\nHost: x\r\n\r\n`)
        const answer = await client.response().catch(() => undefined)
        assert.ok(answer === undefined || !answer.isComplete || answer.status === 502)
      }
    }
  })

  test('an app that says nothing is given up in time, with 504', async () => {
    said.set('/mute', '')
    const came = await exchange(gateway.port, 'GET /mute HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    assert.deepEqual(statuses(came), [504])
    assert.match(came, /Proxy-Status: sessiongate; error=http_response_timeout/)
  })

  test('an app that drips 1xx answers does not put the deadline off', async () => {
    const drip = setInterval(() => {
      for (const { socket } of evil.connections)
        if (dripping.has(socket) && socket.writable) socket.write('HTTP/1.1 102 Processing\r\n\r\n')
    }, 200)
    const dripping = new Set<unknown>()
    said.set('/drip', '')
    try {
      const count = evil.connections.length
      const asked = exchange(gateway.port, 'GET /drip HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
      for (const { socket } of [
        ...evil.connections.slice(0, count),
        await evil.connection(count).catch(() => evil.connections.at(-1)),
      ].filter((c) => c !== undefined)) {
        dripping.add(socket)
      }
      const came = await asked
      assert.ok([502, 504].includes(statuses(came).at(-1) ?? 0), came)
    } finally {
      clearInterval(drip)
    }
  })

  test('a client that is gone takes its connection to the app with it', async () => {
    said.set('/gone', '')
    const before = evil.connections.filter(({ socket }) => !socket.destroyed).length
    await using client = await connectRaw(gateway.port)
    await client.send('GET /gone HTTP/1.1\r\nHost: x\r\n\r\n')
    const find = () => evil.connections.findLast((connection) => connection.received().includes('/gone'))
    await until('the request to reach the app', () => find() !== undefined)
    const held = find()
    assert.ok(held)
    client.reset()
    await held.closed
    assert.ok(evil.connections.filter(({ socket }) => !socket.destroyed).length <= before + 1)
  })
})
