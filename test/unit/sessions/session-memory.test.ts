import assert from 'node:assert/strict'
import { test } from 'node:test'
import { estimateBytes, type KeptSession, SessionMemory } from '../../../src/sessions/session-memory.ts'

const wide = { maxEntries: 1000, maxBytes: 1e9, maxEntryBytes: 1e9, maxAgeMs: 100 }

function kept(name: string, { text = '1', from = 0 } = {}): KeptSession {
  return { session: { found: true, data: new Map([['v', text]]), expiresAt: undefined }, name, from, until: from + 100 }
}

function keysIn(memory: SessionMemory, keys: readonly string[]): string[] {
  return keys.filter((key) => memory.has(key))
}

test('keeps so many, and what was used longest ago goes first', () => {
  const memory = new SessionMemory({ ...wide, maxEntries: 3 })
  for (const key of ['a', 'b', 'c']) memory.put(key, kept(key))
  memory.get('a')
  memory.put('d', kept('d'))
  assert.deepEqual(keysIn(memory, ['a', 'b', 'c', 'd']), ['a', 'c', 'd'])
  assert.equal(memory.size, 3)
})

test('keeps no more than so many bytes', () => {
  const bytes = estimateBytes(kept('a', { text: 'x'.repeat(1000) }).session.data)
  const memory = new SessionMemory({ ...wide, maxBytes: 10 * bytes })
  for (let i = 0; i < 100; i++) memory.put(`${i}`, kept(`${i}`, { text: 'x'.repeat(1000) }))
  assert.equal(memory.size, 10)
})

test('keeps none that is larger than one may be, nor what it replaces', () => {
  const memory = new SessionMemory({ ...wide, maxEntryBytes: 2000 })
  memory.put('a', kept('a'))
  memory.put('a', kept('a', { text: 'x'.repeat(2000) }))
  assert.equal(memory.get('a'), undefined)
  memory.dropNamed('a')
})

test('takes no room for entries that would never fit into its bytes', () => {
  const memory = new SessionMemory({ ...wide, maxEntries: 10_000_000, maxBytes: 1024 * 1024 })
  for (let i = 0; i < 3000; i++) memory.put(`${i}`, kept(`${i}`))
  assert.ok(memory.size < 2100, `${memory.size}`)
})

test('forgets by name, also what was put there anew, and nothing that was evicted before', () => {
  const memory = new SessionMemory({ ...wide, maxEntries: 2 })
  memory.put('a', kept('name of a'))
  memory.put('a', kept('name of a', { text: '2' }))
  memory.dropNamed('name of a')
  assert.equal(memory.has('a'), false)
  for (const key of ['a', 'b', 'c']) memory.put(key, kept(`name of ${key}`))
  memory.dropNamed('name of a')
  assert.deepEqual(keysIn(memory, ['a', 'b', 'c']), ['b', 'c'])
})

test('keeps one of two keys that have the same name', () => {
  const memory = new SessionMemory(wide)
  memory.put('a', kept('same'))
  memory.put('b', kept('same'))
  assert.deepEqual(keysIn(memory, ['a', 'b']), ['b'])
  memory.dropNamed('same')
  assert.equal(memory.size, 0)
})

for (const [why, count] of [
  ['a few of many', 3],
  ['nearly all', 990],
] as const) {
  test(`is empty after it was cleared, and can be filled again: ${why}`, () => {
    const memory = new SessionMemory(wide)
    for (let i = 0; i < count; i++) memory.put(`${i}`, kept(`${i}`))
    memory.clear()
    assert.equal(memory.size, 0)
    assert.equal(memory.get('0'), undefined)
    memory.put('0', kept('0'))
    memory.dropNamed('0')
    assert.equal(memory.size, 0)
  })
}

test('gives back what is too old, or from before the clock was set back', () => {
  const memory = new SessionMemory(wide)
  memory.put('future', kept('future', { from: 1000 }))
  memory.put('old', kept('old', { from: 0 }))
  memory.put('young', kept('young', { from: 100 }))
  memory.purge(150)
  assert.deepEqual(keysIn(memory, ['future', 'old', 'young']), ['young'])
  memory.purge(199)
  assert.equal(memory.size, 1)
  memory.purge(200)
  assert.equal(memory.size, 0)
})

test('the estimate grows with the text and with the number of members', () => {
  const one = estimateBytes(new Map([['v', 'x'.repeat(1000)]]))
  const two = estimateBytes(
    new Map([
      ['v', 'x'.repeat(500)],
      ['w', 'x'.repeat(500)],
    ]),
  )
  assert.ok(one > 1000 && two > one)
})
