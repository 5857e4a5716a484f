import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Candidate, createChoice, hashOf } from '../../../src/proxy/balance.ts'

interface Named extends Candidate {
  readonly name: string
  load: number
}

const named = (name: string, load = 0): Named => ({ name, load, seed: hashOf(name) })
const keys = Array.from({ length: 3000 }, (_, i) => `key-${i}`)

test('round_robin takes each server in turn', () => {
  const choose = createChoice('round_robin')
  const servers = [named('a'), named('b'), named('c')]
  const chosen = Array.from({ length: 6 }, () => choose(servers, 'anybody').name)
  assert.deepEqual(chosen, ['a', 'b', 'c', 'a', 'b', 'c'])
})

test('least_conn takes the one with the fewest requests under way, and each in turn among equals', () => {
  const choose = createChoice('least_conn')
  const servers = [named('a', 2), named('b', 1), named('c', 2)]
  assert.equal(choose(servers, undefined).name, 'b')
  for (const server of servers) server.load = 0
  const chosen = Array.from({ length: 6 }, () => choose(servers, undefined).name)
  assert.deepEqual(chosen.toSorted(), ['a', 'a', 'b', 'b', 'c', 'c'])
})

test('hash_session keeps a session with its server, and spreads the sessions evenly', () => {
  const choose = createChoice('hash_session')
  const servers = [named('a'), named('b'), named('c')]
  const counts = new Map<string, number>()
  for (const key of keys) {
    const { name } = choose(servers, key)
    assert.equal(choose(servers.toReversed(), key).name, name, 'the order of the file does not matter')
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  for (const server of servers) {
    const share = (counts.get(server.name) ?? 0) / keys.length
    assert.ok(share > 0.28 && share < 0.39, `${server.name} has ${share}`)
  }
})

test('when a server goes, only its own sessions move', () => {
  const choose = createChoice('hash_session')
  const servers = [named('a'), named('b'), named('c')]
  for (const key of keys) {
    const before = choose(servers, key).name
    const after = choose(servers.slice(1), key).name
    if (before !== 'a') assert.equal(after, before)
  }
})

test('hash_session takes each server in turn for those who have no session', () => {
  const choose = createChoice('hash_session')
  const servers = [named('a'), named('b')]
  assert.deepEqual([choose(servers, undefined).name, choose(servers, undefined).name], ['a', 'b'])
})
