import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ErrorCode, errorTable } from '../../../src/errors.ts'
import { createExchange, type Exchange, localReasonOf, overheadMs } from '../../../src/observe/exchange.ts'

function exchange(facts: Partial<Exchange> = {}): Exchange {
  const arrival = { requestId: 'r1', startedAt: 0, peerAddress: '10.0.0.1', method: 'GET', scheme: 'http' } as const
  return Object.assign(createExchange(arrival), facts)
}

test('until somebody knows better, the client is the peer', () => {
  assert.equal(exchange().clientAddress, '10.0.0.1')
})

test("the overhead is the whole less the upstream's and the browser's time, never less than nothing", () => {
  const upstream = { name: 'app', attempts: [], durationMs: 30 }
  const cases: [why: string, facts: Partial<Exchange>, expected: number][] = [
    ['answered by us', { durationMs: 5 }, 5],
    ['forwarded', { durationMs: 40, upstream }, 10],
    ['forwarded to a slow browser', { durationMs: 40, upstream, clientWaitMs: 8 }, 2],
    ['clocks that round differently', { durationMs: 29, upstream }, 0],
  ]
  for (const [why, facts, expected] of cases) assert.equal(overheadMs(exchange(facts)), expected, why)
})

test('every code has a reason, the code wins over what was set before, and 5xx without one tell their RFC 9209 type', () => {
  for (const code of Object.keys(errorTable) as ErrorCode[]) {
    const error = { code, message: '', proxyError: 'connection_refused', facts: {} } as const
    const reason = localReasonOf(exchange({ error, localReason: 'login_redirect' }))
    assert.match(String(reason), /^[a-z_]+$/)
    assert.notEqual(reason, 'login_redirect')
    if (errorTable[code].status < 500) assert.notEqual(reason, 'connection_refused', code)
  }
  const refused = {
    code: 'ERR_UPSTREAM_UNREACHABLE',
    message: '',
    proxyError: 'connection_refused',
    facts: {},
  } as const
  assert.equal(localReasonOf(exchange({ error: refused })), 'connection_refused')
})

test("an app's answer has no local reason, a redirect to the login has", () => {
  assert.equal(localReasonOf(exchange({ outcome: 'forwarded' })), undefined)
  assert.equal(localReasonOf(exchange({ localReason: 'login_redirect' })), 'login_redirect')
})
