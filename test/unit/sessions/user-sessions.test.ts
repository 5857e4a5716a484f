import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { jsonSerializer } from '../../../src/sessions/caches/json-serializer.ts'
import { createMemoryCache } from '../../../src/sessions/caches/memory.ts'
import type { SessionEngine } from '../../../src/sessions/engine.ts'
import { createCacheSessions } from '../../../src/sessions/engines/cache.ts'
import { createIndexedEngine } from '../../../src/sessions/indexed-engine.ts'
import { compileUserId } from '../../../src/sessions/user-index.ts'
import { createMemoryUserIndex } from '../../../src/sessions/user-indexes/memory.ts'
import { createUserSessions, type UserSessions } from '../../../src/sessions/user-sessions.ts'
import { EngineWorld, sessionOf } from '../../contract/session-engine-world.ts'

const userIdOf = compileUserId(['userInfo', 'id'])
const of = (id: number) => sessionOf(`{"userInfo":{"id":${id}}}`)

interface Stage {
  readonly engine: SessionEngine
  readonly sessions: UserSessions
}

/** `before`: called before each transition of the engine. */
function stageOf(hasIndex: boolean, before: (engine: SessionEngine, key: string) => Promise<void>): Stage {
  const world = new EngineWorld()
  const keyPrefix = 'p:'
  const bare = createCacheSessions(createMemoryCache(world), { ...world, serializer: jsonSerializer, keyPrefix })
  const indexed = createIndexedEngine(bare, createMemoryUserIndex(world.clock), { ...world, userIdOf })
  const engine = hasIndex ? indexed : bare
  const disturbed: Pick<SessionEngine, 'entries' | 'transition'> = {
    entries: () => engine.entries(),
    async transition(key, decide) {
      await before(engine, key)
      return await engine.transition(key, decide)
    },
  }
  return { engine, sessions: createUserSessions(disturbed, userIdOf, hasIndex ? indexed : undefined) }
}

const undisturbed = async (): Promise<void> => {}

for (const hasIndex of [false, true]) {
  describe(`the sessions of a user, ${hasIndex ? 'from an index' : 'found by looking into all'}`, () => {
    test('are those of that user, by the id as a person types it', async () => {
      const { engine, sessions } = stageOf(hasIndex, undisturbed)
      const his = [await engine.create(of(7)), await engine.create(of(7))]
      await engine.create(of(8))
      await engine.create(sessionOf('{"userInfo":{}}'))
      const found = await Array.fromAsync(sessions.of('7'))
      assert.deepEqual(found.map(({ key }) => key).toSorted(), his.toSorted())
      assert.deepEqual(await Array.fromAsync(sessions.of('07')), [])
      assert.equal(sessions.index !== undefined, hasIndex)
    })

    test('are ended all, and nobody else\u2019s', async () => {
      const { engine, sessions } = stageOf(hasIndex, undisturbed)
      const his = [await engine.create(of(7)), await engine.create(of(7))]
      const hers = await engine.create(of(8))
      assert.deepEqual((await Array.fromAsync(sessions.end('7'))).toSorted(), his.toSorted())
      assert.deepEqual(await Array.fromAsync(sessions.end('7')), [])
      assert.deepEqual(
        (await Array.fromAsync(engine.entries())).map(({ key }) => key),
        [hers],
      )
    })

    test('are ended also under the key that one got while this was done', async () => {
      let successor: string | undefined
      const { engine, sessions } = stageOf(hasIndex, async (undisturbedEngine, key) => {
        if (successor !== undefined) return
        const result = await undisturbedEngine.transition(key, (data) => ({ kind: 'cycle', data }))
        successor = result.kind === 'stored' ? result.key : undefined
      })
      await engine.create(of(7))
      assert.deepEqual(await Array.fromAsync(sessions.end('7')), [successor])
      assert.deepEqual(await Array.fromAsync(engine.entries()), [])
    })

    test('are not ended when they became somebody else\u2019s a moment before', async () => {
      const { engine, sessions } = stageOf(hasIndex, async (undisturbedEngine, key) => {
        await undisturbedEngine.transition(key, () => ({ kind: 'update', data: of(8) }))
      })
      const key = await engine.create(of(7))
      assert.deepEqual(await Array.fromAsync(sessions.end('7')), [])
      assert.ok((await engine.load(key)).found)
    })

    test('that change their keys for ever are given up', async () => {
      const { engine, sessions } = stageOf(hasIndex, async (undisturbedEngine, key) => {
        await undisturbedEngine.transition(key, (data) => ({ kind: 'cycle', data }))
      })
      await engine.create(of(7))
      await assert.rejects(Array.fromAsync(sessions.end('7')), { code: 'ERR_STORE_UNAVAILABLE' })
    })
  })
}
