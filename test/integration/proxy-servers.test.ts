import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import type { Upstream, UpstreamRequest } from '../../src/proxy/upstream.ts'
import { turns } from '../support/deadline.ts'
import { type EvilScript, startEvil } from '../support/evil-upstream.ts'
import { closedOrigin, failureOf, requestTo, streamOf, testEach, textOf } from '../support/proxied.ts'

/** Answers every request on every connection with that text. */
const saying =
  (text: string): EvilScript =>
  async (connection) => {
    for (;;) {
      await connection.head()
      await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
    }
  }
const hangUp: EvilScript = async (connection) => {
  await connection.head()
  connection.reset()
}
const get = async (upstream: Upstream, overrides: Partial<UpstreamRequest> = {}) =>
  textOf((await upstream.forward(requestTo(overrides))).body)

function recorder() {
  const told: string[] = []
  return {
    told,
    onRetry: (server: string, error: { proxyError: string }) => void told.push(`${server} ${error.proxyError}`),
    onBudgetSpent: () => void told.push('budget spent'),
  }
}

testEach('a failed attempt is told with the server it failed on, and the next one goes elsewhere', async (openTo) => {
  await using bad = await startEvil(hangUp)
  await using good = await startEvil(saying('good'))
  await using upstream = openTo([bad.origin, good.origin], { retries: 3 })
  const books = recorder()
  const answer = await upstream.forward(requestTo({ recorder: books }))
  assert.equal(await textOf(answer.body), 'good')
  assert.equal(answer.server, `127.0.0.1:${good.port}`)
  assert.deepEqual(books.told, [`127.0.0.1:${bad.port} connection_terminated`])
})

testEach('a body that was not sent goes to another server; one that was sent is not repeated', async (openTo) => {
  const refusing = await closedOrigin()
  await using good = await startEvil(saying('good'))
  await using upstream = openTo([refusing, good.origin], { retries: 1 })
  const post = () => requestTo({ method: 'POST', body: Readable.from([Buffer.from('x')]), contentLength: 1 })
  assert.equal(await textOf((await upstream.forward(post())).body), 'good')
  assert.equal(good.received().match(/POST/g)?.length, 1)

  await using bad = await startEvil(hangUp)
  await using both = openTo([bad.origin, good.origin], { retries: 1 })
  assert.equal(await failureOf(both.forward(post())), 'ERR_UPSTREAM_UNREACHABLE connection_terminated')
  assert.equal(good.received().match(/POST/g)?.length, 1)
})

testEach('with retries: 0 nothing is tried twice, not even where nothing was sent', async (openTo) => {
  await using good = await startEvil(saying('good'))
  await using upstream = openTo([await closedOrigin(), good.origin], { retries: 0 })
  assert.equal(await failureOf(upstream.forward(requestTo())), 'ERR_UPSTREAM_UNREACHABLE connection_refused')
  assert.equal(good.connections.length, 0)
})

testEach('after three failures in a row a server is left out, and said to be', async (openTo) => {
  const refusing = await closedOrigin()
  await using good = await startEvil(saying('good'))
  const states: string[] = []
  await using upstream = openTo([refusing, good.origin], {
    retries: 1,
    onState: ({ server, isUp }) => void states.push(`${server} ${isUp}`),
  })
  for (let i = 0; i < 10; i++) assert.equal(await get(upstream), 'good')
  const label = refusing.slice('http://'.length)
  assert.deepEqual(states, [`${label} false`])
  assert.deepEqual(upstream.servers(), [
    { server: label, isUp: false, isDrained: false, ejections: 1 },
    { server: `127.0.0.1:${good.port}`, isUp: true, isDrained: false, ejections: 0 },
  ])
  const books = recorder()
  for (let i = 0; i < 4; i++) assert.equal(await get(upstream, { recorder: books }), 'good')
  assert.deepEqual(books.told, [])
})

testEach('when all servers are left out they are asked all the same, and an answer brings one back', async (openTo) => {
  await using moody = await startEvil(hangUp, hangUp, hangUp, saying('back'))
  await using upstream = openTo(moody.origin)
  for (let i = 0; i < 3; i++) {
    assert.equal(await failureOf(upstream.forward(requestTo())), 'ERR_UPSTREAM_UNREACHABLE connection_terminated')
  }
  assert.deepEqual(
    upstream.servers().map(({ isUp }) => isUp),
    [false],
  )
  assert.equal(await get(upstream), 'back')
  assert.deepEqual(
    upstream.servers().map(({ isUp }) => isUp),
    [true],
  )
})

testEach('further tries have a budget: an outage does not double the load', async (openTo) => {
  const refusing = await closedOrigin()
  await using upstream = openTo(refusing, { retries: 1 })
  const books = recorder()
  for (let i = 0; i < 300; i++) await failureOf(upstream.forward(requestTo({ recorder: books })))
  const spent = books.told.filter((told) => told === 'budget spent').length
  assert.ok(spent > 50, `${spent} of 300 were not tried again`)
})

testEach('least_conn goes where less is under way', async (openTo) => {
  const slow: EvilScript = async (connection) => {
    await connection.head()
    await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1')
  }
  await using one = await startEvil(slow)
  await using two = await startEvil(saying('two'))
  await using upstream = openTo([one.origin, two.origin], { balance: 'least_conn' })
  const held = await upstream.forward(requestTo())
  assert.equal(held.server, `127.0.0.1:${one.port}`)
  for (let i = 0; i < 3; i++) assert.equal(await get(upstream), 'two')
  streamOf(held.body).destroy()
  await turns()
})

testEach('hash_session sends a session to one server, and to another one only while that is away', async (openTo) => {
  await using one = await startEvil(saying('one'))
  await using two = await startEvil(saying('two'))
  await using upstream = openTo([one.origin, two.origin], { balance: 'hash_session', retries: 1 })
  const seen = new Set<string>()
  for (let i = 0; i < 40; i++) {
    const affinity = `session-${i}`
    const first = await get(upstream, { affinity })
    assert.equal(await get(upstream, { affinity }), first)
    seen.add(first)
  }
  assert.deepEqual([...seen].toSorted(), ['one', 'two'])
})

testEach('with passHost: false each server gets its own Host', async (openTo) => {
  await using one = await startEvil(saying('one'))
  await using two = await startEvil(saying('two'))
  await using upstream = openTo([one.origin, two.origin], { passHost: false })
  await get(upstream)
  await get(upstream)
  assert.match(one.received(), new RegExp(`^host: 127\\.0\\.0\\.1:${one.port}\\r`, 'im'))
  assert.match(two.received(), new RegExp(`^host: 127\\.0\\.0\\.1:${two.port}\\r`, 'im'))
  assert.doesNotMatch(one.received() + two.received(), /app\.test/)
})
