import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { request } from 'undici'
import { describeLiveExpiry } from './live-expiry.ts'
import { describeLiveRaces } from './live-races.ts'
import { createVisitor, type Live, type LiveStage, openLiveStage, type Page, type Visitor } from './live-stage.ts'
import type { SharedPlace, StoreServers } from './stores.ts'

/** A running gateway between browsers, a running Django site and an app that is none, over one place for sessions. */
export function describeLiveScenarios(place: SharedPlace, servers: StoreServers): void {
  describe(`a Django site behind the gateway, beside an app that is none: ${place.title}`, { skip: place.skip }, () => {
    let stage: LiveStage
    let visitor: Visitor
    const live = (): Live => ({ stage, visitor })
    before(async () => {
      stage = await openLiveStage(place, servers)
    })
    after(async () => {
      await stage?.[Symbol.asyncDispose]()
    })
    beforeEach(() => {
      visitor = createVisitor(stage)
    })

    describeLogin(live, place.isServerSide)
    describeLiveExpiry(live, place)
    if (!place.isServerSide) return
    describeEnds(live)
    describeCommandsBesideDjango(live)
    describeLiveRaces(live)
  })
}

function describeLogin(live: () => Live, isServerSide: boolean): void {
  test('a login in Django opens the gateway’s rule, and its log-out closes it', async () => {
    const { stage, visitor } = live()
    // Not with fetch, which says of itself that it is no navigation.
    const asked = await request(`${stage.gateway.url}/private`, { headers: { Accept: 'text/html' } })
    await asked.body.dump()
    assert.deepEqual([asked.statusCode, asked.headers.location], [302, '/login?next=%2Fprivate'])
    await visitor.page('/put?cart=%5B1.0%5D')
    const anonymous = await visitor.key()
    await visitor.page('/login?user=alice')
    const key = await visitor.key()
    assert.notEqual(key, anonymous, 'Django cycles the key at a login')
    assert.equal((await visitor.page('/private')).user, 'alice')
    assert.deepEqual((await visitor.say('X-Nothing: x')).ses, { cart: [1], _auth_user_id: '1' })
    assert.equal(await visitor.statusFor(anonymous), 401)

    await visitor.page('/logout')
    assert.equal(await visitor.key(), '')
    // A cookie that is the session itself cannot be taken back.
    assert.equal(await visitor.statusFor(key), isServerSide ? 401 : 200)
    assert.equal((await visitor.browser.fetch('/private')).status, 401)
  })

  test('what the other app stores, Django’s views see, and nobody is logged out by it', async () => {
    const { stage, visitor } = live()
    await visitor.page('/login?user=alice')
    const { setCookies } = await visitor.say('X-Session-Set: {"cart":{"n":12345678901234567890,"zo\\u00eb":"\\ud800"}}')
    assert.equal(setCookies.length, 1)
    const { user, data } = await visitor.page('/private')
    assert.equal(user, 'alice')
    assert.deepEqual(Object.keys(data).toSorted(), ['_auth_user_backend', '_auth_user_hash', '_auth_user_id', 'cart'])
    const [read] = await stage.project.read([await visitor.key()])
    assert.ok(read?.json.endsWith('"cart":{"n":12345678901234567890,"zo\\u00eb":"\\ud800"}}'), read?.json ?? 'nothing')
    // And what Django stores over it, the app is told.
    await visitor.page('/put?cart=%7B%22n%22%3A2%7D')
    assert.deepEqual((await visitor.say('X-Nothing: x')).ses, { _auth_user_id: '1', cart: { n: 2 } })
  })

  test('a log-out by the gateway: Django sees nobody', async () => {
    const { stage, visitor } = live()
    await visitor.page('/login?user=alice')
    const key = await visitor.key()
    assert.equal(await visitor.userInDjango(key), 'alice')
    await visitor.say('X-Session-Command: flush')
    assert.equal(await visitor.key(), '')
    assert.equal((await visitor.page('/')).user, '')
    if (!isServerSide) return
    assert.equal(await visitor.userInDjango(key), '')
    assert.equal(await visitor.statusFor(key), 401)
    assert.equal((await stage.project.read([key]))[0]?.stored, null)
  })
}

