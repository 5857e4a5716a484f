import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionData } from '../../../src/django/json.ts'
import { GatewayError } from '../../../src/errors.ts'
import type { SessionEngine, Transition } from '../../../src/sessions/engine.ts'
import { type GuardOptions, guardEngine, type StoreState } from '../../../src/sessions/guarded-engine.ts'
import { type EngineOperation, observeEngine } from '../../../src/sessions/observed-engine.ts'
import { storeUnavailable } from '../../../src/sessions/store-failure.ts'
import { turns } from '../../support/deadline.ts'
import { createTestScheduler } from './test-scheduler.ts'

const data: SessionData = new Map([['a', '1']])
const broken = storeUnavailable('broken', Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }))
const never = new Promise<never>(() => {})
const TIMEOUT_MS = 250

/** What every call of the engine does; tests replace it. */
type Behaviour = (call: string) => Promise<unknown>

interface World {
  behave: Behaviour
  readonly calls: string[]
  /** The `decide` of each transition, for drivers that call it late. */
  readonly decisions: ((now: SessionData) => Transition)[]
  isDisposed: boolean
}

function fakeEngine(world: World): SessionEngine {
  const call = async <T>(name: string, value: T): Promise<T> => {
    world.calls.push(name)
    await world.behave(name)
    return value
  }
  return {
    name: 'fake',
    isServerSide: true,
    lists: true,
    admits: () => 'ask',
    load: () => call('load', { found: false, reason: 'not_found' }),
    create: () => call('create', 'fresh'),
    adopt: () => call('adopt', true),
    async transition(key, decide) {
      world.decisions.push(decide)
      await call('transition', undefined)
      return decide(data).kind === 'keep' ? { kind: 'kept', data } : { kind: 'stored', key, data }
    },
    delete: () => call('delete', true),
    async *entries() {
      for (const key of ['one', 'two']) {
        await call('entries', undefined)
        yield { key, data, expiresAt: undefined }
      }
    },
    clearExpired: () => call('clearExpired', 3),
    async *countExpired() {
      yield await call('countExpired', 1)
      yield await call('countExpired', 2)
    },
    ping: () => call('ping', undefined),
    async [Symbol.asyncDispose]() {
      await world.behave('dispose')
      world.isDisposed = true
    },
  }
}

function start(options: Partial<GuardOptions> = {}) {
  const scheduler = createTestScheduler()
  const world: World = { behave: async () => {}, calls: [], decisions: [], isDisposed: false }
  const states: StoreState[] = []
  const operations: EngineOperation[] = []
  const guarded = guardEngine(fakeEngine(world), {
    timeoutMs: TIMEOUT_MS,
    onState: (state) => states.push(state),
    scheduler,
    ...options,
  })
  const engine = observeEngine(guarded, (operation) => operations.push(operation))
  return { scheduler, world, states, operations, guarded, engine }
}

type Operation = readonly [name: string, run: (engine: SessionEngine) => Promise<unknown>, deadlineMs: number]

const keep = (): Transition => ({ kind: 'keep' })
const operations: readonly Operation[] = [
  ['load', (engine) => engine.load('k'), TIMEOUT_MS],
  ['create', (engine) => engine.create(data), TIMEOUT_MS],
  ['adopt', (engine) => engine.adopt({ key: 'k', data, expiresAt: undefined }), TIMEOUT_MS],
  ['transition', (engine) => engine.transition('k', keep), TIMEOUT_MS],
  ['delete', (engine) => engine.delete('k'), TIMEOUT_MS],
  ['clearExpired', (engine) => engine.clearExpired(10), 30_000],
  ['countExpired', (engine) => Array.fromAsync(engine.countExpired(10) ?? []), 30_000],
  ['entries', (engine) => Array.fromAsync(engine.entries()), 30_000],
  ['ping', (engine) => engine.ping(), TIMEOUT_MS],
]

