import assert from 'node:assert/strict'
import { PassThrough, Readable } from 'node:stream'
import { test } from 'node:test'
import type { DepartureWatcher } from '../../src/proxy/upstream.ts'
import { turns, until, within } from '../support/deadline.ts'
import { startEvil } from '../support/evil-upstream.ts'
import { bytesOf, failureOf, openTo, requestTo, streamOf, textOf } from '../support/proxied.ts'

const chunked = 'Transfer-Encoding: chunked'
const answerOf = (body: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const idle = { active: 0, idle: 1, pending: 0 }
const none = { active: 0, idle: 0, pending: 0 }

const wholeAnswers: [why: string, method: string, bytes: string, body: string][] = [
  ['a length', 'GET', answerOf('caf\xe9'), 'caf\xe9'],
  ['a length of nothing', 'GET', answerOf(''), ''],
  ['chunks', 'GET', `HTTP/1.1 200 OK\r\n${chunked}\r\n\r\n3\r\nabc\r\n1\r\n\0\r\n0\r\n\r\n`, 'abc\0'],
  ['no chunk', 'GET', `HTTP/1.1 200 OK\r\n${chunked}\r\n\r\n0\r\n\r\n`, ''],
  ['HEAD', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', ''],
  ['204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', ''],
  ['an interim answer before it', 'GET', `HTTP/1.1 103 Early Hints\r\n\r\n${answerOf('x')}`, 'x'],
]

for (const [why, method, bytes, body] of wholeAnswers) {
  test(`an answer that comes in one piece is a text, and its connection is free already: ${why}`, async () => {
    await using evil = await startEvil([bytes, bytes])
    await using upstream = openTo(evil.origin)
    for (let round = 0; round < 2; round++) {
      const answer = await upstream.forward(requestTo({ method }))
      assert.deepEqual(upstream.stats(), idle)
      assert.equal(answer.body, body)
    }
    assert.equal(evil.connections.length, 1)
  })
}

test('a text can be used after its connection has brought other answers', async () => {
  const bodies = ['a', 'b', 'c'].map((letter) => letter.repeat(5_000))
  await using evil = await startEvil(bodies.map(answerOf))
  await using upstream = openTo(evil.origin)
  const received: unknown[] = []
  for (const _ of bodies) received.push((await upstream.forward(requestTo())).body)
  assert.deepEqual(received, bodies)
})

test('pieces of a stream can be used after others have come, on whatever connection, small or large', async () => {
  const piece = (letter: string, round: number) => letter.repeat(round % 2 === 0 ? 100 : 60_000)
  const letters = ['a', 'b', 'c']
  const rounds = 20
  const wholeOf = (letter: string) => Array.from({ length: rounds }, (_, round) => piece(letter, round)).join('')
  await using evil = await startEvil(async (connection) => {
    const letter = (await connection.head())[5] ?? ''
    await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${wholeOf(letter).length}\r\n\r\n`)
    for (let round = 0; round < rounds; round++) {
      await connection.send(piece(letter, round))
      await turns(2)
    }
  })
  await using upstream = openTo(evil.origin)
  const read = async (letter: string) => bytesOf((await upstream.forward(requestTo({ target: `/${letter}` }))).body)
  const received = await Promise.all(letters.map(read))
  assert.deepEqual(received.map(String), letters.map(wholeOf))
})

const untrusted: [why: string, bytes: string][] = [
  ['a 204 that speaks of a body', 'HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n'],
  ['a 304 that speaks of a body', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n'],
  ['a 304 that speaks of chunks', `HTTP/1.1 304 Not Modified\r\n${chunked}\r\n\r\n`],
  ['chunks in HTTP/1.0', `HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n${chunked}\r\n\r\n0\r\n\r\n`],
  [
    'close beside keep-alive in HTTP/1.0',
    'HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 0\r\n\r\n',
  ],
  ['an empty line behind the answer', `${answerOf('x')}\r\n`],
  ['a keep-alive of two seconds', 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2, max=9\r\nContent-Length: 0\r\n\r\n'],
]

for (const [why, bytes] of untrusted) {
  test(`an answer is passed on, and its connection is closed: ${why}`, async () => {
    await using evil = await startEvil([bytes])
    await using upstream = openTo(evil.origin)
    await textOf((await upstream.forward(requestTo())).body)
    assert.deepEqual(upstream.stats(), none)
    await within('the connection to be closed', (await evil.connection(0)).closed)
  })
}

test('a connection is kept for as long as the server says, less two seconds', async () => {
  await using evil = await startEvil(['HTTP/1.1 200 OK\r\nKeep-Alive: timeout=3\r\nContent-Length: 0\r\n\r\n'])
  await using upstream = openTo(evil.origin)
  await upstream.forward(requestTo())
  assert.deepEqual(upstream.stats(), idle)
  await within('the connection to be closed', (await evil.connection(0)).closed)
  assert.deepEqual(upstream.stats(), none)
})

const leftovers: [why: string, bytes: string][] = [
  ['an empty line', '\r\n'],
  ['a line feed', '\n'],
  ['one byte', 'H'],
]

for (const [why, bytes] of leftovers) {
  test(`a connection on which anything comes while nobody uses it is closed: ${why}`, async () => {
    await using evil = await startEvil([answerOf('mine')])
    await using upstream = openTo(evil.origin)
    await upstream.forward(requestTo())
    const connection = await evil.connection(0)
    await connection.send(bytes)
    await within('the connection to be closed', connection.closed)
    assert.deepEqual(upstream.stats(), none)
  })
}

test('the body that a client takes its time to begin does not go up on a connection that spoke in the meantime', async () => {
  await using evil = await startEvil([answerOf('mine'), answerOf('poison')], [answerOf('fresh')])
  await using upstream = openTo(evil.origin)
  await upstream.forward(requestTo())
  const body = new PassThrough()
  const answer = upstream.forward(requestTo({ method: 'POST', body, contentLength: 4 }))
  await turns(10)
  const first = await evil.connection(0)
  await first.send(answerOf('poison'))
  await within('the connection to be closed', first.closed)
  body.end('body')
  assert.equal(await textOf((await answer).body), 'fresh')
  assert.equal(first.received().includes('POST'), false)
})

test('chunks of any size are framed, and an empty piece of a body does not end it', async () => {
  await using evil = await startEvil(async (connection) => {
    await until('the body has ended', () => connection.received().endsWith('0\r\n\r\n'))
    await connection.send(answerOf('ok'))
  })
  await using upstream = openTo(evil.origin)
  const body = Readable.from([Buffer.from('abc'), Buffer.alloc(0), Buffer.alloc(20_000, 'd')])
  const { body: answer } = await upstream.forward(requestTo({ method: 'POST', body }))
  assert.equal(await textOf(answer), 'ok')
  const received = (await evil.connection(0)).received()
  assert.ok(received.endsWith(`\r\n\r\n3\r\nabc\r\n4e20\r\n${'d'.repeat(20_000)}\r\n0\r\n\r\n`))
})

test('an answer that begins while part of the request waits to be sent ends its connection', async () => {
  await using evil = await startEvil(async (connection) => {
    await connection.head()
    connection.socket.pause()
    await connection.send(answerOf('early'))
  })
  await using upstream = openTo(evil.origin)
  const body = Readable.from([Buffer.alloc(16 * 2 ** 20)])
  const answer = await upstream.forward(requestTo({ method: 'POST', body, contentLength: 16 * 2 ** 20 }))
  assert.equal(await textOf(answer.body), 'early')
  assert.deepEqual(upstream.stats(), none)
})

test('a client that is told of an interim answer may leave there and then', async () => {
  await using evil = await startEvil([`HTTP/1.1 103 Early Hints\r\n\r\n${answerOf('late')}`])
  await using upstream = openTo(evil.origin)
  const client = { isGone: false, watcher: undefined as DepartureWatcher | undefined }
  const answer = upstream.forward(requestTo({ client, onInformation: () => client.watcher?.onGone() }))
  await assert.rejects(answer, /gone/)
  assert.deepEqual(upstream.stats(), none)
})

test('a reader that throws an answer away within its last piece does not get the connection into use again', async () => {
  await using evil = await startEvil(async (connection) => {
    await connection.head()
    await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab')
    await turns(20)
    await connection.send('cd')
  })
  await using upstream = openTo(evil.origin)
  const body = streamOf((await upstream.forward(requestTo())).body)
  body.on('data', (chunk) => {
    if (String(chunk).endsWith('d')) body.destroy()
  })
  await within('the connection to be closed', (await evil.connection(0)).closed)
  assert.deepEqual(upstream.stats(), none)
})

test('an answer that turns bad within the piece that its head came in is no answer', async () => {
  await using evil = await startEvil([`HTTP/1.1 200 OK\r\n${chunked}\r\n\r\n3\r\nabc\r\nzz\r\n`])
  await using upstream = openTo(evil.origin, { retries: 3 })
  assert.equal(await failureOf(upstream.forward(requestTo())), 'ERR_UPSTREAM_PROTOCOL http_protocol_error')
  assert.equal(evil.connections.length, 1)
})

test('a server is found by name, and by whichever of its addresses answers', async () => {
  await using evil = await startEvil([answerOf('found')])
  await using upstream = openTo(`http://localhost:${evil.port}`)
  assert.equal(await textOf((await upstream.forward(requestTo())).body), 'found')
})
