import assert from 'node:assert/strict'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import type { Upstream } from '../../src/proxy/upstream.ts'
import { turns, until, within } from '../support/deadline.ts'
import { type EvilConnection, type EvilUpstream, startEvil } from '../support/evil-upstream.ts'
import { closedOrigin, failureOf, openTo, requestTo } from '../support/proxied.ts'

const answerOf = (body: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const get = async (upstream: Upstream) => text((await upstream.forward(requestTo())).body)

test('a connection serves one request after the other', async () => {
  await using evil = await startEvil([answerOf('1'), answerOf('2'), answerOf('3')])
  await using upstream = openTo(evil.origin)
  assert.deepEqual([await get(upstream), await get(upstream), await get(upstream)], ['1', '2', '3'])
  assert.equal(evil.connections.length, 1)
  assert.deepEqual(upstream.stats(), { active: 0, idle: 1, pending: 0 })
})

test('requests at the same time have connections of their own', async () => {
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
  test(`the next request goes on a new connection and sees nothing of the old one: ${why}`, async () => {
    await using evil = await startEvil([bytes, answerOf('poison')], [answerOf('fresh')])
    await using upstream = openTo(evil.origin)
    assert.equal(await get(upstream), 'mine')
    assert.equal(await get(upstream), 'fresh')
    assert.equal(evil.connections.length, 2)
    assert.equal(evil.connections[0]?.received().match(/GET/g)?.length, 1)
  })
}

test('an answer that comes while nothing was asked closes the connection', async () => {
  await using evil = await startEvil([answerOf('mine')], [answerOf('fresh')])
  await using upstream = openTo(evil.origin)
  assert.equal(await get(upstream), 'mine')
  const first = await evil.connection(0)
  await first.send(answerOf('poison'))
  await within('the connection to be closed', first.closed)
  assert.equal(await get(upstream), 'fresh')
})

test('an answer that comes just before the next request is written is not taken for its answer', async () => {
  for (let round = 0; round < 20; round++) {
    await using evil = await startEvil([answerOf('mine')], [answerOf('fresh')])
    await using upstream = openTo(evil.origin)
    assert.equal(await get(upstream), 'mine')
    // The bytes are in our socket's kernel buffer, and the event loop has not looked at it yet.
    await (await evil.connection(0)).send(answerOf('poison'))
    assert.equal(await get(upstream), 'fresh')
  }
})

/** Starts a request, brings it to the state in question, and says what became of it. */
const roughEnds: [why: string, run: (upstream: Upstream, evil: EvilUpstream) => Promise<void>][] = [
  [
    'the client goes before the answer',
    async (upstream, evil) => {
      const client = new AbortController()
      const answer = upstream.forward(requestTo({ signal: client.signal }))
      await (await evil.connection(0)).head()
      client.abort(new Error('gone'))
      await assert.rejects(answer, /gone/)
    },
  ],
  [
    'the client goes within the answer',
    async (upstream, evil) => {
      const client = new AbortController()
      const answer = upstream.forward(requestTo({ signal: client.signal }))
      const connection = await evil.connection(0)
      await connection.head()
      await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npart')
      const { body } = await answer
      client.abort(new Error('gone'))
      await assert.rejects(text(body), /gone/)
    },
  ],
  [
    'the answer is thrown away',
    async (upstream, evil) => {
      const answer = upstream.forward(requestTo())
      const connection = await evil.connection(0)
      await connection.head()
      await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npart')
      ;(await answer).body.destroy()
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
      assert.equal(await text(answerBody), 'early')
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
      assert.equal(await text((await answer).body), 'early')
      assert.equal(body.destroyed, false, 'the client’s body is left to its owner')
    },
  ],
]

for (const [why, run] of roughEnds) {
  test(`the connection is closed, and the next request has a new one: ${why}`, async () => {
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

test('a body without its first byte never becomes a complete request', async () => {
  await using evil = await startEvil(() => {})
  await using upstream = openTo(evil.origin)
  const request = requestTo({ method: 'POST', body: Readable.from([]), contentLength: 5 })
  assert.match(await failureOf(upstream.forward(request)), /^ERR_REQUEST_INVALID/)
  await turns()
  assert.equal(evil.received(), '')
})

const cuts: [how: string, cut: (connection: EvilConnection) => void][] = [
  ['FIN', (connection) => connection.end()],
  ['RST', (connection) => connection.reset()],
]

for (const [how, cut] of cuts) {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']) {
    test(`${method} without a body is tried again after a ${how} before the answer`, async () => {
      const cutAfterHead = async (connection: EvilConnection) => {
        await connection.head()
        cut(connection)
      }
      await using evil = await startEvil(cutAfterHead, cutAfterHead, [answerOf('ok')])
      await using upstream = openTo(evil.origin, { retries: 2 })
      const answer = await upstream.forward(requestTo({ method }))
      assert.equal(answer.attempts, 3)
      assert.equal(await text(answer.body), method === 'HEAD' ? '' : 'ok')
    })
  }

  const sentOnce: [why: string, method: string, body: string | null, retries: number, sends: string][] = [
    ['POST', 'POST', null, 5, ''],
    ['PATCH', 'PATCH', null, 5, ''],
    ['an unknown method', 'PURGE', null, 5, ''],
    ['PUT with a body', 'PUT', 'body', 5, ''],
    ['GET with a body', 'GET', 'body', 5, ''],
    ['GET when no retry is allowed', 'GET', null, 0, ''],
    ['GET when one byte of an answer had come', 'GET', null, 5, 'H'],
    ['GET when half a head had come', 'GET', null, 5, 'HTTP/1.1 200 OK\r\nX-A'],
    ['GET when an interim answer had come', 'GET', null, 5, 'HTTP/1.1 103 Early Hints\r\n\r\n'],
  ]
  for (const [why, method, body, retries, sends] of sentOnce) {
    test(`sent once only, whatever happens: ${why}, cut by ${how}`, async () => {
      await using evil = await startEvil(async (connection) => {
        await connection.head()
        if (sends !== '') await connection.send(sends)
        // A reset that overtakes the bytes would be another case.
        await turns(5)
        cut(connection)
      })
      await using upstream = openTo(evil.origin, { retries })
      const request = requestTo({ method, body: body === null ? null : Readable.from([Buffer.from(body)]) })
      assert.equal(await failureOf(upstream.forward(request)), 'ERR_UPSTREAM_UNREACHABLE connection_terminated')
      assert.equal(evil.connections.length, 1)
    })
  }
}

test('a kept connection that was closed in the meantime is no attempt, and POST goes on a new one', async () => {
  await using evil = await startEvil([answerOf('1')], [answerOf('2')])
  await using upstream = openTo(evil.origin, { retries: 0 })
  assert.equal(await get(upstream), '1')
  const first = await evil.connection(0)
  first.reset()
  // The reset is in the kernel; our side has not read it when the next request is started.
  const answer = await upstream.forward(
    requestTo({ method: 'POST', body: Readable.from([Buffer.from('once')]), contentLength: 4 }),
  )
  assert.equal(await text(answer.body), '2')
  assert.equal(answer.attempts, 1)
  assert.equal(evil.received().match(/POST/g)?.length, 1)
})

test('a refused connection is an error at once, and is tried as often as retries say', async () => {
  const origin = await closedOrigin()
  await using upstream = openTo(origin, { retries: 2 })
  assert.equal(await failureOf(upstream.forward(requestTo())), 'ERR_UPSTREAM_UNREACHABLE connection_refused')
  const post = requestTo({ method: 'POST', body: Readable.from([Buffer.from('x')]) })
  assert.equal(await failureOf(upstream.forward(post)), 'ERR_UPSTREAM_UNREACHABLE connection_refused')
  assert.deepEqual(upstream.stats(), { active: 0, idle: 0, pending: 0 })
})

test('servers are taken in turn, and the next one answers for one that refuses', async () => {
  await using one = await startEvil([answerOf('one'), answerOf('one')])
  await using two = await startEvil([answerOf('two'), answerOf('two')])
  await using both = openTo([one.origin, two.origin])
  assert.deepEqual([await get(both), await get(both), await get(both)], ['one', 'two', 'one'])
  await using half = openTo([await closedOrigin(), two.origin], { retries: 1 })
  const answer = await half.forward(requestTo())
  assert.equal(await text(answer.body), 'two')
  assert.equal(answer.attempts, 2)
  assert.equal(answer.server, two.origin)
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
  const client = new AbortController()
  const answer = upstream.forward(requestTo({ signal: client.signal }))
  const connection = await evil.connection(0)
  assert.deepEqual(upstream.stats(), { active: 0, idle: 0, pending: 1 })
  client.abort(new Error('gone'))
  await assert.rejects(answer, /gone/)
  await within('the connection to be closed', connection.closed)
  assert.deepEqual(upstream.stats(), { active: 0, idle: 0, pending: 0 })
})

test('a client that is gone already costs no connection', async () => {
  await using evil = await startEvil(() => {})
  await using upstream = openTo(evil.origin)
  await assert.rejects(upstream.forward(requestTo({ signal: AbortSignal.abort(new Error('gone')) })), /gone/)
  await turns()
  assert.equal(evil.connections.length, 0)
})

test('disposing cuts what is under way, and nothing is forwarded afterwards', async () => {
  await using evil = await startEvil(async (connection) => {
    await connection.head()
    await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npart')
  })
  const upstream = openTo(evil.origin)
  const { body } = await upstream.forward(requestTo())
  const rest = failureOf(text(body))
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
