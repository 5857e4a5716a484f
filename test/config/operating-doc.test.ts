import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { accessFields } from '../../src/observe/access-log.ts'
import { createExchange } from '../../src/observe/exchange.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import { createSupervisorMetrics } from '../../src/observe/supervisor-metrics.ts'

const page = readFileSync(resolve(import.meta.dirname, '../../docs/operating.md'), 'utf8')

/** The names in the first column of the tables below that heading. */
function firstColumn(heading: string): string[] {
  const [, after = ''] = page.split(`\n## ${heading}\n`)
  const [section = ''] = after.split('\n## ')
  const cells = [...section.matchAll(/^\| (`.*?`) \|/gm)].map(([, cell = '']) => cell)
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name))
}

test('docs/operating.md has every metric with its labels, and none that there is not', async () => {
  const metrics = createMetrics({
    build: { version: '0', revision: '' },
    config: { hash: '', mode: 'enforce' },
    droppedLogLines: () => 0,
  })
  const supervisor = createSupervisorMetrics(() => ({ up: 1, configured: 1 }))
  const families = [...(await metrics.families()), ...(await supervisor.families())]
  const all = families.map(({ name }) => name).filter((name) => name.startsWith('sessiongate_'))
  // Reloads are told by a single process, and by a supervisor.
  const registered = [...new Set(all)]
  const documented = firstColumn('Metrics').filter((name) => name.startsWith('sessiongate_'))
  assert.deepEqual(documented.toSorted(), registered.toSorted())
})

test('docs/operating.md has every field of a request, and none that there is not', () => {
  const exchange = createExchange({ requestId: 'r', startedAt: 0, peerAddress: '', method: 'GET', scheme: 'http' })
  exchange.error = {
    code: 'ERR_INTERNAL',
    message: 'm',
    proxyError: 'proxy_internal_error',
    facts: {},
    cause: new Error('c'),
  }
  const written = ['time', 'level', 'msg', ...Object.keys(accessFields(exchange))]
  const documented = firstColumn('Logs').filter((name) => !name.includes(' '))
  const messages = new Set(['listening', 'request', 'draining', 'audit'])
  assert.deepEqual(documented.filter((name) => !messages.has(name)).toSorted(), written.toSorted())
})
