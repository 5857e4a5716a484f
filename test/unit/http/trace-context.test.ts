import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newTraceparent, nextTraceparent, parseTraceparent } from '../../../src/http/trace-context.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const parentId = 'b7ad6b7169203331'
const line = `00-${traceId}-${parentId}-01`

const values: [why: string, text: string, isValid: boolean][] = [
  ['sampled', line, true],
  ['not sampled', `00-${traceId}-${parentId}-00`, true],
  ['flags of tomorrow', `00-${traceId}-${parentId}-ff`, true],
  ['a later version', `cc-${traceId}-${parentId}-01`, true],
  ['a later version with more', `cc-${traceId}-${parentId}-01-what-comes`, true],
  ['a later version with more, not separated', `cc-${traceId}-${parentId}-01.what`, false],
  ['version 00 with more', `${line}-what`, false],
  ['the forbidden version', `ff-${traceId}-${parentId}-01`, false],
  ['capitals', line.toUpperCase(), false],
  ['a trace id of zeros', `00-${'0'.repeat(32)}-${parentId}-01`, false],
  ['a parent id of zeros', `00-${traceId}-${'0'.repeat(16)}-01`, false],
  ['too short', line.slice(0, -1), false],
  ['a space', ` ${line}`, false],
  ['a line break', `cc-${traceId}-${parentId}-01-\n`, false],
  ['very long', `cc-${traceId}-${parentId}-01-${'a'.repeat(10_000)}`, false],
  ['empty', '', false],
]
for (const [why, text, isValid] of values) {
  test(`the traceparent ${JSON.stringify(text.slice(0, 70))}: ${why}`, () => {
    assert.deepEqual(
      parseTraceparent(text),
      isValid ? { traceId, parentId, isSampled: !text.includes('-00', 3), text } : undefined,
    )
  })
}

test('one well-formed line is passed on, all else makes a new trace', () => {
  assert.equal(nextTraceparent(['Traceparent', line]).text, line)
  for (const raw of [[], ['Traceparent', 'x'], ['Traceparent', line, 'traceparent', line]]) {
    const next = nextTraceparent(raw)
    assert.notEqual(next.traceId, traceId)
    assert.deepEqual(parseTraceparent(next.text), next)
  }
})

test('a new trace is sampled, is its own, and never of zeros alone', () => {
  assert.notEqual(newTraceparent().traceId, newTraceparent().traceId)
  const zeros = newTraceparent((count) => '0'.repeat(count))
  assert.equal(zeros.text, `00-${'0'.repeat(31)}1-${'0'.repeat(15)}1-01`)
  assert.deepEqual(parseTraceparent(zeros.text), zeros)
})
