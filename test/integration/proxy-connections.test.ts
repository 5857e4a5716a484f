import assert from 'node:assert/strict'
import { PassThrough, Readable } from 'node:stream'
import { test } from 'node:test'
import { ClientGoneError, type Upstream } from '../../src/proxy/upstream.ts'
import { turns, until, within } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { type EvilConnection, type EvilUpstream, startEvil } from '../support/evil-upstream.ts'
import { createClient, failureOf, openTo, requestTo, streamOf, testEach, textOf } from '../support/proxied.ts'

const answerOf = (body: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const get = async (upstream: Upstream) => textOf((await upstream.forward(requestTo())).body)

testEach('a connection serves one request after the other', async (openTo) => {
  await using evil = await startEvil([answerOf('1'), answerOf('2'), answerOf('3')])
  await using upstream = openTo(evil.origin)
  assert.deepEqual([await get(upstream), await get(upstream), await get(upstream)], ['1', '2', '3'])
  assert.equal(evil.connections.length, 1)
  assert.deepEqual(upstream.stats(), { active: 0, idle: 1, pending: 0 })
})

testEach('requests at the same time have connections of their own', async (openTo) => {
  await using evil = await startEvil([answerOf('a')])
  await using upstream = openTo(evil.origin)
  assert.deepEqual(await Promise.all([get(upstream), get(upstream), get(upstream)]), ['a', 'a', 'a'])
  assert.equal(evil.connections.length, 3)
})

const answersThatEndAConnection: [why: string, bytes: string][] = [
  ['a second answer right behind it', answerOf('mine') + answerOf('poison')],
  ['a byte too much', `${answerOf('mine')}x`],
  ['a piece of a status line', `${answerOf('mine')}HTTP/1.1 2`],
  [
    'bytes after the last chunk',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmine\r\n0\r\n\r\nHTTP/1.1 200',
  ],
  ['Connection: close', `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmine${answerOf('poison')}`],
  ['close among others', 'HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 4\r\n\r\nmine'],
  ['HTTP/1.0 without keep-alive', `HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nmine${answerOf('poison')}`],
  [
    'a keep-alive that is too short to trust',
    'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 4\r\n\r\nmine',
  ],
]

for (const [why, bytes] of answersThatEndAConnection) {
  testEach(`the next request goes on a new connection and sees nothing of the old one: ${why}`, async (openTo) => {
    await using evil = await startEvil([bytes, answerOf('poison')], [answerOf('fresh')])
    await using upstream = openTo(evil.origin)
    assert.equal(await get(upstream), 'mine')
    assert.equal(await get(upstream), 'fresh')
    assert.equal(evil.connections.length, 2)
    assert.equal(evil.connections[0]?.received().match(/GET/g)?.length, 1)
  })
}

testEach('an answer that comes while nothing was asked closes the connection', async (openTo) => {
  await using evil = await startEvil([answerOf('mine')], [answerOf('fresh')])
  await using upstream = openTo(evil.origin)
  assert.equal(await get(upstream), 'mine')
  const first = await evil.connection(0)
  await first.send(answerOf('poison'))
  await within('the connection to be closed', first.closed)
  assert.equal(await get(upstream), 'fresh')
})

testEach('an answer that comes just before the next request is written is not taken for its answer', async (openTo) => {
  for (let round = 0; round < 20; round++) {
    await using evil = await startEvil([answerOf('mine')], [answerOf('fresh')])
    await using upstream = openTo(evil.origin)
    assert.equal(await get(upstream), 'mine')
    // The bytes are in our socket's kernel buffer, and the event loop has not looked at it yet.
    await (await evil.connection(0)).send(answerOf('poison'))
    assert.equal(await get(upstream), 'fresh')
  }
})

testEach('a FIN right behind an answer ends the connection and nothing else', async (openTo) => {
  await using evil = await startEvil(
    async (connection) => {
      await connection.head()
      await connection.send(answerOf('mine'))
      connection.end()
    },
    [answerOf('fresh')],
  )
  await using upstream = openTo(evil.origin)
  assert.equal(await get(upstream), 'mine')
  assert.equal(await get(upstream), 'fresh')
})

testEach('everyone gets the answer to his own request, whatever becomes of the others', async (openTo) => {
  await using app = await startApp((request, response) => {
    const number = Number(request.url?.slice(1))
    const text = `${number} `.repeat(number % 7 === 0 ? 20_000 : 1)
    if (number % 11 === 0) response.socket?.destroy()
    else if (number % 13 === 0) setImmediate(() => response.end(text))
    else if (number % 5 === 0) response.write(text, () => response.end())
    else response.end(text)
  })
  await using upstream = openTo(app.origin, { retries: 1 })
  const outcomes = { whole: 0, failed: 0, left: 0 }
  async function ask(number: number): Promise<void> {
    const client = createClient()
    if (number % 17 === 0) turns(number % 5).then(() => client.leave())
    try {
      const received = await textOf((await upstream.forward(requestTo({ target: `/${number}`, client }))).body)
      assert.deepEqual([...new Set(received.trimEnd().split(' '))], [String(number)])
      outcomes.whole += 1
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error
      outcomes[error instanceof ClientGoneError ? 'left' : 'failed'] += 1
    }
  }
  const total = 1_500
  let next = 0
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (next < total) await ask(++next)
    }),
  )
  assert.equal(outcomes.whole + outcomes.failed + outcomes.left, total)
  // Those that are cut, and of those that leave not more than all.
  assert.ok(outcomes.whole >= total - Math.ceil(total / 11) - Math.ceil(total / 17), JSON.stringify(outcomes))
  await until('nothing is under way', () => upstream.stats().active === 0)
})