for (const [name, run, deadlineMs] of operations) {
  test(`${name}: a store that hangs costs ${deadlineMs} ms, and what it says later reaches nobody`, async () => {
    const { scheduler, world, engine } = start()
    const { promise, reject } = Promise.withResolvers<never>()
    world.behave = () => promise
    const ended = outcomeOf(run(engine))
    await scheduler.pass(deadlineMs - 1)
    assert.deepEqual(ended, { isDone: false, error: undefined })
    await scheduler.pass(100)
    assert.equal(failureOf(ended).message, `the session store did not answer within ${deadlineMs} ms`)
    // A rejection without a handler would fail this test.
    reject(new Error('late'))
    await close(engine)
    await turns()
    assert.equal(scheduler.waiting, 0)
  })

  test(`${name}: an error that is none of the store's comes out unchanged and counts for nothing`, async () => {
    const { world, engine, states } = start()
    const refused = new GatewayError('ERR_WRITEBACK_REFUSED', 'no')
    world.behave = (call) => (call === name ? Promise.reject(refused) : Promise.resolve())
    for (let i = 0; i < 20; i++) await assert.rejects(run(engine), refused)
    assert.deepEqual(
      states.map(({ isUp }) => isUp),
      name === 'ping' ? [false] : [],
    )
  })

  test(`${name}: the open circuit refuses it at once, and the store does not hear of it`, async () => {
    const { scheduler, world, engine, operations: measured } = start()
    world.behave = () => Promise.reject(broken)
    for (let i = 0; i < 5; i++) await assert.rejects(engine.load('k'))
    await scheduler.pass(1)
    world.calls.length = 0
    const before = measured.length
    await assert.rejects(run(engine), (error: unknown) => {
      assert.ok(error instanceof GatewayError)
      if (name === 'ping') return error === broken
      assert.deepEqual(error.facts, { outcome: 'failed', asked: 'no' })
      return error.cause === broken
    })
    assert.deepEqual(world.calls, [])
    assert.equal(measured.length, before, 'a refusal is no operation of the store')
    await close(engine)
  })
}

interface Outcome {
  readonly error: unknown
  readonly isDone: boolean
}

function failureOf({ error }: Outcome): GatewayError {
  assert.ok(error instanceof GatewayError)
  return error
}

/** A fake that is as broken at its end as it was before. */
async function close(engine: SessionEngine): Promise<void> {
  try {
    await engine[Symbol.asyncDispose]()
  } catch {}
}

/** What becomes of a promise, to be looked at while time passes. */
function outcomeOf(promise: Promise<unknown>): Outcome {
  const outcome: { error: unknown; isDone: boolean } = { error: undefined, isDone: false }
  promise.then(
    () => {
      outcome.isDone = true
    },
    (error: unknown) => {
      outcome.error = error
    },
  )
  return outcome
}

const late: [why: string, decidesInTime: boolean, outcome: string | undefined][] = [
  ['a change that was not computed in time is given up for good', false, 'failed'],
  ['of a change that was computed in time nobody knows whether it was stored', true, undefined],
]
for (const [why, decidesInTime, outcome] of late) {
  test(why, async () => {
    const { scheduler, world, engine } = start()
    let decided = 0
    world.behave = () => never
    const ended = outcomeOf(
      engine.transition('k', () => {
        decided += 1
        return { kind: 'keep' }
      }),
    )
    const decide = await driverOf(world)
    if (decidesInTime) decide(data)
    await scheduler.pass(TIMEOUT_MS + 100)
    assert.equal(failureOf(ended).facts.outcome, outcome)
    assert.throws(() => decide(data), { code: 'ERR_STORE_UNAVAILABLE' })
    assert.equal(decided, decidesInTime ? 1 : 0)
    world.behave = async () => {}
    await close(engine)
  })
}

/** The `decide` that the engine under the guard was given. */
async function driverOf(world: World): Promise<(now: SessionData) => Transition> {
  await turns()
  const [decide] = world.decisions
  assert.ok(decide)
  return decide
}

test('a transition that fails before it read the session says that nothing was stored', async () => {
  const { world, engine } = start()
  world.behave = (call) => (call === 'transition' ? Promise.reject(broken) : Promise.resolve())
  await assert.rejects(engine.transition('k', keep), {
    message: 'broken',
    cause: broken.cause,
    facts: { outcome: 'failed' },
  })
})

