import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Load } from '../../../src/server/load.ts'

test('as many requests are let in as may be under way, and another one when one has left', () => {
  using load = new Load({ requests: 2, eventLoopDelayMs: undefined })
  assert.deepEqual([load.enter(), load.enter()], [undefined, undefined])
  const refusal = load.enter()
  assert.deepEqual(
    [refusal?.code, refusal?.status, refusal?.proxyError],
    ['ERR_OVERLOADED', 503, 'proxy_internal_response'],
  )
  assert.equal(load.underWay, 2)
  load.leave()
  assert.equal(load.enter(), undefined)
})

test('other limits hold from then on, for those who come', () => {
  using load = new Load({ requests: undefined, eventLoopDelayMs: 250 })
  for (let i = 0; i < 5; i++) assert.equal(load.enter(), undefined)
  load.apply({ requests: 3, eventLoopDelayMs: undefined })
  assert.equal(load.enter()?.code, 'ERR_OVERLOADED')
  for (let i = 0; i < 3; i++) load.leave()
  assert.equal(load.enter(), undefined)
})