/** Starts a request, brings it to the state in question, and says what became of it. */
const roughEnds: [why: string, run: (upstream: Upstream, evil: EvilUpstream) => Promise<void>][] = [
  [
    'the client goes before the answer',
    async (upstream, evil) => {
      const client = createClient()
      const answer = upstream.forward(requestTo({ client }))
      await (await evil.connection(0)).head()
      client.leave()
      await assert.rejects(answer, /gone/)
    },
  ],
  [
    'the client goes within the answer',
    async (upstream, evil) => {
      const client = createClient()
      const answer = upstream.forward(requestTo({ client }))
      const connection = await evil.connection(0)
      await connection.head()
      await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npart')
      const { body } = await answer
      client.leave()
      await assert.rejects(textOf(body), /gone/)
    },
  ],
  [
    'the answer is thrown away',
    async (upstream, evil) => {
      const answer = upstream.forward(requestTo())
      const connection = await evil.connection(0)
      await connection.head()
      await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npart')
      streamOf((await answer).body).destroy()
    },
  ],
  [
    'the client goes within its own body',
    async (upstream, evil) => {
      const body = new PassThrough()
      const answer = upstream.forward(requestTo({ method: 'POST', body, contentLength: 10 }))
      body.write('12345')
      const connection = await evil.connection(0)
      await connection.head()
      body.destroy(new Error('gone'))
      await assert.rejects(answer, /gone/)
    },
  ],
  [
    'the body ends before its length',
    async (upstream) => {
      const request = requestTo({ method: 'POST', body: Readable.from([Buffer.from('12345')]), contentLength: 10 })
      assert.match(await failureOf(upstream.forward(request)), /^ERR_REQUEST_INVALID/)
    },
  ],
  [
    'the body goes on after its length',
    async (upstream) => {
      const request = requestTo({ method: 'POST', body: Readable.from([Buffer.from('12345')]), contentLength: 4 })
      assert.match(await failureOf(upstream.forward(request)), /^ERR_REQUEST_INVALID/)
    },
  ],
  [
    'the answer begins before the request has ended, and both end',
    async (upstream, evil) => {
      const body = new PassThrough()
      const answer = upstream.forward(requestTo({ method: 'POST', body, contentLength: 10 }))
      body.write('12345')
      const connection = await evil.connection(0)
      await connection.head()
      await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n')
      const { body: answerBody } = await answer
      body.end('67890')
      await until('the body is there', () => connection.received().endsWith('1234567890'))
      await connection.send('early')
      assert.equal(await textOf(answerBody), 'early')
    },
  ],
  [
    'the answer ends before the request',
    async (upstream, evil) => {
      const body = new PassThrough()
      const answer = upstream.forward(requestTo({ method: 'POST', body, contentLength: 10 }))
      body.write('12345')
      const connection = await evil.connection(0)
      await connection.head()
      await connection.send(answerOf('early'))
      assert.equal(await textOf((await answer).body), 'early')
      assert.equal(body.destroyed, false, 'the client’s body is left to its owner')
    },
  ],
]

