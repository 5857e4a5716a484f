import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { runEveryOrder } from './engines/interleavings.ts'
import { atOnce, dyingAfter, KEY, type Step, TwoStores } from './two-stores.ts'

type Op = 'load' | 'change' | 'cycle' | 'delete' | 'take'
/** Gateways to which the sessions move, gateways that are not so far yet, and `sessions copy --move`. */
type Client = `${'new' | 'old'} ${Exclude<Op, 'take'>}` | 'take'

async function perform(world: TwoStores, client: Client, step: Step): Promise<void> {
  if (client === 'take') return await world.take(world.mover(step))
  const [who, op] = client.split(' ')
  const engine = world.connect(step, who === 'new' ? 'to main' : 'never')
  if (op === 'load') await world.load(engine)
  if (op === 'change') await world.change(engine)
  if (op === 'cycle') await world.cycle(engine)
  if (op === 'delete') await world.delete(engine)
}

function opOf(client: Client): Op {
  const ops: readonly Op[] = ['load', 'change', 'cycle', 'delete', 'take']
  return ops.find((op) => client.endsWith(op)) ?? assert.fail(client)
}

/** The steps of one client, alone: how many there are to die after. */
async function countSteps(client: Client): Promise<number> {
  let count = 0
  await perform(new TwoStores(), client, async (_name, effect) => {
    count++
    return effect()
  })
  return count
}

describe('in every order of two', () => {
  // Two that move the session have some ten thousand orders: chance tries those, below.
  const pairs: readonly (readonly [Client, Client])[] = [
    ['new change', 'new load'],
    ['new change', 'old load'],
    ['new change', 'new delete'],
    ['new change', 'old change'],
    ['new cycle', 'new load'],
    ['new delete', 'new delete'],
    ['new delete', 'old cycle'],
    ['new delete', 'old change'],
    ['take', 'new load'],
    ['take', 'new delete'],
    ['take', 'old cycle'],
  ]
  for (const [one, other] of pairs) {
    test(`the session is moved, and none is lost or comes back: ${one}, ${other}`, async () => {
      const count = await runEveryOrder(async (step) => {
        const world = new TwoStores()
        await Promise.all([perform(world, one, step), perform(world, other, step)])
        await perform(world, 'new load', atOnce)
        await perform(world, 'old load', atOnce)
        await world.assertSound()
      })
      assert.ok(count > 10, `${count} orders`)
    })
  }
})

describe('when a mover dies', () => {
  const movers: readonly Client[] = ['new change', 'take']
  for (const mover of movers) {
    test(`after any step, the session lives on and moves at its next change: ${mover}`, async () => {
      for (let dies = 1; dies <= (await countSteps(mover)); dies++) {
        const world = new TwoStores()
        void perform(world, mover, dyingAfter(dies, atOnce))
        await drained()
        for (const client of ['new load', 'old load', 'old change', 'new change', 'new load'] as const) {
          await perform(world, client, atOnce)
        }
        await world.assertSound(['change'])
        assert.ok(world.new.rows.get(KEY)?.data.has('n'), `it has moved although one died after ${dies} steps`)
        assert.ok(!world.old.rows.has(KEY))
      }
    })

    for (const ending of ['new delete', 'old delete', 'new cycle', 'old cycle'] as const) {
      test(`after any step, what is ended then stays so: ${mover}, ${ending}`, async () => {
        for (let dies = 1; dies <= (await countSteps(mover)); dies++) {
          const world = new TwoStores()
          void perform(world, mover, dyingAfter(dies, atOnce))
          await drained()
          for (const client of [ending, 'new change', 'old change', 'take', 'new load'] as const) {
            await perform(world, client, atOnce)
          }
          await world.assertSound(['change'])
        }
      })
    }
  }

  test('and nobody comes for an hour, the session is over rather than alive again', async () => {
    const outcomes = new Set<string>()
    for (let dies = 1; dies <= (await countSteps('take')); dies++) {
      const world = new TwoStores()
      world.old.put(KEY, '{"n":0}', world.now + 100_000_000)
      void perform(world, 'take', dyingAfter(dies, atOnce))
      await drained()
      world.now += 3_600_000
      const engine = world.connect(atOnce)
      const first = await engine.load(KEY)
      const changed = await engine.transition(KEY, (data) => ({ kind: 'update', data }))
      assert.equal(changed.kind, first.found ? 'stored' : 'gone')
      assert.equal((await engine.load(KEY)).found, first.found)
      outcomes.add(first.found ? 'lives' : 'over')
    }
    assert.deepEqual([...outcomes].toSorted(), ['lives', 'over'])
  })
})

test('with three at once, one of whom may die, no order loses a session or brings one back', async () => {
  const who = fc.constantFrom('new', 'new', 'old')
  const op = fc.constantFrom('load', 'change', 'change', 'cycle', 'delete')
  const client = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(who, op).map(([a, b]) => `${a} ${b}` as Client) },
    { weight: 1, arbitrary: fc.constant<Client>('take') },
  )
  const plan = fc.record({
    clients: fc.tuple(...[1, 2, 3].map(() => fc.array(client, { minLength: 1, maxLength: 3 }))),
    mortal: fc.option(fc.record({ client, dies: fc.integer({ min: 1, max: 12 }) })),
  })
  const check = fc.asyncProperty(fc.scheduler(), plan, async (scheduler, { clients, mortal }) => {
    const world = new TwoStores()
    const step: Step = async (name, effect) => {
      await scheduler.schedule(Promise.resolve(), name)
      return effect()
    }
    if (mortal) void perform(world, mortal.client, dyingAfter(mortal.dies, step))
    const running = clients.map(async (ops) => {
      for (const each of ops) await perform(world, each, step)
    })
    await scheduler.waitFor(Promise.all(running))
    const crashed = mortal ? [opOf(mortal.client)] : []
    await perform(world, 'new load', atOnce)
    await world.assertSound(crashed.map((it) => (it === 'take' ? 'load' : it)))
  })
  await fc.assert(check, { numRuns: Number(process.env.SESSIONGATE_HISTORIES ?? 1000) })
})

/** All that can move without waiting for anybody has moved. */
function drained(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
