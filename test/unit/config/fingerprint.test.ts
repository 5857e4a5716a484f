import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fingerprint, publicHash } from '../../../src/config/fingerprint.ts'
import { Secret } from '../../../src/config/secret.ts'

const differences = [
  { what: 'a secret', a: { key: new Secret('one') }, b: { key: new Secret('two') } },
  { what: 'a secret and the word that it prints', a: { key: new Secret('x') }, b: { key: '[redacted]' } },
  { what: 'an entry of a map', a: new Map([['a', 1]]), b: new Map([['a', 2]]) },
  { what: 'a secret in a map', a: new Map([['a', new Secret('x')]]), b: new Map([['a', new Secret('y')]]) },
  { what: 'a member of a set', a: { names: new Set(['a']) }, b: { names: new Set(['b']) } },
  { what: 'the order of a list', a: [1, 2], b: [2, 1] },
]
for (const { what, a, b } of differences) {
  test(`fingerprints differ by ${what}`, () => {
    assert.notEqual(fingerprint(a), fingerprint(b))
  })
}

test('the same settings have the same fingerprint', () => {
  const make = () => ({ key: new Secret('one'), all: new Map([['a', [1, undefined, null]]]) })
  assert.equal(fingerprint(make()), fingerprint(make()))
})

test('the hash that is shown says nothing of secrets', () => {
  assert.equal(publicHash({ key: new Secret('one') }), publicHash({ key: new Secret('two') }))
  assert.notEqual(publicHash(new Map([['a', 1]])), publicHash(new Map([['a', 2]])))
})
