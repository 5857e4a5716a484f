import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { describe, test } from 'node:test'
import type { FleetConfig } from '../../../src/workers/fleet-options.ts'
import { createRestartSchedule, type RestartSchedule } from '../../../src/workers/restart-schedule.ts'
import { within } from '../../support/deadline.ts'
import { configOf, openFakeFleet } from './stage.ts'

/** Without the pauses that a machine is spared with. */
const atOnce = { waitMs: () => 0 }

describe('the start', () => {
  test('what listens is said first, then who serves, and then what the workers have to say', async () => {
    await using stage = await openFakeFleet({ workers: 2, behaviours: [{ lines: ['{"msg":"of a worker"}'] }] })
    await stage.logged('of a worker', 2)
    const messages = stage.lines.map((line) => (JSON.parse(line) as { msg: string }).msg)
    assert.deepEqual(messages.slice(0, 4), ['listening', 'operator listening', 'worker started', 'worker started'])
    assert.deepEqual(stage.fleet.addresses, ['fake:1'])
  })

  const failures: [why: string, behaviours: Parameters<typeof openFakeFleet>[0]['behaviours'], words: RegExp][] = [
    ['the first says why', [{ fails: 'the port is taken' }], /^Error: the port is taken$/],
    ['the second says why', [{}, { fails: 'no more room' }], /^Error: no more room$/],
    ['one ends without a word', [{}, { vanishes: true }], /ended with 7 before it listened/],
    ['one speaks another language', [{ protocol: 99 }], /version 9 does not understand/],
  ]
  for (const [why, behaviours = [], words] of failures) {
    test(`where one cannot start, none is left: ${why}`, async () => {
      await assert.rejects(openFakeFleet({ workers: 2, behaviours }), (error) => words.test(String(error)))
    })
  }

  test('a worker that never listens is killed', async () => {
    const stuck = openFakeFleet({ workers: 1, behaviours: [{ blocks: true }], times: { startMs: 1 } })
    await assert.rejects(stuck, /did not listen within 1 ms/)
  })
})

describe('a worker that dies', () => {
  test('is replaced, counted and told of, and the others go on', async () => {
    await using stage = await openFakeFleet({ workers: 2, schedule: atOnce })
    const [first, second] = stage.children
    first?.kill('SIGKILL')
    const line = await stage.logged('worker ended, it is replaced')
    assert.deepEqual([line.worker, line.pid, line.signal], [0, first?.pid, 'SIGKILL'])
    await stage.logged('worker started', 3)
    assert.equal((await stage.ready()).checks.workers, '2/2')
    assert.equal(await stage.metric('sessiongate_worker_restarts_total{reason="crash"}'), 1)
    assert.equal(await stage.metric('sessiongate_workers_up'), 2)
    assert.equal(second?.exitCode, null)
  })

  test('again and again: never more than one start a second, and each time longer', async () => {
    const real = createRestartSchedule()
    const dueMs: number[] = []
    const schedule: RestartSchedule = {
      waitMs(slot, livedMs) {
        const waitMs = real.waitMs(slot, livedMs)
        dueMs.push(performance.now() + waitMs)
        return waitMs
      },
    }
    await using stage = await openFakeFleet({ workers: 2, behaviours: [{}, {}, { dies: true }], schedule })
    for (const child of stage.children.slice(0, 2)) child.kill('SIGKILL')
    // Two slots, each after 1 s and 2 s more.
    await stage.logged('worker ended, it is replaced', 6)
    const due = dueMs.toSorted((a, b) => a - b)
    const gaps = due.slice(1).map((ms, i) => ms - (due[i] ?? 0))
    assert.ok(
      gaps.every((gap) => gap > 950),
      gaps.join(),
    )
    // Late on a busy machine, but none before its time; a millisecond is what timers are cut to.
    const starts = stage.forkedAtMs.slice(2)
    assert.equal(starts.length, 4)
    for (const [at, ms] of starts.entries()) assert.ok(ms >= (due[at] ?? 0) - 2, `${starts} for ${due}`)
    assert.equal((await stage.ready()).status, 503)
  })

  test('and whose replacement does not start: it is tried again', async () => {
    const behaviours = [{}, {}, { fails: 'not now' }, {}]
    await using stage = await openFakeFleet({ workers: 2, behaviours, schedule: atOnce })
    stage.children[1]?.kill('SIGKILL')
    assert.equal((await stage.logged('worker does not start')).reason, 'not now')
    await stage.logged('worker started', 3)
    assert.equal((await stage.ready()).checks.workers, '2/2')
  })

  test('by standing still: it is killed and replaced', async () => {
    const times = { pingMs: 20, pingsMissed: 5 }
    await using stage = await openFakeFleet({
      workers: 2,
      behaviours: [{}, { blocks: true }, {}],
      times,
      schedule: atOnce,
    })
    assert.equal((await stage.logged('worker stood still and was killed')).worker, 1)
    await stage.logged('worker started', 3)
    assert.equal(await stage.metric('sessiongate_worker_restarts_total{reason="stall"}'), 1)
    assert.equal(stage.children[0]?.signalCode, null)
  })
})

