import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until } from '../support/deadline.ts'
import { findFreePort } from '../support/postgres.ts'
import { isRunning, pidsOf } from '../support/workers.ts'
import { pause, times } from './stage.ts'
import { isLoggedAsStarted, noticed, noticesOf, openWorkers, startsOf } from './worker-stage.ts'

describe('row 36: a worker dies', () => {
  for (const signal of ['SIGKILL', 'SIGSEGV'] as const) {
    test(`row 36: by ${signal} under load: only what was in flight there fails, and it is replaced`, async (context) => {
      await using gate = await openWorkers()
      await using probe = gate.probe(400)
      const kills = times({ usual: 1, whole: 20 })
      let inFlight = 0
      for (let kill = 1; kill <= kills; kill++) {
        const answered = probe.answered()
        await until('the load is there', () => probe.answered() > answered + 100)
        const [pid = 0] = pidsOf(gate.gateway)
        inFlight += probe.running()
        process.kill(pid, signal)
        const noticedMs = await noticed(gate, kill)
        const late = probe.failures().filter(({ beganMs }) => beganMs > noticedMs)
        assert.deepEqual(late, [], 'after the worker was gone')
        await until(
          'there are two again',
          () => pidsOf(gate.gateway).length === 2 && startsOf(gate) === 2 + kill,
          60_000,
        )
      }
      const { asked, failures } = await probe.end()
      context.diagnostic(`${kills} kills: ${asked} requests, ${inFlight} in flight then, ${failures.length} failed`)
      const reasons = new Set(failures.map(({ why }) => why))
      assert.deepEqual(
        [...reasons].filter((why) => !/ECONNRESET|socket hang up|EPIPE|aborted/.test(why)),
        [],
      )
      // Two requests of each kept connection may meet one that is just ending; nothing else is more than was in flight.
      assert.ok(failures.length <= inFlight + 16 * kills, `${failures.length} failed, ${inFlight} were in flight`)
      assert.equal(await gate.metric('sessiongate_worker_restarts_total{reason="crash"}'), kills)
      assert.ok((await gate.metric('sessiongate_http_requests_total{route="well",method="GET",code="200"}')) > 0)
    })
  }

  test('row 36: again and again: never more than one start a second, and the other serves', async (context) => {
    await using gate = await openWorkers()
    const [victim = 0, other = 0] = pidsOf(gate.gateway)
    process.kill(victim, 'SIGKILL')
    const beganMs = performance.now()
    const enough = 2 + times({ usual: 3, whole: 10 })
    let refused = 0
    let served = 0
    while (startsOf(gate) < enough && performance.now() - beganMs < 240_000) {
      for (const pid of pidsOf(gate.gateway)) {
        if (pid !== other && startsOf(gate) > 2 && isLoggedAsStarted(gate, pid)) process.kill(pid, 'SIGKILL')
      }
      const { status } = await gate.ask('/well').catch(() => ({ status: 0 }))
      if (status === 200) served += 1
      else refused += 1
    }
    const seconds = (performance.now() - beganMs) / 1000
    const starts = startsOf(gate) - 2
    context.diagnostic(`${starts} starts in ${seconds.toFixed(1)} s; ${served} served, ${refused} cut with a worker`)
    assert.ok(startsOf(gate) >= enough && starts <= seconds + 1, `${starts} starts`)
    assert.ok(refused <= starts + 1, `${refused} of ${served + refused} failed, ${starts} workers were killed`)
    assert.equal(isRunning(other), true)
  })

  test('row 36: all at once: they are back within seconds, on the same supervisor', async () => {
    await using gate = await openWorkers(`listen: [{ address: "127.0.0.1:${await findFreePort()}" }]`)
    for (const pid of pidsOf(gate.gateway)) process.kill(pid, 'SIGKILL')
    await until('they are noticed', () => noticesOf(gate) === 2)
    await until('both are back', () => startsOf(gate) === 4, 60_000)
    await gate.assertServes()
  })
})

describe('row 37: an event loop stands still', () => {
  test('row 37: the others serve, the worker is killed after ten seconds and replaced', async () => {
    await using gate = await openWorkers()
    const [victim = 0] = pidsOf(gate.gateway)
    process.kill(victim, 'SIGSTOP')
    // What is handed to it waits for it; everything else is served.
    const held = fetch(`${gate.gateway.url}/well`, { headers: { connection: 'close' } }).then(
      ({ status }) => status,
      () => 0,
    )
    for (let i = 0; i < 20; i++)
      await Promise.race([
        held,
        gate.ask('/well').then(
          () => undefined,
          () => undefined,
        ),
      ])
    const isGivenUp = (msg: string): boolean => msg === 'worker stood still and was killed'
    await until('the worker is given up', () => gate.gateway.log.some(({ msg }) => isGivenUp(msg)), 60_000)
    const line = await gate.gateway.logged('it', ({ msg }) => isGivenUp(msg))
    assert.deepEqual([line.pid, line.signal], [victim, 'SIGKILL'])
    assert.equal(await held, 200, 'it came to another worker in the end')
    await until('the new one serves', () => startsOf(gate) === 3, 30_000)
    await gate.assertServes()
    assert.equal(await gate.metric('sessiongate_worker_restarts_total{reason="stall"}'), 1)
  })

  test('row 37: one that stood for a moment lives on, and the metric says for how long', async () => {
    await using gate = await openWorkers()
    const [victim = 0] = pidsOf(gate.gateway)
    process.kill(victim, 'SIGSTOP')
    await pause(1_500)
    process.kill(victim, 'SIGCONT')
    await until('the delay is told', () => isRunning(victim))
    const giveUpAt = performance.now() + 10_000
    for (let seen = 0; seen < 1; seen = await gate.metric('nodejs_eventloop_lag_max_seconds')) {
      assert.ok(performance.now() < giveUpAt, `${seen} s`)
    }
    assert.equal(await gate.metric('sessiongate_worker_restarts_total{reason="stall"}'), 0)
  })
})
