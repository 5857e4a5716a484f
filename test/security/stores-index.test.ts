import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sessionOf } from '../contract/session-engine-world.ts'
import { IndexedWorld, keysOf, of } from '../unit/sessions/indexed-world.ts'

const down = new Error('the index is down')

test('a key is not cycled while the index of users is down: nobody is logged out by that', async () => {
  const world = new IndexedWorld()
  const engine = world.connect()
  const [user, visitor] = [await engine.create(of(7)), await engine.create(sessionOf('{"cart":1}'))]
  world.before = () => Promise.reject(down)
  world.beforeLooking = () => Promise.reject(down)
  for (const key of [user, visitor]) {
    await assert.rejects(
      engine.transition(key, () => ({ kind: 'cycle', data: of(7) })),
      down,
    )
    assert.equal((await world.bare.load(key)).found, true)
  }
  assert.equal((await Array.fromAsync(world.bare.entries())).length, 2, 'and nothing is left over')
  const cycled = await engine.transition(visitor, (data) => ({ kind: 'cycle', data }))
  assert.equal(cycled.kind, 'stored', 'who is nobody needs no index')
  assert.deepEqual(await engine.transition(user, () => ({ kind: 'delete' })), { kind: 'deleted' })
})

test('a session whose end is far beyond its age is noted until then, and can be changed', async () => {
  const world = new IndexedWorld()
  const engine = world.connect()
  const key = await engine.create(sessionOf('{}'))
  const expiresAt = world.now + 10 * world.expiryRules.cookieAgeSeconds * 1000
  assert.equal((await engine.transition(key, () => ({ kind: 'update', data: of(7), expiresAt }))).kind, 'stored')
  await world.advance(9 * world.expiryRules.cookieAgeSeconds)
  assert.deepEqual(await keysOf(engine, '7'), [key])
})
