import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ServerState, Standing } from '../../../src/proxy/standing.ts'

const fault = new Error('refused')

function standing() {
  const told: string[] = []
  const onState = ({ isUp, source }: ServerState): void => void told.push(`${source}: ${isUp ? 'up' : 'down'}`)
  const one = new Standing({ server: 'a:1', thresholds: { unhealthyAfter: 3, healthyAfter: 2 }, onState })
  return { one, told }
}

function fail(one: Standing, times: number, nowMs: number): void {
  for (let i = 0; i < times; i++) one.onFailure(fault, nowMs)
}

test('three failures in a row put a server out for five seconds; an answer in between forgives', () => {
  const { one, told } = standing()
  fail(one, 2, 0)
  one.onAnswer()
  fail(one, 2, 0)
  assert.ok(one.mayServe(0))
  fail(one, 1, 1_000)
  assert.deepEqual([one.isUp, one.mayServe(5_999), one.mayServe(6_000), one.ejections], [false, false, true, 1])
  assert.deepEqual(told, ['requests: down'])
})

test('failures of requests that were under way when it was put out change nothing', () => {
  const { one } = standing()
  fail(one, 50, 0)
  assert.deepEqual([one.ejections, one.mayServe(5_000)], [1, true])
})

test('one request is let through on trial; the others keep away until it has ended', () => {
  const { one, told } = standing()
  fail(one, 3, 0)
  one.onChosen(5_000)
  assert.equal(one.mayServe(5_001), false)
  one.onAnswer()
  assert.deepEqual([one.isUp, one.mayServe(5_001)], [true, true])
  assert.deepEqual(told, ['requests: down', 'requests: up'])
})

test('each failed trial doubles the time, up to a minute; an answer starts it over', () => {
  const { one } = standing()
  fail(one, 3, 0)
  let nowMs = 5_000
  for (const durationMs of [10_000, 20_000, 40_000, 60_000, 60_000]) {
    one.onChosen(nowMs)
    fail(one, 1, nowMs)
    assert.deepEqual([one.mayServe(nowMs + durationMs - 1), one.mayServe(nowMs + durationMs)], [false, true])
    nowMs += durationMs
  }
  one.onChosen(nowMs)
  one.onAnswer()
  fail(one, 3, nowMs)
  assert.ok(one.mayServe(nowMs + 5_000))
})

test('a trial whose browser left is no verdict, and the next request is one', () => {
  const { one } = standing()
  fail(one, 3, 0)
  one.onChosen(5_000)
  one.onUndecided()
  assert.ok(one.mayServe(5_000))
})

test('a request that goes there before the time, for want of another server, is no trial, but its answer counts', () => {
  const { one } = standing()
  fail(one, 3, 0)
  one.onChosen(100)
  fail(one, 1, 100)
  assert.deepEqual([one.ejections, one.mayServe(5_000)], [1, true])
  one.onChosen(200)
  one.onAnswer()
  assert.ok(one.isUp)
})

test('checks put a server out and in again by their thresholds', () => {
  const { one, told } = standing()
  for (const cause of [fault, fault, undefined, fault, fault]) one.onCheck(cause)
  assert.ok(one.isUp)
  one.onCheck(fault)
  assert.equal(one.mayServe(1e9), false)
  for (const cause of [undefined, fault, undefined]) one.onCheck(cause)
  assert.equal(one.isUp, false)
  one.onCheck(undefined)
  assert.ok(one.mayServe(0))
  assert.deepEqual(told, ['checks: down', 'checks: up'])
})

test('checks that succeed end an ejection, but requests that succeed do not overrule the checks', () => {
  const { one } = standing()
  one.onCheck(undefined)
  one.onCheck(undefined)
  fail(one, 3, 0)
  one.onCheck(undefined)
  assert.equal(one.isUp, false, 'only checks after the ejection count')
  one.onCheck(undefined)
  assert.ok(one.isUp)
  for (let i = 0; i < 3; i++) one.onCheck(fault)
  one.onAnswer()
  assert.equal(one.isUp, false)
})
