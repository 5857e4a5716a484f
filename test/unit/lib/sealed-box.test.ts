import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSealedBox } from '../../../src/lib/sealed-box.ts'

const box = createSealedBox(['current', 'older'], 'test')
const bytes = Buffer.from('what nobody shall read')

test('what was sealed is opened in its context, and looks different each time', () => {
  const [one, other] = [box.seal(bytes, 'here'), box.seal(bytes, 'here')]
  assert.notEqual(one, other)
  assert.match(one, /^[\w-]+$/)
  assert.ok(!Buffer.from(one, 'base64url').includes('nobody'))
  for (const text of [one, other]) assert.deepEqual(box.open(text, 'here'), bytes)
  assert.deepEqual(box.open(box.seal(Buffer.alloc(0), ''), ''), Buffer.alloc(0))
})

test('in another context, with another secret, or for another purpose it stays closed', () => {
  const sealed = box.seal(bytes, 'here')
  assert.equal(box.open(sealed, 'there'), undefined)
  assert.equal(box.open(sealed, ''), undefined)
  assert.equal(createSealedBox(['current'], 'other').open(sealed, 'here'), undefined)
  assert.equal(createSealedBox(['another'], 'test').open(sealed, 'here'), undefined)
})

test('an older secret opens and does not seal', () => {
  const before = createSealedBox(['older'], 'test').seal(bytes, 'here')
  assert.deepEqual(box.open(before, 'here'), bytes)
  assert.equal(createSealedBox(['older'], 'test').open(box.seal(bytes, 'here'), 'here'), undefined)
})

test('one bit, one character or one spelling other is not what was sealed', () => {
  const sealed = box.seal(bytes, 'here')
  const raw = Buffer.from(sealed, 'base64url')
  for (let at = 0; at < raw.length; at++) {
    const changed = Buffer.from(raw)
    changed[at] = (changed[at] ?? 0) ^ 1
    assert.equal(box.open(changed.toString('base64url'), 'here'), undefined, `byte ${at}`)
  }
  for (const text of ['', 'x', 'é', sealed.slice(0, -1), `${sealed}=`, `${sealed} `, `${sealed}A`, sealed.slice(0, 30)])
    assert.equal(box.open(text, 'here'), undefined, JSON.stringify(text))
})
