import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { ClientGoneError } from '../../src/proxy/upstream.ts'
import { eventWithin, turns, until, within } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { startEvil } from '../support/evil-upstream.ts'
import { createClient, failureOf, requestTo, streamOf, testEach, textOf } from '../support/proxied.ts'

const GIB = 2 ** 30
const MIB = 2 ** 20

const mib = (bytes: number) => (bytes / MIB).toFixed(1)

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** A body of that many bytes that is made as it is read, and tells how much of it was. */
function endlessBody(length: number): { body: Readable; given(): number } {
  const piece = Buffer.alloc(64 * 1024, 'x')
  let given = 0
  const body = new Readable({
    read() {
      const size = Math.min(piece.length, length - given)
      given += size
      this.push(size === 0 ? null : piece.subarray(0, size))
    },
  })
  return { body, given: () => given }
}

/** What is in use, in bytes, without the buffers that are only waiting for the collector; it frees them a round late. */
function liveBytes(): number {
  collectGarbage()
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

testEach('a gibibyte up and a gibibyte down at the same time are never held in memory', async (openTo, t) => {
  await using app = await startApp((request, response) => {
    request.pipe(response)
  })
  await using upstream = openTo(app.origin)
  const { body } = endlessBody(GIB)
  const liveAtStart = liveBytes()
  const rssAtStart = process.memoryUsage.rss()
  let livePeak = 0
  let rssPeak = 0
  const startedAt = performance.now()
  const answer = await upstream.forward(requestTo({ method: 'POST', body }))
  let received = 0
  let nextLook = 0
  for await (const chunk of answer.body) {
    received += chunk.length
    if (received < nextLook) continue
    nextLook = received + 64 * MIB
    rssPeak = Math.max(rssPeak, process.memoryUsage.rss() - rssAtStart)
    livePeak = Math.max(livePeak, liveBytes() - liveAtStart)
  }
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  t.diagnostic(`${seconds} s; live memory grew by at most ${mib(livePeak)} MiB, the process by ${mib(rssPeak)} MiB`)
  assert.equal(received, GIB)
  assert.ok(livePeak < 16 * MIB, `${livePeak} bytes are held`)
  assert.ok(rssPeak < 256 * MIB, `the process grew by ${rssPeak} bytes`)
})

testEach('an answer that nobody reads stops the upstream', async (openTo) => {
  const { body: source, given } = endlessBody(64 * MIB)
  await using app = await startApp((_request, response) => {
    source.pipe(response)
  })
  await using upstream = openTo(app.origin)
  const answer = await upstream.forward(requestTo())
  await standsStill(given)
  assert.ok(given() < 16 * MIB, `${given()} bytes were sent`)
  let received = 0
  for await (const chunk of answer.body) received += chunk.length
  assert.equal(received, 64 * MIB)
})

testEach('a request body that the upstream does not read stops the client', async (openTo) => {
  const { body, given } = endlessBody(64 * MIB)
  await using app = await startApp(async (request, response) => {
    await once(app.server, 'go')
    let bytes = 0
    for await (const chunk of request) bytes += chunk.length
    response.end(String(bytes))
  })
  await using upstream = openTo(app.origin)
  const answer = upstream.forward(requestTo({ method: 'POST', body, contentLength: 64 * MIB }))
  await standsStill(given)
  assert.ok(given() < 16 * MIB, `${given()} bytes were taken`)
  app.server.emit('go')
  assert.equal(await textOf((await answer).body), String(64 * MIB))
})

/** Resolves when a count has begun to grow and has then stood still for many turns of the event loop. */
async function standsStill(count: () => number): Promise<void> {
  await until('bytes move', () => count() > 0)
  for (let before = -1; before !== count(); ) {
    before = count()
    await turns(500)
  }
}

testEach('every event of a stream arrives before the next one is sent', async (openTo) => {
  const { promise: open, resolve } = Promise.withResolvers<(text: string) => void>()
  await using app = await startApp((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.flushHeaders()
    resolve((event) => void response.write(event))
  })
  await using upstream = openTo(app.origin)
  const body = streamOf((await upstream.forward(requestTo())).body)
  const send = await open
  for (let i = 0; i < 100; i++) {
    const arrival = eventWithin(body, 'data')
    send(`data: ${i}\n\n`)
    const [chunk] = await arrival
    assert.equal(String(chunk), `data: ${i}\n\n`)
  }
  body.destroy()
})

testEach(
  'an early answer to a large upload is delivered, the upload stops, and both sides are closed',
  async (openTo) => {
    await using evil = await startEvil(async (connection) => {
      await connection.head()
      await connection.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\n\r\ntoo big')
    })
    await using upstream = openTo(evil.origin)
    const { body, given } = endlessBody(64 * MIB)
    const answer = await upstream.forward(requestTo({ method: 'POST', body, contentLength: 64 * MIB }))
    assert.equal(answer.status, 413)
    assert.equal(await textOf(answer.body), 'too big')
    await within('the connection to be closed', (await evil.connection(0)).closed)
    await standsStill(given)
    assert.ok(given() < 64 * MIB)
    assert.equal(body.destroyed, false)
    assert.equal(body.isPaused(), true, 'the rest is left to whoever owns the client’s connection')
  },
)

testEach('an answer may begin and go on while the request is still being sent', async (openTo) => {
  await using app = await startApp((request, response) => {
    request.pipe(response)
  })
  await using upstream = openTo(app.origin)
  const body = new PassThrough()
  body.write('0')
  const answer = await upstream.forward(requestTo({ method: 'POST', body }))
  for (let i = 0; i < 10; i++) {
    const [chunk] = await eventWithin(streamOf(answer.body), 'data')
    assert.equal(String(chunk), String(i))
    if (i < 9) body.write(String(i + 1))
  }
  body.end()
  assert.equal(await textOf(answer.body), '')
})

testEach('a client that goes takes the upstream’s connection along within milliseconds', async (openTo) => {
  await using evil = await startEvil(async (connection) => {
    await connection.head()
    await connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
  })
  await using upstream = openTo(evil.origin)
  const client = createClient()
  const answer = await upstream.forward(requestTo({ client }))
  await eventWithin(streamOf(answer.body), 'data')
  const connection = await evil.connection(0)
  client.leave()
  await within('the connection to be closed', connection.closed, 1_000)
  await assert.rejects(textOf(answer.body), /gone/)
})

testEach('an abort at every stage leaves no connection, no listener and no rejection behind', async (openTo) => {
  await using app = await startApp((request, response) => {
    request.pipe(response)
  })
  await using upstream = openTo(app.origin)
  let rejected = 0
  for (let stage = 0; stage < 60; stage++) {
    const client = createClient()
    const { body } = endlessBody(MIB)
    const answer = upstream.forward(requestTo({ method: 'POST', body, client }))
    const outcome = answer.then((head) => textOf(head.body)).catch((error: Error) => error)
    await turns(stage)
    client.leave()
    const result = await within('the end', outcome)
    if (result instanceof Error) {
      assert.ok(result instanceof ClientGoneError)
      rejected += 1
    }
    assert.equal(body.listenerCount('data'), 0)
  }
  assert.ok(rejected > 0)
  await until('all connections are closed', () => upstream.stats().active === 0)
})

const timeouts = { connectMs: 10_000, firstByteMs: 60, idleMs: 10_000 }
const headTimeout = 'ERR_UPSTREAM_TIMEOUT http_response_timeout'

const slowHeads: [why: string, sends: (send: (bytes: string) => Promise<void>) => Promise<void>][] = [
  ['silence', async () => {}],
  ['half a head', (send) => send('HTTP/1.1 200 OK\r\nX-A: ')],
  [
    'a head that drips',
    async (send) => {
      await send('HTTP/1.1 200 OK\r\nX-A: ')
      for (;;) {
        await send('a')
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
  ],
  [
    'interim answers, which gain no time',
    async (send) => {
      for (let i = 0; i < 10; i++) {
        await send('HTTP/1.1 102 Processing\r\n\r\n')
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    },
  ],
]

for (const [why, sends] of slowHeads) {
  testEach(`no answer in time is an error, is not tried again, and closes the connection: ${why}`, async (openTo) => {
    await using evil = await startEvil(async (connection) => {
      await connection.head()
      await sends((bytes) => connection.send(bytes))
    })
    await using upstream = openTo(evil.origin, { timeouts, retries: 3 })
    assert.equal(await failureOf(upstream.forward(requestTo())), headTimeout)
    await within('the connection to be closed', (await evil.connection(0)).closed)
    assert.equal(evil.connections.length, 1)
  })
}

testEach('the time for an answer begins when the request has been sent', async (openTo) => {
  await using evil = await startEvil(async (connection) => {
    await until('the body has ended', () => connection.received().endsWith('0\r\n\r\n'))
    await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
  await using upstream = openTo(evil.origin, { timeouts: { firstByteMs: 500 } })
  const body = new PassThrough()
  const answer = upstream.forward(requestTo({ method: 'POST', body }))
  const connection = await evil.connection(0)
  await movingFor(1_000, async () => {
    const before = connection.received().length
    body.write('x')
    await until('it has arrived', () => connection.received().length > before)
  })
  body.end()
  assert.equal(await textOf((await answer).body), 'ok')
})

/** Repeats a step without a pause until so much time has gone by. */
async function movingFor(durationMs: number, step: () => Promise<void>): Promise<void> {
  const endAt = performance.now() + durationMs
  while (performance.now() < endAt) await step()
}

const stalling = { connectMs: 10_000, firstByteMs: 10_000, idleMs: 60 }

testEach('a client whose body stalls is timed out, and the upstream is not blamed', async (openTo) => {
  for (const first of ['', 'x']) {
    await using evil = await startEvil(() => {})
    await using upstream = openTo(evil.origin, { timeouts: stalling })
    const body = new PassThrough()
    if (first !== '') body.write(first)
    const answer = upstream.forward(requestTo({ method: 'POST', body, contentLength: 10 }))
    assert.match(await failureOf(answer), /^ERR_REQUEST_TIMEOUT/)
    await within('the connection to be closed', (await evil.connection(0)).closed)
  }
})

testEach('an upstream that takes nothing of a body is timed out', async (openTo) => {
  await using evil = await startEvil(({ socket }) => void socket.pause())
  await using upstream = openTo(evil.origin, { timeouts: stalling })
  const { body } = endlessBody(64 * MIB)
  const answer = upstream.forward(requestTo({ method: 'POST', body }))
  assert.equal(await failureOf(answer), 'ERR_UPSTREAM_TIMEOUT connection_write_timeout')
})

testEach('an answer that stalls fails', async (openTo) => {
  await using evil = await startEvil(async (connection) => {
    await connection.head()
    await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc')
  })
  await using upstream = openTo(evil.origin, { timeouts: stalling })
  const { body } = await upstream.forward(requestTo())
  assert.equal(await failureOf(textOf(body)), 'ERR_UPSTREAM_TIMEOUT connection_read_timeout')
  await within('the connection to be closed', (await evil.connection(0)).closed)
})

testEach('an answer that nobody takes fails, and the upstream is not blamed', async (openTo) => {
  const { body: source } = endlessBody(64 * MIB)
  await using app = await startApp((_request, response) => {
    source.pipe(response)
  })
  await using upstream = openTo(app.origin, { timeouts: stalling })
  const { body } = await upstream.forward(requestTo())
  await eventWithin(streamOf(body), 'close')
  assert.match(await failureOf(textOf(body)), /^ERR_REQUEST_TIMEOUT/)
})

testEach('an answer that keeps coming is not timed out, however long it takes', async (openTo) => {
  await using evil = await startEvil(async (connection) => {
    await connection.head()
    await connection.send('HTTP/1.1 200 OK\r\n\r\n')
  })
  await using upstream = openTo(evil.origin, { timeouts: { idleMs: 500 } })
  const { body } = await upstream.forward(requestTo())
  const connection = await evil.connection(0)
  await movingFor(1_000, async () => {
    const arrival = eventWithin(streamOf(body), 'data')
    await connection.send('x')
    await arrival
  })
  connection.end()
  assert.equal(await textOf(body), '')
})
