import assert from 'node:assert/strict'
import { test } from 'node:test'
import { familiesText, lastingFamilies, type MetricFamily, sumFamilies } from '../../../src/observe/metric-families.ts'
import { createMetrics } from '../../../src/observe/metrics.ts'

function family(name: string, value: number | null, more: Partial<MetricFamily> = {}): MetricFamily {
  return { name, help: 'h', type: 'gauge', aggregator: 'sum', values: [{ labels: { a: 'b' }, value }], ...more }
}

const cases: [why: string, one: MetricFamily, other: MetricFamily, together: number | undefined][] = [
  ['counts are added', family('x', 2), family('x', 3), 5],
  ['a yes of one is no yes of all', family('x', 1, { aggregator: 'min' }), family('x', 0, { aggregator: 'min' }), 0],
  ['what says which is said once', family('x', 1, { aggregator: 'first' }), family('x', 1, { aggregator: 'first' }), 1],
  ['what is no number is left out', family('x', null), family('x', 3), 3],
  [
    'one that stands still is not averaged away',
    family('nodejs_eventloop_lag_p99_seconds', 9),
    family('nodejs_eventloop_lag_p99_seconds', 1),
    9,
  ],
  [
    'the start is that of the first',
    family('process_start_time_seconds', 9, { aggregator: 'omit' }),
    family('process_start_time_seconds', 7),
    7,
  ],
]
for (const [why, one, other, together] of cases) {
  test(`of several processes: ${why}`, async () => {
    const [sum] = await sumFamilies([[one], [other]])
    assert.equal(sum?.values[0]?.value, together)
  })
}

test('series that only one process has are there too', async () => {
  const other = family('x', 3, { values: [{ labels: { a: 'c' }, value: 3 }] })
  assert.match(await familiesText([[family('x', 2)], [other]]), /^x\{a="b"\} 2\nx\{a="c"\} 3$/m)
})

test('of what is gone stays what it has counted', () => {
  const all = [family('a', 1), family('b', 1, { type: 'counter' }), family('c', 1, { type: 'histogram' })]
  assert.deepEqual(
    lastingFamilies(all).map(({ name }) => name),
    ['b', 'c'],
  )
})

test('two gateways’ metrics, sent as JSON, make one text, and each metric knows how', async () => {
  const one = createMetrics({
    build: { version: '1', revision: '' },
    config: { hash: 'h', mode: 'enforce' },
    droppedLogLines: () => 4,
  })
  one.stores.up('db', true)
  const sent = JSON.parse(JSON.stringify(await one.families())) as MetricFamily[]
  const text = await familiesText([sent, sent])
  assert.match(text, /^sessiongate_log_lines_dropped_total 8$/m)
  assert.match(text, /^sessiongate_build_info\{.*\} 1$/m)
  assert.match(text, /^sessiongate_config_info\{.*\} 1$/m)
  assert.match(text, /^sessiongate_store_up\{store="db"\} 1$/m)
})