for (const [why, run] of roughEnds) {
  testEach(`the connection is closed, and the next request has a new one: ${why}`, async (openTo) => {
    const idle = ({ closed }: EvilConnection) => closed
    await using evil = await startEvil(idle, [answerOf('fresh')])
    await using upstream = openTo(evil.origin, { retries: 3 })
    await run(upstream, evil)
    const first = await evil.connection(0)
    await within('the connection to be closed', first.closed)
    await until('it is forgotten', () => upstream.stats().active === 0)
    assert.deepEqual(upstream.stats(), { active: 0, idle: 0, pending: 0 })
    assert.equal(evil.connections.length, 1, 'nothing was tried again')
    assert.equal(await get(upstream), 'fresh')
  })
}

testEach('a body without its first byte never becomes a complete request', async (openTo) => {
  await using evil = await startEvil(() => {})
  await using upstream = openTo(evil.origin)
  const request = requestTo({ method: 'POST', body: Readable.from([]), contentLength: 5 })
  assert.match(await failureOf(upstream.forward(request)), /^ERR_REQUEST_INVALID/)
  await turns()
  assert.equal(evil.received(), '')
})

test('a TLS handshake that is never answered ends at the connect deadline and is not tried again', async () => {
  await using evil = await startEvil(() => {})
  await using upstream = openTo(evil.origin.replace('http:', 'https:'), { retries: 3, timeouts: { connectMs: 50 } })
  assert.equal(await failureOf(upstream.forward(requestTo())), 'ERR_UPSTREAM_TIMEOUT connection_timeout')
  assert.equal(evil.connections.length, 1)
  await within('the connection to be closed', (await evil.connection(0)).closed)
})

test('an answer to TLS that is none is an error of TLS', async () => {
  await using evil = await startEvil(async (connection) => {
    await connection.bytes(1)
    await connection.send('HTTP/1.1 400 Bad Request\r\n\r\n')
  })
  await using upstream = openTo(evil.origin.replace('http:', 'https:'))
  assert.equal(await failureOf(upstream.forward(requestTo())), 'ERR_UPSTREAM_UNREACHABLE tls_protocol_error')
})

test('a client that goes while the connection is being made takes it along', async () => {
  await using evil = await startEvil(() => {})
  await using upstream = openTo(evil.origin.replace('http:', 'https:'))
  const client = createClient()
  const answer = upstream.forward(requestTo({ client }))
  const connection = await evil.connection(0)
  assert.deepEqual(upstream.stats(), { active: 0, idle: 0, pending: 1 })
  client.leave()
  await assert.rejects(answer, /gone/)
  await within('the connection to be closed', connection.closed)
  assert.deepEqual(upstream.stats(), { active: 0, idle: 0, pending: 0 })
})

testEach('a client that is gone already costs no connection', async (openTo) => {
  await using evil = await startEvil(() => {})
  await using upstream = openTo(evil.origin)
  await assert.rejects(upstream.forward(requestTo({ client: { isGone: true, watcher: undefined } })), /gone/)
  await turns()
  assert.equal(evil.connections.length, 0)
})

testEach('disposing cuts what is under way, and nothing is forwarded afterwards', async (openTo) => {
  await using evil = await startEvil(async (connection) => {
    await connection.head()
    await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npart')
  })
  const upstream = openTo(evil.origin)
  const { body } = await upstream.forward(requestTo())
  const rest = failureOf(textOf(body))
  await upstream[Symbol.asyncDispose]()
  assert.match(await rest, /^ERR_UPSTREAM/)
  assert.match(await failureOf(upstream.forward(requestTo())), /^ERR_SHUTTING_DOWN/)
  assert.deepEqual(upstream.stats(), { active: 0, idle: 0, pending: 0 })
})

test('disposing ends connections that are being made', async () => {
  await using evil = await startEvil(() => {})
  const upstream = openTo(evil.origin.replace('http:', 'https:'), { retries: 3 })
  const failure = failureOf(upstream.forward(requestTo()))
  const connection = await evil.connection(0)
  await upstream[Symbol.asyncDispose]()
  assert.match(await failure, /^ERR_SHUTTING_DOWN/)
  await within('the connection to be closed', connection.closed)
})
