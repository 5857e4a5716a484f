import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TunnelEnd } from '../../../src/proxy/tunnel.ts'
import type { Readmission } from '../../../src/server/admission.ts'
import { createTunnels } from '../../../src/server/tunnels.ts'
import type { SessionNotice } from '../../../src/sessions/watched-notices.ts'
import { turns } from '../../support/deadline.ts'
import { createTestScheduler } from '../sessions/test-scheduler.ts'

const START = Date.UTC(2026, 10, 23, 12)
const MINUTE_MS = 60_000

/** A tunnel that is open, and everything that its guard asks and does. */
interface OpenTunnel {
  readonly ends: string[]
  readonly looks: () => number
  readonly isWatched: () => boolean
  tell(notice: SessionNotice): void
  close(): void
}

/** Time, the session behind each tunnel, and how long it takes to ask for it. */
function createWorld() {
  const scheduler = createTestScheduler()
  const clock = () => START + scheduler.nowMs()
  const tunnels = createTunnels({ clock, scheduler })
  const world = {
    scheduler,
    tunnels,
    clock,
    underWay: 0,
    most: 0,
    answer: async (): Promise<Readmission> => ({ isAdmitted: true, until: undefined }),
    open(): OpenTunnel {
      const { promise: closed, resolve } = Promise.withResolvers<{ reason: TunnelEnd }>()
      const ends: string[] = []
      let listener: ((notice: SessionNotice) => void) | undefined
      let looks = 0
      tunnels.add({
        tunnel: { closed, end: (code, reason) => void ends.push(`${code} ${reason}`) },
        async readmit() {
          looks += 1
          world.underWay += 1
          world.most = Math.max(world.most, world.underWay)
          try {
            return await world.answer()
          } finally {
            world.underWay -= 1
          }
        },
        watch(onNotice) {
          listener = onNotice
          return () => {
            listener = undefined
          }
        },
      })
      return {
        ends,
        looks: () => looks,
        isWatched: () => listener !== undefined,
        tell: (notice) => listener?.(notice),
        close: () => resolve({ reason: 'client' }),
      }
    },
  }
  return world
}

const no: Readmission = { isAdmitted: false, until: undefined }

test('the route is asked right after the opening, and then at least once a minute', async () => {
  const world = createWorld()
  const tunnel = world.open()
  await turns()
  assert.equal(tunnel.looks(), 1)
  for (let minute = 1; minute <= 10; minute++) {
    const before = tunnel.looks()
    await world.scheduler.pass(MINUTE_MS)
    assert.ok(tunnel.looks() > before, `minute ${minute}`)
  }
  assert.ok(tunnel.looks() <= 14, `${tunnel.looks()} looks in ten minutes`)
  world.answer = async () => no
  await world.scheduler.pass(MINUTE_MS)
  assert.equal(tunnel.ends[0], '1008 the session has ended')
})

test('each change is looked at at once, the second as well as the first', async () => {
  const world = createWorld()
  const tunnel = world.open()
  await world.scheduler.pass(1_000)
  tunnel.tell('changed')
  await turns()
  assert.equal(tunnel.looks(), 2)
  await world.scheduler.pass(1_000)
  world.answer = async () => no
  tunnel.tell('changed')
  await turns()
  assert.deepEqual(tunnel.ends, ['1008 the session has ended'])
})

test('a session that changes all the time is looked at five times a second, and after its last change', async () => {
  const world = createWorld()
  const tunnel = world.open()
  await world.scheduler.pass(1_000)
  const before = tunnel.looks()
  for (let i = 0; i < 1_000; i++) {
    tunnel.tell('changed')
    await world.scheduler.pass(1)
  }
  assert.ok(tunnel.looks() - before <= 6, `${tunnel.looks() - before} looks`)
  world.answer = async () => no
  tunnel.tell('changed')
  await world.scheduler.pass(200)
  assert.deepEqual(tunnel.ends, ['1008 the session has ended'])
})

test('what is told during a look is looked at after it', async () => {
  const world = createWorld()
  const tunnel = world.open()
  await world.scheduler.pass(1_000)
  const held = Promise.withResolvers<Readmission>()
  world.answer = () => held.promise
  tunnel.tell('changed')
  await turns()
  tunnel.tell('changed')
  world.answer = async () => no
  held.resolve({ isAdmitted: true, until: undefined })
  await world.scheduler.pass(200)
  assert.deepEqual(tunnel.ends, ['1008 the session has ended'])
})

