import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import { OperationRefused } from '../../../src/admin/operations.ts'
import type { Config } from '../../../src/config/config.ts'
import type { FileSnapshot } from '../../../src/config/snapshot.ts'
import { type Order, PROTOCOL, type Report } from '../../../src/workers/messages.ts'
import type { WorkerOperations } from '../../../src/workers/operating.ts'
import { runWorker, type WorkerGateway } from '../../../src/workers/worker.ts'
import { MINIMAL } from '../../config/sample.ts'
import { within } from '../../support/deadline.ts'

function filesOf(text: string): FileSnapshot {
  return [[`${process.cwd()}/gate.yaml`, Buffer.from(text).toString('base64')]]
}

const start: Order = {
  kind: 'start',
  path: 'gate.yaml',
  files: filesOf(MINIMAL),
  keepsHouse: true,
  ticketSecret: 'AAAA',
  drained: [{ upstream: 'app', server: 'a:1' }],
}

/** Operations of which none is there, but for those given. */
function createOperations(given: Partial<WorkerOperations> = {}): WorkerOperations {
  const missing = (): never => {
    throw new OperationRefused('not here')
  }
  return {
    overview: missing,
    routes: missing,
    explain: missing,
    listSessions: missing,
    showSession: missing,
    revokeSessions: missing,
    upstreams: missing,
    setDrained: missing,
    keys: missing,
    store: missing,
    clearExpired: missing,
    watchRequests: missing,
    ...given,
  }
}

/** A worker whose gateway only notes what it is told. */
function startWorker(gateway: Partial<WorkerGateway> = {}, order: unknown = start) {
  const reports = new PassThrough({ objectMode: true })
  const done: string[] = []
  let listener: (message: unknown) => void = () => undefined
  const worker: WorkerGateway = {
    addresses: ['127.0.0.1:8080'],
    drain: async ({ readinessDelayMs }) => void done.push(`drain after ${readinessDelayMs}`),
    cut: () => void done.push('cut'),
    families: async () => [],
    readiness: async () => ({ isReady: true, checks: { store: 'up' } }),
    prepare: () => Promise.reject(new Error('nothing to be prepared')),
    operations: createOperations(),
    log: { error: (message, fields) => void done.push(`${message} ${JSON.stringify(fields)}`) },
    [Symbol.asyncDispose]: async () => void done.push('closed'),
    ...gateway,
  }
  const exit = runWorker({
    line: {
      send: async (report) => void reports.write(report),
      onMessage(next) {
        listener = next
      },
    },
    version: '1',
    env: {},
    wordsOf: String,
    async openGateway(config, { keepsHouse, ticketSecret, drained }) {
      const without = drained.map(({ server }) => server).join()
      done.push(`opened with ${config.routes.length} routes, ${keepsHouse}, ${ticketSecret.length}, without ${without}`)
      return worker
    },
  })
  const next = async (): Promise<Report> => {
    const report: Report | null = reports.read()
    if (report !== null) return report
    await within('a report', once(reports, 'readable'))
    return await next()
  }
  listener(order)
  return { exit, done, next, tell: (message: unknown) => listener(message) }
}

async function startListening(gateway: Partial<WorkerGateway> = {}) {
  const worker = startWorker(gateway)
  assert.deepEqual(await worker.next(), { kind: 'hello', protocol: PROTOCOL, version: '1' })
  const listeners = [{ address: '127.0.0.1:8080', isTls: false }]
  assert.deepEqual(await worker.next(), { kind: 'listening', listeners })
  return worker
}