test('no more than so many operations are under way; those that were given up count until they are over', async () => {
  const { scheduler, world, engine, states } = start({ maxUnderWay: 10 })
  const { promise, reject } = Promise.withResolvers<never>()
  world.behave = () => promise
  const given = Array.from({ length: 10 }, () => outcomeOf(engine.load('k')))
  await turns()
  const refusal = {
    message: '10 operations wait for the session store already',
    facts: { outcome: 'failed', asked: 'no' },
  }
  await assert.rejects(engine.create(data), refusal)
  assert.deepEqual(states, [], 'too much to do is not down')
  await scheduler.pass(TIMEOUT_MS + 100)
  for (const one of given) assert.match(failureOf(one).message, /did not answer within/)
  await assert.rejects(engine.create(data), /down/)
  assert.equal(world.calls.filter((call) => call === 'load').length, 10 + 1, 'a look is never too much')
  reject(broken)
  world.behave = async () => {}
  await scheduler.pass(1000)
  assert.equal(await engine.create(data), 'fresh')
})

test('a store that answers pings and fails at everything else is down', async () => {
  const { scheduler, world, engine, states } = start()
  world.behave = (call) => (call === 'ping' ? Promise.resolve() : Promise.reject(broken))
  await assert.rejects(engine.ping(), broken)
  await scheduler.pass(10_000)
  assert.deepEqual(states, [{ store: 'fake', isUp: false, wasUp: undefined, cause: broken, lastedMs: 0 }])
  await assert.rejects(engine.ping(), broken)
  await close(engine)
})

test('a slow store is not a store that is down: what a look asks, it asks at once', async () => {
  const { scheduler, world, guarded, states } = start()
  world.behave = () => new Promise((resolve) => scheduler.after(TIMEOUT_MS - 10, () => resolve(undefined)))
  const looked = outcomeOf(guarded.look())
  await scheduler.pass(TIMEOUT_MS)
  assert.equal(looked.isDone, true)
  assert.deepEqual(
    states.map(({ isUp }) => isUp),
    [true],
  )
})

test('a look never rejects: it tells what failed', async () => {
  const { world, guarded, states } = start()
  world.behave = () => Promise.reject(broken)
  assert.equal(await guarded.look(), broken)
  assert.deepEqual(
    states.map(({ isUp }) => isUp),
    [false],
  )
  await close(guarded)
})

test('a process that was held up itself still takes the answer that came in time', async () => {
  const { scheduler, world, engine } = start()
  const { promise, resolve } = Promise.withResolvers<void>()
  world.behave = () => promise
  const loading = engine.load('k')
  await turns()
  // The timer is late, and the socket is read right after it.
  void scheduler.pass(TIMEOUT_MS + 100).then(() => {})
  await new Promise((due) => scheduler.after(0, () => due(undefined)))
  resolve()
  assert.deepEqual(await loading, { found: false, reason: 'not_found' })
})

test('operations are measured with what their callers waited; pings and refusals are none', async () => {
  const { scheduler, world, engine, operations: measured } = start()
  await engine.create(data)
  await engine.transition('k', () => ({ kind: 'update', data }))
  await engine.delete('k')
  await engine.ping()
  world.behave = (call) => (call === 'load' ? never : Promise.resolve())
  const ended = outcomeOf(engine.load('k'))
  await scheduler.pass(TIMEOUT_MS + 100)
  assert.equal(failureOf(ended).code, 'ERR_STORE_UNAVAILABLE')
  assert.deepEqual(
    measured.map(({ op, result }) => [op, result]),
    [
      ['save', 'ok'],
      ['save', 'ok'],
      ['delete', 'ok'],
      ['load', 'error'],
    ],
  )
  await close(engine)
})

test('a listing that is left early ends the one below', async () => {
  const { engine } = start()
  for await (const { key } of engine.entries()) {
    assert.equal(key, 'one')
    break
  }
})

test('its end waits for the store a second, and no longer', async () => {
  const { scheduler, world, engine } = start()
  world.behave = () => never
  const ended = outcomeOf(Promise.resolve(engine[Symbol.asyncDispose]()))
  await scheduler.pass(999)
  assert.equal(ended.isDone, false)
  await scheduler.pass(1)
  await turns()
  assert.equal(ended.isDone, true)
  const polite = start()
  await polite.engine[Symbol.asyncDispose]()
  assert.deepEqual([polite.world.isDisposed, polite.scheduler.waiting], [true, 0])
})
