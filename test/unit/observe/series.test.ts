import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { createCounter, createGauge, createHistogram } from '../../../src/observe/series.ts'

const counted = {
  name: 'requests_total',
  help: 'Of "all" \\ kinds.\nAnd more.',
  labelNames: ['route', 'code'],
} as const
const open = { name: 'open', help: 'Open.', labelNames: ['route'] } as const
const taken = { name: 'taken_seconds', help: 'Taken.', labelNames: ['route', 'code'] } as const
const plain = { name: 'plain_total', help: 'Without labels.', labelNames: [] } as const
const buckets = [0.0001, 0.005, 1, 10]

/** The same metrics, of our make and of prom-client's. */
function pair() {
  const [ours, theirs] = [new Registry(), new Registry()]
  const registers = [theirs]
  return {
    ours,
    theirs,
    made: {
      counted: createCounter(ours, counted),
      open: createGauge(ours, open),
      taken: createHistogram(ours, { ...taken, buckets }),
      plain: createCounter(ours, plain),
    },
    known: {
      counted: new Counter({ ...counted, registers }),
      open: new Gauge({ ...open, registers }),
      taken: new Histogram({ ...taken, buckets, registers }),
      plain: new Counter({ ...plain, registers }),
    },
  }
}

const label = fc.constantFrom('app', 'shop', '', '__proto__', 'a"b\\c\nd', '-', 'constructor')
const step = fc.record({
  kind: fc.constantFrom('counted', 'open', 'taken', 'plain'),
  route: label,
  code: label,
  amount: fc.oneof(fc.nat(1000), fc.double({ min: 0, max: 20, noNaN: true }), fc.constantFrom(...buckets, 0, 1e21)),
})

test('the text is what prom-client makes of the same counts, to the letter', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const { ours, theirs, made, known } = pair()
      for (const { kind, route, code, amount } of steps) {
        if (kind === 'plain') {
          made.plain.at().add(amount)
          known.plain.inc(amount)
        } else if (kind === 'open') {
          made.open.at(route).add(-amount)
          known.open.dec({ route }, amount)
        } else if (kind === 'counted') {
          made.counted.at(route, code).add(amount)
          known.counted.inc({ route, code }, amount)
        } else {
          made.taken.at(route, code).observe(amount)
          known.taken.observe({ route, code }, amount)
        }
      }
      assert.equal(await ours.metrics(), await theirs.metrics())
    }),
    { numRuns: 300 },
  )
})

test('what is no number does not spoil a sum', async () => {
  const registry = new Registry()
  const taken = createHistogram(registry, { name: 'taken_seconds', help: 'Taken.', labelNames: [], buckets })
  for (const value of [1, Number.NaN, Infinity, 2]) taken.at().observe(value)
  assert.match(await registry.metrics(), /^taken_seconds_sum 3\ntaken_seconds_count 2$/m)
})

test('two metrics cannot have one name', () => {
  const registry = new Registry()
  createCounter(registry, counted)
  assert.throws(() => createCounter(registry, counted), /already been registered/)
})
