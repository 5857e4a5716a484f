import { after, before } from 'node:test'
import { Redis } from 'ioredis'
import { jsonSerializer } from '../../src/sessions/caches/json-serializer.ts'
import { createRedisCache } from '../../src/sessions/caches/redis.ts'
import type { RedisServers } from '../../src/sessions/caches/redis-servers.ts'
import { cacheKeyPrefix } from '../../src/sessions/caches/session-cache.ts'
import { createCacheSessions } from '../../src/sessions/engines/cache.ts'
import type { RedisServer } from '../support/redis.ts'
import { requireServer } from '../support/requirement.ts'
import { describeSessionEngine } from './session-engine.ts'
import type { EngineWorld, StoreUnderTest } from './session-engine-world.ts'

/** Servers of Redis as the suite needs them. */
export interface RedisUnderTest extends AsyncDisposable {
  readonly servers: RedisServers
  /** Those that hold keys. */
  readonly masters: readonly RedisServer[]
}

/** Makes everything whose key begins so older by some milliseconds, on one server. */
const ageScript = `for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left <= tonumber(ARGV[2]) then redis.call('DEL', key)
  elseif left >= 0 then redis.call('PEXPIRE', key, left - ARGV[2]) end
end`

/** The shared suite on the cache engine over Redis; the servers are started once. */
export function describeRedisEngine(name: string, start: () => Promise<RedisUnderTest>): void {
  const { skip } = requireServer('redis')
  const stack = new AsyncDisposableStack()
  let redis: RedisUnderTest | undefined
  let clients: readonly Redis[] = []
  let stores = 0
  if (skip === false) {
    before(async () => {
      redis = stack.use(await start())
      clients = redis.masters.map(({ port }) => stack.adopt(new Redis(port), (client) => client.disconnect()))
    })
    after(() => stack.disposeAsync())
  }
  const open = async (world: EngineWorld): Promise<StoreUnderTest> => {
    if (!redis) throw new Error('the servers are not there')
    const { servers } = redis
    const store = `store${++stores}`
    const keyPrefix = cacheKeyPrefix({ keyPrefix: store, version: 1 }, 'cache')
    const cache = createRedisCache({ servers, timeoutMs: 5000, clock: world.clock })
    const age = async (seconds: number) => {
      await Promise.all(clients.map((client) => client.eval(ageScript, 0, `${store}:*`, seconds * 1000)))
    }
    world.onAdvance.push(age)
    return {
      async connect() {
        const own = createRedisCache({ servers, timeoutMs: 5000, clock: world.clock, probePrefix: keyPrefix })
        return createCacheSessions(own, { ...world, serializer: jsonSerializer, keyPrefix })
      },
      async peek(key) {
        const value = await cache.get(keyPrefix + key)
        return value && Buffer.from(value.bytes).toString()
      },
      plant: (key, text) => cache.put(keyPrefix + key, Buffer.from(text), 3600),
      async [Symbol.asyncDispose]() {
        await age(1_000_000_000)
        await cache[Symbol.asyncDispose]()
      },
    }
  }
  const traits = {
    isServerSide: true,
    isSigned: false,
    tellsExpired: false,
    sweeps: false,
    countsExpired: false,
    toleranceMs: 10_000,
  }
  describeSessionEngine(name, open, traits, { skip })
}
