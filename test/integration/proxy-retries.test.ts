import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import type { Upstream } from '../../src/proxy/upstream.ts'
import { turns } from '../support/deadline.ts'
import { type EvilConnection, startEvil } from '../support/evil-upstream.ts'
import { closedOrigin, failureOf, requestTo, testEach, textOf } from '../support/proxied.ts'

const answerOf = (body: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const get = async (upstream: Upstream) => textOf((await upstream.forward(requestTo())).body)

const cuts: [how: string, cut: (connection: EvilConnection) => void][] = [
  ['FIN', (connection) => connection.end()],
  ['RST', (connection) => connection.reset()],
]

for (const [how, cut] of cuts) {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']) {
    testEach(`${method} without a body is tried again after a ${how} before the answer`, async (openTo) => {
      const cutAfterHead = async (connection: EvilConnection) => {
        await connection.head()
        cut(connection)
      }
      await using evil = await startEvil(cutAfterHead, cutAfterHead, [answerOf('ok')])
      await using upstream = openTo(evil.origin, { retries: 2 })
      const answer = await upstream.forward(requestTo({ method }))
      assert.equal(answer.attempts, 3)
      assert.equal(await textOf(answer.body), method === 'HEAD' ? '' : 'ok')
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
    testEach(`sent once only, whatever happens: ${why}, cut by ${how}`, async (openTo) => {
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

testEach(
  'a kept connection that was closed in the meantime is no attempt, and POST goes on a new one',
  async (openTo) => {
    await using evil = await startEvil([answerOf('1')], [answerOf('2')])
    await using upstream = openTo(evil.origin, { retries: 0 })
    assert.equal(await get(upstream), '1')
    const first = await evil.connection(0)
    first.reset()
    // The reset is in the kernel; our side has not read it when the next request is started.
    const answer = await upstream.forward(
      requestTo({ method: 'POST', body: Readable.from([Buffer.from('once')]), contentLength: 4 }),
    )
    assert.equal(await textOf(answer.body), '2')
    assert.equal(answer.attempts, 1)
    assert.equal(evil.received().match(/POST/g)?.length, 1)
  },
)

testEach('a refused connection is an error at once, and is tried as often as retries say', async (openTo) => {
  const origin = await closedOrigin()
  await using upstream = openTo(origin, { retries: 2 })
  assert.equal(await failureOf(upstream.forward(requestTo())), 'ERR_UPSTREAM_UNREACHABLE connection_refused')
  const post = requestTo({ method: 'POST', body: Readable.from([Buffer.from('x')]) })
  assert.equal(await failureOf(upstream.forward(post)), 'ERR_UPSTREAM_UNREACHABLE connection_refused')
  assert.deepEqual(upstream.stats(), { active: 0, idle: 0, pending: 0 })
})

testEach('servers are taken in turn, and the next one answers for one that refuses', async (openTo) => {
  await using one = await startEvil([answerOf('one'), answerOf('one')])
  await using two = await startEvil([answerOf('two'), answerOf('two')])
  await using both = openTo([one.origin, two.origin])
  assert.deepEqual([await get(both), await get(both), await get(both)], ['one', 'two', 'one'])
  await using half = openTo([await closedOrigin(), two.origin], { retries: 1 })
  const answer = await half.forward(requestTo())
  assert.equal(await textOf(answer.body), 'two')
  assert.equal(answer.attempts, 2)
  assert.equal(`http://${answer.server}`, two.origin)
})
