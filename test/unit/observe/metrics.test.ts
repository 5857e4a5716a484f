import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createExchange, type Exchange } from '../../../src/observe/exchange.ts'
import { createMetrics } from '../../../src/observe/metrics.ts'

function newMetrics() {
  return createMetrics({
    build: { version: '1.2.3', revision: 'abc' },
    config: { hash: 'h1', mode: 'enforce' },
    droppedLogLines: () => 7,
  })
}

function exchange(facts: Partial<Exchange> & { method?: string } = {}): Exchange {
  const arrival = { requestId: 'r1', startedAt: 0, peerAddress: '10.0.0.1', method: 'GET', scheme: 'http' } as const
  return Object.assign(createExchange(arrival), facts)
}

/** Every sample: `name{labels}` and its value. */
async function samples(metrics: ReturnType<typeof newMetrics>): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]))
}

async function assertSamples(metrics: ReturnType<typeof newMetrics>, expected: Record<string, number>) {
  const found = await samples(metrics)
  const actual = Object.fromEntries(Object.keys(expected).map((name) => [name, found.get(name)]))
  assert.deepEqual(actual, expected)
}

const forwarded: Partial<Exchange> = {
  routeId: 'app',
  status: 204,
  durationMs: 20,
  requestBodyBytes: 10,
  responseBodyBytes: 250,
  outcome: 'forwarded',
  session: { result: 'hit', engine: 'db', resolveMs: 0.2, storedBytes: 120, duplicateCookie: true },
  decision: { outcome: 'allow', reason: 'user', mode: 'enforce' },
  assertion: { algorithm: 'HS256', reused: true, bytes: 400 },
  upstream: {
    name: 'legacy',
    attempts: [
      { address: '127.0.0.1:8000', error: 'connection_refused' },
      { address: '127.0.0.1:8001', status: 204, firstByteMs: 18 },
    ],
    durationMs: 19,
  },
  writeback: 'applied',
  cookieSet: 'rotated',
  cookiesCut: 2,
}

test('a forwarded request is counted on both sides, with its session, decision, assertion and write-back', async () => {
  const metrics = newMetrics()
  metrics.requestRouted('app')
  metrics.recordExchange(exchange(forwarded))
  await assertSamples(metrics, {
    'sessiongate_http_requests_total{route="app",method="GET",code="204"}': 1,
    'sessiongate_http_request_duration_seconds_count{route="app",method="GET",code_class="2xx"}': 1,
    'sessiongate_http_request_duration_seconds_bucket{le="0.025",route="app",method="GET",code_class="2xx"}': 1,
    'sessiongate_http_request_duration_seconds_bucket{le="0.01",route="app",method="GET",code_class="2xx"}': 0,
    'sessiongate_http_requests_in_flight{route="app"}': 0,
    'sessiongate_http_request_bytes_total{route="app"}': 10,
    'sessiongate_http_response_bytes_total{route="app"}': 250,
    'sessiongate_gateway_overhead_seconds_sum{route="app"}': 0.001,
    'sessiongate_upstream_requests_total{upstream="legacy",code="204"}': 1,
    'sessiongate_upstream_requests_total{upstream="legacy",code="error"}': 1,
    'sessiongate_upstream_request_duration_seconds_sum{upstream="legacy"}': 0.018,
    'sessiongate_upstream_errors_total{upstream="legacy",reason="connection_refused"}': 1,
    'sessiongate_upstream_retries_total{upstream="legacy",outcome="success"}': 1,
    'sessiongate_session_resolutions_total{result="hit"}': 1,
    'sessiongate_session_resolve_duration_seconds_count{engine="db",result="hit"}': 1,
    'sessiongate_session_cookies_set_total{reason="rotated"}': 1,
    sessiongate_session_duplicate_cookies_total: 1,
    'sessiongate_session_cookies_cut_total{route="app"}': 2,
    'sessiongate_session_payload_bytes_sum{direction="stored"}': 120,
    'sessiongate_session_payload_bytes_sum{direction="injected"}': 400,
    'sessiongate_auth_decisions_total{route="app",decision="allow",reason="user",mode="enforce"}': 1,
    'sessiongate_assertions_total{alg="HS256",cache="reused"}': 1,
    'sessiongate_session_writeback_total{route="app",result="applied"}': 1,
  })
})

test('an answer of our own is counted with its reason, also where no route was found', async () => {
  const metrics = newMetrics()
  const notFound = { code: 'ERR_ROUTE_NOT_FOUND', message: '', proxyError: 'proxy_internal_error', facts: {} } as const
  metrics.recordExchange(exchange({ status: 404, error: notFound }))
  metrics.recordExchange(exchange({ status: 302, routeId: 'app', localReason: 'login_redirect' }))
  metrics.recordExchange(exchange({ status: undefined, outcome: 'aborted' }))
  await assertSamples(metrics, {
    'sessiongate_local_responses_total{route="-",reason="no_route"}': 1,
    'sessiongate_local_responses_total{route="app",reason="login_redirect"}': 1,
    'sessiongate_http_requests_total{route="-",method="GET",code="404"}': 1,
    'sessiongate_http_requests_total{route="-",method="GET",code="none"}': 1,
  })
})

