import type { Clock } from '../../lib/clock.ts'
import { RedisFailure } from '../caches/redis-failure.ts'
import { RedisLink, type RedisLinkOptions, type RedisTask } from '../caches/redis-link.ts'
import { garbled, runScript, scriptOf } from '../caches/redis-scripts.ts'
import { storeUnavailable } from '../store-failure.ts'
import { type UserIndex, userIdDigest } from '../user-index.ts'

export interface RedisUserIndexOptions extends RedisLinkOptions {
  /** What stands in front of the hash of the user's id (`userIndexKeyPrefix`). */
  readonly keyPrefix: string
  readonly clock: Clock
}

/**
 * One step, so that two processes that note the same session leave the later of their ends. What is over goes at the same
 * time: a user who always has a session would otherwise keep all those that he ever had.
 */
const noteScript = scriptOf(`redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
local known = redis.call('ZSCORE', KEYS[1], ARGV[2])
if not known or tonumber(known) < tonumber(ARGV[3]) then redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2]) end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last[2])))
return 1`)

/** How many of a user's sessions come with one answer. */
const SCAN_COUNT = 500

/**
 * The index in Redis, a sorted set for each user whose scores are the sessions' ends, under one key, so that a cluster can
 * have it: 150 to 250 bytes for each session. It goes by itself with the last of them. What a failover loses of the sessions
 * it may lose of the index; a session is noted again after an hour.
 */
export function createRedisUserIndex(options: RedisUserIndexOptions): UserIndex {
  const { keyPrefix, clock } = options
  const link = new RedisLink(options)

  async function run<T>(userId: string, task: Omit<RedisTask<T>, 'key'>): Promise<T> {
    try {
      return await link.run({ ...task, key: keyOf(userId) })
    } catch (error) {
      if (!(error instanceof RedisFailure)) throw error
      throw storeUnavailable(`${task.what} failed: something else lies under the key of the list`, error)
    }
  }

  const keyOf = (userId: string): string => keyPrefix + userIdDigest(userId)

  return {
    async note(userId, key, expiresAt) {
      const args = [keyOf(userId), clock(), key, expiresAt]
      await run(userId, {
        what: 'noting the user of a session',
        isRead: false,
        perform: (client) => runScript(client, noteScript, args),
      })
    },
    async forget(userId, key) {
      await run(userId, {
        what: 'forgetting the user of a session',
        isRead: false,
        perform: (client) => client.send('zrem', keyOf(userId), key),
      })
    },
    async *keysOf(userId) {
      let cursor = '0'
      do {
        const page = await run(userId, {
          what: 'listing the sessions of a user',
          isRead: true,
          perform: async (client) => readPage(await client.send('zscan', keyOf(userId), cursor, 'COUNT', SCAN_COUNT)),
        })
        for (const [key, expiresAt] of page.entries) if (expiresAt > clock()) yield key
        cursor = page.cursor
      } while (cursor !== '0')
    },
    clearExpired: async () => 0,
    [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
  }
}

interface Page {
  readonly cursor: string
  readonly entries: readonly (readonly [key: string, expiresAt: number])[]
}

function readPage(reply: unknown): Page {
  if (!Array.isArray(reply) || !Array.isArray(reply[1])) throw garbled()
  const items = reply[1].map(String)
  const entries: [string, number][] = []
  for (let i = 0; i + 1 < items.length; i += 2) entries.push([items[i] ?? '', Number(items[i + 1])])
  return { cursor: String(reply[0]), entries }
}
