import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionData } from '../../src/django/json.ts'
import type { Transition } from '../../src/sessions/engine.ts'
import {
  assertData,
  assertListed,
  fifty,
  increment,
  type Prepare,
  sessionOf,
  unexpected,
} from './session-engine-world.ts'

/** What holds when several processes are at it at once. */
export function describeConcurrency(prepare: Prepare): void {
  test('creates fifty sessions at once under fifty keys', async () => {
    await using fixture = await prepare()
    const { engine, other } = fixture
    const keys = await Promise.all(fifty((i) => (i % 2 ? engine : other).create(sessionOf(`{"i":${i}}`))))
    assert.equal(new Set(keys).size, 50)
    for (const [i, key] of keys.entries()) assertData(await engine.load(key), sessionOf(`{"i":${i}}`))
  })

  test('keeps all of fifty parallel changes to different keys of one session', async () => {
    await using fixture = await prepare()
    const { engine, other } = fixture
    const key = await engine.create(sessionOf('{}'))
    await Promise.all(
      fifty((i) =>
        (i % 2 ? engine : other).transition(key, (now) => ({
          kind: 'update',
          data: new Map(now).set(`k${i}`, `${i}`),
        })),
      ),
    )
    const loaded = await engine.load(key)
    assert.ok(loaded.found)
    assert.deepEqual([...loaded.data.keys()].toSorted(), fifty((i) => `k${i}`).toSorted())
  })

  test('counts exactly in fifty parallel increments', async () => {
    await using fixture = await prepare()
    const { engine, other } = fixture
    const key = await engine.create(sessionOf('{}'))
    await Promise.all(fifty((i) => (i % 2 ? engine : other).transition(key, increment)))
    assertData(await other.load(key), sessionOf('{"n":50}'))
  })

  test('goes on after one of several parallel decisions threw', async () => {
    await using fixture = await prepare()
    const { engine } = fixture
    const key = await engine.create(sessionOf('{}'))
    const results = await Promise.allSettled(fifty((i) => engine.transition(key, i % 5 ? increment : unexpected)))
    assert.equal(results.filter(({ status }) => status === 'rejected').length, 10)
    assertData(await engine.load(key), sessionOf('{"n":40}'))
  })

  test('never brings back what was deleted while it changed', async () => {
    await using fixture = await prepare()
    const { engine, other, store } = fixture
    for (let round = 0; round < 100; round++) {
      const key = await engine.create(sessionOf('{"a":1}'))
      const [first, deleted, last] = await Promise.all([
        engine.transition(key, increment),
        other.delete(key),
        engine.transition(key, increment),
      ])
      assert.equal(deleted, true)
      assert.ok(first.kind === 'stored' || first.kind === 'gone')
      assert.ok(last.kind === 'gone' || first.kind === 'stored', 'gone is gone')
      assert.equal(await store.peek(key), undefined)
      assert.equal((await engine.load(key)).found, false)
    }
  })

  test('lets either the deletion or the new key win, never both', async () => {
    await using fixture = await prepare()
    const { engine, other } = fixture
    for (let round = 0; round < 100; round++) {
      const key = await engine.create(sessionOf('{"a":1}'))
      const [cycled, deleted] = await Promise.all([
        engine.transition(key, (data) => ({ kind: 'cycle', data })),
        other.delete(key),
      ])
      assert.equal(cycled.kind === 'stored', !deleted)
      assert.equal((await other.load(key)).found, false)
      await assertListed(fixture, cycled.kind === 'stored' ? [cycled.key] : [])
      if (cycled.kind === 'stored') await other.delete(cycled.key)
    }
  })

  test('gives a session one successor when two cycle it at once', async () => {
    await using fixture = await prepare()
    const { engine, other } = fixture
    const key = await engine.create(sessionOf('{"a":1}'))
    const cycle = (data: SessionData): Transition => ({ kind: 'cycle', data })
    const results = await Promise.all([engine.transition(key, cycle), other.transition(key, cycle)])
    assert.deepEqual(results.map(({ kind }) => kind).toSorted(), ['gone', 'stored'])
    await assertListed(
      fixture,
      results.flatMap((result) => (result.kind === 'stored' ? [result.key] : [])),
    )
  })
}
