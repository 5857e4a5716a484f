import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import type { Config } from '../../../src/config/config.ts'
import type { FileSnapshot } from '../../../src/config/snapshot.ts'
import type { Order, Report } from '../../../src/workers/messages.ts'
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
    async openGateway(config, { keepsHouse, ticketSecret }) {
      done.push(`opened with ${config.routes.length} routes, ${keepsHouse}, ${ticketSecret.length}`)
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
  assert.deepEqual(await worker.next(), { kind: 'hello', protocol: 1, version: '1' })
  const listeners = [{ address: '127.0.0.1:8080', isTls: false }]
  assert.deepEqual(await worker.next(), { kind: 'listening', listeners })
  return worker
}

describe('a worker', () => {
  test('serves the configuration that it is sent, and answers what it is asked', async () => {
    const { done, next, tell } = await startListening()
    assert.deepEqual(done, ['opened with 2 routes, true, 3'])
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
