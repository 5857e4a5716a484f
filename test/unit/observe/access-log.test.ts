import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ErrorCode } from '../../../src/errors.ts'
import { createAccessLog } from '../../../src/observe/access-log.ts'
import { createExchange, type Exchange } from '../../../src/observe/exchange.ts'
import type { LogFields, LogLevel, TextLog } from '../../../src/observe/log.ts'

function collectingLog() {
  const lines: { level: LogLevel; message: string; fields: LogFields }[] = []
  const writer =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      lines.push({ level, message, fields: JSON.parse(JSON.stringify(fields)) })
    }
  const log: TextLog = {
    debug: writer('debug'),
    info: writer('info'),
    warn: writer('warn'),
    error: writer('error'),
    prepare: (level, message) => (members) => writer(level)(message, JSON.parse(`{${members}`)),
  }
  return { log, lines }
}

/** The line that is written for an exchange; undefined for none. */
function lineOf(facts: Partial<Exchange>, isEnabled = true) {
  const { log, lines } = collectingLog()
  const arrival = { requestId: 'r1', startedAt: 0, peerAddress: '10.0.0.1', method: 'GET', scheme: 'https' } as const
  createAccessLog({ log, isEnabled })(Object.assign(createExchange(arrival), facts))
  assert.ok(lines.length <= 1)
  return lines[0]
}

function failed(code: ErrorCode, cause?: unknown): Partial<Exchange> {
  return {
    error: { code, message: 'it failed', proxyError: 'connection_refused', facts: { header: 'X-Session-Set' }, cause },
  }
}

test('a forwarded request tells everything that is known of it, and nothing else', () => {
  const line = lineOf({
    traceId: '0af7651916cd43dd8448eb211c80319c',
    clientAddress: '203.0.113.9',
    host: 'app.example.com',
    path: '/cart',
    userAgent: 'curl/8',
    routeId: 'app',
    session: { result: 'hit', idHash: 'public-id', engine: 'db', resolveMs: 1 },
    decision: { outcome: 'allow', reason: 'user', mode: 'enforce' },
    upstream: {
      name: 'legacy',
      attempts: [
        { address: '127.0.0.1:8000', error: 'connection_refused' },
        { address: '127.0.0.1:8001', status: 200, firstByteMs: 3 },
      ],
      durationMs: 3.5,
    },
    writeback: 'applied',
    outcome: 'forwarded',
    status: 200,
    requestBodyBytes: 10,
    responseBodyBytes: 250,
    durationMs: 4.123456,
  })
  assert.deepEqual(line, {
    level: 'info',
    message: 'request',
    fields: {
      'request.id': 'r1',
      trace_id: '0af7651916cd43dd8448eb211c80319c',
      'client.address': '203.0.113.9',
      'network.peer.address': '10.0.0.1',
      'http.request.method': 'GET',
      'url.scheme': 'https',
      'server.address': 'app.example.com',
      'url.path': '/cart',
      'http.route': 'app',
      'http.response.status_code': 200,
      'http.request.body.size': 10,
      'http.response.body.size': 250,
      duration_ms: 4.123,
      overhead_ms: 0.623,
      'upstream.name': 'legacy',
      'upstream.address': '127.0.0.1:8001',
      'upstream.status': 200,
      'upstream.duration_ms': 3.5,
      'upstream.attempts': 2,
      outcome: 'forwarded',
      'auth.decision': 'allow',
      'auth.reason': 'user',
      'session.state': 'hit',
      'session.id_hash': 'public-id',
      'writeback.result': 'applied',
      'user_agent.original': 'curl/8',
    },
  })
})

test('what did not come to pass is not in the line', () => {
  const line = lineOf({ status: 400, ...failed('ERR_TARGET_INVALID') })
  assert.deepEqual(
    Object.keys(line?.fields ?? {}).filter((name) => /upstream|auth|session|writeback|route/.test(name)),
    [],
  )
  assert.equal(line?.fields['local.reason'], 'http_request_error')
})

test('a bug is an error, a failure of ours a warning, and what a visitor did is neither', () => {
  const cases: [code: ErrorCode, level: LogLevel][] = [
    ['ERR_INTERNAL', 'error'],
    ['ERR_WRITEBACK_REFUSED', 'warn'],
    ['ERR_STORE_UNAVAILABLE', 'warn'],
    ['ERR_FORBIDDEN', 'info'],
    ['ERR_TARGET_AMBIGUOUS', 'info'],
  ]
  for (const [code, level] of cases) assert.equal(lineOf(failed(code))?.level, level, code)
})

test('with the access log off, only failures of ours are written', () => {
  assert.equal(lineOf({ status: 200 }, false), undefined)
  assert.equal(lineOf(failed('ERR_FORBIDDEN'), false), undefined)
  assert.equal(lineOf(failed('ERR_WRITEBACK_REFUSED'), false)?.level, 'warn')
})

test('an error tells its code, its words, its facts and what stood behind it', () => {
  const cause = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:8000'), {
    code: 'ECONNREFUSED',
    syscall: 'connect',
    address: '127.0.0.1',
    port: 8000,
  })
  const fields: LogFields = lineOf(failed('ERR_UPSTREAM_UNREACHABLE', cause))?.fields ?? {}
  assert.equal(fields['error.type'], 'ERR_UPSTREAM_UNREACHABLE')
  assert.equal(fields['error.message'], 'it failed')
  assert.deepEqual(fields['error.facts'], { header: 'X-Session-Set' })
  assert.equal(fields['error.cause'], 'ECONNREFUSED')
  assert.equal(fields['error.cause_message'], 'connect 127.0.0.1:8000')
})

test('a bug tells where it was thrown', () => {
  const fields: LogFields = lineOf(failed('ERR_INTERNAL', new TypeError('x is not a function')))?.fields ?? {}
  assert.equal(fields['error.cause'], 'TypeError')
  assert.match(String(fields['error.stack']), /^at .*access-log\.test\.ts/)
})

test('a rule that is only observed says so', () => {
  const line = lineOf({ decision: { outcome: 'login', reason: 'no_session', mode: 'observe' } })
  assert.equal(line?.fields['auth.decision'], 'deny')
  assert.equal(line?.fields['auth.mode'], 'observe')
})
