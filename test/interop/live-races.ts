import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Live } from './live-stage.ts'

/** What one side does to a session while the other one has it in its hands. */
export function describeLiveRaces(live: () => Live): void {
  test('deleted in Django while a write-back is under way: it is not brought back', async () => {
    const { stage, visitor } = live()
    await visitor.page('/login?user=alice')
    const key = await visitor.key()
    const held = stage.holdNextAnswer()
    const saying = visitor.say('X-Session-Set: {"cart":1}', 'X-Session-Expiry: 300')
    await held.asked
    await stage.project.act(key, [['flush']])
    held.give()
    assert.deepEqual((await saying).setCookies, [])
    const [read] = await stage.project.read([key])
    assert.deepEqual([read?.found, read?.stored, read?.cached], [false, null, null])
    assert.deepEqual([await visitor.statusFor(key), await visitor.userInDjango(key)], [401, ''])
  })

  test('cycled in Django while a write-back is under way: the old key stays dead, the new session as it is', async () => {
    const { stage, visitor } = live()
    await visitor.page('/login?user=alice')
    const key = await visitor.key()
    const held = stage.holdNextAnswer()
    const saying = visitor.say('X-Session-Set: {"cart":1}')
    await held.asked
    const fresh = await stage.project.act(key, [['cycle_key']])
    held.give()
    assert.deepEqual((await saying).setCookies, [])
    const [old, now] = await stage.project.read([key, fresh ?? ''])
    assert.deepEqual([old?.stored, old?.cached, now?.found], [null, null, true])
    assert.doesNotMatch(now?.json ?? '', /cart/)
    assert.deepEqual([await visitor.statusFor(key), await visitor.statusFor(fresh ?? '')], [401, 200])
  })

  test('changed in Django while a write-back is under way: both changes stand', async () => {
    const { stage, visitor } = live()
    await visitor.page('/login?user=alice')
    const key = await visitor.key()
    // So that the cache has what is about to be old, where there is one.
    assert.equal(await visitor.statusFor(key), 200)
    const held = stage.holdNextAnswer()
    const saying = visitor.say('X-Session-Set: {"cart":1}')
    await held.asked
    await stage.project.act(key, [['set', 'django', '2.0']])
    held.give()
    assert.equal((await saying).setCookies.length, 1)
    assert.match((await stage.project.read([key]))[0]?.json ?? '', /"django":2.0,"cart":1}$/)
    assert.deepEqual((await visitor.page('/')).data.cart, 1)
  })

  for (const command of ['flush', 'cycle-key']) {
    test(`${command} at the gateway while a Django view is under way: Django’s save finds nothing to save`, async () => {
      const { stage, visitor } = live()
      await visitor.page('/login?user=alice')
      const key = await visitor.key()
      const viewing = visitor.browser.fetch('/hold')
      await stage.project.held()
      await visitor.say(`X-Session-Command: ${command}`)
      await stage.project.release()
      // SessionInterrupted.
      assert.equal((await viewing).status, 400)
      const [read] = await stage.project.read([key])
      assert.deepEqual([read?.found, read?.stored, read?.cached], [false, null, null])
      assert.deepEqual([await visitor.statusFor(key), await visitor.userInDjango(key)], [401, ''])
      const fresh = await visitor.key()
      assert.equal(fresh === '', command === 'flush')
      if (fresh !== '') assert.equal(await visitor.userInDjango(fresh), 'alice')
    })
  }
}
