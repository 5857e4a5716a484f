import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { createSignedCookieCodec } from '../../../../src/django/session-data.ts'
import { GatewayError } from '../../../../src/errors.ts'
import type { SessionEngine } from '../../../../src/sessions/engine.ts'
import { createSignedCookieSessions } from '../../../../src/sessions/engines/signed-cookies.ts'
import { EngineWorld, increment, listKeys, sessionOf } from '../../../contract/session-engine-world.ts'

/** A cookie as Django 5.2 made it at 1700000000: {"userInfo":{"name":"Zo\u00eb"}}. */
const DJANGO_COOKIE = 'eyJ1c2VySW5mbyI6eyJuYW1lIjoiWm9cdTAwZWIifX0:1r31eq:9ggB0XuHGGwO_GNbR0CTmi744Xx2ciHMyNUALLY4MoA'
const SIGNED_AT = 1_700_000_000_000

function openAt(now: number, cookieName = 'sessionid'): { engine: SessionEngine; world: EngineWorld } {
  const world = new EngineWorld()
  world.now = now
  const codec = createSignedCookieCodec({ secretKey: world.secretKey, maxAgeSeconds: 1000 })
  return { world, engine: createSignedCookieSessions({ ...world, codec, cookieName, cookieAgeSeconds: 1000 }) }
}

describe('the signed_cookies engine', () => {
  test('reads a cookie of Django, and tells when it ends', async () => {
    const { engine } = openAt(SIGNED_AT)
    const loaded = await engine.load(DJANGO_COOKIE)
    assert.ok(loaded.found)
    assert.equal(loaded.data.get('userInfo'), '{"name":"Zo\\u00eb"}')
    assert.equal(loaded.expiresAt, SIGNED_AT + 1_000_000)
  })

  test('makes the cookie that Django makes', async () => {
    const { engine } = openAt(SIGNED_AT)
    assert.equal(await engine.create(sessionOf('{"userInfo":{"name":"Zo\\u00eb"}}')), DJANGO_COOKIE)
  })

  test('gives a changed and a cycled session its new cookie as the key', async () => {
    const { engine, world } = openAt(SIGNED_AT)
    await world.advance(10)
    for (const kind of ['update', 'cycle'] as const) {
      const result = await engine.transition(DJANGO_COOKIE, (data) => ({ kind, data }))
      assert.ok(result.kind === 'stored' && result.key !== DJANGO_COOKIE)
      const loaded = await engine.load(result.key)
      assert.ok(loaded.found)
      assert.equal(loaded.expiresAt, world.now + 1_000_000)
    }
  })

  const rejected: [why: string, cookie: string, reason: string][] = [
    ['nothing', '', 'not_found'],
    ['a usual session key', '1mu1dscl5du1brwok1qeychb2prdub86', 'bad_signature'],
    ['a signature changed', DJANGO_COOKIE.replace(/A$/, 'B'), 'bad_signature'],
    ['a value changed', DJANGO_COOKIE.replace('eyJ1', 'eyJ2'), 'bad_signature'],
    ['a time changed', DJANGO_COOKIE.replace(':1r', ':1s'), 'bad_signature'],
    ['longer than any cookie', 'x'.repeat(4097), 'not_found'],
    [
      'a stored session, which has another salt',
      new EngineWorld().codec.encode(sessionOf('{}'), SIGNED_AT),
      'bad_signature',
    ],
  ]
  for (const [why, cookie, reason] of rejected) {
    test(`takes for no session: ${why}`, async () => {
      const { engine } = openAt(SIGNED_AT)
      assert.deepEqual(await engine.load(cookie), { found: false, reason })
      assert.deepEqual(await engine.transition(cookie, increment), { kind: 'gone', reason })
      assert.equal(await engine.delete(cookie), false)
    })
  }

  test('admits any text that can be a cookie', () => {
    const { engine } = openAt(SIGNED_AT)
    assert.equal(engine.admits(''), 'none')
    assert.equal(engine.admits('x'), 'ask')
    assert.equal(engine.admits('x'.repeat(4096)), 'ask')
    assert.equal(engine.admits('x'.repeat(4097)), 'unknown')
  })

  test('refuses what no browser would keep: name and value over 4,096 bytes', async () => {
    const { engine } = openAt(SIGNED_AT)
    // Hashes, so that compression gains nothing.
    const noise = Array.from({ length: 100 }, (_, i) => createHash('sha256').update(`${i}`).digest('base64url')).join(
      '',
    )
    let longest = ''
    let refused: unknown
    for (let length = 1; refused === undefined && length < noise.length; length++) {
      longest = await engine.create(sessionOf(`{"a":"${noise.slice(0, length)}"}`)).catch((error: unknown) => {
        refused = error
        return longest
      })
    }
    assert.ok(longest.length <= 4096 - 'sessionid='.length && longest.length > 4000, `${longest.length}`)
    assert.ok(refused instanceof GatewayError)
    assert.equal(refused.code, 'ERR_WRITEBACK_REFUSED')
    assert.equal(refused.facts.reason, 'cookie_too_large')
    const grown = engine.transition(DJANGO_COOKIE, () => ({ kind: 'update', data: sessionOf(`{"a":"${noise}"}`) }))
    await assert.rejects(grown, { code: 'ERR_WRITEBACK_REFUSED' })
  })

  test('keeps nothing: a deleted cookie that somebody kept is still good, and there is nothing to list', async () => {
    const { engine } = openAt(SIGNED_AT)
    assert.equal(await engine.delete(DJANGO_COOKIE), true)
    assert.ok((await engine.load(DJANGO_COOKIE)).found)
    assert.deepEqual(await listKeys(engine), [])
    assert.equal(await engine.clearExpired(10), 0)
    assert.equal(engine.countExpired(10), undefined)
  })
})