describe('a worker', () => {
  test('serves the configuration that it is sent, and answers what it is asked', async () => {
    const { done, next, tell } = await startListening()
    assert.deepEqual(done, ['opened with 2 routes, true, 3, without a:1'])
    tell({ kind: 'ping' })
    assert.deepEqual(await next(), { kind: 'pong' })
    tell({ kind: 'metrics', id: 4 })
    assert.deepEqual(await next(), { kind: 'answer', id: 4, answer: [] })
    tell({ kind: 'readiness', id: 5 })
    assert.deepEqual(await next(), { kind: 'answer', id: 5, answer: { isReady: true, checks: { store: 'up' } } })
  })

  test('does nothing at what is no order', async () => {
    const { next, tell } = await startListening()
    for (const message of [undefined, 'drain', {}, { kind: 'metrics' }, { kind: 'else' }, { kind: 'drain' }])
      tell(message)
    tell({ kind: 'ping' })
    assert.deepEqual(await next(), { kind: 'pong' })
  })

  test('drains once, says what it has counted, closes, and ends with 0', async () => {
    const { done, next, tell, exit } = await startListening()
    tell({ kind: 'drain', readinessDelayMs: 7 })
    tell({ kind: 'drain', readinessDelayMs: 8 })
    assert.deepEqual(await next(), { kind: 'last', families: [] })
    assert.equal(await exit, 0)
    assert.deepEqual(done.slice(1), ['drain after 7', 'closed'])
  })

  test('that is to end at once does not drain', async () => {
    const { done, tell, exit } = await startListening()
    tell({ kind: 'cut' })
    assert.equal(await exit, 0)
    assert.deepEqual(done.slice(1), ['cut', 'closed'])
  })

  test('that cannot start says why, and ends with 1', async () => {
    const worker = startWorker({}, { ...start, files: filesOf('version: 2') })
    await worker.next()
    const report = await worker.next()
    assert.equal(report.kind, 'failed')
    assert.match(report.kind === 'failed' ? report.message : '', /version must be the number 1/)
    assert.equal(await worker.exit, 1)
  })
})

describe('another configuration', () => {
  function preparing(): { gateway: Partial<WorkerGateway>; seen: string[] } {
    const seen: string[] = []
    async function prepare(config: Config) {
      if (config.routes.length > 2) throw new Error('the port is taken')
      seen.push(`prepared ${config.routes.length}`)
      return { commit: () => void seen.push('committed'), [Symbol.asyncDispose]: async () => void seen.push('dropped') }
    }
    return { gateway: { prepare }, seen }
  }
  const prepare = { kind: 'prepare', path: 'gate.yaml', files: filesOf(MINIMAL) }
  const done = (id: number) => ({ kind: 'answer', id, answer: { ok: true } })

  test('is prepared, and serves when it is said so', async () => {
    const { gateway, seen } = preparing()
    const { next, tell } = await startListening(gateway)
    tell({ ...prepare, id: 1 })
    assert.deepEqual(await next(), done(1))
    tell({ kind: 'commit', id: 2 })
    assert.deepEqual(await next(), done(2))
    tell({ kind: 'commit', id: 3 })
    assert.deepEqual(await next(), { kind: 'answer', id: 3, answer: { ok: false, reason: 'nothing was prepared' } })
    assert.deepEqual(seen, ['prepared 2', 'committed'])
  })

  test('is dropped when another worker cannot have it, and when the next one comes', async () => {
    const { gateway, seen } = preparing()
    const { next, tell } = await startListening(gateway)
    tell({ ...prepare, id: 1 })
    await next()
    tell({ kind: 'abort' })
    tell({ ...prepare, id: 2 })
    await next()
    tell({ ...prepare, id: 3 })
    await next()
    assert.deepEqual(seen, ['prepared 2', 'dropped', 'prepared 2', 'dropped', 'prepared 2'])
  })

  test('that cannot be had is answered with the reason', async () => {
    const { gateway } = preparing()
    const { next, tell } = await startListening(gateway)
    const text = `${MINIMAL}  - { id: third, match: { path: /third }, upstream: app, auth: public }\n`
    tell({ ...prepare, files: filesOf(text), id: 1 })
    const report = await next()
    assert.equal(report.kind === 'answer' && (report.answer as { ok: boolean }).ok, false)
  })
})

