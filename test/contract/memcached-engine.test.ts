import { randomUUID } from 'node:crypto'
import { after, before } from 'node:test'
import { jsonSerializer } from '../../src/sessions/caches/json-serializer.ts'
import { createMemcachedCache, memcachedFlags } from '../../src/sessions/caches/memcached.ts'
import { cacheKeyPrefix, type SessionCache } from '../../src/sessions/caches/session-cache.ts'
import { createCacheSessions } from '../../src/sessions/engines/cache.ts'
import { type MemcachedServer, startMemcached } from '../support/memcached.ts'
import { requireServer } from '../support/requirement.ts'
import { changeCache } from './cache-double.ts'
import { describeSessionEngine } from './session-engine.ts'
import type { EngineWorld } from './session-engine-world.ts'

const memcached = requireServer('memcached')
let server: MemcachedServer | undefined

before(async () => {
  if (memcached.skip === false) server = await startMemcached(memcached)
})
after(() => server?.[Symbol.asyncDispose]())

describeSessionEngine(
  'cache on memcached',
  async (world) => {
    if (!server) throw new Error('memcached is not running')
    const { host, port, peek, plant } = server
    // A prefix of its own for each store: memcached cannot forget a part of its keys.
    const keyPrefix = cacheKeyPrefix({ keyPrefix: randomUUID(), version: 1 }, 'cache')
    const ends = new Ends(world, server)
    const connect = async () => {
      const options = { server: { host, port }, keyPrefix, flags: memcachedFlags.json, timeoutMs: 5000 }
      const cache = ends.watch(createMemcachedCache({ ...options, clock: world.clock }))
      return createCacheSessions(cache, { ...world, serializer: jsonSerializer, keyPrefix })
    }
    return {
      connect,
      async peek(key) {
        const value = await peek(keyPrefix + key)
        return value?.bytes.toString()
      },
      plant: (key, text) => plant(keyPrefix + key, { flags: memcachedFlags.json, bytes: Buffer.from(text) }),
      async [Symbol.asyncDispose]() {},
    }
  },
  {
    isServerSide: true,
    isSigned: false,
    tellsExpired: false,
    tellsEnd: false,
    lists: false,
    sweeps: false,
    countsExpired: false,
  },
  { skip: memcached.skip },
)

/**
 * The server counts by its own clock. What would be over by the world's is deleted when the world moves on; that the
 * server gets the right ages is for `test/integration/memcached.test.ts`.
 */
class Ends {
  readonly #world: EngineWorld
  readonly #ends = new Map<string, number>()

  constructor(world: EngineWorld, { ask }: MemcachedServer) {
    this.#world = world
    world.onAdvance.push(async () => {
      const over = [...this.#ends].filter(([, end]) => end <= world.now).map(([key]) => key)
      for (const key of over) this.#ends.delete(key)
      if (over.length > 0) await ask(over.map((key) => `delete ${key}\r\n`).join(''))
    })
  }

  watch(cache: SessionCache): SessionCache {
    const note = (key: string, ttlSeconds: number) => this.#ends.set(key, this.#world.now + ttlSeconds * 1000)
    return changeCache(cache, {
      async add(key, bytes, ttlSeconds) {
        const isAdded = await cache.add(key, bytes, ttlSeconds)
        if (isAdded) note(key, ttlSeconds)
        return isAdded
      },
      async replace(key, replacement) {
        const isReplaced = await cache.replace(key, replacement)
        if (isReplaced) note(key, replacement.ttlSeconds)
        return isReplaced
      },
      [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose](),
    })
  }
}
