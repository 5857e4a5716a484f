import type { SessionData } from '../../../src/django/json.ts'
import { jsonText } from '../../../src/django/json.ts'
import { jsonSerializer } from '../../../src/sessions/caches/json-serializer.ts'
import { createMemoryCache } from '../../../src/sessions/caches/memory.ts'
import type { SessionCache } from '../../../src/sessions/caches/session-cache.ts'
import type { SessionEngine, Transition } from '../../../src/sessions/engine.ts'
import { createCacheSessions } from '../../../src/sessions/engines/cache.ts'
import { createIndexedEngine, type IndexedEngine } from '../../../src/sessions/indexed-engine.ts'
import { compileUserId, type UserIndex } from '../../../src/sessions/user-index.ts'
import { createMemoryUserIndex } from '../../../src/sessions/user-indexes/memory.ts'
import { EngineWorld, sessionOf } from '../../contract/session-engine-world.ts'

/** Sessions in memory, and an index of users of which the test decides when it answers. */
export class IndexedWorld extends EngineWorld {
  readonly cache: SessionCache = createMemoryCache(this)
  readonly index: UserIndex = createMemoryUserIndex(this.clock)
  /** The calls to the index, `note 7`. */
  readonly calls: string[] = []
  /** Called before each of them; may throw, or wait. */
  before: (call: string) => Promise<void> = async () => {}
  /** Called before each look into it. */
  beforeLooking: () => Promise<void> = async () => {}
  /** What a process was told of the index: up, or why not. */
  readonly states: unknown[] = []
  nowMs = 1

  /** The sessions without an index, as Django has them. */
  get bare(): SessionEngine {
    return this.#sessions(this.cache)
  }

  /** One process of the gateway. */
  connect(cache: SessionCache = this.cache): IndexedEngine {
    const { index } = this
    const beforeLooking = () => this.beforeLooking()
    const call = async (name: string): Promise<void> => {
      this.calls.push(name)
      await this.before(name)
    }
    const told: UserIndex = {
      async note(userId, key, expiresAt) {
        await call(`note ${userId}`)
        await index.note(userId, key, expiresAt)
      },
      async forget(userId, key) {
        await call(`forget ${userId}`)
        await index.forget(userId, key)
      },
      async *keysOf(userId) {
        await beforeLooking()
        yield* index.keysOf(userId)
      },
      clearExpired: (limit) => index.clearExpired(limit),
      [Symbol.asyncDispose]: async () => {},
    }
    const scheduler = { nowMs: () => this.nowMs, after: () => () => {} }
    const userIdOf = compileUserId(['userInfo', 'id'])
    const onIndexState = (isUp: boolean, cause: unknown) => this.states.push(isUp ? 'up' : cause)
    return createIndexedEngine(this.#sessions(cache), told, {
      ...this,
      userIdOf,
      scheduler,
      maxNotes: 100,
      onIndexState,
    })
  }

  #sessions(cache: SessionCache): SessionEngine {
    return createCacheSessions(cache, { ...this, serializer: jsonSerializer, keyPrefix: 'p:' })
  }
}

/** A session of that user. */
export function of(id: unknown): SessionData {
  return sessionOf(`{"userInfo":{"id":${jsonText(id)}}}`)
}

export function becoming(id: unknown): (now: SessionData) => Transition {
  return () => ({ kind: 'update', data: of(id) })
}

export async function keysOf(engine: IndexedEngine, userId: string): Promise<string[]> {
  return (await Array.fromAsync(engine.sessionsOfUser(userId))).map(({ key }) => key).toSorted()
}
