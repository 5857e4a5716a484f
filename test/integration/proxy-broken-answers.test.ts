import assert from 'node:assert/strict'
import fc from 'fast-check'
import { GatewayError } from '../../src/errors.ts'
import { turns, within } from '../support/deadline.ts'
import { startEvil } from '../support/evil-upstream.ts'
import { bytesOf, failureOf, requestTo, streamOf, testEach, textOf } from '../support/proxied.ts'

const chunked = 'Transfer-Encoding: chunked'
const malformed = 'ERR_UPSTREAM_PROTOCOL http_protocol_error'
const incomplete = 'ERR_UPSTREAM_UNREACHABLE http_response_incomplete'

const brokenBodies: [why: string, head: string, body: string, how: 'end' | 'reset' | 'stay', failure: string][] = [
  ['a length not reached, FIN', 'Content-Length: 10', 'abc', 'end', incomplete],
  ['a length not reached, RST', 'Content-Length: 10', 'abc', 'reset', incomplete],
  ['no last chunk, FIN', chunked, '3\r\nabc\r\n', 'end', incomplete],
  ['no last chunk, RST', chunked, '3\r\nabc\r\n', 'reset', incomplete],
  ['a last chunk without its empty line, FIN', chunked, '3\r\nabc\r\n0\r\n', 'end', incomplete],
  ['half a chunk', chunked, 'a\r\nabc', 'end', incomplete],
  ['until the close, but RST', 'X-A: b', 'abc', 'reset', incomplete],
  ['until the close, announced, but RST', 'Connection: close', 'abc', 'reset', incomplete],
  ['a bad chunk size', chunked, '3\r\nabc\r\nzz\r\n', 'stay', malformed],
  ['a chunk longer than its size', chunked, '3\r\nabcd\r\n', 'stay', malformed],
  ['a chunk size beyond all numbers', chunked, '3\r\nabc\r\nfffffffffffffffffffff\r\n', 'stay', malformed],
  ['bare LF in the chunks', chunked, '3\r\nabc\r\n3\nabc\n', 'stay', malformed],
  [
    'trailers of 33 KiB',
    chunked,
    `3\r\nabc\r\n0\r\nX-T: ${'t'.repeat(33 * 1024)}\r\n\r\n`,
    'stay',
    'ERR_UPSTREAM_PROTOCOL http_response_header_section_size',
  ],
]

for (const [why, head, bytes, how, failure] of brokenBodies) {
  testEach(`a body that breaks off fails and never ends cleanly: ${why}`, async (openTo) => {
    const { promise: mayGo, resolve: go } = Promise.withResolvers<void>()
    await using evil = await startEvil(async (connection) => {
      await connection.head()
      await connection.send(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n`)
      await connection.send(bytes)
      await mayGo
      if (how === 'end') connection.end()
      if (how === 'reset') connection.reset()
    })
    await using upstream = openTo(evil.origin, { retries: 3 })
    const { promise: read, resolve: hasRead } = Promise.withResolvers<void>()
    let hasEnded = false
    // What came in one piece with the head may fail before there is an answer.
    const reading = upstream.forward(requestTo()).then(async ({ body }) => {
      for await (const _ of streamOf(body)) hasRead()
      hasEnded = true
    })
    const ending = failureOf(within('the failure', reading))
    if (how !== 'stay') await within('the first bytes', read)
    go()
    assert.equal(await ending, failure)
    assert.equal(hasEnded, false)
    assert.equal(evil.connections.length, 1)
  })
}

testEach('an answer that is not read yet when it breaks off does not take the process down', async (openTo) => {
  await using evil = await startEvil(async (connection) => {
    await connection.head()
    await connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc')
    connection.reset()
  })
  await using upstream = openTo(evil.origin)
  const answer = await upstream.forward(requestTo())
  await within('the reset', (await evil.connection(0)).closed)
  await turns(50)
  assert.equal(await failureOf(textOf(answer.body)), incomplete)
})

const wholeAnswers: [why: string, bytes: string][] = [
  ['a length', 'HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 10\r\n\r\n0123456789'],
  ['chunks', `HTTP/1.1 200 OK\r\n${chunked}\r\n\r\n3;a=b\r\n012\r\n7\r\n3456789\r\n0\r\nX-T: t\r\n\r\n`],
]

for (const [why, bytes] of wholeAnswers) {
  for (const how of ['end', 'reset'] as const) {
    testEach(
      `an answer with ${why}, cut by ${how} after any number of bytes, never passes for a whole one`,
      async (openTo) => {
        for (let count = 0; count < bytes.length; count++) {
          await using evil = await startEvil(async (connection) => {
            await connection.head()
            if (count > 0) await connection.send(bytes.slice(0, count))
            connection[how]()
          })
          await using upstream = openTo(evil.origin)
          const answer = upstream.forward(requestTo()).then(({ body }) => textOf(body))
          assert.match(await failureOf(within('the failure', answer)), /^ERR_UPSTREAM_UNREACHABLE/, `${count} bytes`)
        }
      },
    )
  }
}

testEach(
  'property: whatever an upstream sends, the answer is whole or an error, and the upstream stays usable',
  async (openTo) => {
    const mutation = fc.record({
      at: fc.nat(200),
      drop: fc.nat(3),
      insert: fc.string({ unit: 'binary-ascii', maxLength: 4 }),
    })
    const good = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood'
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...wholeAnswers),
        fc.array(mutation, { minLength: 1, maxLength: 3 }),
        async ([, whole], mutations) => {
          const bytes = mutations.reduce(
            (sum, { at, drop, insert }) => sum.slice(0, at) + insert + sum.slice(at + drop),
            whole,
          )
          await using evil = await startEvil(
            async (connection) => {
              await connection.head()
              await connection.send(`${bytes}\r\n`)
              connection.end()
            },
            [good],
          )
          await using upstream = openTo(evil.origin)
          const answer = upstream.forward(requestTo()).then(({ body }) => bytesOf(body))
          await within(
            'an end',
            answer.catch((error) => assert.ok(error instanceof GatewayError)),
          )
          assert.equal(await textOf((await upstream.forward(requestTo())).body), 'good')
        },
      ),
      { numRuns: 300 },
    )
  },
)