test('requests in flight are those that are routed and not ended', async () => {
  const metrics = newMetrics()
  metrics.requestRouted('app')
  metrics.requestRouted('app')
  metrics.recordExchange(exchange({ routeId: 'app', status: 200 }))
  metrics.recordExchange(exchange({ status: 400 }))
  await assertSamples(metrics, { 'sessiongate_http_requests_in_flight{route="app"}': 1 })
})

test('WebSockets, stores, the cache and revocations are counted when they are told of', async () => {
  const metrics = newMetrics()
  metrics.webSockets.opened('chat')
  metrics.webSockets.opened('chat')
  metrics.webSockets.closed('chat', 'session_end')
  metrics.stores.operation({ store: 'db', op: 'load', result: 'ok', durationMs: 0.3 })
  metrics.stores.cacheRequest('coalesced')
  metrics.stores.up('db', false)
  metrics.sessionsRevoked('expiry_sweep', 3)
  await assertSamples(metrics, {
    'sessiongate_websocket_connections{route="chat"}': 1,
    'sessiongate_websocket_closed_total{route="chat",reason="session_end"}': 1,
    'sessiongate_session_store_operations_total{store="db",op="load",result="ok"}': 1,
    'sessiongate_session_store_operation_duration_seconds_count{store="db",op="load",result="ok"}': 1,
    'sessiongate_session_cache_requests_total{result="coalesced"}': 1,
    'sessiongate_store_up{store="db"}': 0,
    'sessiongate_sessions_revoked_total{source="expiry_sweep"}': 3,
  })
})

test('it says what runs and with which configuration, and after a reload only with the new one', async () => {
  const metrics = newMetrics()
  metrics.configured({ hash: 'h2', mode: 'observe' })
  const found = await samples(metrics)
  assert.equal(found.get(`sessiongate_build_info{version="1.2.3",revision="abc",node="${process.versions.node}"}`), 1)
  assert.deepEqual(
    [...found].filter(([name]) => name.startsWith('sessiongate_config_info')),
    [['sessiongate_config_info{hash="h2",mode="observe"}', 1]],
  )
  assert.equal(found.get('sessiongate_log_lines_dropped_total'), 7)
  for (const name of [
    'nodejs_eventloop_lag_p99_seconds',
    'process_resident_memory_bytes',
    'nodejs_eventloop_utilization_ratio',
  ]) {
    assert.ok(Number.isFinite(found.get(name)), name)
  }
})

test('two gateways in one process do not share a count', async () => {
  const [first, second] = [newMetrics(), newMetrics()]
  first.recordExchange(exchange({ routeId: 'app', status: 200 }))
  await assertSamples(first, { 'sessiongate_http_requests_total{route="app",method="GET",code="200"}': 1 })
  assert.equal(
    (await samples(second)).has('sessiongate_http_requests_total{route="app",method="GET",code="200"}'),
    false,
  )
})

const canary = 'canary5e55ion'

/** What strangers choose: everything that a request or an app's answer can say in words of its own. */
const hostile = fc.record({
  method: fc.string(),
  host: fc.string(),
  path: fc.constantFrom(`/${canary}`, '/x'),
  userAgent: fc.string(),
  requestId: fc.constant(canary),
  traceId: fc.constant(canary),
  clientAddress: fc.ipV4(),
  status: fc.oneof(fc.integer(), fc.double()),
  session: fc.constant({ result: 'hit', idHash: canary, engine: 'db' } as const),
  upstream: fc.record({
    name: fc.constant('legacy'),
    durationMs: fc.nat(),
    attempts: fc.array(fc.record({ address: fc.constant('127.0.0.1:8000'), status: fc.integer() }), { maxLength: 3 }),
  }),
})

test('hostile traffic adds no series beyond the closed sets, and none of its words appear', async () => {
  const metrics = newMetrics()
  fc.assert(
    fc.property(hostile, (facts) => {
      metrics.recordExchange(exchange({ ...facts, routeId: 'app' }))
    }),
    { numRuns: 2000 },
  )
  const text = await metrics.text()
  assert.doesNotMatch(text, new RegExp(canary))
  const labels = (metric: string, label: string) =>
    new Set([...text.matchAll(new RegExp(`^${metric}\\{.*\\b${label}="([^"]*)"`, 'gm'))].map((match) => match[1] ?? ''))
  assert.deepEqual([...labels('sessiongate_http_requests_total', 'method')], ['_OTHER'])
  for (const code of labels('sessiongate_http_requests_total', 'code')) assert.match(code, /^([1-5][0-9]{2}|other)$/)
  for (const code of labels('sessiongate_upstream_requests_total', 'code'))
    assert.match(code, /^([1-5][0-9]{2}|other)$/)
  assert.ok(labels('sessiongate_http_request_duration_seconds_count', 'code_class').size <= 6)
})

test('known methods keep their name, whatever their letters otherwise', async () => {
  const metrics = newMetrics()
  for (const method of ['GET', 'get', 'PROPFIND', '', '__proto__'])
    metrics.recordExchange(exchange({ method, status: 200 }))
  await assertSamples(metrics, {
    'sessiongate_http_requests_total{route="-",method="GET",code="200"}': 1,
    'sessiongate_http_requests_total{route="-",method="_OTHER",code="200"}': 4,
  })
})