test('who lives long is replaced at once, but no two within a second; who dies young waits twice as long each time', () => {
  let nowMs = 0
  const { waitMs } = createRestartSchedule(() => nowMs)
  assert.deepEqual([waitMs(0, 60_000), waitMs(1, 60_000), waitMs(2, 60_000)], [0, 1_000, 2_000])
  nowMs = 100_000
  const waits: number[] = []
  for (let i = 0; i < 7; i++) {
    const wait = waitMs(3, 0)
    waits.push(wait)
    nowMs += wait + 50
  }
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
  nowMs += 5_000
  // One that has to wait for long does not hold up the others.
  waitMs(3, 0)
  assert.equal(waitMs(4, 60_000), 0)
  assert.equal(waitMs(3, 20_000) >= 0, true)
})

describe('a rolling restart', () => {
  test('replaces one after the other, and the new one serves before the old one ends', async () => {
    await using stage = await openFakeFleet({ workers: 2 })
    const [first, second] = stage.children
    await stage.fleet.roll()
    assert.deepEqual([first?.exitCode, second?.exitCode], [0, 0])
    assert.equal(stage.children.length, 4)
    assert.equal(await stage.metric('sessiongate_worker_restarts_total{reason="roll"}'), 2)
    assert.equal(await stage.metric('sessiongate_worker_restarts_total{reason="crash"}'), 0)
    assert.equal((await stage.ready()).checks.workers, '2/2')
  })

  test('stops where the new one does not start, and the old one stays', async () => {
    await using stage = await openFakeFleet({ workers: 2, behaviours: [{}, {}, { fails: 'a bad build' }] })
    await stage.fleet.roll()
    const line = await stage.logged('rolling restart stopped, the workers before stay')
    assert.equal(line.reason, 'a bad build')
    assert.deepEqual([stage.children[0]?.exitCode, stage.children[1]?.exitCode], [null, null])
    assert.equal((await stage.ready()).checks.workers, '2/2')
  })

  test('kills an old one that does not end in time', async () => {
    await using stage = await openFakeFleet({ workers: 1, behaviours: [{ staysOn: true }, {}], drainMs: -2_900 })
    await stage.fleet.roll()
    assert.equal(stage.children[0]?.signalCode, 'SIGKILL')
  })
})

describe('metrics', () => {
  test('are sums, and what is gone has been counted', async () => {
    const behaviours = [{ counted: 5 }, { counted: 7, countedAtEnd: 9 }, { counted: 1 }]
    await using stage = await openFakeFleet({ workers: 2, behaviours, schedule: atOnce })
    assert.equal(await stage.metric('fake_total{of="fake"}'), 12)
    assert.equal(await stage.metric('fake_now{of="fake"}'), 12)
    stage.children[0]?.kill('SIGKILL')
    await stage.logged('worker started', 3)
    assert.equal(await stage.metric('fake_total{of="fake"}'), 13, 'what the killed one said last, and the new one’s')
    assert.equal(await stage.metric('fake_now{of="fake"}'), 8, 'only of those that live')
    await stage.fleet.roll()
    // Killed 5, ended politely 9 and 1, and two that serve.
    assert.equal(await stage.metric('fake_total{of="fake"}'), 17)
    await stage.fleet.roll()
    assert.equal(await stage.metric('fake_total{of="fake"}'), 19)
  })

  test('of a worker that does not answer are those of before', async () => {
    await using stage = await openFakeFleet({ workers: 2, behaviours: [{ counted: 5 }, { isMute: true }] })
    assert.equal(await stage.metric('fake_total{of="fake"}'), 5)
    assert.ok((await stage.metric('process_cpu_seconds_total')) !== undefined, 'the supervisor’s own')
    assert.equal(await stage.metric('nodejs_heap_size_used_bytes'), undefined)
  })
})

describe('readiness', () => {
  test('one that is ready is enough', async () => {
    await using stage = await openFakeFleet({ workers: 2, behaviours: [{ isReady: false }, {}] })
    const { ready, checks } = await stage.ready()
    assert.deepEqual([ready, checks.workers, checks.store], [true, '1/2', 'up'])
  })

  test('none that is ready is not', async () => {
    await using stage = await openFakeFleet({ workers: 2, behaviours: [{ isReady: false }] })
    assert.deepEqual([(await stage.ready()).status, (await stage.ready()).checks.workers], [503, '0/2'])
  })
})

