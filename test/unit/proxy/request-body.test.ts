import assert from 'node:assert/strict'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { createRequestBody } from '../../../src/proxy/request-body.ts'
import { turns } from '../../support/deadline.ts'

function wrap(source: Readable, contentLength?: number) {
  const failures: unknown[] = []
  let progress = 0
  const body = createRequestBody(source, {
    contentLength,
    onProgress: () => {
      progress += 1
    },
    onFailure: (error) => {
      failures.push(error)
      body.destroy()
    },
  })
  return { body, failures, progress: () => progress }
}

test('nothing is read before it is asked for', async () => {
  const source = Readable.from([Buffer.from('abc')])
  const { body, progress } = wrap(source)
  await turns()
  assert.equal(source.readableFlowing, false)
  assert.equal(progress(), 0)
  assert.equal(await text(body), 'abc')
})

test('a body with its length kept comes through, and each piece counts as progress', async () => {
  const { body, failures, progress } = wrap(Readable.from([Buffer.from('abc'), Buffer.from('de')]), 5)
  assert.equal(await text(body), 'abcde')
  assert.deepEqual(failures, [])
  assert.equal(progress(), 2)
})

const failing: [why: string, source: () => Readable, contentLength: number | undefined, message: RegExp][] = [
  ['too short', () => Readable.from([Buffer.from('abc')]), 4, /length/],
  ['empty', () => Readable.from([]), 4, /length/],
  ['too long', () => Readable.from([Buffer.from('abc'), Buffer.from('de')]), 4, /length/],
  ['failed before', () => new PassThrough().destroy(new Error('broken')), undefined, /broken/],
  ['closed before', () => new PassThrough().destroy(), undefined, /went away/],
]

for (const [why, source, contentLength, message] of failing) {
  test(`a body that will not come whole never ends: ${why}`, async () => {
    const stream = source()
    stream.on('error', () => {})
    const { body, failures } = wrap(stream, contentLength)
    let ended = false
    body.on('end', () => {
      ended = true
    })
    body.resume()
    await turns()
    assert.equal(ended, false)
    assert.equal(failures.length, 1)
    assert.match(String(failures[0]), message)
  })
}

test('a source that breaks off is reported with its own error, once', async () => {
  const source = new PassThrough()
  const { body, failures } = wrap(source)
  body.resume()
  source.write('abc')
  await turns()
  const error = new Error('limit')
  source.destroy(error)
  await turns()
  assert.deepEqual(failures, [error])
})

test('a source that is over already gives an empty body', async () => {
  const source = Readable.from([])
  source.resume()
  await turns()
  assert.equal(source.readableEnded, true)
  assert.equal(await text(wrap(source).body), '')
})

test('destroying it lets go of the source, which stays whole, paused and quiet', async () => {
  const source = new PassThrough()
  const { body, failures } = wrap(source)
  body.resume()
  source.write('abc')
  await turns()
  body.destroy(new Error('early answer'))
  source.write('def')
  await turns()
  assert.equal(source.destroyed, false)
  assert.equal(source.isPaused(), true)
  for (const event of ['data', 'end', 'close']) assert.ok(source.listenerCount(event) <= 1, event)
  source.destroy(new Error('later'))
  await turns()
  assert.deepEqual(failures, [])
})
