import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GatewayError } from '../../../src/errors.ts'
import type { Commands } from '../../../src/writeback/commands.ts'
import { checkSize, checkStoredSize } from '../../../src/writeback/limits.ts'

const nothing: Commands = { flush: false, clear: false, delete: [], set: new Map(), cycleKey: false }

function isTooLarge(header: string, key?: string) {
  return (error: unknown) => {
    assert.ok(error instanceof GatewayError, String(error))
    assert.equal(error.code, 'ERR_WRITEBACK_REFUSED')
    assert.deepEqual(error.facts, { reason: 'too_large', header, ...(key === undefined ? {} : { key }) })
    return true
  }
}

const after = new Map([
  ['old', `"${'o'.repeat(50)}"`],
  ['small', '1'],
  ['big', `"${'b'.repeat(20)}"`],
])
const commands: Commands = {
  ...nothing,
  set: new Map([
    ['small', '1'],
    ['big', `"${'b'.repeat(20)}"`],
  ]),
}
// {"old":"…50…","small":1,"big":"…20…"}
const bytes = 99

test('a session of exactly the limit is stored', () => {
  checkStoredSize(after, commands, bytes)
  assert.throws(() => checkStoredSize(after, commands, bytes - 1), isTooLarge('X-Session-Set', 'big'))
})

test('the size is that of the stored JSON, in which every character outside ASCII takes six bytes', () => {
  const data = new Map([['n', '"Zo\\u00eb"']])
  checkStoredSize(data, { ...nothing, set: data }, 16)
  assert.throws(() => checkStoredSize(data, { ...nothing, set: data }, 15), isTooLarge('X-Session-Set', 'n'))
})

test('the largest of the keys that were set is named, not a larger one that was there before', () => {
  const limits = { maxBytes: 10, fitsAssertion: () => true }
  assert.throws(() => checkSize(after, commands, limits), isTooLarge('X-Session-Set', 'big'))
})

test('where nothing was set, the command is named that would store the session again', () => {
  const cases: [asked: Partial<Commands>, header: string][] = [
    [{ delete: ['small'] }, 'X-Session-Delete'],
    [{ expiry: { kind: 'seconds', seconds: 1 } }, 'X-Session-Expiry'],
    [{ cycleKey: true }, 'X-Session-Command'],
  ]
  for (const [asked, header] of cases) {
    assert.throws(() => checkStoredSize(after, { ...nothing, ...asked }, 10), isTooLarge(header))
  }
})

test('a session that would not fit its assertion is not stored', () => {
  const seen: unknown[] = []
  const fitsAssertion = (data: unknown) => seen.push(data) === 0
  assert.throws(() => checkSize(after, commands, { maxBytes: 1000, fitsAssertion }), isTooLarge('X-Session-Set', 'big'))
  assert.deepEqual(seen, [after])
  checkSize(after, commands, { maxBytes: 1000, fitsAssertion: () => true })
})
