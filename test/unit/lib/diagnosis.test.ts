import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diagnoseClock, fault, good } from '../../../src/lib/diagnosis.ts'

test('clocks may differ by two seconds and by the time that the answer took', () => {
  const cases: [why: string, serverMs: number, verdict: string, text: RegExp][] = [
    ['in between', 10_400, 'good', /agree$/],
    ['just before', 8_000, 'good', /agree$/],
    ['just after', 13_000, 'good', /agree$/],
    ['too far behind', 7_999, 'warning', /differ by 2\.0 s$/],
    ['too far ahead', 14_100, 'warning', /differ by 3\.1 s$/],
    ['by hours', 10_000 + 3_600_000, 'warning', /differ by 3599 s$/],
  ]
  for (const [why, serverMs, verdict, text] of cases) {
    const diagnosis = diagnoseClock('Redis', serverMs, [10_000, 11_000])
    assert.equal(diagnosis.verdict, verdict, why)
    assert.match(diagnosis.text, text, why)
    assert.equal(diagnosis.advice !== undefined, verdict === 'warning', why)
  }
})

test('what has no advice has no such member', () => {
  assert.deepEqual(good('fine'), { verdict: 'good', text: 'fine' })
  assert.deepEqual(fault('broken', 'mend it'), { verdict: 'fault', text: 'broken', advice: 'mend it' })
})
