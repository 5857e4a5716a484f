import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withoutCommands } from '../../../src/writeback/cut.ts'

test('every line that begins with X-Session- is taken out and counted, in every spelling, command or not', () => {
  const own = [
    'X-Session-Set',
    'x-session-delete',
    'X_Session_Set',
    'X.SESSION-Command',
    'X-Session-Assertion',
    'X-Session-',
    'X-Session-Foo',
  ]
  const raw = own.flatMap((name) => ['Content-Type', 'text/plain', name, '{}'])
  const { headers, cut } = withoutCommands(raw)
  assert.equal(cut, own.length)
  assert.deepEqual(
    headers,
    own.flatMap(() => ['Content-Type', 'text/plain']),
  )
})

test('all other lines stay as they are, in their order', () => {
  const raw = [
    'X-Session',
    'a',
    'X-Sessions-Set',
    'b',
    'Set-Cookie',
    'c=1',
    'set-cookie',
    'c=2',
    'X',
    '',
    'My-X-Session-Set',
    'd',
  ]
  assert.deepEqual(withoutCommands(raw), { headers: raw, cut: 0 })
})
