/**
 * What one access-log line costs, made as `observe/log.ts` makes it and by pino's logger; both without writing.
 * Prints the ratio: `node bench/log-line.ts`.
 */
import { pino, stdTimeFunctions } from 'pino'
import { accessFields } from '../src/observe/access-log.ts'
import { createExchange } from '../src/observe/exchange.ts'

const exchange = createExchange({
  requestId: '0193e4d0-1111-7000-8000-1234567890ab',
  startedAt: Date.now(),
  peerAddress: '127.0.0.1',
  method: 'GET',
  scheme: 'http',
})
Object.assign(exchange, {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  host: '127.0.0.1',
  path: '/cart',
  userAgent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36',
  routeId: 'app',
  outcome: 'forwarded',
  status: 200,
  durationMs: 1.234,
  session: { result: 'hit', idHash: 'abcdefghijklmnopqrstuv', engine: 'db', resolveMs: 0.03 },
  decision: { outcome: 'allow', reason: 'user', mode: 'enforce' },
  upstream: { name: 'app', attempts: [{ address: '127.0.0.1:8000', status: 200, firstByteMs: 0.8 }], durationMs: 1 },
})

let written = 0
const sink = {
  write(line: string) {
    written += line.length
  },
}
const logger = pino({ base: null, timestamp: stdTimeFunctions.isoTime }, sink)

const candidates = {
  stringify: () =>
    sink.write(
      `{"time":"${new Date().toISOString()}","level":"info","msg":"request",${JSON.stringify(accessFields(exchange)).slice(1)}\n`,
    ),
  pino: () => logger.info(accessFields(exchange), 'request'),
}

function microsecondsPerCall(call: () => void): number {
  const calls = 200_000
  const start = performance.now()
  for (let i = 0; i < calls; i++) call()
  return ((performance.now() - start) / calls) * 1000
}

const results = { stringify: [] as number[], pino: [] as number[] }
for (let round = 0; round < 5; round++) {
  results.stringify.push(microsecondsPerCall(candidates.stringify))
  results.pino.push(microsecondsPerCall(candidates.pino))
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
const [ours, theirs] = [median(results.stringify), median(results.pino)]
console.log(`stringify ${ours.toFixed(2)} µs, pino ${theirs.toFixed(2)} µs, ratio ${(theirs / ours).toFixed(1)}`)
console.log(`(${written} characters made and thrown away)`)
