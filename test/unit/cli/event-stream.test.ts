import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { readEvents } from '../../../src/cli/event-stream.ts'

async function eventsIn(...chunks: (string | Uint8Array)[]) {
  const bytes = chunks.map((chunk) => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk))
  return await Array.fromAsync(
    readEvents(
      (async function* () {
        yield* bytes
      })(),
    ),
  )
}

describe('a stream of events', () => {
  test('has names and data, and comments are none', async () => {
    assert.deepEqual(await eventsIn(': hello\n\nevent: request\ndata: {"a":1}\n\n: \n\ndata: x\ndata:y\r\n\r\n'), [
      { name: 'request', data: '{"a":1}' },
      { name: 'message', data: 'x\ny' },
    ])
  })

  test('leaves out what has not ended', async () => {
    assert.deepEqual(await eventsIn('event: request\ndata: {}\n'), [])
  })

  test('is the same however it is cut', async () => {
    const text = 'event: request\ndata: {"name":"Zoë 🙂"}\n\n: \n\nevent: left_out\ndata: {"count":2}\n\n'
    const whole = await eventsIn(text)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(Buffer.byteLength(text))), async (cuts) => {
        const bytes = Buffer.from(text)
        const at = [0, ...cuts.toSorted((a, b) => a - b), bytes.length]
        const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end))
        assert.deepEqual(await eventsIn(...chunks), whole)
      }),
      { numRuns: 50 },
    )
  })

  test('with an event that does not end is no such stream', async () => {
    await assert.rejects(eventsIn('data: '.concat('x'.repeat(2 ** 20))), RangeError)
  })
})