describe('the end', () => {
  test('workers drain, and one that does not is killed in the end', async () => {
    const behaviours = [{}, { staysOn: true }]
    await using stage = await openFakeFleet({ workers: 2, behaviours, drainMs: -2_900 })
    const drained = stage.fleet.drain()
    assert.equal((await stage.ready()).checks.listener, 'draining')
    await within('the end', drained)
    assert.deepEqual([stage.children[0]?.exitCode, stage.children[1]?.signalCode], [0, 'SIGKILL'])
  })

  test('when the supervisor is cut, no worker waits', async () => {
    await using stage = await openFakeFleet({ workers: 2, behaviours: [{ staysOn: true }] })
    const ends = stage.children.map((child) => once(child, 'exit'))
    stage.fleet.cut()
    await within('the end', Promise.all(ends))
  })
})

describe('another configuration', () => {
  test('is in force in all workers, and in those that come later', async () => {
    await using stage = await openFakeFleet({ workers: 2, schedule: atOnce })
    await stage.fleet.apply(configOf(2, 'second'))
    assert.equal((await stage.ready()).checks.configuration, 'second')
    for (const child of [...stage.children]) child.kill('SIGKILL')
    await stage.logged('worker started', 4)
    assert.equal((await stage.ready()).checks.configuration, 'second')
  })

  test('that one of them refuses is in force in none', async () => {
    await using stage = await openFakeFleet({ workers: 2, behaviours: [{}, { refuses: 'no such key' }] })
    await assert.rejects(stage.fleet.apply(configOf(2, 'second')), /^Error: no such key$/)
    stage.children[1]?.kill('SIGKILL')
    await stage.logged('worker ended, it is replaced')
    assert.equal((await stage.ready()).checks.configuration, 'first')
  })

  test('is not held up by one that dies of it', async () => {
    const behaviours = [{}, { diesPreparing: true }, {}]
    await using stage = await openFakeFleet({ workers: 2, behaviours, schedule: atOnce })
    await stage.fleet.apply(configOf(2, 'second'))
    await stage.logged('worker started', 3)
    assert.equal((await stage.ready()).checks.configuration, 'second')
  })

  test('may have more workers, or fewer', async () => {
    await using stage = await openFakeFleet({ workers: 2 })
    await stage.fleet.apply(configOf(3, 'second'))
    await stage.logged('worker started', 3)
    assert.equal((await stage.ready()).checks.workers, '3/3')
    const ended = once(stage.children[2] ?? assert.fail(), 'exit')
    await stage.fleet.apply(configOf(2, 'third'))
    assert.deepEqual(await within('the third to end', ended), [0, null])
    assert.equal((await stage.ready()).checks.workers, '2/2')
  })

  test('without workers needs a restart', async () => {
    await using stage = await openFakeFleet({ workers: 2 })
    await assert.rejects(stage.fleet.apply(configOf(1, 'second')), /needs a restart/)
    assert.equal((await stage.ready()).checks.configuration, 'first')
  })

  test('may place the operator elsewhere; where that cannot be, it is in force in no worker', async () => {
    await using stage = await openFakeFleet({ workers: 2 })
    const before = stage.fleet.operatorAddress ?? assert.fail()
    await using taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const atPort = (each: number): FleetConfig => {
      const { config, ...rest } = configOf(2, 'second')
      const { admin = assert.fail() } = config
      const address = { kind: 'tcp', host: '127.0.0.1', port: each } as const
      return { ...rest, config: { ...config, admin: { ...admin, listen: { text: `port ${each}`, address } } } }
    }
    await assert.rejects(stage.fleet.apply(atPort(port)), /EADDRINUSE/)
    assert.deepEqual([stage.fleet.operatorAddress, (await stage.ready()).checks.configuration], [before, 'first'])
    await taken[Symbol.asyncDispose]()
    await stage.fleet.apply(atPort(port))
    assert.equal(stage.fleet.operatorAddress, `127.0.0.1:${port}`)
    assert.equal((await stage.ready()).checks.configuration, 'second')
    await assert.rejects(fetch(`http://${before}/readyz`))
  })

  test('that a worker refuses opens nothing for the operator either', async () => {
    await using stage = await openFakeFleet({ workers: 2, behaviours: [{}, { refuses: 'no such key' }] })
    const { config, ...rest } = configOf(2, 'second')
    const probes = {
      listen: { text: 'p', address: { kind: 'unix', path: `/tmp/probes-${process.pid}.sock` } as const },
    }
    await assert.rejects(stage.fleet.apply({ ...rest, config: { ...config, probes } }), /no such key/)
    assert.equal(existsSync(probes.listen.address.path), false)
  })
})