test('when any session may have changed, thousands are looked at a few at a time, and within seconds', async () => {
  const world = createWorld()
  const open = Array.from({ length: 2_000 }, () => world.open())
  await turns(400)
  await world.scheduler.pass(5_000)
  world.most = 0
  let asked = 0
  world.answer = async () => {
    asked += 1
    await new Promise((resolve) => setImmediate(resolve))
    return { isAdmitted: true, until: undefined }
  }
  for (const tunnel of open) tunnel.tell('perhaps')
  for (const tunnel of open) tunnel.tell('perhaps')
  await turns(400)
  assert.equal(asked, 2_000)
  assert.ok(world.most <= 32, `${world.most} at once`)
  for (let i = 0; i < 10; i++) {
    for (const tunnel of open) tunnel.tell('perhaps')
    await world.scheduler.pass(100)
  }
  assert.equal(asked, 2_000, 'not again within two seconds')
  await world.scheduler.pass(2_000)
  await turns(400)
  assert.equal(asked, 4_000)
})

test('a change of one session does not wait until all have been looked at', async () => {
  const world = createWorld()
  const open = Array.from({ length: 500 }, () => world.open())
  await turns(100)
  await world.scheduler.pass(5_000)
  const held: (() => void)[] = []
  world.answer = () => new Promise((resolve) => void held.push(() => resolve({ isAdmitted: true, until: undefined })))
  for (const tunnel of open) tunnel.tell('perhaps')
  await turns()
  assert.equal(held.length, 32)
  const last = open.at(-1)
  const before = last?.looks() ?? 0
  last?.tell('changed')
  held.shift()?.()
  await turns()
  assert.equal(last?.looks(), before + 1)
})

test('a session that is over by its date is looked at then, not at the next minute', async () => {
  const world = createWorld()
  const until = world.clock() + 10_000
  world.answer = async () => ({ isAdmitted: world.clock() < until, until })
  const tunnel = world.open()
  await world.scheduler.pass(9_999)
  assert.deepEqual(tunnel.ends, [])
  await world.scheduler.pass(101)
  assert.equal(tunnel.ends[0], '1008 the session has ended')
})

test('a session that was renewed ends by its new date', async () => {
  const world = createWorld()
  let until = world.clock() + 10_000
  world.answer = async () => ({ isAdmitted: world.clock() < until, until })
  const tunnel = world.open()
  await world.scheduler.pass(5_000)
  until += 10_000
  await world.scheduler.pass(14_900)
  assert.deepEqual(tunnel.ends, [])
  await world.scheduler.pass(200)
  assert.equal(tunnel.ends[0], '1008 the session has ended')
})

test('dates that no timer holds, and ends that are past by our clock alone, are no reason to ask all the time', async () => {
  for (const until of [START + 40 * 86_400_000, Number.POSITIVE_INFINITY, 8.64e15, START - 86_400_000]) {
    const world = createWorld()
    world.answer = async () => ({ isAdmitted: true, until })
    const tunnel = world.open()
    await world.scheduler.pass(30_000)
    assert.ok(tunnel.looks() <= (until < START ? 31 : 1), `${tunnel.looks()} looks with ${until}`)
    assert.deepEqual(tunnel.ends, [])
  }
})

test('a store that cannot be asked is asked again every few seconds, and after two minutes the socket ends', async () => {
  const world = createWorld()
  const tunnel = world.open()
  await world.scheduler.pass(1_000)
  world.answer = async () => {
    throw new Error('the store is down')
  }
  tunnel.tell('perhaps')
  await world.scheduler.pass(110_000)
  assert.ok(tunnel.looks() >= 10 && tunnel.looks() <= 40, `${tunnel.looks()} looks`)
  assert.deepEqual(tunnel.ends, [])
  await world.scheduler.pass(20_000)
  assert.equal(tunnel.ends[0], '1008 the session cannot be checked')
})

test('a tunnel that is closed is not asked for any more, and leaves nothing behind', async () => {
  const world = createWorld()
  const tunnel = world.open()
  await turns()
  const held = Promise.withResolvers<Readmission>()
  world.answer = () => held.promise
  await world.scheduler.pass(MINUTE_MS)
  assert.equal(world.underWay, 1)
  tunnel.tell('changed')
  tunnel.close()
  await turns()
  held.resolve(no)
  await turns()
  assert.deepEqual([tunnel.isWatched(), world.scheduler.waiting, world.underWay], [false, 0, 0])
  const before = tunnel.looks()
  await world.scheduler.pass(10 * MINUTE_MS)
  assert.equal(tunnel.looks(), before)
})

test('at the end all are told, also one that opens later', async () => {
  const world = createWorld()
  const tunnel = world.open()
  world.tunnels.endAll()
  const late = world.open()
  for (const { ends } of [tunnel, late]) assert.deepEqual(ends, ['1001 the gateway is shutting down'])
})
