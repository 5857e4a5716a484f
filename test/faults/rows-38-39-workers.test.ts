import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until } from '../support/deadline.ts'
import { findFreePort } from '../support/postgres.ts'
import { isRunning, pidsOf } from '../support/workers.ts'
import { times } from './stage.ts'
import { countOf, openWorkers } from './worker-stage.ts'

describe('row 38: restarts', () => {
  test('row 38: rolling restarts of two workers under 500 requests a second: none fails', async (context) => {
    await using gate = await openWorkers()
    await using probe = gate.probe(500)
    const rolls = times({ usual: 2, whole: 20 })
    for (let roll = 1; roll <= rolls; roll++) {
      gate.gateway.process.kill('SIGUSR2')
      await until(`roll ${roll} ends`, () => countOf(gate, 'rolling restart ended') === roll, 60_000)
    }
    const { asked, failures } = await probe.end()
    context.diagnostic(`${rolls} rolling restarts of 2 workers: ${asked} requests, ${failures.length} failed`)
    assert.deepEqual(failures, [])
    assert.equal(await gate.metric('sessiongate_worker_restarts_total{reason="roll"}'), 2 * rolls)
    const counted = await gate.metric('sessiongate_http_requests_total{route="well",method="GET",code="200"}')
    assert.equal(counted, asked, 'those that are gone have counted too')
    assert.equal(await gate.gateway.stop(), 0)
  })
})

describe('row 39: the supervisor is killed', () => {
  test('row 39: its workers end, and the port is free at once', async () => {
    const port = await findFreePort()
    const sections = `listen: [{ address: "127.0.0.1:${port}" }]`
    for (let i = 0; i < times({ usual: 1, whole: 20 }); i++) {
      await using gate = await openWorkers(sections)
      await using probe = gate.probe(100)
      await until('the load is there', () => probe.answered() > 20)
      const pids = pidsOf(gate.gateway)
      gate.gateway.process.kill('SIGKILL')
      await until('the port is free', () => gate.gateway.process.signalCode !== null)
      await using next = await openWorkers(sections)
      await next.assertServes()
      await until('the workers before are gone', () => !pids.some(isRunning))
    }
  })
})