function describeEnds(live: () => Live): void {
  test('a session that Django flushes elsewhere is refused at the next request', async () => {
    const { stage, visitor } = live()
    await visitor.page('/login?user=alice')
    const key = await visitor.key()
    assert.equal(await visitor.statusFor(key), 200)
    await stage.project.act(key, [['flush']])
    const refused = await visitor.browser.fetch('/private')
    assert.equal(refused.status, 401)
    assert.match(refused.setCookies.join('\n'), /^sessionid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; .*Max-Age=0;/)
    assert.equal(await visitor.key(), '')
  })

  test('cycle_key in Django: the old key is dead on both sides, the new one lives on both', async () => {
    const { visitor } = live()
    await visitor.page('/login?user=alice')
    const old = await visitor.key()
    assert.equal(await visitor.statusFor(old), 200)
    await visitor.page('/cycle')
    const fresh = await visitor.key()
    assert.notEqual(fresh, old)
    assert.deepEqual([await visitor.statusFor(old), await visitor.statusFor(fresh)], [401, 200])
    assert.deepEqual([await visitor.userInDjango(old), await visitor.userInDjango(fresh)], ['', 'alice'])
  })

  test('cycle-key at the gateway: the old key is dead on both sides, the new one has the same data', async () => {
    const { stage, visitor } = live()
    await visitor.page('/login?user=alice')
    const old = await visitor.key()
    const [before] = await stage.project.read([old])
    await visitor.say('X-Session-Command: cycle-key')
    const fresh = await visitor.key()
    const [gone, now] = await stage.project.read([old, fresh])
    assert.deepEqual([gone?.found, gone?.stored, now?.found], [false, null, true])
    assert.equal(now?.json, before?.json)
    assert.deepEqual([await visitor.statusFor(old), await visitor.statusFor(fresh)], [401, 200])
    assert.deepEqual([await visitor.userInDjango(old), await visitor.userInDjango(fresh)], ['', 'alice'])
  })
}

function describeCommandsBesideDjango(live: () => Live): void {
  test('a command beside Django’s own change of the key applies to Django’s new session', async () => {
    const { stage, visitor } = live()
    await visitor.page('/put?old=1')
    const old = await visitor.key()
    const query = new URLSearchParams({ set: '{"a":1}', cycle: '1', 'X-Session-Set': '{"b":2.0}' })
    const answer = await visitor.browser.fetch(`/say?${query}`)
    assert.equal(answer.setCookies.length, 1, 'Django’s own cookie, and no second one')
    const { key } = JSON.parse(answer.text) as Page
    assert.equal(await visitor.key(), key)
    const reads = await stage.project.read([old, key ?? ''])
    assert.deepEqual(
      reads.map(({ json }) => json),
      ['{}', '{"old":1,"a":1,"b":2.0}'],
    )
  })

  test('where the gateway cycles once more, its cookie goes out in the place of Django’s', async () => {
    const { stage, visitor } = live()
    await visitor.page('/put?old=1')
    const answer = await visitor.browser.fetch('/say?set=%7B%22a%22%3A1%7D&X-Session-Command=cycle-key')
    const { key } = JSON.parse(answer.text) as Page
    const fresh = await visitor.key()
    assert.equal(answer.setCookies.length, 1)
    assert.notEqual(fresh, key)
    const reads = await stage.project.read([key ?? '', fresh])
    assert.deepEqual(
      reads.map(({ stored, json }) => [stored === null, json]),
      [
        [true, '{}'],
        [false, '{"old":1,"a":1}'],
      ],
    )
  })

  test('Django’s log-out in an answer with commands: nothing is brought back', async () => {
    const { stage, visitor } = live()
    await visitor.page('/login?user=alice')
    const key = await visitor.key()
    const answer = await visitor.browser.fetch('/say?flush=1&X-Session-Set=%7B%22a%22%3A1%7D')
    assert.equal(answer.status, 200)
    assert.deepEqual(answer.setCookies.length, 1, 'the one that takes the cookie away')
    assert.equal(await visitor.key(), '')
    assert.equal(await visitor.statusFor(key), 401)
    assert.equal((await stage.project.read([key]))[0]?.stored, null)
  })
}
