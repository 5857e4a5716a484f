import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createAccessLine } from '../../../src/observe/access-line.ts'
import { accessFields } from '../../../src/observe/access-log.ts'
import { createExchange, type Exchange } from '../../../src/observe/exchange.ts'

const arrival = { requestId: 'r1', startedAt: 0, peerAddress: '10.0.0.1', method: 'GET', scheme: 'http' } as const

function exchange(facts: Partial<Exchange> = {}): Exchange {
  return Object.assign(createExchange(arrival), facts)
}

/** What the line must be: JSON without its opening brace, and without characters that end or upset a line. */
function expected(facts: Exchange): string {
  const escapeUnit = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  return JSON.stringify(accessFields(facts))
    .replace(/[\u0080-\u009f\u2028\u2029]/g, escapeUnit)
    .slice(1)
}

const odd = fc.constantFrom(
  '\n',
  '\r',
  '\t',
  '\u001b',
  '\u007f',
  '\u2028',
  '\u2029',
  '\u0085',
  '"',
  '\\',
  '\ud800',
  '€',
)
const text = fc.oneof(fc.string(), fc.string({ unit: fc.oneof(odd, fc.string()) }), fc.constant('/cart'))
const maybe = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined })
const number = fc.oneof(fc.nat(), fc.double(), fc.constantFrom(-0, 0.1 + 0.2, 1e21, 1e-7, Number.NaN, Infinity))
const duration = fc.oneof(
  number,
  fc.double({ min: 0, max: 10_000, noNaN: true }),
  fc.nat().map((n) => n / 1000),
)

const facts: fc.Arbitrary<Partial<Exchange>> = fc.record({
  requestId: text,
  traceId: maybe(text),
  clientAddress: text,
  peerAddress: text,
  method: text,
  scheme: fc.constantFrom('http', 'https'),
  host: maybe(text),
  path: maybe(text),
  routeId: maybe(text),
  status: maybe(number),
  requestBodyBytes: number,
  responseBodyBytes: number,
  durationMs: duration,
  clientWaitMs: duration,
  upstream: maybe(
    fc.record({
      name: text,
      durationMs: duration,
      attempts: fc.array(fc.record({ address: text, status: maybe(number) }), { maxLength: 3 }),
    }),
  ),
  outcome: fc.constantFrom('forwarded', 'local', 'upgraded', 'aborted'),
  localReason: maybe(fc.constantFrom('login_redirect', 'well_known')),
  decision: maybe(
    fc.record({
      outcome: fc.constantFrom('allow', 'login', 'forbidden'),
      reason: fc.constantFrom('public', 'user', 'rule_error'),
      mode: fc.constantFrom('enforce', 'observe'),
    }),
  ),
  session: maybe(fc.record({ result: fc.constantFrom('hit', 'store_error'), idHash: maybe(text) })),
  writeback: maybe(fc.constantFrom('applied', 'too_large')),
  userAgent: maybe(text),
})

test('the line is the JSON of its fields to the last character, whatever strangers and numbers are in it', () => {
  const accessLine = createAccessLine()
  fc.assert(
    fc.property(facts, (given) => {
      const made = exchange(given)
      assert.equal(accessLine(made), expected(made))
    }),
    { numRuns: 3000 },
  )
})

test('a time in milliseconds has at most three places, and no zeros at their end', () => {
  const accessLine = createAccessLine()
  const cases: [durationMs: number, written: string][] = [
    [0, '0'],
    [0.0004, '0'],
    [0.0005, '0.001'],
    [0.01, '0.01'],
    [0.9996, '1'],
    [1.5, '1.5'],
    [12.3456, '12.346'],
    [3_600_000.25, '3600000.25'],
    [1e12 + 0.1234, '1000000000000.123'],
    [-1.25, '-1.25'],
  ]
  for (const [durationMs, written] of cases) {
    const made = exchange({ durationMs })
    assert.ok(accessLine(made)?.includes(`"duration_ms":${written},`), written)
    assert.equal(accessLine(made), expected(made))
  }
})

test('what one request said is not in the line of the next', () => {
  const accessLine = createAccessLine()
  for (const name of ['a', 'a', '', 'b"', 'b"', 'a']) {
    const made = exchange({ clientAddress: name, peerAddress: `${name}p`, host: `${name}h`, userAgent: `${name}u` })
    assert.equal(accessLine(made), expected(made))
  }
})

test('errors and lines that are too long are left to the log', () => {
  const accessLine = createAccessLine()
  const error = { code: 'ERR_INTERNAL', message: 'm', proxyError: 'proxy_internal_error', facts: {} } as const
  const cases: [why: string, facts: Partial<Exchange>, isWritten: boolean][] = [
    ['an error', { error }, false],
    ['a long path', { path: '/'.repeat(16_384) }, false],
    ['a path that gets long by its escapes', { path: '"'.repeat(9_000) }, false],
    ['a path that is long, but not too long', { path: '/'.repeat(15_000) }, true],
  ]
  for (const [why, given, isWritten] of cases) assert.equal(accessLine(exchange(given)) !== undefined, isWritten, why)
})
