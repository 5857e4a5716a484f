import { jsonSerializer } from '../../src/sessions/caches/json-serializer.ts'
import { createMemoryCache } from '../../src/sessions/caches/memory.ts'
import { cacheKeyPrefix } from '../../src/sessions/caches/session-cache.ts'
import { createCacheSessions } from '../../src/sessions/engines/cache.ts'
import { createIndexedEngine } from '../../src/sessions/indexed-engine.ts'
import { compileUserId } from '../../src/sessions/user-index.ts'
import { createMemoryUserIndex } from '../../src/sessions/user-indexes/memory.ts'
import { changeCache } from './cache-double.ts'
import { describeSessionEngine } from './session-engine.ts'

/** The number that the suite counts up is the user, so nearly every change is one of the user as well. */
const userIdOf = compileUserId(['n'])

describeSessionEngine(
  'cache on memory with an index of users',
  async (world) => {
    const cache = createMemoryCache(world)
    const index = createMemoryUserIndex(world.clock)
    const keyPrefix = cacheKeyPrefix({ keyPrefix: '', version: 1 }, 'cache')
    return {
      connect: async () =>
        createIndexedEngine(
          createCacheSessions(changeCache(cache), { ...world, serializer: jsonSerializer, keyPrefix }),
          { ...index, async [Symbol.asyncDispose]() {} },
          { ...world, userIdOf },
        ),
      async peek(key) {
        const value = await cache.get(keyPrefix + key)
        return value && Buffer.from(value.bytes).toString()
      },
      plant: (key, text) => cache.put(keyPrefix + key, Buffer.from(text), 3600),
      [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose](),
    }
  },
  { isServerSide: true, isSigned: false, tellsExpired: false, countsExpired: false },
)
