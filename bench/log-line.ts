/**
 * What one line of the access log costs, made and encoded but not written: as the gateway makes it, as `JSON.stringify`
 * and `Date` make the same line, and by pino's logger. And what metrics cost for the same request: as the gateway counts,
 * and by prom-client. Prints microseconds and ratios of one run: `npm run bench -- log-line`.
 */
import { pino, stdTimeFunctions } from 'pino'
import { Counter, Histogram, Registry } from 'prom-client'
import { createAccessLine } from '../src/observe/access-line.ts'
import { accessFields } from '../src/observe/access-log.ts'
import { fineSeconds, httpSeconds, payloadBytes } from '../src/observe/buckets.ts'
import { createExchange, type Exchange } from '../src/observe/exchange.ts'
import { createMetrics } from '../src/observe/metrics.ts'
import { createTimestamp } from '../src/observe/timestamp.ts'

/** Enough of them that no text and no number is the one of a moment ago. */
const exchanges = Array.from({ length: 5000 }, (_, i) => exchangeOf(i))

/** A logged-in visitor's request. Texts are made anew, as a parser makes them. */
function exchangeOf(i: number): Exchange {
  const fresh = (text: string): string => Buffer.from(text).toString()
  const exchange = createExchange({
    requestId: crypto.randomUUID(),
    startedAt: Date.now(),
    peerAddress: fresh(`127.0.0.${(i % 4) + 1}`),
    method: 'GET',
    scheme: 'http',
  })
  return Object.assign(exchange, {
    traceId: crypto.randomUUID().replaceAll('-', ''),
    host: fresh('app.example.com'),
    path: fresh(`/cart/${i}`),
    userAgent: fresh(
      `Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/15${i % 4}.0.0.0 Safari/537.36`,
    ),
    routeId: 'app',
    outcome: 'forwarded',
    status: 200,
    responseBodyBytes: 250,
    durationMs: 1.1 + i * 0.000137,
    session: {
      result: 'hit',
      idHash: crypto.randomUUID().slice(0, 22),
      engine: 'db',
      resolveMs: 0.03,
      storedBytes: 300,
    },
    decision: { outcome: 'allow', reason: 'user', mode: 'enforce' },
    assertion: { algorithm: 'EdDSA', reused: true, bytes: 500 },
    upstream: {
      name: 'app',
      attempts: [{ address: '127.0.0.1:8000', status: 200, firstByteMs: 0.8 }],
      durationMs: 0.9 + i * 0.000117,
    },
  } satisfies Partial<Exchange>)
}

/** Lines gather here as they do in the sink, and are encoded together. */
const encoded = Buffer.alloc(64 * 1024)
let gathered = ''
function gather(line: string): void {
  gathered += line
  if (gathered.length < 32 * 1024) return
  encoded.write(gathered)
  gathered = ''
}

const timestamp = createTimestamp()
const accessLine = createAccessLine()
const logger = pino({ base: null, timestamp: stdTimeFunctions.isoTime }, { write: gather })
const lines = {
  gateway: (exchange: Exchange) =>
    gather(`{"time":"${timestamp(Date.now())}","level":"info","msg":"request",${accessLine(exchange)}\n`),
  stringify: (exchange: Exchange) =>
    gather(
      `{"time":"${new Date().toISOString()}","level":"info","msg":"request",${JSON.stringify(accessFields(exchange)).slice(1)}\n`,
    ),
  pino: (exchange: Exchange) => logger.info(accessFields(exchange), 'request'),
}

const ours = createMetrics({
  build: { version: '0', revision: '' },
  config: { hash: '', mode: 'enforce' },
  droppedLogLines: () => 0,
})
const theirs = promMetrics()
const metrics = {
  gateway(exchange: Exchange) {
    ours.requestRouted('app')
    ours.recordExchange(exchange)
  },
  'prom-client': theirs,
}

/** What `recordExchange` counts of a forwarded request, by prom-client's own means. */
function promMetrics(): (exchange: Exchange) => void {
  const registers = [new Registry()]
  const counter = (name: string, labelNames: string[]) => new Counter({ name, help: name, labelNames, registers })
  const histogram = (name: string, labelNames: string[], buckets: number[]) =>
    new Histogram({ name, help: name, labelNames, buckets, registers })
  const requests = counter('requests', ['route', 'method', 'code'])
  const duration = histogram('duration', ['route', 'method', 'code_class'], httpSeconds)
  const routed = counter('routed', ['route'])
  const bytes = counter('bytes', ['route'])
  const overhead = histogram('overhead', ['route'], fineSeconds)
  const tries = counter('tries', ['upstream', 'code'])
  const firstByte = histogram('first_byte', ['upstream'], httpSeconds)
  const resolutions = counter('resolutions', ['result'])
  const resolve = histogram('resolve', ['engine', 'result'], fineSeconds)
  const payload = histogram('payload', ['direction'], payloadBytes)
  const decisions = counter('decisions', ['route', 'decision', 'reason', 'mode'])
  const assertions = counter('assertions', ['alg', 'cache'])
  return function record({ durationMs, method, responseBodyBytes }) {
    routed.inc({ route: 'app' })
    requests.inc({ route: 'app', method, code: '200' })
    duration.observe({ route: 'app', method, code_class: '2xx' }, durationMs / 1000)
    overhead.observe({ route: 'app' }, durationMs / 1e4)
    bytes.inc({ route: 'app' }, responseBodyBytes)
    tries.inc({ upstream: 'app', code: '200' })
    firstByte.observe({ upstream: 'app' }, durationMs / 1000)
    resolutions.inc({ result: 'hit' })
    resolve.observe({ engine: 'db', result: 'hit' }, durationMs / 1e4)
    payload.observe({ direction: 'stored' }, 300)
    decisions.inc({ route: 'app', decision: 'allow', reason: 'user', mode: 'enforce' })
    assertions.inc({ alg: 'EdDSA', cache: 'reused' })
    payload.observe({ direction: 'injected' }, 500)
  }
}

/** Of CPU time, which does not depend on who else wants the machine. */
function microsecondsPerCall(call: (exchange: Exchange) => void): number {
  const rounds = 20
  const start = process.cpuUsage()
  for (let i = 0; i < rounds; i++) for (const exchange of exchanges) call(exchange)
  const { user, system } = process.cpuUsage(start)
  return (user + system) / rounds / exchanges.length
}

/** All ways in turn, several times over, and the median of each. */
function compare(title: string, ways: Readonly<Record<string, (exchange: Exchange) => void>>): void {
  const results = Object.entries(ways).map(([name, call]) => ({ name, call, times: [] as number[] }))
  for (let round = 0; round < 7; round++) for (const { call, times } of results) times.push(microsecondsPerCall(call))
  const median = (times: number[]) => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN
  const first = median(results[0]?.times ?? [])
  for (const { name, times } of results) {
    const ratio = (median(times) / first).toFixed(1)
    console.log(`${title.padEnd(8)} ${name.padEnd(12)} ${median(times).toFixed(2)} µs   × ${ratio}`)
  }
}

compare('line', lines)
compare('metrics', metrics)
