import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionData } from '../../../src/django/json.ts'
import { DecodedMemory } from '../../../src/sessions/decoded-memory.ts'

/** A session is what its text says; an empty one is none. Counts how often it was asked. */
function start(maxBytes?: number) {
  const decoded: string[] = []
  const memory = new DecodedMemory({
    decode(bytes): SessionData | undefined {
      const text = Buffer.from(bytes).toString()
      decoded.push(text)
      return text === '' ? undefined : new Map([['text', text]])
    },
    ...(maxBytes === undefined ? {} : { maxBytes }),
  })
  return { memory, decoded }
}

test('the same bytes under the same key are decoded once, and give the same object', () => {
  const { memory, decoded } = start()
  const first = memory.decode('k', Buffer.from('one'))
  assert.equal(memory.decode('k', Buffer.from('one')), first)
  assert.deepEqual(decoded, ['one'])
})

const others: [why: string, key: string, text: string][] = [
  ['bytes that differ in one', 'k', 'onf'],
  ['bytes that begin like those before', 'k', 'ones'],
  ['the beginning of those before', 'k', 'on'],
  ['the same bytes under another key', 'l', 'one'],
]
for (const [why, key, text] of others) {
  test(`are decoded anew: ${why}`, () => {
    const { memory, decoded } = start()
    memory.decode('k', Buffer.from('one'))
    assert.deepEqual(memory.decode(key, Buffer.from(text)), new Map([['text', text]]))
    assert.deepEqual(decoded, ['one', text])
  })
}

test('whoever writes into the bytes afterwards changes nothing of what is compared', () => {
  const { memory, decoded } = start()
  const bytes = Buffer.from('one')
  memory.decode('k', bytes)
  bytes.write('two')
  assert.deepEqual(memory.decode('k', bytes), new Map([['text', 'two']]))
  assert.deepEqual(decoded, ['one', 'two'])
})

test('what is no session, and what is gone, leaves nothing behind', () => {
  const { memory, decoded } = start()
  memory.decode('k', Buffer.from('one'))
  assert.equal(memory.decode('k', Buffer.from('')), undefined)
  memory.decode('k', Buffer.from('one'))
  memory.forget('k')
  memory.decode('k', Buffer.from('one'))
  assert.deepEqual(decoded, ['one', '', 'one', 'one'])
})

test('the memory is bounded: what nobody asks for goes first, and what is too large is not kept', () => {
  const { memory, decoded } = start(10_000)
  const large = 'x'.repeat(10_000)
  for (const key of ['a', 'a', 'b', 'c', 'a', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'a'])
    memory.decode(key, Buffer.from(key))
  memory.decode('large', Buffer.from(large))
  memory.decode('large', Buffer.from(large))
  assert.equal(decoded.filter((text) => text === 'a').length, 1)
  assert.equal(decoded.filter((text) => text === large).length, 2)
  memory.decode('b', Buffer.from('b'))
  assert.equal(decoded.filter((text) => text === 'b').length, 2)
})
