import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import { historyView } from '../../../src/admin/views.ts'
import { fineSeconds } from '../../../src/observe/buckets.ts'
import { type MetricFamily, readFamiliesOf } from '../../../src/observe/metric-families.ts'
import { MetricHistory } from '../../../src/observe/metric-history.ts'
import { shareBelow, totalledMetrics } from '../../../src/observe/metric-totals.ts'
import { createCounter, createGauge, createHistogram } from '../../../src/observe/series.ts'
import { until } from '../../support/deadline.ts'

/** The metrics that it reads, and a clock that goes when it is told to. */
function openStage(maxPoints?: number) {
  const registry = new Registry()
  const counter = <const Names extends readonly string[]>(name: string, labelNames: Names) =>
    createCounter(registry, { name, help: 'h', labelNames })
  const metrics = {
    requests: counter('sessiongate_http_requests_total', ['route', 'method', 'code']),
    resolutions: counter('sessiongate_session_resolutions_total', ['result']),
    decisions: counter('sessiongate_auth_decisions_total', ['route', 'decision', 'reason', 'mode']),
    answers: counter('sessiongate_local_responses_total', ['route', 'reason']),
    cookies: counter('sessiongate_session_cookies_set_total', ['reason']),
    revoked: counter('sessiongate_sessions_revoked_total', ['source']),
    overhead: createHistogram(registry, {
      name: 'sessiongate_gateway_overhead_seconds',
      help: 'h',
      labelNames: ['route'],
      buckets: fineSeconds,
    }),
    inFlight: createGauge(registry, { name: 'sessiongate_http_requests_in_flight', help: 'h', labelNames: ['route'] }),
  }
  const time = { ms: 0 }
  const source = { families: () => readFamiliesOf(registry, totalledMetrics) as Promise<readonly MetricFamily[]> }
  const history = new MetricHistory({
    families: () => source.families(),
    clock: () => Date.parse('2030-01-01T00:00:00Z') + time.ms,
    elapsedMs: () => time.ms,
    everyMs: 10_000,
    ...(maxPoints === undefined ? {} : { maxPoints }),
  })
  const pass = async (ms = 10_000) => {
    time.ms += ms
    await history.sample()
  }
  return { metrics, history, pass, source }
}

test('counters become rates over the time that has really passed, of all routes together', async () => {
  const { metrics, history, pass } = openStage()
  metrics.requests.at('a', 'GET', '200').add(1000)
  await history.sample()
  metrics.requests.at('a', 'GET', '200').add(30)
  metrics.requests.at('b', 'POST', '502').add(10)
  metrics.requests.at('b', 'POST', '499').add(10)
  metrics.resolutions.at('hit').add(20)
  metrics.resolutions.at('anonymous').add(20)
  metrics.decisions.at('a', 'deny', 'rule', 'enforce').add(5)
  metrics.decisions.at('a', 'deny', 'rule', 'observe').add(5)
  metrics.answers.at('a', 'login_redirect').add(15)
  metrics.answers.at('a', 'forbidden').add(15)
  metrics.cookies.at('new').add(2)
  metrics.cookies.at('rotated').add(3)
  metrics.cookies.at('deleted').add(4)
  metrics.revoked.at('admin').add(1)
  metrics.revoked.at('expiry_sweep').add(100)
  metrics.inFlight.at('a').add(7)
  await pass(20_000)
  const { at, series, every_seconds } = historyView.parse(history.report())
  assert.deepEqual([every_seconds, at], [10, ['2030-01-01T00:00:20.000Z']])
  assert.deepEqual(series, {
    requests: [2.5],
    with_session: [1],
    errors: [0.5],
    refused: [0.25],
    sent_to_login: [0.75],
    sessions_begun: [0.1],
    sessions_renewed: [0.15],
    sessions_revoked: [0.05],
    overhead_p99_seconds: [null],
    in_flight: [7],
    web_sockets: [0],
  })
})

test('the p99 is that of the stretch, not of all time, and is nothing where nothing was asked', async () => {
  const { metrics, history, pass } = openStage()
  for (let i = 0; i < 1000; i += 1) metrics.overhead.at('a').observe(0.9)
  await history.sample()
  for (let i = 0; i < 99; i += 1) metrics.overhead.at('a').observe(0.0002)
  metrics.overhead.at('b').observe(0.9)
  await pass()
  await pass()
  const { overhead_p99_seconds: p99 } = history.report().series
  assert.deepEqual(p99, [0.00025, null])
})

test('a counter that has begun anew gives a gap and no negative rate', async () => {
  const { history, pass, source } = openStage()
  const withRequests = (value: number) => async () => [
    {
      name: 'sessiongate_http_requests_total',
      help: '',
      type: 'counter',
      aggregator: 'sum',
      values: [{ labels: {}, value }],
    } as const,
  ]
  source.families = withRequests(100)
  await history.sample()
  source.families = withRequests(10)
  await pass()
  source.families = withRequests(30)
  await pass()
  assert.deepEqual(history.report().series.requests, [null, 2])
})

test('metrics that cannot be read give a gap, and it goes on afterwards', async () => {
  const { history, pass, source, metrics } = openStage()
  await history.sample()
  const { families } = source
  source.families = () => Promise.reject(new Error('no'))
  await pass()
  source.families = families
  await pass()
  metrics.requests.at('a', 'GET', '200').add(10)
  await pass()
  assert.deepEqual(history.report().series.requests, [1])
})

test('it holds as much as it may, the newest', async () => {
  const { history, pass, metrics } = openStage(3)
  await history.sample()
  for (let i = 1; i <= 5; i += 1) {
    metrics.requests.at('a', 'GET', '200').add(i * 10)
    await pass()
  }
  const { at, series } = history.report()
  assert.deepEqual([at.length, series.requests], [3, [3, 4, 5]])
})

test('it looks at nothing until it is wanted, and forgets everything when it no longer is', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let looks = 0
  let ms = 0
  using history = new MetricHistory({
    families: async () => {
      looks += 1
      return []
    },
    clock: () => ms,
    elapsedMs: () => ms,
  })
  t.mock.timers.tick(60_000)
  assert.equal(looks, 0)
  history.run(true)
  history.run(true)
  await until('the first look', () => looks === 1)
  for (let i = 2; i <= 3; i += 1) {
    await new Promise(setImmediate)
    ms += 10_000
    t.mock.timers.tick(10_000)
    await until('another look', () => looks === i)
  }
  await new Promise(setImmediate)
  assert.equal(history.report().at.length, 2)
  history.run(false)
  t.mock.timers.tick(60_000)
  assert.deepEqual([looks, history.report().at], [3, []])
})

const shares = [
  { why: 'even within a bucket', bounds: [1, 2, Infinity], counts: [0, 100, 100], share: 0.5, is: 1.5 },
  { why: 'the first bucket begins at zero', bounds: [1, 2, Infinity], counts: [100, 100, 100], share: 0.5, is: 0.5 },
  {
    why: 'above the last finite bound it is that bound',
    bounds: [1, 2, Infinity],
    counts: [0, 0, 5],
    share: 0.5,
    is: 2,
  },
  { why: 'nothing was observed', bounds: [1, Infinity], counts: [0, 0], share: 0.99, is: null },
  { why: 'there are no buckets', bounds: [], counts: [], share: 0.99, is: null },
]
for (const { why, bounds, counts, share, is } of shares) {
  test(`a share of a histogram: ${why}`, () => {
    assert.equal(shareBelow(share, { bounds, counts }), is)
  })
}
