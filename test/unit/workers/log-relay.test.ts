import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { relayLines } from '../../../src/workers/log-relay.ts'
import { turns, until } from '../../support/deadline.ts'

function createSink() {
  const blocks: string[] = []
  return {
    blocks,
    waiting: 0,
    write(text: string) {
      blocks.push(text)
    },
  }
}

test('lines are copied whole, however they come in pieces', async () => {
  const output = new PassThrough()
  const sink = createSink()
  relayLines(output, sink)
  const text = '{"a":"ü"}\n{"b":"€"}\n{"c":"half'
  for (const byte of Buffer.from(text)) output.write(Buffer.of(byte))
  output.end()
  await turns()
  assert.deepEqual(sink.blocks, ['{"a":"ü"}\n', '{"b":"€"}\n'])
})

test('while nobody reads our own output, the worker is not read', async () => {
  const output = new PassThrough()
  const sink = createSink()
  relayLines(output, sink)
  sink.waiting = 1024 * 1024
  output.write('one\n')
  await until('it is paused', () => output.isPaused())
  output.write('two\n')
  await turns()
  assert.deepEqual(sink.blocks, ['one\n'])
  sink.waiting = 0
  await until('the rest is there', () => sink.blocks.length === 2)
  assert.deepEqual(sink.blocks, ['one\n', 'two\n'])
})