describe('what the operator asks', () => {
  const operate = (id: number, operation: object) => ({ kind: 'operate', id, operation })
  const begun = (id: number) => ({ kind: 'begun', id })
  const answered = (id: number, answer: unknown) => ({ kind: 'answer', id, answer })

  test('is answered, and said to have begun before', async () => {
    const drained: string[] = []
    const operations = createOperations({
      routes: () => [],
      showSession: async () => undefined,
      explain: async ({ url, session }) => ({ ...explained, target: `${url} ${session}` }),
      setDrained: ({ server }, isDrained) => drained.push(`${server} ${isDrained}`) > 0,
    })
    const { next, tell } = await startListening({ operations })
    const cases: [operation: object, value: unknown][] = [
      [{ name: 'routes' }, []],
      [{ name: 'showSession', id: 'x' }, null],
      [
        { name: 'explain', method: 'GET', url: '/' },
        { ...explained, target: '/ undefined' },
      ],
      [{ name: 'setDrained', place: { upstream: 'app', server: 'a:1' }, isDrained: true }, true],
    ]
    for (const [at, [operation, value]] of cases.entries()) {
      tell(operate(at, operation))
      assert.deepEqual(await next(), begun(at))
      assert.deepEqual(await next(), answered(at, { kind: 'done', value }))
    }
    assert.deepEqual(drained, ['a:1 true'])
  })

  test('is refused in its own words, and what fails is told to the log alone, without values', async () => {
    const operations = createOperations({ store: () => Promise.reject(new TypeError('canary')) })
    const { next, tell, done } = await startListening({ operations })
    tell(operate(1, { name: 'routes' }))
    assert.deepEqual([await next(), await next()], [begun(1), answered(1, { kind: 'refused', message: 'not here' })])
    tell(operate(2, { name: 'store', isCounted: false }))
    assert.deepEqual([await next(), await next()], [begun(2), answered(2, { kind: 'failed' })])
    assert.match(done.at(-1) ?? '', /^an operator’s request failed .*TypeError/)
    assert.doesNotMatch(done.join(), /canary/)
  })

  test('is nothing if it is none of the questions', async () => {
    const { next, tell } = await startListening()
    for (const operation of [{ name: 'reload' }, { name: 'watchRequests' }, { name: 'showSession' }, {}, null])
      tell(operate(1, operation as object))
    tell({ kind: 'ping' })
    assert.deepEqual(await next(), { kind: 'pong' })
  })

  test('requests are sent while somebody watches, and what had not gone goes before the end', async () => {
    const listeners = new Set<(line: string) => void>()
    const end = (line: string): void => listeners.forEach((listener) => void listener(line))
    const operations = createOperations({
      watchRequests(onLine) {
        listeners.add(onLine)
        return () => void listeners.delete(onLine)
      },
    })
    const { next, tell, exit } = await startListening({ operations })
    assert.equal(listeners.size, 0)
    tell({ kind: 'watch', isOn: true })
    end('{"a":1}')
    end('{"a":2}')
    assert.deepEqual(await next(), { kind: 'requests', lines: ['{"a":1}', '{"a":2}'], leftOut: 0 })
    tell({ kind: 'watch', isOn: false })
    assert.equal(listeners.size, 0)
    tell({ kind: 'watch', isOn: true })
    end('{"a":3}')
    tell({ kind: 'drain', readinessDelayMs: 0 })
    assert.deepEqual(await next(), { kind: 'requests', lines: ['{"a":3}'], leftOut: 0 })
    assert.equal((await next()).kind, 'last')
    assert.equal(await exit, 0)
  })
})

const explained = {
  target: '/',
  route: null,
  goes_up_as: null,
  rules: [],
  outcome: 'forwarded',
  status: null,
  location: null,
  reason: null,
  headers_up: [],
}
