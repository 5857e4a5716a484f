import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RetryBudget } from '../../../src/proxy/retry-budget.ts'

/** How many tries are granted at that time. */
function drain(budget: RetryBudget, nowMs: number): number {
  for (let count = 0; ; count++) if (!budget.spend(nowMs)) return count
}

test('an outage may cost a hundred further tries at once, then ten a second', () => {
  const budget = new RetryBudget()
  assert.equal(drain(budget, 5_000), 100)
  assert.equal(drain(budget, 5_050), 0)
  assert.equal(drain(budget, 6_000), 10)
})

test('every five requests pay for one further try', () => {
  const budget = new RetryBudget()
  drain(budget, 5_000)
  for (let i = 0; i < 51; i++) budget.earn()
  assert.equal(drain(budget, 5_000), 10)
})

test('what is not used is not kept without bound', () => {
  const budget = new RetryBudget()
  for (let i = 0; i < 10_000; i++) budget.earn()
  assert.equal(drain(budget, 3_600_000), 100)
})
