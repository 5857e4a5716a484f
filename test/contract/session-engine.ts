import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type SessionData, writeSessionData } from '../../src/django/json.ts'
import type { SessionEngine, Transition } from '../../src/sessions/engine.ts'
import { describeCounting } from './session-engine-count.ts'
import { describeKeptSessions } from './session-engine-kept.ts'
import { describeMovedSessions } from './session-engine-moved.ts'
import { describeConcurrency } from './session-engine-races.ts'
import {
  assertData,
  type EngineTraits,
  EngineWorld,
  increment,
  type OpenStore,
  type Prepare,
  sessionOf,
  unexpected,
} from './session-engine-world.ts'
import { checkAgainstModel } from './session-model.ts'

/** How a suite is run. */
export interface SuiteOptions {
  /** The line that says which server is missing and why (`requireServer`). */
  readonly skip?: string | false
}

/**
 * The definition of {@link SessionEngine}: what every engine does, and, where `traits` say that sessions are kept on a
 * server, what none of them may ever do.
 */
export function describeSessionEngine(
  name: string,
  open: OpenStore,
  traits: EngineTraits,
  options: SuiteOptions = {},
): void {
  const prepare: Prepare = async () => {
    const world = new EngineWorld()
    const stack = new AsyncDisposableStack()
    const store = stack.use(await open(world))
    const engine = stack.use(await store.connect())
    const other = stack.use(await store.connect())
    return { traits, world, store, engine, other, [Symbol.asyncDispose]: () => stack.disposeAsync() }
  }
  describe(`the session engine ${name}`, { skip: options.skip ?? false }, () => {
    describeEveryEngine(prepare, traits)
    describeMovedSessions(prepare, traits)
    if (!traits.isServerSide) return
    describeKeptSessions(prepare, traits)
    describeConcurrency(prepare)
    describeCounting(prepare)
    test('agrees with a simple model in any history of three processes', async () => {
      await checkAgainstModel(prepare)
    })
  })
}

function describeEveryEngine(prepare: Prepare, traits: EngineTraits): void {
  test('says what it is', async () => {
    await using fixture = await prepare()
    assert.equal(fixture.engine.isServerSide, traits.isServerSide)
    assert.equal(fixture.engine.lists, traits.isServerSide && traits.lists !== false)
    assert.match(fixture.engine.name, /^[a-z_]+$/)
    await fixture.engine.ping()
  })

  test('gives back what was stored, with numbers, key order and odd keys as they were', async () => {
    await using fixture = await prepare()
    const data = sessionOf(
      '{"b":1.0,"10":1152921504606846976,"2":-0.0,"a":1e5,"n":NaN,"__proto__":{"x":[]},"":"Zo\\u00eb","\\ud800":null}',
    )
    const key = await fixture.engine.create(data)
    assertData(await fixture.engine.load(key), data)
    assertData(await fixture.other.load(key), data)
  })

  test('updates, and says what was stored under which key', async () => {
    await using fixture = await prepare()
    const key = await fixture.engine.create(sessionOf('{"a":1.0}'))
    const seen: SessionData[] = []
    const result = await fixture.engine.transition(key, (now) => {
      seen.push(now)
      return { kind: 'update', data: new Map(now).set('b', '2') }
    })
    assert.equal(writeSessionData(seen.at(-1) ?? new Map()), '{"a":1.0}')
    assert.ok(result.kind === 'stored')
    assert.equal(writeSessionData(result.data), '{"a":1.0,"b":2}')
    assertData(await fixture.engine.load(result.key), sessionOf('{"a":1.0,"b":2}'))
  })

  test('keeps, and hands out what is there', async () => {
    await using fixture = await prepare()
    const data = sessionOf('{"a":1}')
    const key = await fixture.engine.create(data)
    const before = await fixture.store.peek(key)
    assert.deepEqual(await fixture.engine.transition(key, () => ({ kind: 'keep' })), { kind: 'kept', data })
    assert.equal(await fixture.store.peek(key), before)
  })

  test('deletes by transition, and tells', async () => {
    await using fixture = await prepare()
    const key = await fixture.engine.create(sessionOf('{"a":1}'))
    assert.deepEqual(await fixture.engine.transition(key, () => ({ kind: 'delete' })), { kind: 'deleted' })
  })

  test('stores nothing when the decision throws, and lets its error out unchanged', async () => {
    await using fixture = await prepare()
    const key = await fixture.engine.create(sessionOf('{"a":1}'))
    const before = await fixture.store.peek(key)
    const refusal = new Error('refused')
    const refuse = (): Transition => {
      throw refusal
    }
    await assert.rejects(fixture.engine.transition(key, refuse), (error) => error === refusal)
    assert.equal(await fixture.store.peek(key), before)
    const after = await fixture.engine.transition(key, increment)
    assert.equal(after.kind, 'stored', 'the session can still be changed')
  })

  test('ends a session with its age', async () => {
    await using fixture = await prepare()
    const key = await fixture.engine.create(sessionOf('{"a":1}'))
    await fixture.world.advance(999)
    assert.ok((await fixture.engine.load(key)).found)
    await fixture.world.advance(2)
    const reason = traits.tellsExpired ? 'expired' : 'not_found'
    assert.deepEqual(await fixture.engine.load(key), { found: false, reason })
    const result = await fixture.engine.transition(key, unexpected)
    assert.deepEqual(result, { kind: 'gone', reason })
    assert.equal(await fixture.engine.delete(key), false)
  })

  test('closes twice without complaint', async () => {
    await using fixture = await prepare()
    const key = await fixture.engine.create(sessionOf('{"a":1}'))
    assert.ok((await fixture.engine.load(key)).found)
    await fixture.engine[Symbol.asyncDispose]()
    await fixture.engine[Symbol.asyncDispose]()
  })
}
